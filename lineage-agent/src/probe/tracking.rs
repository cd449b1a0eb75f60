//! Which processes are tracked: the agent's side of the task map.

use std::{
    collections::{HashMap as StdHashMap, HashSet},
    io::Read,
    sync::atomic::Ordering,
    time::Duration,
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, Stack},
};
use lineage_common::{
    limits::{BLOCKS_MAX, PIDS_MAX, TASKS_MAX},
    task::{Descriptor, DescriptorKey, Link, Listed, NO_BLOCK, Switch, Task},
};
use rustix::thread::{MembarrierCommand, membarrier};
use zerocopy::FromBytes;

use super::{
    ProbeError, Tracked,
    family::newcomers,
    plain::Plain,
    programs::{self, LIST},
    ring::Mapping,
};

/// `BPF_NOEXIST` (`include/uapi/linux/bpf.h`).
const NO_EXIST: u64 = 1;

/// Wait where the kernel has no barrier for it (`nohz_full`): a probe runs some microseconds and
/// cannot be interrupted for longer than a scheduling slice.
const SETTLE: Duration = Duration::from_millis(50);

/// The maps that say who is tracked.
pub(super) struct Tracking {
    tasks: HashMap<MapData, u32, Plain<Task>>,
    /// By process id, a bit: without it the probes do not look for an entry.
    marks: Mapping,
    links: HashMap<MapData, u32, Plain<Link>>,
    switch: Array<MapData, Plain<Switch>>,
    descriptors: HashMap<MapData, Plain<DescriptorKey>, Plain<Descriptor>>,
    free_blocks: Stack<MapData, u32>,
    /// Its first word counts blocks that were ever taken.
    blocks_taken: Mapping,
}

impl std::fmt::Debug for Tracking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracking").finish_non_exhaustive()
    }
}

impl Tracking {
    /// Takes the maps; the programs must be loaded already.
    pub(super) fn new(
        ebpf: &mut Ebpf,
        marks: Mapping,
        blocks_taken: Mapping,
    ) -> Result<Self, ProbeError> {
        let mut map = |name| ebpf.take_map(name).ok_or(ProbeError::Object(name));
        Ok(Self {
            tasks: map("TASKS")?.try_into()?,
            links: map("LINKS")?.try_into()?,
            switch: map("SWITCH")?.try_into()?,
            descriptors: map("DESCRIPTORS")?.try_into()?,
            free_blocks: map("FREE_BLOCKS")?.try_into()?,
            marks,
            blocks_taken,
        })
    }

    /// Tracks one process that does not create others at the moment.
    pub(super) fn track(
        &mut self,
        ebpf: &mut Ebpf,
        pid: u32,
        lineage: u32,
    ) -> Result<Tracked, ProbeError> {
        let process = list(ebpf)?
            .into_iter()
            .find(|process| process.pid == pid && process.live != 0)
            .ok_or(ProbeError::NoProcess(pid))?;
        self.insert(&process, lineage)?;
        Ok(tracked(&process))
    }

    /// Tracks a process and all its descendants, whatever they do meanwhile.
    ///
    /// Descendants that a tracked process creates are tracked by the fork probe. What is left are
    /// those that existed before their creator was tracked. They are listed, again and again until
    /// a list brings nobody new; for a process whose parent ended before it could be listed, the
    /// probes noted the link. So it must be certain that a probe either noted it or ran before the
    /// listing began: hence the barrier after the switch.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        pid: u32,
        lineage: u32,
    ) -> Result<Vec<Tracked>, ProbeError> {
        self.forget_links()?;
        self.set_attaching(1)?;
        settle();
        let result = self.attach_switched(ebpf, pid, lineage);
        let missed = self.links_missed();
        self.set_attaching(0)?;
        self.forget_links()?;
        let tracked = result?;
        match missed? {
            0 => Ok(tracked),
            missed => Err(ProbeError::LinksMissed { missed }),
        }
    }

    fn attach_switched(
        &mut self,
        ebpf: &mut Ebpf,
        pid: u32,
        lineage: u32,
    ) -> Result<Vec<Tracked>, ProbeError> {
        let root = list(ebpf)?
            .into_iter()
            .find(|process| process.pid == pid && process.live != 0)
            .ok_or(ProbeError::NoProcess(pid))?;
        self.insert(&root, lineage)?;
        let mut taken = vec![root];
        loop {
            let listed = list(ebpf)?;
            // After the list: a process that lost its parent before it was listed has its link.
            let links = self.read_links()?;
            let mut members: HashSet<u32> = self.pids().into_iter().collect();
            members.insert(pid);
            let mut newcomers = newcomers(&listed, &links, &members);
            // Recording what recording does would never end.
            newcomers.retain(|process| process.pid != std::process::id());
            for process in &newcomers {
                self.insert(process, lineage)?;
                taken.push(*process);
            }
            if newcomers.is_empty() {
                self.remove_ended(&listed, &mut taken);
                return Ok(taken.iter().map(tracked).collect());
            }
        }
    }

    /// The lineage of a process, which is recorded.
    pub(super) fn lineage_of(
        &self,
        ebpf: &mut Ebpf,
        pid: u32,
    ) -> Result<(Tracked, u32), ProbeError> {
        let process = list(ebpf)?.into_iter().find(|process| {
            process.pid == pid && process.live != 0 && process.tracked == process.start
        });
        let process = process.ok_or(ProbeError::NotTracked(pid))?;
        Ok((tracked(&process), process.lineage))
    }

    /// Gives a process that is recorded, and what it creates from now on, to another lineage.
    pub(super) fn give(
        &mut self,
        ebpf: &mut Ebpf,
        process: Tracked,
        lineage: u32,
    ) -> Result<(), ProbeError> {
        let switch = Switch {
            moved_start: process.start,
            moved_pid: process.pid,
            moved_to: lineage,
            ..Switch::default()
        };
        self.switch.set(0, Plain(switch), 0)?;
        let given = self.lineage_of(ebpf, process.pid);
        self.set_attaching(0)?;
        match given? {
            (found, now) if found.start == process.start && now == lineage => Ok(()),
            _ => Err(ProbeError::NotTracked(process.pid)),
        }
    }

    /// Forgets processes that ended between being listed and being tracked: no probe will do it.
    ///
    /// One that ended after it was tracked was removed by the exit probe. It stays among those
    /// taken, for it may have done something.
    fn remove_ended(&mut self, listed: &[Listed], taken: &mut Vec<Listed>) {
        let live: HashSet<(u32, u64)> = live(listed);
        taken.retain(|process| {
            live.contains(&(process.pid, process.start)) || !self.remove(process.pid, process.start)
        });
    }

    /// Enters a process, unless the fork probe has.
    fn insert(&mut self, process: &Listed, lineage: u32) -> Result<(), ProbeError> {
        self.mark(process.pid)?;
        let block = self.take_block();
        let task = Plain(Task::attached(process.start, lineage, block));
        let inserted = self.tasks.insert(process.pid, task, NO_EXIST);
        if inserted.is_err() {
            self.give_block(block);
        }
        match inserted {
            Ok(()) => Ok(()),
            Err(MapError::SyscallError(error))
                if error.io_error.kind() == std::io::ErrorKind::AlreadyExists =>
            {
                Ok(())
            }
            Err(error) => Err(ProbeError::Track {
                pid: process.pid,
                source: error.into(),
            }),
        }
    }

    /// Has the probes look for an entry of this process.
    fn mark(&self, pid: u32) -> Result<(), ProbeError> {
        if pid >= PIDS_MAX {
            return Err(ProbeError::NoProcess(pid));
        }
        let word = self.marks.word(pid as usize / 64 * 8);
        word.fetch_or(1 << (pid % u64::BITS), Ordering::SeqCst);
        Ok(())
    }

    /// Removes a process, if there is an entry and it is still its; whether it was. It stays marked, for somebody else
    /// can have its id by now and be about to be entered.
    fn remove(&mut self, pid: u32, start: u64) -> bool {
        if let Ok(Plain(task)) = self.tasks.get(&pid, 0)
            && task.start == start
            && self.tasks.remove(&pid).is_ok()
        {
            self.give_block(task.block);
            return true;
        }
        false
    }

    /// As the probes do it.
    fn take_block(&mut self) -> u32 {
        let mut never_taken = || {
            let taken = self.blocks_taken.word(0).fetch_add(1, Ordering::SeqCst);
            u32::try_from(taken)
                .ok()
                .filter(|block| *block < BLOCKS_MAX)
        };
        let given_back = self.free_blocks.pop(0).ok();
        given_back.or_else(&mut never_taken).unwrap_or(NO_BLOCK)
    }

    fn give_block(&mut self, block: u32) {
        if block != NO_BLOCK {
            let _ = self.free_blocks.push(block, 0);
        }
    }

    /// Removes a process that is not over, and its descriptors.
    pub(super) fn remove_with_descriptors(&mut self, pid: u32) {
        if let Ok(Plain(task)) = self.tasks.get(&pid, 0) {
            self.remove(pid, task.start);
        }
        let keys: Vec<Plain<DescriptorKey>> = self
            .descriptors
            .keys()
            .filter_map(Result::ok)
            .filter(|key| key.0.pid == pid)
            .collect();
        for key in keys {
            let _ = self.descriptors.remove(&key);
        }
    }

    /// Ids of the tracked processes.
    pub(super) fn pids(&self) -> Vec<u32> {
        // The bound ends a walk that runs in circles because entries come and go.
        self.tasks
            .keys()
            .take(TASKS_MAX as usize)
            .filter_map(Result::ok)
            .collect()
    }

    /// Removes entries whose process is over although no probe saw it end.
    ///
    /// Entries are looked up only when some are suspect: during a look-up by system call the kernel
    /// runs no guarded probe on that processor.
    pub(super) fn reap(&mut self, ebpf: &mut Ebpf) -> Result<(), ProbeError> {
        let pids = self.pids();
        let listed: HashSet<u32> = list(ebpf)?
            .into_iter()
            .filter(|process| process.live != 0 && process.tracked == process.start)
            .map(|process| process.pid)
            .collect();
        if pids.iter().all(|pid| listed.contains(pid)) {
            return Ok(());
        }
        let entries: Vec<(u32, u64)> = self
            .tasks
            .iter()
            .take(TASKS_MAX as usize)
            .filter_map(Result::ok)
            .map(|(pid, task)| (pid, task.0.start))
            .collect();
        // After the entries: whoever is in them and not in the list has ended since.
        let live = live(&list(ebpf)?);
        for (pid, start) in entries {
            if !live.contains(&(pid, start)) {
                self.remove(pid, start);
            }
        }
        Ok(())
    }

    fn set_attaching(&mut self, attaching: u32) -> Result<(), ProbeError> {
        let switch = Switch {
            attaching,
            ..Switch::default()
        };
        Ok(self.switch.set(0, Plain(switch), 0)?)
    }

    fn links_missed(&self) -> Result<u32, ProbeError> {
        Ok(self.switch.get(&0, 0)?.0.links_missed)
    }

    fn read_links(&self) -> Result<StdHashMap<u32, Link>, ProbeError> {
        let mut links = StdHashMap::new();
        for entry in self.links.iter() {
            let (pid, link) = entry?;
            links.insert(pid, link.0);
        }
        Ok(links)
    }

    fn forget_links(&mut self) -> Result<(), ProbeError> {
        let pids: Vec<u32> = self.links.keys().filter_map(Result::ok).collect();
        for pid in pids {
            let _ = self.links.remove(&pid);
        }
        Ok(())
    }
}

fn tracked(process: &Listed) -> Tracked {
    Tracked {
        pid: process.pid,
        parent: process.parent,
        start: process.start,
        pid_ns: process.pid_ns,
        ns_pid: process.ns_pid,
    }
}

fn live(listed: &[Listed]) -> HashSet<(u32, u64)> {
    listed
        .iter()
        .filter(|process| process.live != 0)
        .map(|process| (process.pid, process.start))
        .collect()
}

/// Waits until no probe runs that began before.
pub(super) fn settle() {
    // A global memory barrier waits for a grace period of RCU, and probes are readers of it
    // (`kernel/sched/membarrier.c`).
    if membarrier(MembarrierCommand::Global).is_err() {
        std::thread::sleep(SETTLE);
    }
}

/// All processes of the host.
pub(super) fn list(ebpf: &mut Ebpf) -> Result<Vec<Listed>, ProbeError> {
    let mut output = programs::output(ebpf, LIST)?;
    let mut bytes = Vec::new();
    output
        .read_to_end(&mut bytes)
        .map_err(|error| ProbeError::Program {
            name: LIST,
            said: error.into(),
        })?;
    let (entries, rest) = bytes.as_chunks::<{ size_of::<Listed>() }>();
    if !rest.is_empty() {
        return Err(ProbeError::Object("the list of processes"));
    }
    entries
        .iter()
        .map(|entry| Listed::read_from_bytes(entry))
        .collect::<Result<_, _>>()
        .map_err(|_| ProbeError::Object("the list of processes"))
}
