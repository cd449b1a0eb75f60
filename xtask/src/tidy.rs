//! `cargo xtask tidy`: what reviewers would otherwise have to watch for, checked by reading the source.
//!
//! Each finding names a place and what to do about it. Exceptions are lists in the rules, with the
//! reason beside each; there is no way to switch a rule off in the file it applies to.

mod dependencies;
mod documents;
mod layers;
mod rust;
mod source;
mod text;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use self::source::Source;
use crate::{paths, sh};

/// Directories that hold no source of ours.
const SKIPPED: [&str; 5] = ["target", ".git", "__pycache__", ".venv", "node_modules"];

/// What a rule has found.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    /// What is wrong and what to do instead.
    what: String,
}

impl Finding {
    /// A finding in line `index`, counted from 0.
    pub(crate) fn new(source: &Source, index: usize, what: impl Into<String>) -> Self {
        Self {
            path: source.path.clone(),
            line: index + 1,
            what: what.into(),
        }
    }
}

/// The task.
pub(crate) fn run(args: &[String]) -> Result<()> {
    sh::no_arguments(args)?;
    let mut sources = Vec::new();
    collect(&paths::root(), "", &mut sources)?;
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    let mut findings = Vec::new();
    for source in &sources {
        text::check(source, &mut findings);
        rust::check(source, &mut findings);
        layers::check(source, &mut findings);
    }
    documents::check(&sources, &mut findings);
    dependencies::check(&sources, &mut findings)?;
    findings.sort();
    for Finding { path, line, what } in &findings {
        println!("{path}:{line}: {what}");
    }
    match findings.len() {
        0 => {
            sh::say("Tidy", format!("{} files", sources.len()));
            Ok(())
        }
        count => bail!("{count} places are not as CONTRIBUTING.md wants them"),
    }
}

/// Every text file of the repository, by its path from the root.
fn collect(dir: &Path, prefix: &str, sources: &mut Vec<Source>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry.context("cannot list a directory")?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let kind = entry.file_type().context("cannot tell a file's type")?;
        let path = format!("{prefix}{name}");
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(&entry.path(), &format!("{path}/"), sources)?;
        } else if kind.is_file() {
            // Vectors and frames are binary; nothing here applies to them.
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                sources.push(Source::new(path, text));
            }
        }
    }
    Ok(())
}
