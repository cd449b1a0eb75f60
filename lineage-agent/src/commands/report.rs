//! `lineage report`: make one page of the evidence.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use super::output::NewFile;
use super::{refuse_inside, screen, shown};
use crate::cli;
use crate::review::report::Report;
use crate::verify::{Options, Trust, verify};

/// Runs `lineage report`.
pub(super) fn run(options: &cli::review::Report) -> anyhow::Result<ExitCode> {
    refuse_inside(&options.evidence, &options.output)?;
    // Before the work, which takes a while.
    let mut page = NewFile::create(&options.output, options.force)?;
    let evidence = screen::open(&options.evidence)?;
    let verification = verification(options)?;
    let mut report = Report::default();
    let mut read = Ok(());
    for host in evidence.hosts() {
        // What other hosts have is shown all the same.
        read = read.and(report.host(host));
    }
    let written = report.write(verification.as_ref(), page.out());
    written.with_context(|| page.what().to_owned())?;
    page.publish()?;
    // What could be read is in the page before it is said that there is more.
    read.context("read all of the evidence, so the page lacks a part of it")?;
    Ok(ExitCode::SUCCESS)
}

/// The outcome of `lineage verify`, if there is anything to trust.
fn verification(options: &cli::review::Report) -> anyhow::Result<Option<Value>> {
    if options.trust.is_empty() {
        return Ok(None);
    }
    let trust = Trust::parse(&options.trust).context("use --trust")?;
    let report = verify(&options.evidence, &trust, &Options::default(), &|_, _| {});
    let report = report.with_context(|| format!("verify {}", shown(&options.evidence)))?;
    Ok(Some(serde_json::to_value(&report)?))
}
