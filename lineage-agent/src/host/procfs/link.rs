//! The links of a process: its executable and working directory as paths.

use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat2, readlinkat, statx,
};

/// What the kernel appends to the path of a file that has lost its name.
const DELETED: &[u8] = b" (deleted)";

/// Where a link of a process leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedPath {
    /// The path as the process's own root and mounts show it.
    pub path: Vec<u8>,
    /// The file has lost this name.
    pub unlinked: bool,
    /// The file is not below the process's root; the path starts at another root.
    pub unreachable: bool,
    /// The file itself; absent when its file system does not answer.
    pub inode: Option<Inode>,
}

/// The file a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// Device, encoded as `st_dev` of stat(2).
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Type and permission bits.
    pub mode: u32,
}

/// Reads `exe` or `cwd` of the process or thread in `directory`; `None` when it has none.
pub(super) fn read(directory: &OwnedFd, name: &str) -> Option<LinkedPath> {
    let text = readlinkat(directory, name, Vec::new()).ok()?.into_bytes();
    let target = inode(directory, name);
    let (text, unlinked) = match text.strip_suffix(DELETED) {
        Some(path) if !has_that_name(directory, &text, target.as_ref()) => (path.to_vec(), true),
        _ => (text, false),
    };
    let (path, unreachable) = below_root(directory, text);
    Some(LinkedPath {
        path,
        unlinked,
        unreachable,
        inode: target.map(|target| Inode {
            dev: rustix::fs::makedev(target.stx_dev_major, target.stx_dev_minor),
            ino: target.stx_ino,
            mode: u32::from(target.stx_mode),
        }),
    })
}

/// The inode behind a link of procfs. The kernel goes there directly; no path is walked. A file
/// system that needs the network to answer is not asked.
fn inode(directory: &OwnedFd, name: &str) -> Option<Statx> {
    statx(
        directory,
        name,
        AtFlags::STATX_DONT_SYNC,
        StatxFlags::BASIC_STATS,
    )
    .ok()
}

/// Whether the file is really called `path`, which ends like that of a file without a name.
fn has_that_name(directory: &OwnedFd, path: &[u8], target: Option<&Statx>) -> bool {
    let Some(target) = target else { return false };
    if target.stx_nlink == 0 {
        return false;
    }
    let root = openat2(
        directory,
        "root",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::empty(),
    );
    let named = root.and_then(|root| {
        openat2(
            &root,
            path,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    });
    let named = named.and_then(|named| {
        statx(
            &named,
            "",
            AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC,
            StatxFlags::BASIC_STATS,
        )
    });
    named.is_ok_and(|named| {
        named.stx_ino == target.stx_ino
            && named.stx_dev_major == target.stx_dev_major
            && named.stx_dev_minor == target.stx_dev_minor
    })
}

/// Procfs shows paths from the reader's root; takes off what is above the process's own.
fn below_root(directory: &OwnedFd, path: Vec<u8>) -> (Vec<u8>, bool) {
    let root = readlinkat(directory, "root", Vec::new());
    let root = root.map_or_else(|_| b"/".to_vec(), std::ffi::CString::into_bytes);
    if root == b"/" {
        return (path, false);
    }
    match path.strip_prefix(root.as_slice()) {
        Some(b"") => (b"/".to_vec(), false),
        Some(rest) if rest.starts_with(b"/") => (rest.to_vec(), false),
        _ => (path, true),
    }
}
