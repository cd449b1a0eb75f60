//! Processes and threads ended.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::bpf_loop, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use lineage_common::{
    frame::{Exit, Flags, Kind},
    limits::LINKS_MAX,
    task::{Link, Switch},
};

use crate::{
    atomic::fetch_add_half,
    descriptor::{self, Sweep},
    emit::{BODY, Frame, What},
    hook, judge,
    maps::{self, LINKS},
    read::{Typed, follow, offset, typed, untyped},
    skip::Skip,
    tally,
    task::Actor,
    tracked,
};

/// `SIGNAL_GROUP_EXIT` (`include/linux/sched/signal.h`): the whole group ends with one code.
const GROUP_EXIT: u32 = 4;

/// `PF_IO_WORKER` (`include/linux/sched.h`): a thread the kernel made for itself, without a
/// creation anyone could have seen.
const IO_WORKER: u32 = 0x10;

/// `TP_PROTO(struct task_struct *p)`, since 6.16 also `bool group_dead`
/// ([`include/trace/events/sched.h`](https://elixir.bootlin.com/linux/v6.12/source/include/trace/events/sched.h#L332)).
///
/// Runs in the ending thread, before its files are closed and its children are given away.
#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn process_exit(ctx: BtfTracePointContext) -> i32 {
    ended(ctx.arg(0));
    0
}

/// The current thread ended. The process, if that was followed and this was its last thread.
#[inline(always)]
pub(crate) fn ended(thread: Typed) -> Option<u32> {
    if let Some(switch) = maps::attaching() {
        let _ = links(thread, switch);
    }
    judge::forget();
    exited(thread).unwrap_or(None)
}

/// Of several threads that end at the same time each may see that none is left, because the kernel
/// counts a thread out before this hook. So we count ourselves, and a thread counts itself out after
/// its frame is sent: whoever brings the count to zero is the last, and nothing uses the entry of
/// the process any more. After an attach the count is not known until the next exec, and the first
/// that sees none left is taken.
#[inline(always)]
fn exited(thread: Typed) -> Result<Option<u32>, Skip> {
    let actor = Actor::current()?;
    hook::settle();
    // SAFETY: the argument is a `struct task_struct`; the members have these types.
    let (signal, worker) = unsafe {
        let signal = follow(thread, offset!(task_signal)).ok_or(Skip::Unreadable)?;
        let flags: u32 = typed(thread, offset!(task_flags));
        (signal, flags & IO_WORKER != 0)
    };
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let threads = unsafe { (&raw const (*actor.task).threads).read_volatile() };
    let counted = threads != 0 && !worker;
    let alone = threads == u32::from(counted) && live(signal) == 0;
    if !alone {
        if worker {
            return Err(Skip::Untraced);
        }
        let _ = record(&actor, thread, false);
    }
    if counted {
        if count_out(&actor) != 1 || live(signal) != 0 {
            return Ok(None);
        }
    } else if !alone {
        return Ok(None);
    }
    // Only one finds zero here.
    if count_out(&actor) != 0 {
        return Ok(None);
    }
    descriptor::sweep(0, u32::MAX, Sweep::EXIT.0);
    tally::sweep(&actor);
    let _ = record(&actor, thread, true);
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let block = unsafe { (*actor.task).block };
    if tracked::forget(actor.pid()) {
        maps::give_block(block);
    }
    Ok(Some(actor.pid()))
}

/// How many threads of the process the kernel has not counted out yet.
#[inline(always)]
fn live(signal: Typed) -> u32 {
    // SAFETY: `signal` is a `struct signal_struct`; the member is an `atomic_t`.
    unsafe { typed(signal, offset!(signal_live)) }
}

/// Takes one from our own count of threads; what it was before.
#[inline(always)]
fn count_out(actor: &Actor) -> u32 {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    unsafe { fetch_add_half(&raw mut (*actor.task).threads, u32::MAX) }
}

#[inline(always)]
fn record(actor: &Actor, thread: Typed, last: bool) -> Result<(), Skip> {
    // SAFETY: `thread` is a `struct task_struct`; the members have these types.
    let code = unsafe {
        let signal = follow(thread, offset!(task_signal)).ok_or(Skip::Unreadable)?;
        let flags: u32 = typed(signal, offset!(signal_flags));
        // A process ends with the code of its leader, whichever thread is the last.
        let of = if last {
            follow(thread, offset!(task_group_leader)).ok_or(Skip::Unreadable)?
        } else {
            thread
        };
        // Both are read before one is chosen: LLVM would merge two branches into one load from a
        // chosen structure at a chosen offset, and Linux 6.1 cannot see that these belong together.
        let of_group: u32 = typed(signal, offset!(signal_group_exit_code));
        let of_thread: u32 = typed(of, offset!(task_exit_code));
        if flags & GROUP_EXIT != 0 {
            of_group
        } else {
            of_thread
        }
    };
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
    frame.send(actor, what, BODY + size_of::<Exit>() as u64);
    Ok(())
}

/// State of the listing of children, on the stack of [`links`].
struct Children {
    /// The `struct list_head` to look at next.
    next: u64,
    /// The list's head.
    head: u64,
    parent: u32,
    /// 1 when the end of the list was reached.
    ended: u32,
    switch: *mut Switch,
}

/// Notes whose child this process is, and its children, before they are given to another parent.
#[inline(never)]
fn links(thread: Typed, switch: *mut Switch) -> Option<()> {
    // SAFETY: `thread` is a `struct task_struct`; the members have these types.
    unsafe {
        let pid: u32 = typed(thread, offset!(task_tgid));
        let leader = follow(thread, offset!(task_group_leader))?;
        let parent = follow(leader, offset!(task_real_parent))?;
        let start: u64 = typed(leader, offset!(task_start_boottime));
        let parent: u32 = typed(parent, offset!(task_tgid));
        let link = Link {
            start,
            parent,
            tracked: u32::from(Actor::current().is_ok()),
        };
        note(switch, pid, &link);
        let head = thread as u64 + offset!(task_children) as u64;
        let mut children = Children {
            next: untyped(head)?,
            head,
            parent: pid,
            ended: 0,
            switch,
        };
        bpf_loop(
            LINKS_MAX,
            child as *mut c_void,
            (&raw mut children).cast(),
            0,
        );
        if children.ended == 0 {
            fetch_add_half(&raw mut (*switch).links_missed, 1);
        }
    }
    Some(())
}

unsafe extern "C" fn child(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `links` holds on its stack.
    let children = unsafe { &mut *context.cast::<Children>() };
    let entry = children.next;
    if entry == children.head {
        children.ended = 1;
        return 1;
    }
    let task = entry - offset!(task_sibling) as u64;
    let (Some(pid), Some(start), Some(next)) = (
        untyped::<u32>(task + offset!(task_tgid) as u64),
        untyped::<u64>(task + offset!(task_start_boottime) as u64),
        untyped::<u64>(entry),
    ) else {
        return 1;
    };
    if next == entry {
        // Taken off the list at this moment: begin again, it is not on it any more.
        children.next = untyped(children.head).unwrap_or(children.head);
        return 0;
    }
    let link = Link {
        start,
        parent: children.parent,
        tracked: 0,
    };
    note(children.switch, pid, &link);
    children.next = next;
    0
}

/// Notes a link, unless there is one of this very process: the one its creation left says more.
#[inline(always)]
fn note(switch: *mut Switch, pid: u32, link: &Link) {
    if let Some(known) = LINKS.get_ptr_mut(pid) {
        // SAFETY: map values stay readable.
        unsafe {
            if (*known).start == link.start {
                (*known).tracked |= link.tracked;
                return;
            }
        }
    }
    if LINKS.insert(pid, link, 0).is_err() {
        // SAFETY: map values live as long as the program.
        unsafe { fetch_add_half(&raw mut (*switch).links_missed, 1) };
    }
}
