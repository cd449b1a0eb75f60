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

/// A table that was made.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u64,
    /// Whether a file was there with the same bytes.
    pub same: bool,
}

/// What to do with tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Write them; what is there is replaced.
    Write,
    /// Only compare them with what is there.
    Check,
}

/// Makes the tables of a host from its records and flows, in this directory; what is missing of the records, beside them.
///
/// # Errors
///
/// [`Error`] when records or flows cannot be read, or the tables cannot be written.
pub fn make(
    host: &Host,
    flows: &HostFlows,
    dir: &Dir,
    mode: Mode,
) -> Result<(Vec<Table>, Option<Error>)> {
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
    let mut made = Vec::new();
    for name in NAMES {
        made.push(table(dir, name, mode, |out| match name {
            "processes" => Ok(processes.write(out, &texts, &about)),
            "sessions" => Ok(sessions.write(out, &texts, &about)),
            _ => edges::write(flows.flows(), out, &about),
        })?);
    }
    Ok((made, missing))
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

/// Makes one table under another name, then replaces or compares what is there.
fn table(
    dir: &Dir,
    name: &'static str,
    mode: Mode,
    fill: impl FnOnce(BufWriter<File>) -> Result<io::Result<BufWriter<File>>>,
) -> Result<Table> {
    let file_name = format!("{name}.parquet");
    let staged = format!("{file_name}.unfinished");
    dir.remove(&staged)?;
    let error = || Error::io("write", dir.path().join(&file_name));
    let out = BufWriter::with_capacity(1 << 18, dir.create(&staged, MODE)?);
    let filled = fill(out)?.and_then(|mut out| out.flush().and_then(|()| out.get_ref().metadata()));
    let bytes = match filled {
        Ok(metadata) => metadata.len(),
        Err(failed) => {
            dir.remove(&staged)?;
            return Err(error()(failed));
        }
    };
    let mut files = Vec::new();
    for name in [&staged, &file_name] {
        files.extend(dir.open_file(name, TABLE_BYTES_MAX)?);
    }
    let same = match <[File; 2]>::try_from(files) {
        Ok(files) => is_same(files).map_err(error())?,
        Err(_) => false,
    };
    match mode {
        Mode::Write => dir.rename(&staged, &file_name)?,
        Mode::Check => _ = dir.remove(&staged)?,
    }
    Ok(Table { name, bytes, same })
}

/// Whether both files hold the same bytes.
fn is_same(files: [File; 2]) -> io::Result<bool> {
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
