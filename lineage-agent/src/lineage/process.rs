//! The table of tracked processes: what each is, what made it so, and what it holds open.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
    sync::Arc,
};

use foldhash::fast::RandomState;
use lineage_common::tally::Class;

use super::identity::Birth;

/// Most text kept for open descriptors, of all processes together: what processes hold open must
/// not decide how much memory recording takes.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// Most open descriptors kept.
const OPENED_MAX: usize = 1 << 17;

/// Most devices whose paths are kept, of one process.
const DEVICES_MAX: usize = 32;

/// Text of both ends of a usual socket.
const ENDS_TEXT_BYTES: usize = 64;

/// One live process, as the records so far tell.
#[derive(Debug, Clone)]
pub struct Process {
    /// `start_boottime`: tells a reused id apart.
    pub start_ns: u64,
    /// Index of its lineage in the fold.
    pub lineage: u32,
    /// `process_uid`; absent when the frame that told its namespace was lost.
    pub uid: Option<Arc<str>>,
    /// `process_uid` of its creator.
    pub parent_uid: Option<Arc<str>>,
    /// Process id of its creator.
    pub parent_pid: Option<u32>,
    /// Path of its executable; absent until a record tells.
    pub exe: Option<Arc<str>>,
    /// `seq` of the record that made it what it is: exec, fork, snapshot or loss.
    pub cause: u64,
    /// Descriptors a record opened, by number.
    pub open: BTreeMap<i32, Opened>,
    /// Paths of the devices whose requests are counted, by class and device: see
    /// [`Processes::device`].
    pub devices: BTreeMap<Device, Box<str>>,
}

/// A device: what sort of one, and its number in the kernel's encoding.
pub type Device = (Class, u32);

/// An open descriptor and the record that opened it.
#[derive(Debug, Clone)]
pub struct Opened {
    /// CPU of the frame that recorded the open.
    pub cpu: u32,
    /// Number of that frame.
    pub number: u64,
    /// `seq` of the record it became.
    pub seq: u64,
    /// What was opened, as that record describes it.
    pub what: What,
    /// Set while nothing is known of the descriptor but that it was found at attach: the probes have no
    /// entry for it before its first use. There is no frame then, and its numbers are without meaning.
    pub found: Option<Found>,
}

/// What tells whether a later frame is about a descriptor that was found at attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// When it was there, boot time in nanoseconds: an earlier frame is about another descriptor with
    /// its number, or about one that has a record of its own.
    pub time_ns: u64,
    /// Device in the kernel's encoding; 0 for a socket.
    pub dev: u32,
    /// Inode number.
    pub ino: u64,
    /// Whether it is a socket.
    pub socket: bool,
}

/// What a descriptor stands for.
#[derive(Debug, Clone)]
pub enum What {
    /// A file, by path.
    File(Box<str>),
    /// A socket, by its ends.
    Socket(Box<Ends>),
    /// Too much is kept already: only the record that opened it says.
    Unkept,
}

impl What {
    /// Bytes of its text, about.
    fn bytes(&self) -> usize {
        match self {
            Self::File(path) => path.len(),
            Self::Socket(_) => size_of::<Ends>() + ENDS_TEXT_BYTES,
            Self::Unkept => 0,
        }
    }
}

/// Transport and addresses of a socket, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// See the field `transport`.
    pub transport: String,
    /// The local end.
    pub local: End,
    /// The peer.
    pub peer: End,
}

/// One end of a socket. Absent parts are unknown or do not apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// Address, escaped.
    pub addr: Option<String>,
    /// Port.
    pub port: Option<u32>,
}

/// What procfs shows of a process at launch or attach. Byte strings are as the kernel holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Boot time in nanoseconds at which it was taken.
    pub time_ns: u64,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// `start_boottime` in nanoseconds, as the task map holds it.
    pub start_ns: u64,
    /// Execs since tracking began.
    pub exec: u32,
    /// The namespace it was created in, and its id there; absent when it was gone already.
    pub namespace: Option<(u32, u32)>,
    /// Its parent at that moment.
    pub parent: Option<ParentSnapshot>,
    /// What only a process that still lives shows.
    pub state: Option<ProcessState>,
}

/// The parent of a process in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParentSnapshot {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Its identity, when procfs still showed it.
    pub birth: Option<Birth>,
}

/// The part of a snapshot read from a living process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessState {
    /// Name of the main thread.
    pub comm: Vec<u8>,
    /// The executable; absent for a kernel thread.
    pub exe: Option<ExecutableState>,
    /// Arguments, each ended by NUL, as the process shows them now.
    pub argv: Vec<u8>,
    /// Whether `argv` was cut at a limit.
    pub argv_cut: bool,
    /// Working directory.
    pub cwd: Option<Vec<u8>>,
    /// Real user, real group, effective user, effective group.
    pub credentials: [u32; 4],
    /// Inode numbers of the mount, network and user namespace, where procfs shows them.
    pub namespaces: [Option<u32>; 3],
    /// Control group id in the unified hierarchy.
    pub cgroup: Option<u64>,
    /// Effective and permitted capabilities.
    pub capabilities: [Option<u64>; 2],
    /// What else it shows, as JSON.
    pub detail: Option<String>,
}

/// The executable of a process in a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutableState {
    /// Its path.
    pub path: Vec<u8>,
    /// Device (`st_dev`), inode and mode.
    pub inode: Option<(u64, u64, u32)>,
    /// Its name was removed.
    pub unlinked: bool,
    /// The path does not start at the root of the process that took the snapshot.
    pub unreachable: bool,
}

/// All live processes by id in the initial pid namespace.
#[derive(Debug, Default)]
pub struct Processes {
    by_pid: HashMap<u32, Process, RandomState>,
    /// Descriptors kept, of all processes.
    opened: usize,
    /// Bytes of their text.
    text: usize,
}

impl Processes {
    /// The process with this id, if it is the one that started then.
    #[must_use]
    pub fn get(&self, pid: u32, start_ns: u64) -> Option<&Process> {
        self.by_pid
            .get(&pid)
            .filter(|process| process.start_ns == start_ns)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, pid: u32, start_ns: u64) -> Option<&mut Process> {
        self.by_pid
            .get_mut(&pid)
            .filter(|process| process.start_ns == start_ns)
    }

    /// The process that has this id now.
    #[must_use]
    pub fn by_pid(&self, pid: u32) -> Option<&Process> {
        self.by_pid.get(&pid)
    }

    /// Adds a process; one whose end was not seen and whose id it reuses gives way.
    pub fn insert(&mut self, pid: u32, process: Process) {
        let old = self.by_pid.insert(pid, process);
        self.dropped(old.as_ref());
    }

    /// Removes a process that ended.
    pub fn remove(&mut self, pid: u32, start_ns: u64) {
        if self.get(pid, start_ns).is_some() {
            let ended = self.by_pid.remove(&pid);
            self.dropped(ended.as_ref());
        }
    }

    fn dropped(&mut self, process: Option<&Process>) {
        for opened in process
            .into_iter()
            .flat_map(|process| process.open.values())
        {
            self.opened -= 1;
            self.text -= opened.what.bytes();
        }
    }

    /// Notes that a process opened a descriptor: without what it stands for when much is kept, and
    /// not at all when very much is.
    pub fn opened(&mut self, pid: u32, start_ns: u64, fd: i32, mut opened: Opened) {
        self.take(pid, start_ns, fd);
        if self.text + opened.what.bytes() > TEXT_BYTES_MAX {
            opened.what = What::Unkept;
        }
        let bytes = opened.what.bytes();
        if self.opened < OPENED_MAX
            && let Some(process) = self.get_mut(pid, start_ns)
        {
            process.open.insert(fd, opened);
            self.opened += 1;
            self.text += bytes;
        }
    }

    /// Notes the path of a device a process uses, for the record of how often it did. Of more than a
    /// few, that one has no path.
    pub fn device(&mut self, pid: u32, start_ns: u64, device: Device, path: &str) {
        if let Some(process) = self.get_mut(pid, start_ns)
            && process.devices.len() < DEVICES_MAX
        {
            process.devices.insert(device, path.into());
        }
    }

    /// What [`Self::opened`] noted, if it is of the frame that this CPU gave this number.
    #[must_use]
    pub fn opened_by(
        &self,
        pid: u32,
        start_ns: u64,
        fd: i32,
        frame: (u32, u64),
    ) -> Option<&Opened> {
        let opened = self.get(pid, start_ns)?.open.get(&fd)?;
        (opened.found.is_none() && (opened.cpu, opened.number) == frame).then_some(opened)
    }

    /// Takes back what [`Self::opened`] noted, if it is of the frame that this CPU gave this number.
    pub fn closed(
        &mut self,
        pid: u32,
        start_ns: u64,
        fd: i32,
        frame: (u32, u64),
    ) -> Option<Opened> {
        self.opened_by(pid, start_ns, fd, frame)?;
        self.take(pid, start_ns, fd)
    }

    /// Notes a descriptor that was found, unless something is noted of it already.
    pub fn found(&mut self, pid: u32, start_ns: u64, fd: i32, opened: Opened) {
        if self
            .get(pid, start_ns)
            .is_some_and(|process| !process.open.contains_key(&fd))
        {
            self.opened(pid, start_ns, fd, opened);
        }
    }

    /// The first use of a descriptor, in a frame at `time_ns` that this CPU gave this number: whether
    /// it was found, as this device and inode. From then on it is as if that frame had opened it.
    pub fn used(
        &mut self,
        (pid, start_ns): (u32, u64),
        fd: i32,
        time_ns: u64,
        (dev, ino): (u32, u64),
        (cpu, number): (u32, u64),
    ) -> bool {
        let Some(opened) = self
            .get_mut(pid, start_ns)
            .and_then(|process| process.open.get_mut(&fd))
        else {
            return false;
        };
        let same = opened
            .found
            .is_some_and(|found| found.time_ns <= time_ns && (found.dev, found.ino) == (dev, ino));
        if same {
            (opened.cpu, opened.number, opened.found) = (cpu, number, None);
        }
        same
    }

    /// Takes back the first descriptor of a range that was found before `time_ns` and is still unused.
    pub fn closed_found(
        &mut self,
        pid: u32,
        start_ns: u64,
        range: RangeInclusive<i32>,
        time_ns: u64,
    ) -> Option<(i32, Opened)> {
        if range.is_empty() {
            return None;
        }
        let open = &self.get(pid, start_ns)?.open;
        let (fd, _) = open
            .range(range)
            .find(|(_, opened)| opened.found.is_some_and(|found| found.time_ns <= time_ns))?;
        let fd = *fd;
        Some((fd, self.take(pid, start_ns, fd)?))
    }

    /// A process executed a program, which the record `seq` tells. The descriptors that were found before
    /// and are still unused are forgotten: the exec may have closed them.
    pub fn executed(&mut self, (pid, start_ns): (u32, u64), time_ns: u64, seq: u64) {
        if let Some(process) = self.get_mut(pid, start_ns) {
            process.cause = seq;
        }
        let mut first = 0;
        while let Some((fd, _)) = self.closed_found(pid, start_ns, first..=i32::MAX, time_ns) {
            first = fd.saturating_add(1);
        }
    }

    fn take(&mut self, pid: u32, start_ns: u64, fd: i32) -> Option<Opened> {
        let taken = self.get_mut(pid, start_ns)?.open.remove(&fd)?;
        self.opened -= 1;
        self.text -= taken.what.bytes();
        Some(taken)
    }

    /// How many are alive.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_pid.len()
    }

    /// Whether none is alive.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_pid.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(start_ns: u64) -> Process {
        Process {
            start_ns,
            lineage: 0,
            uid: None,
            parent_uid: None,
            parent_pid: None,
            exe: None,
            cause: 0,
            open: BTreeMap::new(),
            devices: BTreeMap::new(),
        }
    }

    fn opened(number: u64, path: usize) -> Opened {
        Opened {
            cpu: 0,
            number,
            seq: number,
            what: What::File("x".repeat(path).into()),
            found: None,
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_given_back() {
        let mut processes = Processes::default();
        processes.insert(1, process(10));
        let long = TEXT_BYTES_MAX / 2;
        for (fd, number) in (0..).zip(0..3) {
            processes.opened(1, 10, fd, opened(number, long));
        }
        assert_eq!((processes.opened, processes.text), (3, 2 * long));
        let third = processes.closed(1, 10, 2, (0, 2)).unwrap();
        assert!(matches!(third.what, What::Unkept));
        assert!(processes.closed(1, 10, 0, (0, 7)).is_none());
        assert_eq!(processes.closed(1, 10, 0, (0, 0)).unwrap().seq, 0);
        processes.opened(1, 10, 1, opened(9, 5));
        assert_eq!((processes.opened, processes.text), (1, 5));
        // Another process with this id: the end of the first was not seen.
        processes.insert(1, process(20));
        assert_eq!((processes.opened, processes.text), (0, 0));
        for fd in 0..=i32::try_from(OPENED_MAX).unwrap() {
            processes.opened(1, 20, fd, opened(1, 1));
        }
        assert_eq!((processes.opened, processes.text), (OPENED_MAX, OPENED_MAX));
        processes.remove(1, 20);
        assert_eq!((processes.opened, processes.text), (0, 0));
    }
}
