//! Processes and threads created, and attempts that failed.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::warn;
use lineage_common::{
    frame::{Clone3, Flags, Fork, Kind},
    policy::{Named, Operation, Outcome},
    task::{Link, NO_BLOCK, Task},
};

use crate::{
    atomic::{fetch_add, fetch_add_half},
    cgroup,
    emit::{BODY, Frame, What},
    judge,
    maps::{self, LINKS},
    namespaces,
    probes::syscall::Returned,
    read::{Typed, number, offset, same, typed, word},
    skip::Skip,
    task::{self, Actor},
    tracked,
};

/// `BPF_NOEXIST` (`include/uapi/linux/bpf.h`).
const NO_EXIST: u64 = 1;

/// Length of a fork's frame.
const LEN: u64 = BODY + size_of::<Fork>() as u64;

/// `TP_PROTO(struct task_struct *parent, struct task_struct *child)`
/// ([`include/trace/events/sched.h`](https://elixir.bootlin.com/linux/v6.12/source/include/trace/events/sched.h#L373)).
///
/// Runs in the creator, before the child can run: nothing the child does precedes its entry in
/// the task map.
#[btf_tracepoint(function = "sched_process_fork")]
pub(crate) fn process_fork(ctx: BtfTracePointContext) -> i32 {
    let child: Typed = ctx.arg(1);
    // SAFETY: the argument is a `struct task_struct`; the member has this type.
    let start = unsafe { typed(child, offset!(task_start_boottime)) };
    if let Some(thread) = number(child) {
        forked(thread, start, task::pid(child), task::tid(child));
    }
    0
}

/// Who was created.
pub(crate) struct Child {
    /// Address of its `struct task_struct`.
    pub(crate) thread: u64,
    /// Its `start_boottime`.
    pub(crate) start: u64,
    /// Its process id in the initial pid namespace.
    pub(crate) pid: u32,
    /// Its thread id there.
    pub(crate) tid: u32,
}

/// The current thread has created the task at `thread`; 0 when it is recorded. A global function, see
/// [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn forked(thread: u64, start: u64, pid: u32, tid: u32) -> u64 {
    let child = Child {
        thread,
        start,
        pid,
        tid,
    };
    u64::from(forked_here(task::pid(task::current()), &child).is_err())
}

#[inline(always)]
fn forked_here(creator: u32, new: &Child) -> Result<(), Skip> {
    let actor = Actor::current();
    if creator != new.pid {
        link(creator, new, actor.is_ok());
    }
    let actor = actor?;
    let how = compare(actor.thread as u64, new.thread, creator == new.pid);
    let kind = if creator == new.pid {
        // SAFETY: the entry of a tracked process stays while one of its threads runs.
        unsafe {
            if (*actor.task).threads != 0 {
                fetch_add_half(&raw mut (*actor.task).threads, 1);
            }
        }
        Kind::THREAD_START
    } else {
        inherit(&actor, new, how.has_any(Clone3::FILES));
        Kind::FORK
    };
    let (child_ns_tid, child_pid_ns) = task::own_number(new.thread).unwrap_or((0, 0));
    let frame = Frame::take(kind)?;
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        let body = frame.body::<Fork>();
        *body = Fork {
            child_start: new.start,
            how,
            child_pid: new.pid,
            child_tid: new.tid,
            child_ns_tid,
            child_pid_ns,
            ..Fork::FAILED
        };
        if how.has_any(Clone3::NAMESPACES) {
            let _ = namespaces::of_task(&raw mut (*body).namespaces, new.thread);
        }
        if how.has_any(Clone3::INTO_CGROUP) {
            (*body).cgroup = cgroup::id(cgroup::of_task(new.thread)).unwrap_or(0);
        }
    }
    if how.has_any(Clone3::NAMESPACES) {
        judge::name(&frame, &actor, Operation::USE, Named::NAMESPACE);
        condemn(&frame, new);
    }
    // What one of them is ended for having opened, the other has as well.
    let shares = kind == Kind::FORK && how.has_any(Clone3::FILES);
    if shares && !judge::denied(frame.scratch) {
        judge::name(&frame, &actor, Operation::USE, Named::SHARED_FILES);
        condemn(&frame, new);
    }
    let what = What {
        kind,
        flags: Flags(0),
        result: i64::from(new.tid),
    };
    frame.send(&actor, what, LEN);
    Ok(())
}

/// Lets a child end where its creator is ended for having made it.
#[inline(always)]
fn condemn(frame: &Frame, child: &Child) {
    // SAFETY: the scratch is ours until the frame is sent.
    let outcome = Outcome(unsafe { (*frame.scratch).outcome.0 } & Outcome::KIND);
    if maps::governs()
        && outcome == Outcome::KILLED
        && let Some(task) = tracked::task(child.pid)
    {
        // SAFETY: map values stay writable, and the child does not run yet.
        unsafe { (*task).condemned = 1 };
    }
}

/// The child belongs to the lineage of its creator.
#[inline(always)]
fn inherit(actor: &Actor, child: &Child, shared: bool) {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let lineage = unsafe { (*actor.task).lineage };
    if shared {
        // SAFETY: as above.
        unsafe { (*actor.task).shared = 1 };
    }
    let block = maps::take_block();
    let task = Task::forked(child.start, lineage, block, shared);
    if tracked::enter(child.pid, &task, NO_EXIST) || overwrite(child, &task) {
        return;
    }
    maps::give_block(block);
}

/// How the task at `new` was created by the thread at `creator`, by what they have in common. Only they
/// themselves can change that, but for the control group: who moves one of them at this very moment
/// seems to have been asked for by the creator.
#[inline(never)]
fn compare(creator: u64, new: u64, thread: bool) -> Clone3 {
    let mut how = 0;
    let shared = |member: usize| same(word(creator + member as u64), word(new + member as u64));
    how |= Clone3::VM.0 * shared(offset!(task_mm));
    how |= Clone3::FS.0 * shared(offset!(task_fs));
    how |= Clone3::FILES.0 * shared(offset!(task_files));
    how |= Clone3::SIGHAND.0 * shared(offset!(task_sighand));
    if thread {
        how |= Clone3::THREAD.0;
    } else if word(new + offset!(task_real_parent) as u64) != creator {
        how |= Clone3::PARENT.0;
    }
    let (own, other) = (
        word(creator + offset!(task_nsproxy) as u64),
        word(new + offset!(task_nsproxy) as u64),
    );
    if own != other {
        how |= namespaces::differing(own, other).0;
    }
    if shared(offset!(task_cred)) == 0 {
        let users = same(namespaces::of_users(creator), namespaces::of_users(new));
        how |= Clone3::NEWUSER.0 * (users ^ 1);
    }
    if shared(offset!(task_cgroups)) == 0 {
        let groups = same(cgroup::of_task(creator), cgroup::of_task(new));
        how |= Clone3::INTO_CGROUP.0 * (groups ^ 1);
    }
    Clone3(how)
}

/// Enters a child for whose id there is an entry, unless that is its own: the agent may have been
/// quicker while it attaches. Whether `task` was entered.
#[inline(never)]
fn overwrite(child: &Child, task: &Task) -> bool {
    let mut old_block = NO_BLOCK;
    if let Some(old) = tracked::task(child.pid) {
        // SAFETY: map values stay readable.
        unsafe {
            if (*old).start == child.start {
                return false;
            }
            old_block = (*old).block;
        }
    }
    if tracked::enter(child.pid, task, 0) {
        maps::give_block(old_block);
        return true;
    }
    if let Some(counters) = maps::counters(maps::cpu()) {
        // SAFETY: map values live as long as the program.
        if unsafe { fetch_add(&raw mut (*counters).tasks_full, 1) } == 0 {
            warn!(
                child,
                "process {} and its descendants are not recorded: the table of processes is full",
                child.pid
            );
        }
    }
    false
}

/// Notes who created whom, while the agent attaches.
#[inline(always)]
fn link(creator: u32, child: &Child, tracked: bool) {
    let Some(switch) = maps::attaching() else {
        return;
    };
    let link = Link {
        start: child.start,
        parent: creator,
        tracked: u32::from(tracked),
    };
    if LINKS.insert(child.pid, link, 0).is_err() {
        // SAFETY: map values live as long as the program.
        unsafe { fetch_add_half(&raw mut (*switch).links_missed, 1) };
    }
}

/// `fork`, `vfork`, `clone` or `clone3` that failed.
#[inline(always)]
pub(crate) fn failed(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    if call.result >= 0 {
        return Err(Skip::Untraced);
    }
    let frame = Frame::take(Kind::FORK)?;
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        *frame.body::<Fork>() = Fork::FAILED;
    }
    let what = What {
        kind: Kind::FORK,
        flags: Flags(0),
        result: call.result,
    };
    frame.send(actor, what, LEN);
    Ok(())
}
