//! `lineage status`: what is being recorded on this host, and how far it has come.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;

use super::{screen, seal_command, shown};
use crate::{
    cli,
    counted::{counted, grouped},
    recorder::status::{Reading, Status, Told, told},
    review::text,
};

/// Runs `lineage status`: exit status 1 when a directory is named and nothing is recorded into it.
pub(super) fn run(options: &cli::Status) -> anyhow::Result<ExitCode> {
    let mut all = told().context("read what recorders tell (root can)")?;
    let wanted = options.evidence.as_deref().map(whole).transpose()?;
    if let Some(wanted) = &wanted {
        all.retain(|told| whole(&told.status.directory()).is_ok_and(|path| path == *wanted));
    }
    let runs = all.iter().any(|told| told.runs);
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    if all.is_empty() && !options.json {
        written = match &wanted {
            None => writeln!(out, "nothing is being recorded on this host"),
            Some(wanted) => writeln!(out, "nothing is being recorded into {}", shown(wanted)),
        };
    }
    for told in &all {
        let line = if options.json {
            object(told).to_string()
        } else {
            lines(told, Timestamp::now().as_second())
        };
        written = written.and_then(|()| writeln!(out, "{line}"));
    }
    let ending = screen::ending(written)?;
    Ok(if wanted.is_some() && !runs {
        ExitCode::FAILURE
    } else {
        ending
    })
}

/// The one path of a directory, whatever it is called: without links, as far as it is there.
fn whole(path: &Path) -> anyhow::Result<PathBuf> {
    let found = path.canonicalize();
    let found = found.or_else(|_| std::path::absolute(path));
    found.with_context(|| format!("look for {}", shown(path)))
}

/// For people.
fn lines(told: &Told, now: i64) -> String {
    let status = &told.status;
    let directory = shown(&status.directory());
    if !told.runs {
        return format!(
            "DIED       {directory}: process {} left it unsealed; `{}` completes it",
            status.pid,
            seal_command(&status.directory(), &status.keys())
        );
    }
    let span = text::duration(
        now.saturating_sub(status.since)
            .saturating_mul(1_000_000_000),
    );
    let mut lines = format!(
        "recording  {directory}, for {span}, by process {}\n  records    {}\n  lost       {}\n  processes  {}",
        status.pid,
        grouped(status.records),
        counted(status.lost, "event", "events"),
        grouped(status.processes),
    );
    if !status.decisions.is_empty() {
        lines += &format!("\n  decisions  {}", status.decisions);
    }
    for missed in status.missing.told() {
        lines += &format!("\n  missing    {missed}");
    }
    if let Some(reading) = &status.reading {
        lines += &format!("\n  digests    {}", progress(reading));
    }
    lines
}

fn progress(reading: &Reading) -> String {
    let percent = reading.bytes.saturating_mul(100) / reading.size.max(1);
    format!(
        "{} to read; {}: {percent} % of {}",
        counted(reading.files, "file", "files"),
        text::shown(&reading.name),
        text::bytes(reading.size)
    )
}

/// For machines: one line each.
fn object(told: &Told) -> serde_json::Value {
    let Status {
        pid,
        since,
        evidence,
        keys,
        records,
        lost,
        missing,
        decisions,
        processes,
        reading,
    } = &told.status;
    json!({
        "runs": told.runs,
        "pid": pid,
        "since": since,
        "evidence": evidence,
        "keys": keys,
        "records": records,
        "lost": lost,
        "missing": missing,
        "decisions": decisions,
        "processes": processes,
        "digests": reading,
    })
}
