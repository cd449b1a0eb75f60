//! The acting process.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_task_btf};
use lineage_common::task::Task;

use crate::{
    read::{Typed, follow, offset, typed, untyped},
    skip::Skip,
    tracked,
};

/// The acting thread of a tracked process.
#[derive(Clone, Copy)]
pub(crate) struct Actor {
    /// The thread's `struct task_struct`. Kept, because every call of a helper costs as much as
    /// many reads.
    pub(crate) thread: Typed,
    /// Its `struct files_struct`; null if it has none any more. Kept, because the verifier looks through
    /// all names of types for each pointer it sees read from a task.
    pub(crate) files: Typed,
    /// What is remembered of the process.
    pub(crate) task: *mut Task,
}

impl Actor {
    /// The current thread, if its process is tracked.
    #[inline(always)]
    pub(crate) fn current() -> Result<Self, Skip> {
        Self::of(current())
    }

    /// This thread, which is the current one, if its process is tracked.
    #[inline(always)]
    pub(crate) fn of(thread: Typed) -> Result<Self, Skip> {
        match tracked::task(pid(thread)) {
            Some(task) => Ok(Self {
                thread,
                files: files(thread),
                task,
            }),
            None => Err(Skip::Untracked),
        }
    }

    /// Process id in the initial pid namespace.
    #[inline(always)]
    pub(crate) fn pid(&self) -> u32 {
        pid(self.thread)
    }

    /// Thread id in the initial pid namespace.
    #[inline(always)]
    pub(crate) fn tid(&self) -> u32 {
        tid(self.thread)
    }
}

/// `PF_EXITING` (`include/linux/sched.h`), in a thread's flags.
pub(crate) const EXITING: u32 = 4;

/// The current thread.
#[inline(always)]
pub(crate) fn current() -> Typed {
    // SAFETY: takes nothing, and there is always a current task.
    unsafe { bpf_get_current_task_btf() as Typed }
}

/// Process id of a thread in the initial pid namespace.
#[inline(always)]
pub(crate) fn pid(thread: Typed) -> u32 {
    // SAFETY: `thread` is typed; the member is an integer.
    unsafe { typed(thread, offset!(task_tgid)) }
}

/// Thread id in the initial pid namespace.
#[inline(always)]
pub(crate) fn tid(thread: Typed) -> u32 {
    // SAFETY: as for `pid`.
    unsafe { typed(thread, offset!(task_pid)) }
}

/// Process id of the current thread in the initial pid namespace.
#[inline(always)]
pub(crate) fn current_pid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// The `struct files_struct` of `task`; null if it has none.
#[inline(always)]
pub(crate) fn files(task: Typed) -> Typed {
    // SAFETY: `task` is typed; the member is a pointer to a structure. Not volatile, so that nothing is
    // read where it is not used.
    unsafe { task.add(offset!(task_files)).cast::<Typed>().read() }
}

/// The `struct file` behind a descriptor of a `struct files_struct`.
#[inline(always)]
pub(crate) fn file(files: Typed, fd: i32) -> Option<u64> {
    if files.is_null() {
        return None;
    }
    // SAFETY: `files` is typed; the members are pointers and integers of these types.
    unsafe {
        let table = follow(files, offset!(files_fdt))?;
        let max: u32 = typed(table, offset!(fdtable_max_fds));
        if fd as u32 >= max {
            return None;
        }
        let array: u64 = typed(table, offset!(fdtable_fd));
        match untyped::<u64>(array + u64::from(fd as u32) * 8) {
            Some(0) | None => None,
            Some(file) => Some(file),
        }
    }
}

/// Whether a descriptor is closed by an exec.
#[inline(always)]
pub(crate) fn closes_on_exec(files: Typed, fd: u32) -> Option<bool> {
    if files.is_null() {
        return None;
    }
    // SAFETY: `files` is typed; the members are pointers and integers of these types.
    let bits: u64 = unsafe {
        let table = follow(files, offset!(files_fdt))?;
        let max: u32 = typed(table, offset!(fdtable_max_fds));
        if fd >= max {
            return None;
        }
        typed(table, offset!(fdtable_close_on_exec))
    };
    let word: u64 = untyped(bits + u64::from(fd / 64) * 8)?;
    Some(word >> (fd % 64) & 1 != 0)
}

/// Whether somebody else can open and close descriptors there at the same time.
#[inline(always)]
pub(crate) fn shares_files(files: Typed) -> bool {
    // SAFETY: `files` is typed; the member is an integer.
    !files.is_null() && unsafe { typed::<u32>(files, offset!(files_count)) > 1 }
}

/// Whether the current system call came through the 32-bit compatibility entry.
#[inline(always)]
pub(crate) fn compat(task: Typed) -> bool {
    // SAFETY: `task` is typed; the agent made sure of the word.
    let word: u32 = unsafe { typed(task, offset!(derived.compat_word)) };
    word & offset!(derived.compat_mask) as u32 != 0
}

/// A task's number in its own pid namespace, and that namespace.
#[inline(always)]
pub(crate) fn own_number(task: u64) -> Option<(u32, u32)> {
    // Untyped from the first pointer on: Linux 6.1 allows no varying offset from a typed one.
    let pid: u64 = untyped(task + offset!(task_thread_pid) as u64)?;
    let level: u32 = untyped(pid + offset!(pid_level) as u64)?;
    let upid = pid
        + offset!(pid_numbers) as u64
        + u64::from(level & 63) * offset!(derived.upid_size) as u64;
    let number: u32 = untyped(upid + offset!(upid_nr) as u64)?;
    let namespace: u64 = untyped(upid + offset!(upid_ns) as u64)?;
    let inum: u32 = untyped(namespace + offset!(pid_ns_inum) as u64)?;
    Some((number, inum))
}
