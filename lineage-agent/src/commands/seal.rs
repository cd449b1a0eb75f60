//! `lineage seal`: finish evidence that a crash or power loss left unsealed.

use std::{io::Write as _, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use serde_json::json;

use super::shown;
use crate::{
    cli,
    counted::counted,
    evidence::{keys::Keys, recover::recover, text::hex},
};

/// Runs `lineage seal`.
pub(super) fn run(options: &cli::Seal) -> anyhow::Result<ExitCode> {
    let keys = Keys::open(&options.keys.dir)
        .with_context(|| format!("use the keys in {}", shown(&options.keys.dir)))?;
    let found = recover(&options.evidence, &Arc::new(keys))
        .with_context(|| format!("seal {}", shown(&options.evidence)))?;
    let mut out = std::io::stdout().lock();
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
        writeln!(out, "{object}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let already = if found.sealed == 0 {
        ": nothing was left to do"
    } else {
        ""
    };
    writeln!(
        out,
        "sealed {}; the log is complete with {}, {}{already}",
        counted(found.sealed, "segment", "segments"),
        counted(found.segments, "segment", "segments"),
        counted(found.records, "record", "records")
    )?;
    if found.crashed {
        writeln!(
            out,
            "the recorder had not stopped by itself: what it had not written yet is lost, and the evidence says so"
        )?;
    }
    if found.discarded > 0 {
        writeln!(
            out,
            "{} of an unfinished write discarded",
            counted(found.discarded, "byte", "bytes")
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
