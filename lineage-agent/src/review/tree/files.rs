//! The files of a process as lines: the weightiest first, many of one directory together.

use std::cmp::Reverse;

use super::super::digests::FileId;
use super::super::notable::Class;
use super::process::Process;
use super::usage::FileUse;

/// Files of one directory, used alike, from which on they stand in one line.
const TOGETHER_MIN: usize = 4;

/// One line about one file, or about several of one directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileLine<'a> {
    /// The file, or the directory with its final `/`.
    pub(super) path: &'a str,
    pub(super) class: Class,
    /// Labels of the recognisers, of all the files.
    pub(super) recognised: Option<&'a str>,
    /// How many files.
    pub(super) files: u64,
    pub(super) times: u64,
    pub(super) reads: bool,
    pub(super) writes: bool,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    pub(super) error: Option<i64>,
    /// Which version of the file, if it is one.
    pub(super) file: Option<FileId>,
}

/// The lines about a process's files, in the order they are worth reading. With `all`, one for each
/// file.
pub(super) fn lines(process: &Process, all: bool) -> Vec<FileLine<'_>> {
    let files = process.files.named.iter();
    let files: Vec<_> = files
        .filter(|file| all || !process.is_own_script(file))
        .collect();
    let mut lines: Vec<FileLine<'_>> = Vec::new();
    for file in &files {
        let repository = repository(&file.path).filter(|_| !all);
        let like = |other: &FileUse| {
            directory(&other.path) == directory(&file.path)
                && (other.class, other.reads, other.writes) == (file.class, file.reads, file.writes)
                && other.recognised == file.recognised
                && other.error.is_none()
        };
        let alone = all || file.class == Class::Sensitive || file.error.is_some();
        let many = || files.iter().filter(|other| like(other)).count() >= TOGETHER_MIN;
        let path = match repository {
            Some(repository) if !alone => repository,
            _ if !alone && many() => directory(&file.path),
            _ => &file.path,
        };
        let known = lines.iter_mut().rfind(|line| {
            let same_use = (line.reads, line.writes) == (file.reads, file.writes);
            path.len() < file.path.len()
                && (line.path, line.class) == (path, file.class)
                && line.recognised == file.recognised.as_deref()
                && (same_use || repository.is_some())
        });
        match known {
            Some(line) => line.add(file),
            None => lines.push(FileLine::new(path, file)),
        }
    }
    // Stable: within a class they stay in the order of their first use.
    lines.sort_by_key(|line| Reverse(line.class));
    lines
}

impl<'a> FileLine<'a> {
    fn new(path: &'a str, file: &'a FileUse) -> Self {
        Self {
            path,
            class: file.class,
            recognised: file.recognised.as_deref(),
            files: 1,
            times: file.times,
            reads: file.reads,
            writes: file.writes,
            bytes_read: file.bytes_read,
            bytes_written: file.bytes_written,
            error: file.error,
            file: file.file,
        }
    }

    fn add(&mut self, file: &FileUse) {
        self.files += 1;
        self.file = None;
        self.reads |= file.reads;
        self.writes |= file.writes;
        self.times += file.times;
        self.bytes_read = self.bytes_read.saturating_add(file.bytes_read);
        self.bytes_written = self.bytes_written.saturating_add(file.bytes_written);
    }
}

/// The path up to its last `/`, which is kept.
fn directory(path: &str) -> &str {
    path.rfind('/').map_or(path, |at| &path[..=at])
}

/// The directory git keeps a repository in, for files it manages there itself. Hooks are not among
/// them: git runs what somebody puts there.
fn repository(path: &str) -> Option<&str> {
    let at = path.find(GIT)?;
    let inside = &path[at + GIT.len()..];
    (!inside.starts_with("hooks/")).then_some(&path[..at + GIT.len()])
}

const GIT: &str = "/.git/";
