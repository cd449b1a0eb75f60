//! `lineage index`: tables that are derived from evidence.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::{flows, screen, shown};
use crate::cli;
use crate::cli::review::Index;
use crate::evidence::error::Error;
use crate::evidence::files::Dir;
use crate::evidence::reader::Host;
use crate::review::index::{Until, directory};
use crate::review::tables::{Mode, Table, make};
use crate::review::text::bytes;

/// Exit status when tables are not those of the evidence.
const DIFFERENT: u8 = 1;

/// Where a check makes what it compares with.
const AGAIN: &str = "check.unfinished";

/// Runs `lineage index`.
pub(super) fn run(options: &cli::review::Tables) -> anyhow::Result<ExitCode> {
    let evidence = screen::open(&options.evidence)?;
    let (mut text, mut hosts, mut same, mut missing) = (String::new(), Vec::new(), true, None);
    for host in evidence.hosts() {
        let dir = directory(&options.output, host);
        let dir = dir.with_context(|| format!("use {}", shown(&options.output)))?;
        let (tables, lacks) = one(host, &dir, options)?;
        missing = missing.or(lacks);
        same &= tables.iter().all(|table| table.same);
        for table in &tables {
            text += &line(&dir, table, options.check);
        }
        let tables = tables
            .iter()
            .map(|table| json!({ "name": table.name, "bytes": table.bytes, "same": table.same }));
        hosts.push(json!({ "host": host.id().to_string(), "tables": tables.collect::<Vec<_>>() }));
    }
    let printed = if options.json {
        screen::print(&screen::json(
            &json!({ "hosts": hosts, "partial": missing.is_some() }),
        ))?
    } else {
        screen::print(&text)?
    };
    if let Some(missing) = missing {
        return Err(missing).context("read all records, so the tables lack some");
    }
    Ok(if options.check && !same {
        ExitCode::from(DIFFERENT)
    } else {
        printed
    })
}

/// Makes the tables of one host, or checks them.
fn one(
    host: &Host,
    dir: &Dir,
    options: &cli::review::Tables,
) -> anyhow::Result<(Vec<Table>, Option<Error>)> {
    let again = dir.path().join(AGAIN);
    let (mode, place) = if options.check {
        (Mode::Check, again.as_path())
    } else {
        (Mode::Write, options.output.as_path())
    };
    let index = Index {
        index: Some(place.to_owned()),
    };
    let made = flows::of(host, Until::End, &options.evidence, &index).and_then(|mut flows| {
        let missing = flows.missing.take();
        let (tables, lacks) = make(host, &flows, dir, mode).context("make the tables")?;
        Ok((tables, lacks.or(missing)))
    });
    if options.check {
        remove(&again)?;
    }
    made
}

fn remove(again: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(again) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", shown(again)))
        }
        _ => Ok(()),
    }
}

fn line(dir: &Dir, table: &Table, check: bool) -> String {
    let path = dir.path().join(format!("{}.parquet", table.name));
    let told = match (check, table.same) {
        (true, true) => "as the evidence has it",
        (true, false) => "not as the evidence has it",
        (false, true) => "unchanged",
        (false, false) => "written",
    };
    format!("{}: {told}, {}\n", shown(&path), bytes(table.bytes))
}
