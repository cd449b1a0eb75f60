//! strace and a recording of one and the same run: `lineage record -- strace -f COMMAND`.
//!
//! Nothing has to be the same twice, so any program will do, with threads, random names and a network.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::recorder::{Recorded, Recorder};
use crate::rows::{Row, Rows};

use super::totals::{Whose, added_up};
use super::{calls, strace};

/// Runs a command under both and compares; gives the recording.
pub fn compare<I: AsRef<OsStr>>(
    recorder: Recorder,
    command: impl IntoIterator<Item = I>,
    complete: impl FnOnce(&mut Command),
    allowed: &[(&str, &str)],
) -> Recorded {
    let traces = recorder.path("traces");
    let mut record = recorder.command();
    record.arg("--").args(strace::words(&traces)).args(command);
    record.stdin(Stdio::null());
    complete(&mut record);
    let output = record.output().expect("the lineage binary runs");
    assert!(output.status.success(), "{}", said(&output));
    let run = recorder.finish(output);
    let traced = added_up(strace::read(&traces), Whose::Each);
    let recorded = added_up(calls::of_rows(&without_strace(&run.rows)), Whose::Each);
    super::report(&traced, &recorded, allowed);
    println!("{} calls agree", traced.len());
    run
}

/// The actor under both, with a script.
pub fn actor(recorder: Recorder, script: &str, allowed: &[(&str, &str)]) -> Recorded {
    let words: Vec<&OsStr> = std::iter::once(crate::programs::ACTOR.as_os_str())
        .chain(script.split_whitespace().map(OsStr::new))
        .collect();
    compare(recorder, words, |_| {}, allowed)
}

/// What the traced programs did, not what strace did to trace them.
fn without_strace(rows: &Rows) -> Rows {
    let by_strace = |row: &&Row| {
        let exe = row.get("exe").as_str().unwrap_or_default();
        Path::new(exe).file_name() == Some(OsStr::new("strace"))
    };
    Rows(
        rows.0
            .iter()
            .filter(|row| !by_strace(row))
            .cloned()
            .collect::<Vec<_>>(),
    )
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.chars()
        .rev()
        .take(4000)
        .collect::<Vec<_>>()
        .iter()
        .rev()
        .collect()
}
