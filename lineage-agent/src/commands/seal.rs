//! `lineage seal`: finish evidence that a crash or power loss left unsealed.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{screen, shown};
use crate::{
    cli,
    counted::counted,
    evidence::{error::Error, keys::Keys, recover::recover, text::hex},
};

/// Runs `lineage seal`.
pub(super) fn run(options: &cli::Seal) -> anyhow::Result<ExitCode> {
    let keys = Keys::open(&options.keys.dir)
        .with_context(|| format!("use the keys in {}", shown(&options.keys.dir)))?;
    let found = match recover(&options.evidence, &Arc::new(keys)) {
        Err(Error::OtherHost { path, host }) => bail!(
            "seal {}: it holds evidence of host {host}, whose keys are not in {} (--keys)",
            shown(&path),
            shown(&options.keys.dir)
        ),
        found => found.with_context(|| format!("seal {}", shown(&options.evidence)))?,
    };
    if options.json {
        let object = json!({
            "log": found.origin.to_string(),
            "segments": found.segments,
            "records": found.records,
            "sealed": found.sealed,
            "discarded_bytes": found.discarded,
            "crashed": found.crashed,
            "log_root": hex(&found.root),
        });
        return screen::print(&format!("{object}\n"));
    }
    let already = if found.sealed == 0 {
        ": nothing was left to do"
    } else {
        ""
    };
    let mut text = format!(
        "sealed {}; the log is complete with {}, {}{already}\n",
        counted(found.sealed, "segment", "segments"),
        counted(found.segments, "segment", "segments"),
        counted(found.records, "record", "records")
    );
    if found.crashed {
        text += "the recorder had not stopped by itself: what it had not written yet is lost, and the evidence says so\n";
    }
    if found.discarded > 0 {
        text += &format!(
            "{} of an unfinished write discarded\n",
            counted(found.discarded, "byte", "bytes")
        );
    }
    screen::print(&text)
}
