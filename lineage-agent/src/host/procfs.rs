//! Processes as procfs shows them: what `process.snapshot` records are made of.
//!
//! Every reading of a process goes through one descriptor of its `/proc/PID` directory. Such a
//! descriptor belongs to that process for ever: when the process ends, readings fail, and they never
//! reach another process that was given the same id. A process that ends meanwhile is therefore not
//! an error; it is absent. Links such as `exe` are read as text, or followed by the kernel straight
//! to the inode (`/proc`'s own links); no path in them is ever walked from the wrong root.

mod bearer;
mod cgroup;
mod containers;
mod link;
mod parse;
mod pipes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;

use lineage_common::limits::ARGV_BYTES_MAX;
use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

pub use self::bearer::Bearer;
pub use self::containers::Containers;
pub use self::link::LinkedPath;
pub use self::parse::{Capabilities, Credentials, StartTime};
pub use self::pipes::{Holder, Pipe, Pipes};

use self::cgroup::Cgroups;
use self::parse::{Stat, Status};

/// Largest `stat` or `status` file read, in bytes; the kernel's own are below 4 KiB, but `status`
/// lists the supplementary groups (up to 65,536).
const STATUS_BYTES_MAX: usize = 1024 * 1024;

/// Most bytes of a process's environment that are read.
pub const ENVIRONMENT_BYTES_MAX: usize = 64 * 1024;

/// Readings taken until two in a row agree: a process may exec between two files of its directory.
const READINGS_MAX: usize = 5;

/// Inode number of the initial pid namespace (`PROC_PID_INIT_INO`, include/uapi/linux/nsfs.h).
const INITIAL_PID_NS: u32 = 0xEFFF_FFFC;

/// A mounted procfs.
#[derive(Debug)]
pub struct Procfs {
    root: OwnedFd,
    cgroups: Option<Cgroups>,
}

/// A process as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// The parent's process id: who created it or, when that one has ended, who adopted it.
    pub ppid: u32,
    /// When it started.
    pub start: StartTime,
    /// Its threads, ascending.
    pub tids: Vec<u32>,
    /// Name of its first living thread, at most 15 bytes.
    pub comm: Vec<u8>,
    /// Its executable; absent for kernel threads and where reading is not permitted.
    pub exe: Option<LinkedPath>,
    /// Its working directory; absent for kernel threads and where reading is not permitted.
    pub cwd: Option<LinkedPath>,
    /// Its arguments, each ended by NUL, as they are in its memory now.
    pub argv: Vec<u8>,
    /// Whether `argv` was cut at [`ARGV_BYTES_MAX`].
    pub argv_cut: bool,
    /// Its environment, each entry ended by NUL, as it is in its memory now; empty unless asked for.
    pub environment: Vec<u8>,
    /// Whether `environment` was cut at [`ENVIRONMENT_BYTES_MAX`].
    pub environment_cut: bool,
    /// What it may do, in the initial user namespace.
    pub credentials: Credentials,
    /// Label of its security module (`/proc/PID/attr/current`), where there is one.
    pub label: Option<Vec<u8>>,
    /// Process id in its own pid namespace.
    pub ns_pid: u32,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Id of its control group in the unified hierarchy; absent without one, or when it is outside
    /// what this process's cgroup namespace shows.
    pub cgroup: Option<u64>,
    /// The container the names of its control groups tell of.
    pub container: Option<String>,
}

/// Inode numbers of a process's namespaces; absent where the kernel has none or reading is not
/// permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Namespaces {
    /// The pid namespace it runs in (not the one its children would get).
    pub pid: Option<u32>,
    /// Mount namespace.
    pub mnt: Option<u32>,
    /// Network namespace.
    pub net: Option<u32>,
    /// User namespace of its credentials.
    pub user: Option<u32>,
    /// Cgroup namespace.
    pub cgroup: Option<u32>,
    /// Namespace of System V objects and message queues.
    pub ipc: Option<u32>,
    /// Time namespace.
    pub time: Option<u32>,
    /// Namespace of the host name.
    pub uts: Option<u32>,
}

/// One process and its parent, as a scan of procfs gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// Process id.
    pub pid: u32,
    /// The parent's process id.
    pub ppid: u32,
    /// When the process started.
    pub start: StartTime,
}

/// Why procfs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProcfsError {
    /// A file that must be there cannot be read.
    #[error("read {path}: {source}")]
    Read {
        /// The file, relative to procfs or absolute.
        path: String,
        /// What the kernel answered.
        source: Errno,
    },
    /// A file does not look as proc(5) says.
    #[error("understand {path}: no {what}")]
    Malformed {
        /// The file.
        path: String,
        /// The part that is missing.
        what: &'static str,
    },
    /// Its process ids are not the ones the kernel side sees.
    #[error("use /proc: it shows a pid namespace of its own, recording needs the host's")]
    PidNamespace,
    /// Its clock is not the one the kernel side reads.
    #[error(
        "use this time namespace: its boot-time clock is shifted by {seconds} s, recording needs the host's"
    )]
    TimeNamespace {
        /// Offset of `CLOCK_BOOTTIME`.
        seconds: i64,
    },
}

impl Procfs {
    /// Opens `/proc` and makes sure that its process ids and times are the kernel's own.
    ///
    /// # Errors
    ///
    /// [`ProcfsError`] when procfs is not mounted or belongs to a pid or time namespace that is not
    /// the initial one.
    pub fn open() -> Result<Self, ProcfsError> {
        let procfs = Self::at("/proc")?;
        procfs.require_initial_namespaces()?;
        Ok(procfs)
    }

    fn at(path: &str) -> Result<Self, ProcfsError> {
        let root = openat(CWD, path, DIRECTORY, Mode::empty())
            .map_err(|source| read_error(path, source))?;
        let cgroups = Cgroups::find(&root);
        Ok(Self { root, cgroups })
    }

    fn require_initial_namespaces(&self) -> Result<(), ProcfsError> {
        let me = self
            .directory("self")?
            .ok_or_else(|| read_error("/proc/self", Errno::NOENT))?;
        let status = read_status(&me).map_err(|source| read_error("/proc/self/status", source))?;
        let status = Status::parse(&status).map_err(|what| malformed("/proc/self/status", what))?;
        if status.ns_pids != 1 || namespace(&me, "ns/pid") != Some(INITIAL_PID_NS) {
            return Err(ProcfsError::PidNamespace);
        }
        // Absent on kernels without time namespaces, which are all initial.
        if let Ok(offsets) = parse::read_file(&me, "timens_offsets", STATUS_BYTES_MAX) {
            let seconds = parse::boottime_offset(&offsets);
            if seconds != 0 {
                return Err(ProcfsError::TimeNamespace { seconds });
            }
        }
        Ok(())
    }

    /// What finds the containers of control groups.
    #[must_use]
    pub fn containers(&self) -> Containers {
        Containers::of(self.cgroups.as_ref())
    }

    /// What finds who holds the ends of pipes.
    #[must_use]
    pub fn pipes(&self) -> Pipes {
        Pipes::of(&self.root)
    }

    /// The process with this id as it is now, without its environment; `None` when there is none
    /// (any more). A process whose threads have all ended and that only waits for its parent is none.
    ///
    /// # Errors
    ///
    /// [`ProcfsError`] when a file that every process has cannot be read or understood.
    pub fn snapshot(&self, pid: u32) -> Result<Option<Snapshot>, ProcfsError> {
        self.snapshot_with(pid, false)
    }

    /// The same, with its environment if that is wanted.
    ///
    /// # Errors
    ///
    /// As [`Self::snapshot`].
    pub fn snapshot_with(
        &self,
        pid: u32,
        environment: bool,
    ) -> Result<Option<Snapshot>, ProcfsError> {
        let Some(process) = self.directory(&pid.to_string())? else {
            return Ok(None);
        };
        vanished_is_none(self.read_snapshot(pid, &process, environment))
    }

    /// Every process there is, in the order procfs lists them. One created during the scan may be
    /// missing: who must not miss any scans until nothing new appears.
    ///
    /// # Errors
    ///
    /// [`ProcfsError`] when `/proc` cannot be listed or a `stat` file cannot be understood.
    pub fn processes(&self) -> Result<Vec<Relation>, ProcfsError> {
        let mut found = Vec::new();
        for pid in numbers(&self.root).map_err(|source| read_error("/proc", source))? {
            let path = format!("{pid}/stat");
            let Some(stat) = vanished_is_none(read_stat(&self.root, &path))? else {
                continue;
            };
            found.push(Relation {
                pid,
                ppid: stat.ppid,
                start: stat.start,
            });
        }
        Ok(found)
    }

    /// All descendants of a process, each after its parent; the process itself is not among them.
    /// Descendants whose parents have ended were adopted by others and are not found this way.
    ///
    /// # Errors
    ///
    /// As [`Self::processes`].
    pub fn descendants(&self, pid: u32) -> Result<Vec<Relation>, ProcfsError> {
        let mut children: BTreeMap<u32, Vec<Relation>> = BTreeMap::new();
        for process in self.processes()? {
            children.entry(process.ppid).or_default().push(process);
        }
        let mut found = Vec::new();
        let mut parents = VecDeque::from([pid]);
        while let Some(parent) = parents.pop_front() {
            // Taken out, so that ids reused during the scan cannot lead in a circle.
            for child in children.remove(&parent).unwrap_or_default() {
                parents.push_back(child.pid);
                found.push(child);
            }
        }
        Ok(found)
    }

    fn directory(&self, name: &str) -> Result<Option<OwnedFd>, ProcfsError> {
        let opened = openat(&self.root, name, DIRECTORY, Mode::empty());
        vanished_is_none(opened.map_err(|source| read_error(&format!("/proc/{name}"), source)))
    }

    fn read_snapshot(
        &self,
        pid: u32,
        process: &OwnedFd,
        environment: bool,
    ) -> Result<Snapshot, ProcfsError> {
        let mut last = self.read_once(pid, process, environment)?;
        for _ in 1..READINGS_MAX {
            let next = self.read_once(pid, process, environment)?;
            let settled = next.0 == last.0 && next.1.exe == last.1.exe;
            last = next;
            if settled {
                break;
            }
        }
        Ok(last.1)
    }

    /// One reading, with what tells one program image of the process from the next.
    fn read_once(
        &self,
        pid: u32,
        process: &OwnedFd,
        environment: bool,
    ) -> Result<(parse::Image, Snapshot), ProcfsError> {
        let tids = numbers_sorted(process)?;
        let leader = read_stat(process, "stat")?;
        // When the first thread has ended the others go on, but only they have the files.
        let (thread, stat) = living_thread(process, &tids)?;
        let status = read_status(&thread).map_err(|source| read_error("status", source))?;
        let status = Status::parse(&status).map_err(|what| malformed("status", what))?;
        let (argv, argv_cut) = memory(&thread, "cmdline", ARGV_BYTES_MAX);
        let (environment, environment_cut) = if environment {
            memory(&thread, "environ", ENVIRONMENT_BYTES_MAX)
        } else {
            (Vec::new(), false)
        };
        let snapshot = Snapshot {
            pid,
            ppid: leader.ppid,
            start: leader.start,
            tids,
            comm: stat.comm,
            exe: link::read(&thread, "exe"),
            cwd: link::read(&thread, "cwd"),
            argv,
            argv_cut,
            environment,
            environment_cut,
            credentials: status.credentials,
            label: label(&thread),
            ns_pid: status.ns_pid,
            namespaces: Namespaces::read(&thread),
            cgroup: self.cgroups.as_ref().and_then(|all| all.id_of(&thread)),
            container: cgroup::container_of(&thread),
        };
        Ok((stat.image, snapshot))
    }
}

impl Namespaces {
    fn read(thread: &OwnedFd) -> Self {
        let [pid, mnt, net, user] =
            ["ns/pid", "ns/mnt", "ns/net", "ns/user"].map(|link| namespace(thread, link));
        let [cgroup, ipc, time, uts] =
            ["ns/cgroup", "ns/ipc", "ns/time", "ns/uts"].map(|link| namespace(thread, link));
        Self {
            pid,
            mnt,
            net,
            user,
            cgroup,
            ipc,
            time,
            uts,
        }
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// The first thread that has not ended, with its directory; the process has vanished without one.
fn living_thread(process: &OwnedFd, tids: &[u32]) -> Result<(OwnedFd, Stat), ProcfsError> {
    for tid in tids {
        let path = format!("task/{tid}");
        let opened = openat(process, &path, DIRECTORY, Mode::empty());
        let Some(thread) = vanished_is_none(opened.map_err(|source| read_error(&path, source)))?
        else {
            continue;
        };
        match vanished_is_none(read_stat(&thread, "stat"))? {
            Some(stat) if !stat.ended => return Ok((thread, stat)),
            _ => {}
        }
    }
    Err(read_error("task", Errno::SRCH))
}

fn numbers_sorted(process: &OwnedFd) -> Result<Vec<u32>, ProcfsError> {
    let task = openat(process, "task", DIRECTORY, Mode::empty())
        .map_err(|source| read_error("task", source))?;
    let mut tids = numbers(&task).map_err(|source| read_error("task", source))?;
    tids.sort_unstable();
    Ok(tids)
}

/// The names in a directory that are numbers.
fn numbers(directory: &OwnedFd) -> Result<Vec<u32>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_str().unwrap_or_default();
        found.extend(name.parse::<u32>());
    }
    Ok(found)
}

fn read_stat(directory: &OwnedFd, path: &str) -> Result<Stat, ProcfsError> {
    let bytes = parse::read_file(directory, path, STATUS_BYTES_MAX)
        .map_err(|source| read_error(path, source))?;
    Stat::parse(&bytes).map_err(|what| malformed(path, what))
}

fn read_status(directory: &OwnedFd) -> Result<Vec<u8>, Errno> {
    parse::read_file(directory, "status", STATUS_BYTES_MAX)
}

/// What a process has in its memory for others to read, and whether it is more than this; empty
/// where reading is not permitted.
fn memory(thread: &OwnedFd, name: &str, bytes_max: usize) -> (Vec<u8>, bool) {
    let mut bytes = parse::read_file(thread, name, bytes_max + 1).unwrap_or_default();
    let cut = bytes.len() > bytes_max;
    bytes.truncate(bytes_max);
    (bytes, cut)
}

fn label(thread: &OwnedFd) -> Option<Vec<u8>> {
    const LABEL_BYTES_MAX: usize = 4096;
    let bytes = parse::read_file(thread, "attr/current", LABEL_BYTES_MAX).ok()?;
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | 0))?;
    Some(bytes[..=end].to_vec())
}

/// The inode number in a namespace link, such as `pid:[4026531836]`.
fn namespace(process: &OwnedFd, link: &str) -> Option<u32> {
    let text = readlinkat(process, link, Vec::new()).ok()?;
    let text = text.to_str().ok()?;
    text.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

/// A process that ended while it was read is absent, not an error.
fn vanished_is_none<T>(result: Result<T, ProcfsError>) -> Result<Option<T>, ProcfsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ProcfsError::Read {
            source: Errno::NOENT | Errno::SRCH,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_error(path: &str, source: Errno) -> ProcfsError {
    ProcfsError::Read {
        path: path.to_owned(),
        source,
    }
}

fn malformed(path: &str, what: &'static str) -> ProcfsError {
    ProcfsError::Malformed {
        path: path.to_owned(),
        what,
    }
}
