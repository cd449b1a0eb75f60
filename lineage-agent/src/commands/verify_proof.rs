//! `lineage verify-proof`: check a proof.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::{screen, shown};
use crate::cli;
use crate::counted::grouped;
use crate::evidence::files::read_named;
use crate::evidence::proof::PROOF_BYTES_MAX;
use crate::review::ls::Ls;
use crate::review::ndjson::Ndjson;
use crate::verify::{Lines, ProofReport, Requirement, Trust, verify_proof};

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
        let columns = screen::terminal_columns();
        report.text(&lines(&report, options)?, |text| {
            screen::fitted(text, columns, |_| HANG)
        })
    };
    let mut out = std::io::stdout().lock();
    // Whoever reads only the beginning still gets the verdict's status.
    screen::ending(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    Ok(ExitCode::from(report.exit_code))
}

/// Where a line goes on that is longer than the terminal is wide.
const HANG: usize = 11;

/// The records as `lineage ls` shows them.
fn lines(report: &ProofReport, options: &cli::review::VerifyProof) -> anyhow::Result<Lines> {
    let Some(proven) = &report.proven else {
        return Ok(Lines::default());
    };
    let screen = screen::of_stdout(options.colour);
    let lines = |seqs: &[u64]| {
        let mut lines = Vec::new();
        let mut ls = Ls::new(&mut lines, screen);
        let records = seqs.iter().filter_map(|seq| proven.records.get(seq));
        for record in records.take(options.most) {
            ls.record(&record.get())?;
        }
        let mut lines = String::from_utf8(lines)?;
        if seqs.len() > options.most {
            let more = grouped(seqs.len() as u64 - options.most as u64);
            lines += &format!("… and {more} more (--most, --json)\n");
        }
        anyhow::Ok(lines)
    };
    let (event, causes) = proven.chain.split_at(proven.chain.len().min(1));
    Ok(Lines {
        event: lines(event)?,
        chain: lines(causes)?,
        // The nearest first, like the causes.
        data: lines(&proven.data.iter().rev().copied().collect::<Vec<_>>())?,
    })
}

/// The report, and the records as `lineage ls --ndjson` has them.
fn json(report: &ProofReport) -> anyhow::Result<String> {
    let mut document = serde_json::to_value(report)?;
    if let Some(proven) = &report.proven {
        let mut records = Vec::new();
        for record in proven.records.values() {
            let mut line = Vec::new();
            Ndjson::new(&mut line).record(&record.get())?;
            records.push(serde_json::from_slice::<serde_json::Value>(&line)?);
        }
        let event = records.iter().find(|record| record["seq"] == proven.event);
        document["proven"]["record"] = event.cloned().unwrap_or_default();
        document["proven"]["records"] = records.into();
    }
    Ok(screen::json(&document))
}
