//! Files as records name them, for whoever wants to know more of them than a record says.

use std::collections::BTreeMap;

use lineage_common::frame::Version;

use crate::event::ReversedPath;
use crate::names::OpenFlags;

/// Most scripts waited for.
const SCRIPTS_MAX: usize = 4096;

/// Most files of one program of which it is asked whether the name of its script leads to them. An
/// interpreter opens fewer before the script.
const LOOKS_MAX: u16 = 256;

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
    /// The name of the script the process was given, while nothing was opened under it: that is this file
    /// when the name leads to it through links, which records do not tell.
    pub perhaps: Option<&'a str>,
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
    expected: BTreeMap<u32, Expected>,
}

#[derive(Debug)]
struct Expected {
    path: Box<str>,
    /// Files that may still be asked about.
    looks: u16,
}

/// What a file that was opened is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// The script.
    Script,
    /// The script, if [`Scripts::name`] leads to it.
    Perhaps,
    /// Something else.
    Other,
}

impl Scripts {
    /// The process runs something else from now on: an interpreter of this script, if it is given, named
    /// from this directory. Both are as records have them.
    pub(super) fn expect(&mut self, pid: u32, cwd: &str, script: Option<&str>) {
        self.expected.remove(&pid);
        if let Some(path) = script.and_then(|name| absolute(cwd, name))
            && self.expected.len() < SCRIPTS_MAX
        {
            let path = path.into();
            let looks = LOOKS_MAX;
            self.expected.insert(pid, Expected { path, looks });
        }
    }

    /// What this file is, which the process has opened to read it.
    pub(super) fn opened(&mut self, pid: u32, path: &str) -> Opening {
        let Some(script) = self.expected.get_mut(&pid) else {
            return Opening::Other;
        };
        if *script.path == *path {
            self.expected.remove(&pid);
            return Opening::Script;
        }
        match script.looks.checked_sub(1) {
            Some(left) => {
                script.looks = left;
                Opening::Perhaps
            }
            None => Opening::Other,
        }
    }

    /// The name of the script that the process was given and has not opened under it.
    pub(super) fn name(&self, pid: u32) -> Option<&str> {
        self.expected.get(&pid).map(|script| &*script.path)
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
        assert_eq!(scripts.opened(7, "/lib/libc.so.6"), Opening::Perhaps);
        assert_eq!(scripts.name(7), Some("/home/me/run"));
        assert_eq!(scripts.opened(8, "/home/me/run"), Opening::Other);
        assert_eq!(scripts.opened(7, "/home/me/run"), Opening::Script);
        assert_eq!(scripts.opened(7, "/home/me/run"), Opening::Other, "once");
        scripts.expect(7, "/home/me", Some("/usr/bin//tool"));
        scripts.ended(7);
        assert_eq!(scripts.opened(7, "/usr/bin/tool"), Opening::Other);
        scripts.expect(7, "/", Some("tool"));
        scripts.clear();
        assert_eq!(scripts.opened(7, "/tool"), Opening::Other);
        scripts.expect(7, "/", Some("tool"));
        scripts.expect(7, "/", None);
        assert_eq!(
            scripts.opened(7, "/tool"),
            Opening::Other,
            "it runs something else"
        );
        scripts.expect(7, "", Some("tool"));
        assert_eq!(
            scripts.opened(7, "/tool"),
            Opening::Other,
            "its directory is not known"
        );
        scripts.expect(7, "/", Some("tool"));
        for _ in 0..LOOKS_MAX {
            assert_eq!(scripts.opened(7, "/other"), Opening::Perhaps);
        }
        assert_eq!(scripts.opened(7, "/other"), Opening::Other);
        assert_eq!(scripts.opened(7, "/tool"), Opening::Script);
    }
}
