//! `lineage verify-proof`: check a proof.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::{screen, shown};
use crate::cli;
use crate::evidence::files::read_named;
use crate::evidence::proof::PROOF_BYTES_MAX;
use crate::review::ls::Ls;
use crate::review::ndjson::Ndjson;
use crate::verify::{ProofReport, Requirement, Trust, verify_proof};

/// Runs `lineage verify-proof`; the exit status is the verdict's.
pub(super) fn run(options: &cli::review::VerifyProof) -> anyhow::Result<ExitCode> {
    let mut trust = Trust::parse(&options.trust).context("use --trust")?;
    for witness in &options.witness {
        trust.add_witness(witness).context("use --witness")?;
    }
    let mut require = Vec::new();
    for word in &options.require {
        let requirement: Requirement = word.parse().context("use --require")?;
        if !ProofReport::can_require(requirement) {
            bail!(
                "require {word} of a proof, which shows no whole log: pinned, witnessed and governed can be"
            );
        }
        require.push(requirement);
    }
    let what = || format!("read {}", shown(&options.proof));
    if options.proof.is_dir() {
        bail!(
            "{}: it is a directory, and a proof is a file; `lineage verify` checks evidence",
            what()
        );
    }
    let bytes = read_named(&options.proof, PROOF_BYTES_MAX).with_context(what)?;
    let report = verify_proof(&bytes, &trust, &require);
    let text = if options.json {
        json(&report)?
    } else {
        report.text(&event_line(&report, options)?)
    };
    let mut out = std::io::stdout().lock();
    // Whoever reads only the beginning still gets the verdict's status.
    screen::ending(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    Ok(ExitCode::from(report.exit_code))
}

/// The event as `lineage ls` shows it.
fn event_line(report: &ProofReport, options: &cli::review::VerifyProof) -> anyhow::Result<String> {
    let mut line = Vec::new();
    if let Some(proven) = &report.proven {
        let mut ls = Ls::new(&mut line, screen::of_stdout(options.colour));
        ls.record(&proven.record.get())?;
    }
    Ok(String::from_utf8(line)?)
}

/// The report, and the record of the event as `lineage ls --ndjson` has it.
fn json(report: &ProofReport) -> anyhow::Result<String> {
    let mut document = serde_json::to_value(report)?;
    if let Some(proven) = &report.proven {
        let mut record = Vec::new();
        Ndjson::new(&mut record).record(&proven.record.get())?;
        document["proven"]["record"] = serde_json::from_slice(&record)?;
    }
    Ok(screen::json(&document))
}
