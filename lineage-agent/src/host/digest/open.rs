//! Finding the file.
//!
//! Every place is first opened without opening the file (`O_PATH`): no device is touched, no FIFO
//! waited for. Only what is a regular file and the right one is then opened for reading.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use lineage_common::frame::Version;
use rustix::fs::{
    CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, fstatfs, open, openat, openat2,
};
use rustix::io::Errno;

use super::{Held, Identity, Reason, Wanted};

/// A file open for reading, which was the right one when it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: OwnedFd,
    pub(super) other_device: bool,
}

/// How a file compares with the one that is wanted.
enum Compared {
    /// It is that file in that version, perhaps on another device.
    Same { other_device: bool },
    /// It is that file, and these properties differ.
    Changed(Vec<&'static str>),
    /// It is another file.
    Another,
}

/// Finds the file and opens it for reading.
pub(super) fn find(wanted: &Wanted) -> Result<Opened, Reason> {
    let mut why = Reason::Gone;
    for place in places(wanted) {
        let reason = match place.open().and_then(|found| examine(&found, wanted)) {
            Ok(opened) => return Ok(opened),
            // A descriptor used again, or somebody else's view: that says nothing of the file.
            Err(Reason::Replaced) if !place.is_name() => continue,
            Err(reason) => reason,
        };
        if telling(&reason) > telling(&why) {
            why = reason;
        }
    }
    Err(why)
}

/// Whether the name leads to the file by which it is wanted, if there is such a name. Links on its way are
/// followed, but for those of procfs, which lead elsewhere for everyone.
pub(super) fn is_named(wanted: &Wanted) -> bool {
    let Some(name) = &wanted.named else {
        return true;
    };
    let roots = [Some(wanted.pid), wanted.parent].into_iter().flatten();
    let roots = roots.map(|pid| format!("/proc/{pid}/root"));
    // The host's names are the process's only where it sees the same paths.
    let host = (wanted.host_path == wanted.path).then(|| "/".to_owned());
    roots.chain(host).any(|root| {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let found = in_root(&root, name, OFlags::PATH | OFlags::CLOEXEC, resolve);
        let stat = found.and_then(|found| fstat(&found).map_err(unreadable));
        stat.is_ok_and(|stat| !matches!(compare(&stat, &wanted.identity), Compared::Another))
    })
}

/// Whether the open file is still the one that is wanted.
pub(super) fn check(file: &OwnedFd, identity: &Identity) -> Result<bool, Reason> {
    let stat = fstat(file).map_err(unreadable)?;
    match compare(&stat, identity) {
        Compared::Same { other_device } => Ok(other_device),
        Compared::Changed(what) => Err(Reason::Changed(what)),
        Compared::Another => Err(Reason::Replaced),
    }
}

/// How much a reason says: that a file has changed says more than that it is not in some place.
fn telling(reason: &Reason) -> u8 {
    match reason {
        Reason::Gone => 0,
        Reason::Replaced => 1,
        Reason::Unreadable(_) => 2,
        _ => 3,
    }
}

/// Where the file may be.
enum Place<'a> {
    /// What a link of procfs leads to.
    Held(String),
    /// Its path below the root of the process.
    Name(String, &'a [u8]),
    /// Its path below another root: that of the process's creator, or of the host.
    Elsewhere(String, &'a [u8]),
}

impl Place<'_> {
    fn open(&self) -> Result<OwnedFd, Reason> {
        match self {
            Self::Held(link) => follow(link),
            Self::Name(root, path) | Self::Elsewhere(root, path) => below(root, path),
        }
    }

    fn is_name(&self) -> bool {
        matches!(self, Self::Name(..))
    }
}

/// The likeliest first.
fn places(wanted: &Wanted) -> impl Iterator<Item = Place<'_>> {
    let pid = wanted.pid;
    let held = match wanted.held {
        Held::Program => format!("/proc/{pid}/exe"),
        Held::Descriptor(fd) => format!("/proc/{pid}/fd/{fd}"),
        Held::Mapping((start, end)) => format!("/proc/{pid}/map_files/{start:x}-{end:x}"),
    };
    let path = &wanted.path;
    let parent = wanted.parent;
    let parent = parent.map(|pid| Place::Elsewhere(format!("/proc/{pid}/root"), path));
    [
        Place::Held(held),
        Place::Name(format!("/proc/{pid}/root"), path),
    ]
    .into_iter()
    .chain(parent)
    .chain([Place::Elsewhere("/".to_owned(), &wanted.host_path)])
}

/// What a link of procfs leads to: the file itself, whatever its name is by now.
fn follow(link: &str) -> Result<OwnedFd, Reason> {
    open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(missing)
}

/// The file of this path below a root. A path the kernel gave has no links in it: one that does now
/// was put there since.
fn below(root: &str, path: &[u8]) -> Result<OwnedFd, Reason> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    in_root(root, path, flags, resolve)
}

fn in_root(
    root: &str,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Reason> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, root, directory, Mode::empty()).map_err(missing)?;
    let path = path.strip_prefix(b"/").unwrap_or(path);
    if path.is_empty() {
        return Err(Reason::Gone);
    }
    openat2(root, path, flags, Mode::empty(), resolve).map_err(missing)
}

/// Why a place could not be opened.
fn missing(error: Errno) -> Reason {
    match error {
        // The last: a process that has ended and is not waited for has no root.
        Errno::NOENT | Errno::NOTDIR | Errno::SRCH => Reason::Gone,
        Errno::LOOP | Errno::XDEV => Reason::Replaced,
        error => unreadable(error),
    }
}

fn unreadable(error: Errno) -> Reason {
    Reason::Unreadable(error.raw_os_error())
}

/// Opens for reading what was found, if it is the right file.
fn examine(found: &OwnedFd, wanted: &Wanted) -> Result<Opened, Reason> {
    let stat = fstat(found).map_err(unreadable)?;
    match compare(&stat, &wanted.identity) {
        Compared::Same { .. } => {}
        Compared::Changed(what) => return Err(Reason::Changed(what)),
        Compared::Another => return Err(Reason::Replaced),
    }
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Reason::NotRegular);
    }
    let file = reopen(found).map_err(unreadable)?;
    let other_device = check(&file, &wanted.identity)?;
    if other_device && !shows_other_devices(&file) {
        return Err(Reason::Replaced);
    }
    Ok(Opened { file, other_device })
}

/// `BTRFS_SUPER_MAGIC`, `OVERLAYFS_SUPER_MAGIC`, `BCACHEFS_STATFS_MAGIC`
/// (`include/uapi/linux/magic.h`, `fs/bcachefs/fs.c`).
const OTHER_DEVICES: [u32; 3] = [0x9123_683e, 0x794c_7630, 0xca45_1a4e];

/// Whether the file system shows other devices than the kernel has for it: one for each subvolume or
/// layer. Elsewhere another device is another file, however alike.
fn shows_other_devices(file: &OwnedFd) -> bool {
    // The type of the number differs among machines, the magic number has 32 bits.
    fstatfs(file).is_ok_and(|system| OTHER_DEVICES.contains(&(system.f_type as u32)))
}

/// Opens the file behind a descriptor for reading; without leaving a trace in its access time where
/// that is permitted.
fn reopen(found: &OwnedFd) -> Result<OwnedFd, Errno> {
    let name = format!("/proc/self/fd/{}", found.as_fd().as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match open(&name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => open(&name, flags, Mode::empty()),
        opened => opened,
    }
}

fn compare(stat: &Stat, wanted: &Identity) -> Compared {
    let found = Identity {
        dev: stat.st_dev.cast_signed(),
        ino: stat.st_ino,
        version: version(stat),
    };
    if found.ino != wanted.ino {
        return Compared::Another;
    }
    let (is, was) = (found.version, wanted.version);
    let differing = [
        ("size", is.size != was.size),
        ("mtime_ns", is.mtime_ns != was.mtime_ns),
        ("ctime_ns", is.ctime_ns != was.ctime_ns),
    ];
    let differing = differing.into_iter().filter(|(_, differs)| *differs);
    let differing: Vec<_> = differing.map(|(name, _)| name).collect();
    let other_device = found.dev != wanted.dev;
    match (differing.is_empty(), other_device) {
        (true, _) => Compared::Same { other_device },
        (false, true) => Compared::Another,
        (false, false) => Compared::Changed(differing),
    }
}

/// What stat(2) shows of a version; the generation is not in it.
fn version(stat: &Stat) -> Version {
    Version {
        size: stat.st_size,
        mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        ..Version::default()
    }
}

#[expect(
    clippy::cast_possible_wrap,
    reason = "less than a second of nanoseconds"
)]
fn nanoseconds(seconds: i64, rest: u64) -> i64 {
    seconds
        .wrapping_mul(1_000_000_000)
        .wrapping_add(rest as i64)
}
