//! Processes and threads created.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use lineage_common::{
    frame::{Flags, Fork, Kind},
    task::Task,
};

use crate::{
    emit::{BODY, Frame, What},
    maps::{Ring, TASKS},
    read::{Typed, offset, typed},
    skip::Skip,
    task::{self, Actor},
};

/// `TP_PROTO(struct task_struct *parent, struct task_struct *child)`
/// ([`include/trace/events/sched.h`](https://elixir.bootlin.com/linux/v6.12/source/include/trace/events/sched.h#L373)).
///
/// Runs in the creator, before the child can run: nothing the child does precedes its entry in
/// the task map.
#[btf_tracepoint(function = "sched_process_fork")]
pub(crate) fn sched_process_fork(ctx: BtfTracePointContext) -> i32 {
    let _ = forked(&ctx);
    0
}

#[inline(always)]
fn forked(ctx: &BtfTracePointContext) -> Result<(), Skip> {
    let actor = Actor::current()?;
    let child: Typed = ctx.arg(1);
    // SAFETY: the argument is a `struct task_struct`; the members have these types.
    let (pid, tid, start): (u32, u32, u64) = unsafe {
        (
            typed(child, offset!(task_tgid)),
            typed(child, offset!(task_pid)),
            typed(child, offset!(task_start_boottime)),
        )
    };
    let thread = pid == actor.pid;
    if !thread {
        // SAFETY: the entry of a tracked process stays while one of its threads runs.
        let lineage = unsafe { (*actor.task).lineage };
        let task = Task {
            start,
            lineage,
            exec: 0,
        };
        let _ = TASKS.insert(&pid, &task, 0);
    }
    let kind = if thread {
        Kind::THREAD_START
    } else {
        Kind::FORK
    };
    let (child_ns_tid, child_pid_ns) = task::own_number(child).unwrap_or((0, 0));
    let frame = Frame::take(kind)?;
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        *frame.body::<Fork>() = Fork {
            child_start: start,
            child_pid: pid,
            child_tid: tid,
            child_ns_tid,
            child_pid_ns,
        };
    }
    let what = What {
        kind,
        flags: Flags(0),
        result: i64::from(tid),
    };
    frame.send(Ring::Control, &actor, what, BODY + size_of::<Fork>() as u64);
    Ok(())
}
