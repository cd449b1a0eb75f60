//! `lineage report`: make one page of the evidence.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::Value;

use super::{refuse_inside, screen, shown};
use crate::cli;
use crate::review::report::Report;
use crate::verify::{Options, Trust, verify};

/// As evidence has it: what is in the page is for whom that is.
const MODE: u32 = 0o640;

/// Runs `lineage report`.
pub(super) fn run(options: &cli::review::Report) -> anyhow::Result<ExitCode> {
    let output = &options.output;
    if !options.force && output.symlink_metadata().is_ok() {
        bail!(
            "write {}: it is there already (--force overwrites it)",
            shown(output)
        );
    }
    refuse_inside(&options.evidence, output)?;
    let evidence = screen::open(&options.evidence)?;
    let verification = verification(options)?;
    let mut report = Report::default();
    let mut read = Ok(());
    for host in evidence.hosts() {
        // What other hosts have is shown all the same.
        read = read.and(report.host(host));
    }
    write(output, options.force, |file| {
        report.write(verification.as_ref(), file)
    })
    .with_context(|| format!("write {}", shown(output)))?;
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

/// Writes a file whole or not at all: under another name first, which then becomes its own.
fn write(
    path: &Path,
    force: bool,
    content: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let staged = staged(path)?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&staged)?;
    let mut out = BufWriter::new(&file);
    let written = content(&mut out)
        .and_then(|()| out.flush())
        .and_then(|()| file.sync_all())
        .and_then(|()| rename(&staged, path, force));
    if written.is_err() {
        // Half of a page is none.
        let _ = fs::remove_file(&staged);
    }
    written
}

fn rename(staged: &Path, path: &Path, force: bool) -> io::Result<()> {
    if force {
        return fs::rename(staged, path);
    }
    match renameat_with(CWD, staged, CWD, path, RenameFlags::NOREPLACE) {
        // Where a file system cannot promise that, a link does it.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(staged, path)?;
            fs::remove_file(staged)
        }
        renamed => Ok(renamed?),
    }
}

/// The name beside the file's own under which it is written.
fn staged(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        let reason = "it is no name of a file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    };
    let mut staged = OsString::from(".");
    staged.push(name);
    staged.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(staged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_and_never_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.html");
        let text =
            |text: &'static str| move |out: &mut BufWriter<&File>| out.write_all(text.as_bytes());
        write(&path, false, text("one")).unwrap();
        let refused = write(&path, false, text("two")).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write(&path, true, text("three")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        let failing = |_: &mut BufWriter<&File>| Err(io::Error::other("no"));
        write(&path, true, failing).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
