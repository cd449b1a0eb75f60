//! Who holds the ends of pipes and FIFOs, of all processes there are.
//!
//! The kernel keeps no list of who has a pipe open, so every descriptor of every process is looked at,
//! once and only when there is a pipe to ask about. What is found is what was there at that moment: a
//! process that closes its end meanwhile, or whose descriptors may not be read, is not found.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, StatxFlags, openat, readlinkat, statat, statx,
};

use super::{DIRECTORY, StartTime, numbers, read_stat};

/// Most descriptors looked at in one walk, which takes a second or two then.
const DESCRIPTORS_MAX: usize = 1 << 19;

/// Most ends kept; of those beyond nothing is told.
const ENDS_MAX: usize = 1 << 17;

/// Where permissions tell how a descriptor is open: those of its link in procfs (`tid_fd_update_inode`,
/// `fs/proc/fd.c`).
const READS: u32 = 0o400;
const WRITES: u32 = 0o200;

/// Which pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipe {
    /// One without a name, by inode number.
    Anonymous(u64),
    /// A FIFO, by device in the kernel's encoding and inode number.
    Named(u32, u64),
}

/// A process that has an end of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// When it started.
    pub start: StartTime,
    /// Whether it can read from the pipe.
    pub reads: bool,
    /// Whether it can write to it.
    pub writes: bool,
}

/// All ends of pipes, looked for when they are first asked for.
#[derive(Debug)]
pub struct Pipes {
    root: Option<OwnedFd>,
    anonymous: Option<Ends>,
    named: Option<Ends>,
}

/// What a walk has found.
#[derive(Debug, Default)]
struct Ends {
    /// By device, 0 for pipes without a name, and inode number.
    ends: Vec<((u32, u64), Holder)>,
    /// Whether there was more than is kept or looked at.
    cut: bool,
}

impl Pipes {
    pub(super) fn of(root: &OwnedFd) -> Self {
        Self {
            root: openat(root, ".", DIRECTORY, Mode::empty()).ok(),
            anonymous: None,
            named: None,
        }
    }

    /// The processes that hold ends of a pipe, by process id, and whether these are all that were seen.
    pub fn holders(&mut self, pipe: Pipe) -> (Vec<Holder>, bool) {
        let (ends, key) = match pipe {
            Pipe::Anonymous(ino) => (&mut self.anonymous, (0, ino)),
            Pipe::Named(dev, ino) => (&mut self.named, (dev, ino)),
        };
        let root = self.root.as_ref();
        let ends = ends.get_or_insert_with(|| {
            root.map_or_else(Ends::default, |root| {
                Ends::walk(root, matches!(pipe, Pipe::Named(..)))
            })
        });
        (ends.of(key), !ends.cut)
    }
}

impl Ends {
    /// Looks at all descriptors of all processes: for FIFOs, or for pipes without a name.
    fn walk(root: &OwnedFd, named: bool) -> Self {
        let mut found = Self::default();
        let mut left = DESCRIPTORS_MAX;
        for pid in numbers(root).unwrap_or_default() {
            // One that has ended, or that may not be looked at.
            let Ok(process) = openat(root, pid.to_string(), PROCESS, Mode::empty()) else {
                continue;
            };
            found.process(pid, &process, named, &mut left);
            if found.cut {
                break;
            }
        }
        found.ends.sort_unstable();
        found
    }

    /// Looks at the descriptors of one process. The descriptor of its directory is of no other process,
    /// so all of it is of this one.
    fn process(&mut self, pid: u32, process: &OwnedFd, named: bool, left: &mut usize) {
        let Ok(directory) = openat(process, "fd", DIRECTORY, Mode::empty()) else {
            return;
        };
        let Ok(entries) = Dir::read_from(&directory) else {
            return;
        };
        let mut start = None;
        let mut text = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_bytes().starts_with(b".") {
                continue;
            }
            if *left == 0 || self.ends.len() >= ENDS_MAX {
                self.cut = true;
                return;
            }
            *left -= 1;
            let Ok(link) = readlinkat(&directory, name, text) else {
                text = Vec::new();
                continue;
            };
            let key = match anonymous(link.to_bytes()) {
                Some(ino) if !named => Some((0, ino)),
                None if named && link.to_bytes().starts_with(b"/") => fifo(directory.as_fd(), name),
                _ => None,
            };
            text = link.into_bytes();
            let Some(key) = key else {
                continue;
            };
            let Ok(own) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if start.is_none() {
                start = read_stat(process, "stat").ok().map(|stat| stat.start);
            }
            let Some(start) = start else {
                return;
            };
            let holder = Holder {
                pid,
                start,
                reads: own.st_mode & READS != 0,
                writes: own.st_mode & WRITES != 0,
            };
            self.ends.push((key, holder));
        }
    }

    /// The holders of one pipe, each once.
    fn of(&self, key: (u32, u64)) -> Vec<Holder> {
        let from = self.ends.partition_point(|(of, _)| *of < key);
        let mut holders: Vec<Holder> = Vec::new();
        for (_, end) in self.ends[from..].iter().take_while(|(of, _)| *of == key) {
            match holders.last_mut() {
                Some(last) if last.pid == end.pid => {
                    last.reads |= end.reads;
                    last.writes |= end.writes;
                }
                _ => holders.push(*end),
            }
        }
        holders
    }
}

/// A process may end between two looks, and its directory must not be another's then.
const PROCESS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The inode number of a pipe without a name, of which the link of a descriptor reads `pipe:[4711]`.
fn anonymous(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(b"pipe:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Device and inode number of what a descriptor leads to, if that is a FIFO. Asks no server for it: one
/// may not answer.
fn fifo(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> Option<(u32, u64)> {
    let wanted = StatxFlags::TYPE | StatxFlags::INO;
    let found = statx(directory, name, AtFlags::STATX_DONT_SYNC, wanted).ok()?;
    let is_fifo = FileType::from_raw_mode(found.stx_mode.into()) == FileType::Fifo;
    // `MKDEV` (`include/linux/kdev_t.h`).
    let dev = found.stx_dev_major << 20 | found.stx_dev_minor;
    is_fifo.then_some((dev, found.stx_ino))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::MetadataExt as _;

    use rustix::fs::{CWD, mknodat, open};
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;
    use crate::host::procfs::Procfs;

    fn pipes() -> Pipes {
        Pipes::of(&Procfs::at("/proc").unwrap().root)
    }

    fn me(reads: bool, writes: bool) -> (u32, bool, bool) {
        (std::process::id(), reads, writes)
    }

    /// What is told of this process, and of a child. Another that a test starts at this moment may
    /// have all there is until it executes its program.
    fn told(pipes: &mut Pipes, pipe: Pipe, child: u32) -> Vec<(u32, bool, bool)> {
        let (holders, all) = pipes.holders(pipe);
        assert!(all);
        [std::process::id(), child]
            .iter()
            .filter_map(|pid| holders.iter().find(|holder| holder.pid == *pid))
            .map(|holder| (holder.pid, holder.reads, holder.writes))
            .collect()
    }

    #[test]
    fn the_ends_of_a_pipe_are_found_with_what_each_can_do() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let link = format!("/proc/self/fd/{}", read.as_raw_fd());
        let anonymous = Pipe::Anonymous(std::fs::metadata(link).unwrap().ino());
        assert_eq!(told(&mut pipes(), anonymous, 0), [me(true, true)]);
        let mut command = std::process::Command::new("sleep");
        let mut child = command.arg("60").stdin(read).spawn().unwrap();
        drop(command);
        let mut pipes = pipes();
        let found = told(&mut pipes, anonymous, child.id());
        assert_eq!(found, [me(false, true), (child.id(), true, false)]);
        assert_eq!(told(&mut pipes, Pipe::Anonymous(u64::MAX), 0), []);
        let (holders, _) = pipes.holders(anonymous);
        let child_found = holders.iter().find(|holder| holder.pid == child.id());
        let stat = format!("{}/stat", child.id());
        let stat = read_stat(pipes.root.as_ref().unwrap(), &stat).unwrap();
        assert_eq!(child_found.map(|holder| holder.start), Some(stat.start));
        child.kill().unwrap();
        child.wait().unwrap();
        drop(write);
    }

    #[test]
    fn a_fifo_is_found_by_its_inode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let end = open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let file = std::fs::metadata(&path).unwrap();
        let dev = rustix::fs::major(file.dev()) << 20 | rustix::fs::minor(file.dev());
        let named = Pipe::Named(dev, file.ino());
        assert_eq!(told(&mut pipes(), named, 0), [me(true, true)]);
        assert_eq!(told(&mut pipes(), Pipe::Anonymous(file.ino()), 0), []);
        drop(end);
        assert_eq!(told(&mut pipes(), named, 0), []);
    }

    #[test]
    fn links_that_are_no_pipes_are_not_taken_for_some() {
        assert_eq!(anonymous(b"pipe:[4711]"), Some(4711));
        for link in ["pipe:[]", "pipe:[x]", "pipe:[1", "/pipe:[1]", "socket:[1]"] {
            assert_eq!(anonymous(link.as_bytes()), None, "{link}");
        }
    }
}
