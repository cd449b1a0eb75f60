//! `lineage recognisers`: what is recognised, and whether a file of recognisers can be used.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use serde_json::json;

use super::screen;
use crate::{
    cli,
    lineage::recognise::{BUILT_IN, Label},
    recorder::recognisers::Files,
    review::text,
};

/// Runs `lineage recognisers`.
pub(super) fn run(options: &cli::Recognisers) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    if options.built_in {
        return screen::ending(out.write_all(BUILT_IN.as_bytes()));
    }
    let files = Files::read(options.file.as_deref())?;
    let labels = files.recognisers.labels();
    if options.json {
        let labels: Vec<_> = labels.iter().map(object).collect();
        return screen::ending(writeln!(out, "{}", json!({ "labels": labels })));
    }
    let width = labels.iter().map(|label| label.name.len()).max();
    let width = width.unwrap_or_default();
    let mut written = Ok(());
    for label in labels {
        let digest = if label.digest { " [digest]" } else { "" };
        let line = format!(
            "{:<width$}  {}{digest}",
            label.name,
            text::shown(&label.doc)
        );
        written = written.and_then(|()| writeln!(out, "{}", line.trim_end()));
    }
    screen::ending(written)
}

fn object(label: &Label) -> serde_json::Value {
    json!({
        "label": label.name,
        "doc": label.doc,
        "kinds": label.kinds,
        "digest": label.digest,
    })
}
