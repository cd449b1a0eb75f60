//! Files of a host's directory by their path in it; what cannot be had becomes a finding. A proof holds some of
//! them, which are asked for in the same way.
//!
//! Links are never followed, and only regular files are read: whatever else stands in a file's
//! place counts as its absence.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use super::finding::{Code, Finding};
use crate::evidence::error::Error;
use crate::evidence::files::Dir;
use crate::evidence::origin::HostId;

/// One `host=<host id>` directory, or as much of one as a proof holds.
#[derive(Debug)]
pub(super) struct HostDir {
    /// The host, as the directory's name has it.
    pub(super) host: HostId,
    place: Place,
}

/// Where the files are.
#[derive(Debug)]
enum Place {
    Directory(Dir),
    Memory(BTreeMap<String, Vec<u8>>),
}

/// Deepest directory looked into: tiles of a log of 2⁶³ leaves nest no deeper.
const DEPTH_MAX: usize = 12;

impl HostDir {
    pub(super) fn new(host: HostId, dir: Dir) -> Self {
        let place = Place::Directory(dir);
        Self { host, place }
    }

    /// Files by their path, and nothing else.
    pub(super) fn of_files(host: HostId, files: BTreeMap<String, Vec<u8>>) -> Self {
        let place = Place::Memory(files);
        Self { host, place }
    }

    /// A file's bytes.
    pub(super) fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, Finding> {
        if let Place::Memory(files) = &self.place {
            let bytes = files.get(path).ok_or_else(|| missing(path))?;
            return match bytes.len() as u64 {
                length if length <= bytes_max => Ok(bytes.clone()),
                length => Err(Finding::new(Code::Unreadable)
                    .file(path)
                    .found(format!("{length} bytes, more than {bytes_max}"))),
            };
        }
        let (dir, name) = self.parent(path)?;
        let bytes = dir.read(name, bytes_max);
        bytes
            .map_err(|error| refused(path, &error))?
            .ok_or_else(|| missing(path))
    }

    /// An open file of a directory.
    pub(super) fn open(&self, path: &str, bytes_max: u64) -> Result<File, Finding> {
        let (dir, name) = self.parent(path)?;
        let file = dir.open_file(name, bytes_max);
        file.map_err(|error| refused(path, &error))?
            .ok_or_else(|| missing(path))
    }

    /// Whether there is a regular file of this path.
    pub(super) fn has(&self, path: &str) -> bool {
        match &self.place {
            Place::Directory(_) => self.open(path, u64::MAX).is_ok(),
            Place::Memory(files) => files.contains_key(path),
        }
    }

    /// Paths of Parquet files that are at this path or below it, as far as they are looked for: what a
    /// query could take for evidence. What cannot be looked into counts as one.
    pub(super) fn tables(&self, path: &str) -> Vec<String> {
        let mut paths = self.walk(path);
        if paths.is_empty() {
            paths.push(path.to_owned());
        }
        paths.retain(|path| is_parquet(path));
        paths
    }

    /// Names in a directory, sorted; none when it is not there.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        if let Place::Memory(files) = &self.place {
            let below =
                |file: &String| Some(file.strip_prefix(path)?.strip_prefix('/')?.to_owned());
            return files.keys().filter_map(below).collect();
        }
        self.folder(path)
            .and_then(|dir| dir.names().ok())
            .unwrap_or_default()
    }

    /// Paths of everything below a directory that is not itself a directory.
    pub(super) fn walk(&self, path: &str) -> Vec<String> {
        let mut paths = Vec::new();
        if let Some(dir) = self.folder(path) {
            walk(&dir, path, DEPTH_MAX, &mut paths);
        }
        paths
    }

    fn folder(&self, path: &str) -> Option<Dir> {
        if path.is_empty() {
            return self.top(path).ok();
        }
        let (dir, name) = self.parent(path).ok()?;
        dir.child(name).ok().flatten()
    }

    /// The host's directory, to look for something in it.
    fn top(&self, path: &str) -> Result<Dir, Finding> {
        match &self.place {
            Place::Directory(dir) => dir.again().map_err(|error| refused(path, &error)),
            Place::Memory(_) => Err(missing(path)),
        }
    }

    fn parent<'a>(&self, path: &'a str) -> Result<(Dir, &'a str), Finding> {
        let mut dir = self.top(path)?;
        let mut rest = path;
        while let Some((folder, name)) = rest.split_once('/') {
            let child = dir.child(folder).map_err(|error| refused(path, &error))?;
            dir = child.ok_or_else(|| missing(path))?;
            rest = name;
        }
        Ok((dir, rest))
    }
}

fn walk(dir: &Dir, path: &str, depth: usize, paths: &mut Vec<String>) {
    for name in dir.names().unwrap_or_default() {
        let below = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}/{name}")
        };
        match dir.child(&name) {
            Ok(Some(child)) if depth > 0 => walk(&child, &below, depth - 1, paths),
            _ => paths.push(below),
        }
    }
}

/// What is at a name beside the hosts, or below it, that a query may read: Parquet files, links that
/// it may follow, and folders too deep to be looked into.
pub(super) fn strange(dir: &Dir, name: &str) -> Vec<String> {
    let mut paths = Vec::new();
    match dir.child(name) {
        Ok(Some(child)) => walk_strange(&child, name, DEPTH_MAX, &mut paths),
        _ if is_strange(dir, name) => paths.push(name.to_owned()),
        _ => {}
    }
    paths
}

fn walk_strange(dir: &Dir, path: &str, depth: usize, paths: &mut Vec<String>) {
    if depth == 0 {
        paths.push(path.to_owned());
        return;
    }
    for name in dir.names().unwrap_or_default() {
        let below = format!("{path}/{name}");
        match dir.child(&name) {
            Ok(Some(child)) => walk_strange(&child, &below, depth - 1, paths),
            _ if is_strange(dir, &name) => paths.push(below),
            _ => {}
        }
    }
}

fn is_strange(dir: &Dir, name: &str) -> bool {
    is_parquet(name) || dir.is_link(name)
}

/// Whether queries would take a file of this name for one of records.
pub(super) fn is_parquet(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, end)| end.eq_ignore_ascii_case("parquet"))
}

fn missing(path: &str) -> Finding {
    Finding::new(Code::FileMissing).file(path)
}

fn refused(path: &str, error: &Error) -> Finding {
    let Error::Io { source, .. } = error else {
        return Finding::new(Code::Unreadable).file(path).found(error);
    };
    let instead = match source.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => "a symbolic link",
        Some(code) if code == rustix::io::Errno::NOTDIR.raw_os_error() => {
            "a link or file where a directory belongs"
        }
        Some(code) if code == rustix::io::Errno::NXIO.raw_os_error() => "a socket",
        _ if source.kind() == io::ErrorKind::InvalidInput => "not a regular file",
        _ => return Finding::new(Code::Unreadable).file(path).found(source),
    };
    missing(path).found(instead)
}
