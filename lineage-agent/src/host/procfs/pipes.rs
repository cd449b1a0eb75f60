//! Who holds the ends of pipes and FIFOs, of all processes there are.
//!
//! The kernel keeps no list of who has a pipe open, so every descriptor of every process is looked at,
//! once and only when there is a pipe to ask about. What is found is what was there at that moment: a
//! process that closes its end meanwhile, or whose descriptors may not be read, is not found.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, StatxFlags, openat, readlinkat, statat, statx,
};
use rustix::io::Errno;

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
    /// A FIFO, by a descriptor that leads to it: its device has another number for those who ask about the
    /// file than inside the kernel, where a file system has several.
    Named {
        /// Process id.
        pid: u32,
        /// The descriptor.
        fd: i32,
        /// Inode number.
        ino: u64,
    },
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
    /// Whether there was more than is kept, or could be looked at.
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

    /// The processes that hold ends of a pipe, by process id, each once, and whether all were looked at.
    pub fn holders(&mut self, pipe: Pipe) -> (impl Iterator<Item = &Holder> + Clone, bool) {
        let root = self.root.as_ref();
        let (ends, key) = match pipe {
            Pipe::Anonymous(ino) => (&mut self.anonymous, Some((0, ino))),
            Pipe::Named { pid, fd, ino } => {
                let key = root.and_then(|root| led_to(root, pid, fd));
                (&mut self.named, key.filter(|(_, found)| *found == ino))
            }
        };
        let ends = ends.get_or_insert_with(|| match root {
            Some(root) => Ends::walk(root, matches!(pipe, Pipe::Named { .. })),
            None => Ends {
                cut: true,
                ..Ends::default()
            },
        });
        (ends.of(key), key.is_some() && !ends.cut)
    }
}

impl Ends {
    /// Looks at all descriptors of all processes: for FIFOs, or for pipes without a name.
    fn walk(root: &OwnedFd, named: bool) -> Self {
        let mut found = Self::default();
        let mut left = DESCRIPTORS_MAX;
        let pids = numbers(root).unwrap_or_default();
        found.cut = pids.is_empty();
        for pid in pids {
            let looked = openat(root, pid.to_string(), PROCESS, Mode::empty())
                .and_then(|process| found.process(pid, &process, named, &mut left));
            // One that has ended has none.
            found.cut |= looked.is_err_and(|why| !matches!(why, Errno::NOENT | Errno::SRCH));
            if left == 0 || found.ends.len() >= ENDS_MAX {
                found.cut = true;
                break;
            }
        }
        found.ends.sort_unstable();
        found.ends.dedup_by(|next, first| {
            let same = (next.0, next.1.pid) == (first.0, first.1.pid);
            if same {
                first.1.reads |= next.1.reads;
                first.1.writes |= next.1.writes;
            }
            same
        });
        found
    }

    /// Looks at the descriptors of one process. The descriptor of its directory is of no other process,
    /// so all of it is of this one.
    fn process(
        &mut self,
        pid: u32,
        process: &OwnedFd,
        named: bool,
        left: &mut usize,
    ) -> Result<(), Errno> {
        let directory = openat(process, "fd", DIRECTORY, Mode::empty())?;
        let mut start = None;
        let mut text = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_bytes().starts_with(b".") {
                continue;
            }
            if *left == 0 || self.ends.len() >= ENDS_MAX {
                break;
            }
            *left -= 1;
            let link = match readlinkat(&directory, name, text) {
                Ok(link) => link,
                // It was closed meanwhile.
                Err(Errno::NOENT) => {
                    text = Vec::new();
                    continue;
                }
                Err(why) => return Err(why),
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
                return Err(Errno::SRCH);
            };
            let holder = Holder {
                pid,
                start,
                reads: own.st_mode & READS != 0,
                writes: own.st_mode & WRITES != 0,
            };
            self.ends.push((key, holder));
        }
        Ok(())
    }

    /// The holders of one pipe; none of what is not known.
    fn of(&self, key: Option<(u32, u64)>) -> impl Iterator<Item = &Holder> + Clone {
        let from = self.ends.partition_point(|(of, _)| Some(*of) < key);
        let of_pipe = self.ends[from..]
            .iter()
            .take_while(move |(of, _)| Some(*of) == key);
        of_pipe.map(|(_, holder)| holder)
    }
}

/// A process may end between two looks, and its directory must not be another's then.
const PROCESS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The inode number of a pipe without a name, of which the link of a descriptor reads `pipe:[4711]`.
fn anonymous(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(b"pipe:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Device and inode number of the FIFO that a descriptor of a process leads to, if it does.
fn led_to(root: &OwnedFd, pid: u32, fd: i32) -> Option<(u32, u64)> {
    let directory = openat(root, format!("{pid}/fd"), DIRECTORY, Mode::empty()).ok()?;
    let name = std::ffi::CString::new(fd.to_string()).ok()?;
    fifo(directory.as_fd(), &name)
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
        let (holders, _) = pipes.holders(pipe);
        [std::process::id(), child]
            .iter()
            .filter_map(|pid| holders.clone().find(|holder| holder.pid == *pid))
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
        let stat = format!("{}/stat", child.id());
        let stat = read_stat(pipes.root.as_ref().unwrap(), &stat).unwrap();
        let (mut holders, _) = pipes.holders(anonymous);
        let child_found = holders.find(|holder| holder.pid == child.id());
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
        let ino = std::fs::metadata(&path).unwrap().ino();
        let (pid, fd) = (std::process::id(), end.as_raw_fd());
        let named = Pipe::Named { pid, fd, ino };
        assert_eq!(told(&mut pipes(), named, 0), [me(true, true)]);
        assert_eq!(told(&mut pipes(), Pipe::Anonymous(ino), 0), []);
        let another = Pipe::Named {
            pid,
            fd,
            ino: ino + 1,
        };
        assert_eq!(told(&mut pipes(), another, 0), []);
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
