//! Processes and threads moved to another control group.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use lineage_common::frame::{Cgroup, Flags, Kind, Other};

use crate::{
    cgroup,
    emit::{BODY, Frame, What},
    read::{Typed, copy_kernel_string, follow, offset, typed},
    skip::Skip,
    task::{self, Actor},
    tracked,
};

/// Where the path begins.
const PATH: u64 = BODY + size_of::<Cgroup>() as u64;

/// Room the kernel has for the path (`TRACE_CGROUP_PATH_LEN`, `kernel/cgroup/cgroup-internal.h`): what
/// fills it may be longer.
const PATH_ROOM: u64 = 1024;

/// `TP_PROTO(struct cgroup *dst_cgrp, const char *path, struct task_struct *task, bool threadgroup)`
/// ([`include/trace/events/cgroup.h`](https://elixir.bootlin.com/linux/v6.12/source/include/trace/events/cgroup.h#L121)).
///
/// Runs in who writes to `cgroup.procs` and the like, after the move and only if it was made.
///
/// Attached to this hook on every kernel: the trace event does not say whether all threads were moved.
/// None can preempt it there, because the kernel holds a spin lock with interrupts off while it has the
/// path (`TRACE_CGROUP_PATH`, `kernel/cgroup/cgroup-internal.h`). Where such locks let others run
/// (`PREEMPT_RT`), from Linux 7.0 on, a probe that comes in between finds the scratch in use and counts
/// its frame as lost; this one is not among them, because of the lock.
#[btf_tracepoint(function = "cgroup_attach_task")]
pub(crate) fn cgroup_attach_task(ctx: BtfTracePointContext) -> i32 {
    let _ = moved(
        ctx.arg(0),
        ctx.arg(1),
        ctx.arg(2),
        ctx.arg::<u64>(3) & 1 != 0,
    );
    0
}

#[inline(always)]
fn moved(group: Typed, path: u64, thread: Typed, whole: bool) -> Result<(), Skip> {
    if has_ended(thread, whole) {
        return Err(Skip::Untraced);
    }
    let pid = task::pid(thread);
    let mut by = 0;
    let actor = Actor::current().or_else(|skip| {
        by = task::current_pid();
        tracked::task(pid).ok_or(skip).map(|task| Actor {
            thread,
            files: task::files(thread),
            task,
        })
    })?;
    let frame = Frame::take(Kind::CGROUP)?;
    let (path_len, cut) = copy_kernel_string(frame.scratch, PATH, path, PATH_ROOM);
    // SAFETY: the body is ours until the frame is sent; the group is a `struct cgroup`, and the member
    // points to a structure.
    unsafe {
        let body = frame.body::<Cgroup>();
        *body = Cgroup {
            id: cgroup::id(group as u64).unwrap_or(0),
            other: Other::default(),
            hierarchy: follow(group, offset!(cgroup_root))
                .map_or(0, |root| typed(root, offset!(cgroup_root_number))),
            thread: if whole { 0 } else { task::tid(thread) },
            by,
            path_len: path_len as u32,
        };
        if pid != actor.pid() {
            (*body).other = other(thread, pid);
        }
    }
    let flags = if cut || path_len + 1 >= PATH_ROOM {
        Flags::TEXT_CUT
    } else {
        Flags(0)
    };
    let what = What {
        kind: Kind::CGROUP,
        flags,
        result: 0,
    };
    frame.send(&actor, what, PATH + path_len);
    Ok(())
}

/// Whether there was nothing to move: the kernel says that it moved also what only waits to be asked how
/// it ended, and leaves it where it is (`cgroup_migrate_add_task`, `kernel/cgroup/cgroup.c`).
#[inline(always)]
fn has_ended(thread: Typed, whole: bool) -> bool {
    // SAFETY: the argument is a `struct task_struct`, and the members have these types.
    unsafe {
        if !whole {
            return typed::<u32>(thread, offset!(task_flags)) & task::EXITING != 0;
        }
        let signal = follow(thread, offset!(task_signal));
        signal.is_some_and(|signal| typed::<u32>(signal, offset!(signal_live)) == 0)
    }
}

/// The process of a thread.
#[inline(always)]
unsafe fn other(thread: Typed, pid: u32) -> Other {
    // SAFETY: the argument is a `struct task_struct`, and the members have these types.
    let (leader, start) = unsafe {
        match follow(thread, offset!(task_group_leader)) {
            Some(leader) => (leader, typed(leader, offset!(task_start_boottime))),
            None => (thread, 0),
        }
    };
    let (ns_pid, pid_ns) = task::own_number(leader as u64).unwrap_or((0, 0));
    Other {
        start,
        pid,
        ns_pid,
        pid_ns,
        reserved: 0,
    }
}
