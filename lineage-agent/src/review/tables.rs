//! `lineage index`: tables that are derived from the evidence of a host, for queries.
//!
//! What of them a query needs could be computed from the records each time; these save that. They are no evidence, and the
//! same evidence gives the same bytes, so whoever doubts them makes them anew and compares.

mod edges;
mod processes;
mod sessions;
mod texts;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::ops::ControlFlow;

use self::processes::Processes;
use self::sessions::Sessions;
use self::texts::Texts;
use super::index::{HostFlows, covered};
use crate::evidence::error::{Error, Result};
use crate::evidence::files::Dir;
use crate::evidence::reader::Host;
use crate::evidence::text::hex;

/// The tables, in the order in which they are written.
const NAMES: [&str; 3] = ["processes", "edges", "sessions"];

/// As evidence has it: what is in the tables is for whom that is.
const MODE: u32 = 0o640;

/// Largest table that is compared.
const TABLE_BYTES_MAX: u64 = 1 << 40;

/// Tables that were made.
#[derive(Debug)]
pub struct Made {
    /// Each with its bytes.
    pub tables: Vec<(&'static str, u64)>,
    /// Values and rows there was no room for.
    pub left_out: u64,
    /// What is missing of the records.
    pub missing: Option<Error>,
}

/// Name of the file of a table.
#[must_use]
pub fn file_name(table: &str) -> String {
    format!("{table}.parquet")
}

/// Makes the tables of a host from its records and flows, in this directory; what is there is replaced.
///
/// # Errors
///
/// [`Error`] when records or flows cannot be read, or the tables cannot be written.
pub fn make(host: &Host, flows: &HostFlows, dir: &Dir) -> Result<Made> {
    let (mut texts, mut processes, mut sessions) =
        (Texts::default(), Processes::default(), Sessions::default());
    let read = host.records(|record| {
        processes.add(record, &mut texts);
        sessions.add(record, &mut texts);
        ControlFlow::<()>::Continue(())
    });
    let missing = match read {
        Err(missing @ Error::Incomplete { .. }) => Some(missing),
        read => read.map(|_| None)?,
    };
    let about = about(host)?;
    let mut tables = Vec::new();
    for name in NAMES {
        let bytes = table(dir, name, |out| match name {
            "processes" => Ok(processes.write(out, &texts, &about)),
            "sessions" => Ok(sessions.write(out, &texts, &about)),
            _ => edges::write(flows.flows(), out, &about),
        })?;
        tables.push((name, bytes));
    }
    Ok(Made {
        tables,
        left_out: texts.left_out + processes.left_out + sessions.left_out,
        missing,
    })
}

/// What a table says about itself.
fn about(host: &Host) -> Result<Vec<(&'static str, String)>> {
    let mut about = vec![
        ("lineage.is_evidence", "false".to_owned()),
        ("lineage.host", host.id().to_string()),
    ];
    if let Some(covers) = covered(host)? {
        about.push(("lineage.segments", covers.segments.to_string()));
        about.push(("lineage.log_root", hex(&covers.root)));
        about.push(("lineage.records", covers.records.to_string()));
    }
    Ok(about)
}

/// Makes one table under another name, then gives it its own; its bytes.
fn table(
    dir: &Dir,
    name: &str,
    fill: impl FnOnce(BufWriter<File>) -> Result<io::Result<BufWriter<File>>>,
) -> Result<u64> {
    let name = file_name(name);
    let staged = format!("{name}.unfinished");
    dir.remove(&staged)?;
    let out = BufWriter::with_capacity(1 << 18, dir.create(&staged, MODE)?);
    let written = fill(out).and_then(|filled| {
        filled
            .and_then(|mut out| out.flush().and_then(|()| out.get_ref().metadata()))
            .map_err(Error::io("write", dir.path().join(&name)))
    });
    let renamed = written.and_then(|metadata| {
        dir.rename(&staged, &name)?;
        Ok(metadata.len())
    });
    if renamed.is_err() {
        // Half of a table is none.
        let _ = dir.remove(&staged);
    }
    renamed
}

/// Whether both directories have the same table of this name.
///
/// # Errors
///
/// [`Error`] when one of them cannot be read.
pub fn is_same(one: &Dir, other: &Dir, table: &str) -> Result<bool> {
    let name = file_name(table);
    let mut files = Vec::new();
    for dir in [one, other] {
        files.extend(dir.open_file(&name, TABLE_BYTES_MAX)?);
    }
    match <[File; 2]>::try_from(files) {
        Ok(files) => same_bytes(files).map_err(Error::io("read", other.path().join(name))),
        Err(_) => Ok(false),
    }
}

/// Whether both files hold the same bytes.
fn same_bytes(files: [File; 2]) -> io::Result<bool> {
    let [one, other] = &files;
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let [mut one, mut other] = files.map(|file| BufReader::with_capacity(1 << 18, file).bytes());
    loop {
        match (one.next().transpose()?, other.next().transpose()?) {
            (None, None) => return Ok(true),
            (one, other) if one != other => return Ok(false),
            _ => {}
        }
    }
}
