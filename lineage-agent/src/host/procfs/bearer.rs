//! What tells whether a grant is for a process: its program, its user, its control group.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};

use super::parse::{read_file, unified_cgroup};
use super::{Procfs, ProcfsError, STATUS_BYTES_MAX, link, read_error, vanished_is_none};
use super::{malformed, parse, read_status};
use crate::evidence::escape::unescape;

/// A process that a grant may be for.
#[derive(Debug)]
pub struct Bearer {
    /// The path of its program, as its own root and mounts show it; none when the file has lost that name.
    pub executable: Option<Vec<u8>>,
    /// The program itself, if it is a regular file.
    pub file: Option<File>,
    /// Its real user id, in the initial user namespace.
    pub uid: u32,
    /// Its control group in the unified hierarchy.
    pub cgroup: Option<Vec<u8>>,
}

impl Procfs {
    /// What a grant asks of a process; `None` when there is none (any more).
    ///
    /// # Errors
    ///
    /// [`ProcfsError`] when what every process has cannot be read or understood.
    pub fn bearer(&self, pid: u32) -> Result<Option<Bearer>, ProcfsError> {
        let Some(process) = self.directory(&pid.to_string())? else {
            return Ok(None);
        };
        vanished_is_none(read(&process))
    }

    /// The same of a process that is about to execute another program, whose path is escaped.
    ///
    /// # Errors
    ///
    /// As [`Self::bearer`].
    pub fn bearer_to_be(&self, pid: u32, program: &str) -> Result<Option<Bearer>, ProcfsError> {
        let Some(process) = self.directory(&pid.to_string())? else {
            return Ok(None);
        };
        let path = unescape(program);
        let file = path.as_ref().and_then(|path| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = openat(&process, "root", flags, Mode::empty()).ok()?;
            // Links lead to where they do for the process.
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let file = openat2(root, path.as_slice(), flags, Mode::empty(), resolve).ok()?;
            // The process names what it likes: devices and pipes could be read for ever.
            let stat = fstat(&file).ok()?;
            (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(file)
        });
        let bearer = vanished_is_none(read(&process))?;
        Ok(bearer.map(|bearer| Bearer {
            executable: path,
            file: file.map(File::from),
            ..bearer
        }))
    }
}

fn read(process: &OwnedFd) -> Result<Bearer, ProcfsError> {
    let status = read_status(process).map_err(|source| read_error("status", source))?;
    let status = parse::Status::parse(&status).map_err(|what| malformed("status", what))?;
    let exe = link::read(process, "exe");
    let named = exe.filter(|exe| !exe.unlinked && !exe.unreachable);
    // The kernel goes straight to the file; no path is walked.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(process, "exe", flags, Mode::empty());
    let groups = read_file(process, "cgroup", STATUS_BYTES_MAX).ok();
    Ok(Bearer {
        executable: named.map(|exe| exe.path),
        file: file.ok().map(File::from),
        uid: status.credentials.uids[0],
        cgroup: groups
            .as_deref()
            .and_then(unified_cgroup)
            .map(<[u8]>::to_vec),
    })
}
