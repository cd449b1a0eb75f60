//! A git repository that is the same on every machine.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};

use super::remove;
use crate::sh;

/// Commits of it.
pub(super) const COMMITS: usize = 400;
/// Files that the last commit has.
const FILES: usize = 800;
/// Files that each commit changes.
const CHANGED: usize = 6;
/// Lines of a file.
const LINES: usize = 60;
/// When the first commit was made, seconds since 1970 UTC.
const BEGIN: usize = 1_700_000_000;

/// Makes a bare one, if it is not there.
pub(super) fn make(directory: &Path) -> Result<()> {
    let complete = directory.join("complete");
    if complete.exists() {
        return Ok(());
    }
    remove(directory)?;
    sh::say("Making", "a git repository, once");
    let place = directory.display().to_string();
    let init = ["init", "-q", "--bare", "-b", "main", &place];
    sh::output(sh::command("git", init))?;
    let stream = directory.join("stream");
    fs::write(&stream, history()?)?;
    let mut import = sh::command("git", ["-C", &place, "fast-import", "--quiet"]);
    import.stdin(File::open(&stream)?);
    sh::output(import)?;
    fs::remove_file(&stream)?;
    fs::write(&complete, "").context("cannot say that it is complete")
}

/// All commits, as `git fast-import` reads them.
fn history() -> Result<String> {
    let mut text = String::new();
    for commit in 0..COMMITS {
        let message = format!("Change {commit}\n");
        writeln!(text, "commit refs/heads/main")?;
        let time = BEGIN + commit * 3600;
        writeln!(text, "committer A <a@example.org> {time} +0000")?;
        writeln!(text, "data {}\n{message}", message.len())?;
        let files: Vec<usize> = if commit == 0 {
            (0..FILES).collect()
        } else {
            (0..CHANGED)
                .map(|step| (commit * 31 + step * 97) % FILES)
                .collect()
        };
        for file in files {
            let content = content(file, commit)?;
            writeln!(text, "M 100644 inline d{}/f{file}.txt", file % 20)?;
            writeln!(text, "data {}\n{content}", content.len())?;
        }
    }
    Ok(text)
}

fn content(file: usize, commit: usize) -> Result<String> {
    let mut text = String::new();
    for line in 0..LINES {
        // One line in ten differs from commit to commit.
        let version = if line % 10 == commit % 10 { commit } else { 0 };
        writeln!(text, "line {line} of file {file}, version {version}")?;
    }
    Ok(text)
}
