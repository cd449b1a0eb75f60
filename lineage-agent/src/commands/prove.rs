//! `lineage prove`: make the proof of an event.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;

use super::output::NewFile;
use super::{flows, refuse_inside, screen};
use crate::cli;
use crate::evidence::proof::{ProofError, make};
use crate::evidence::reader::Host;
use crate::evidence::record::Owned;
use crate::review::index::Until;
use crate::review::why::{Causes, Why, WhyOptions};

/// Runs `lineage prove`.
pub(super) fn run(options: &cli::review::Prove) -> anyhow::Result<ExitCode> {
    if let Some(output) = &options.output {
        refuse_inside(&options.event.evidence, output)?;
    }
    let evidence = screen::open(&options.event.evidence)?;
    let (host, event) = screen::event(&options.event)?.find(&evidence)?;
    let seq = event.get().seq.unwrap_or_default();
    let data = if options.data {
        data(host, event, options)?
    } else {
        Vec::new()
    };
    let proof = make(host, seq, &data).map_err(|error| match error {
        ProofError::Unsealed { .. } => anyhow::Error::from(error).context(format!(
            "prove event {seq} yet: wait up to a minute while it is recorded, or run `lineage seal` after a crash"
        )),
        error => anyhow::Error::from(error).context(format!("prove event {seq}")),
    })?;
    let Some(output) = &options.output else {
        return screen::print(&proof.text());
    };
    let mut new = NewFile::create(output, false)?;
    let written = new.out().write_all(proof.text().as_bytes());
    written.with_context(|| new.what().to_owned())?;
    new.publish()?;
    Ok(ExitCode::SUCCESS)
}

/// The records that tell of the data that led to an event.
fn data(host: &Host, event: Owned, options: &cli::review::Prove) -> anyhow::Result<Vec<u64>> {
    let until = Until::Seq(event.get().seq.unwrap_or_default());
    let flows = flows::of(host, until, &options.event.evidence, &options.index)?;
    let how = WhyOptions {
        causes: Causes::Data,
        ..WhyOptions::default()
    };
    let why = Why::new((host, &flows), event, how).context("find the causes")?;
    if let Some(missing) = flows.missing {
        return Err(missing).context("read all records, so causes may be missing");
    }
    let told_by = why.told_by();
    match why.failed() {
        Some(failed) => Err(failed).context("read all that tells of the causes"),
        None => Ok(told_by),
    }
}
