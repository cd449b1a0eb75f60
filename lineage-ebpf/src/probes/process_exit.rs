//! Processes and threads ended.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use lineage_common::frame::{Exit, Flags, Kind};

use crate::{
    emit::{BODY, Frame, What},
    maps::{Ring, TASKS},
    read::{Typed, follow, offset, typed},
    skip::Skip,
    task::Actor,
};

/// `SIGNAL_GROUP_EXIT` (`include/linux/sched/signal.h`): the whole group ends with one code.
const GROUP_EXIT: u32 = 4;

/// `TP_PROTO(struct task_struct *p)`, since 6.16 also `bool group_dead`
/// ([`include/trace/events/sched.h`](https://elixir.bootlin.com/linux/v6.12/source/include/trace/events/sched.h#L332)).
///
/// Runs in the ending thread, before its files are closed and its children are given away.
#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    let _ = exited(&ctx);
    0
}

#[inline(always)]
fn exited(ctx: &BtfTracePointContext) -> Result<(), Skip> {
    let actor = Actor::current()?;
    let thread: Typed = ctx.arg(0);
    // SAFETY: the argument is a `struct task_struct`; the members have these types.
    let (live, code) = unsafe {
        let signal = follow(thread, offset!(task_signal)).ok_or(Skip::Unreadable)?;
        let live: i32 = typed(signal, offset!(signal_live));
        let flags: u32 = typed(signal, offset!(signal_flags));
        let code: u32 = if flags & GROUP_EXIT != 0 {
            typed(signal, offset!(signal_group_exit_code))
        } else {
            typed(thread, offset!(task_exit_code))
        };
        (live, code)
    };
    let last = live == 0;
    let kind = if last { Kind::EXIT } else { Kind::THREAD_EXIT };
    let frame = Frame::take(kind)?;
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        *frame.body::<Exit>() = Exit {
            code: (code >> 8) & 0xff,
            signal: code & 0x7f,
        };
    }
    let flags = if code & 0x80 != 0 {
        Flags::CORE_DUMP
    } else {
        Flags(0)
    };
    let what = What {
        kind,
        flags,
        result: 0,
    };
    frame.send(Ring::Control, &actor, what, BODY + size_of::<Exit>() as u64);
    if last {
        let _ = TASKS.remove(&actor.pid);
    }
    Ok(())
}
