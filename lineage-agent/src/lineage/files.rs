//! Files as records name them, for whoever wants to know more of them than a record says.

use std::collections::BTreeMap;

use lineage_common::frame::Version;

use crate::event::ReversedPath;
use crate::names::OpenFlags;

/// Most scripts waited for.
const SCRIPTS_MAX: usize = 4096;

/// A file that a record is about, as the kernel had it at the event.
#[derive(Debug, Clone, Copy)]
pub struct FileSeen<'a> {
    /// The record.
    pub seq: u64,
    /// The lineage, by its number in the fold.
    pub lineage: u32,
    /// The acting process.
    pub pid: u32,
    /// Who created it.
    pub parent: Option<u32>,
    /// When, nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// What the process does with the file.
    pub purpose: Purpose,
    /// Whether a recogniser that holds for the record asks for the file's digest.
    pub asked: bool,
    /// Where the file is, as the process sees it.
    pub path: ReversedPath<'a>,
    /// The same as the record has it.
    pub shown: &'a str,
    /// Where the host sees it, as the record has it; empty where that is the same or not known.
    pub host_shown: &'a str,
    /// Device, as `st_dev` has it.
    pub dev: i64,
    /// Inode number.
    pub ino: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Magic number of the file system; 0 when not known.
    pub fs_magic: u64,
    /// Which version of the file.
    pub version: Version,
}

/// What a process does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It runs it.
    Program,
    /// Its interpreter reads it as the script it was started with.
    Script {
        /// The descriptor.
        fd: i32,
    },
    /// It has it open.
    Open {
        /// The descriptor.
        fd: i32,
        /// How.
        flags: OpenFlags,
    },
    /// It has it mapped.
    Mapped {
        /// First address of the mapping, and the one after its last.
        at: (u64, u64),
        /// Whether it runs it: its code, that of a library, or that of its interpreter.
        runs: bool,
    },
}

/// Scripts that interpreters have not opened yet: what an interpreter opens under the name of the script
/// it was started with is the script.
///
/// The kernel forgets the file of a script it runs before the interpreter does, and never knew of one
/// that is an argument, so its name is all there is.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    /// By process.
    expected: BTreeMap<u32, Box<str>>,
}

impl Scripts {
    /// The process runs something else from now on: an interpreter of this script, if it is given, named
    /// from this directory. Both are as records have them.
    pub(super) fn expect(&mut self, pid: u32, cwd: &str, script: Option<&str>) {
        self.expected.remove(&pid);
        if let Some(path) = script.and_then(|name| absolute(cwd, name))
            && self.expected.len() < SCRIPTS_MAX
        {
            self.expected.insert(pid, path.into());
        }
    }

    /// Whether this file, which the process has opened, is its script.
    pub(super) fn is_opened(&mut self, pid: u32, path: &str) -> bool {
        let found = self
            .expected
            .get(&pid)
            .is_some_and(|script| **script == *path);
        if found {
            self.expected.remove(&pid);
        }
        found
    }

    /// The process has ended.
    pub(super) fn ended(&mut self, pid: u32) {
        self.expected.remove(&pid);
    }

    /// Forgets all: what a process runs since may have been lost.
    pub(super) fn clear(&mut self) {
        self.expected.clear();
    }
}

/// The name seen from the root, without `.`, `..` and empty parts; `None` when its directory is not known.
fn absolute(cwd: &str, name: &str) -> Option<String> {
    let base = if name.starts_with('/') { "" } else { cwd };
    if !base.starts_with('/') && !name.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut path = String::new();
    for part in parts {
        path.push('/');
        path.push_str(part);
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_what_is_opened_under_its_name() {
        let mut scripts = Scripts::default();
        scripts.expect(7, "/home/me", Some("./bin/../run"));
        assert!(!scripts.is_opened(7, "/lib/libc.so.6"));
        assert!(!scripts.is_opened(8, "/home/me/run"));
        assert!(scripts.is_opened(7, "/home/me/run"));
        assert!(!scripts.is_opened(7, "/home/me/run"), "once");
        scripts.expect(7, "/home/me", Some("/usr/bin//tool"));
        scripts.ended(7);
        assert!(!scripts.is_opened(7, "/usr/bin/tool"));
        scripts.expect(7, "/", Some("tool"));
        scripts.clear();
        assert!(!scripts.is_opened(7, "/tool"));
        scripts.expect(7, "/", Some("tool"));
        scripts.expect(7, "/", None);
        assert!(!scripts.is_opened(7, "/tool"), "it runs something else");
        scripts.expect(7, "", Some("tool"));
        assert!(!scripts.is_opened(7, "/tool"), "its directory is not known");
    }
}
