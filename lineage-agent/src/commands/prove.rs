//! `lineage prove`: make the proof of an event.

use std::process::ExitCode;

use anyhow::Context as _;

use super::{grant, screen};
use crate::cli;
use crate::evidence::proof::{ProofError, make};
use crate::evidence::reader::Host;
use crate::evidence::record::Owned;
use crate::review::why::{Causes, Why, WhyOptions};

/// Runs `lineage prove`.
pub(super) fn run(options: &cli::review::Prove) -> anyhow::Result<ExitCode> {
    let evidence = screen::open(&options.event.evidence)?;
    let (host, event) = screen::event(&options.event)?.find(&evidence)?;
    let seq = event.get().seq.unwrap_or_default();
    let data = if options.data {
        data(host, event)?
    } else {
        Vec::new()
    };
    let proof = make(host, seq, &data).map_err(|error| match error {
        ProofError::Unsealed { .. } => anyhow::Error::from(error).context(format!(
            "prove event {seq} yet: wait up to a minute while it is recorded, or run `lineage seal` after a crash"
        )),
        error => anyhow::Error::from(error).context(format!("prove event {seq}")),
    })?;
    grant::write(options.output.as_deref(), &proof.text())
}

/// The records that tell of the data that led to an event.
fn data(host: &Host, event: Owned) -> anyhow::Result<Vec<u64>> {
    let options = WhyOptions {
        causes: Causes::Data,
        ..WhyOptions::default()
    };
    let mut why = Why::new(host, event, options)?;
    if let Some(missing) = why.take_missing() {
        return Err(missing).context("read all records, so causes may be missing");
    }
    Ok(why.told_by())
}
