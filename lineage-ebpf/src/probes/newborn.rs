//! Finds the task that was just created, where the hook tells no more of it than its number.
//!
//! The creator has put it at the end of a list: of its own children, of those of its parent
//! (`CLONE_PARENT`), or of its threads (`CLONE_THREAD`); see `copy_process` in
//! [`kernel/fork.c`](https://elixir.bootlin.com/linux/v6.12/source/kernel/fork.c#L2553). It cannot run
//! yet, so it is still there. Others may have been put behind it meanwhile: by other threads, and
//! when a process ended and its children were given away. So each list is walked from its end.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::limits::NEWBORN_LOOKS_MAX;

use crate::{
    probes::process_fork::Child,
    read::{Typed, follow, offset, untyped},
};

/// Looks at the end of each list before any is walked.
const FIRST_LOOKS: u32 = 2;

/// State of the walk of a list from its end, on the stack of [`walk`].
struct Search {
    /// The `struct list_head` to look at next.
    entry: u64,
    /// The list's head.
    head: u64,
    /// Where the entry is in its `struct task_struct`.
    member: u64,
    /// The task that was found, or 0.
    found: u64,
    /// The id looked for.
    tid: u64,
}

/// The new task with this id, created by the thread `creator`.
#[inline(always)]
pub(crate) fn find(creator: Typed, tid: u32) -> Option<Child> {
    let thread =
        search(creator, tid, FIRST_LOOKS).or_else(|| search(creator, tid, NEWBORN_LOOKS_MAX))?;
    Some(Child {
        thread,
        start: untyped(thread + offset!(task_start_boottime) as u64)?,
        pid: untyped(thread + offset!(task_tgid) as u64)?,
        tid,
    })
}

/// Looks in all three lists.
#[inline(never)]
fn search(creator: Typed, tid: u32, looks: u32) -> Option<u64> {
    // SAFETY: `creator` is a `struct task_struct`, and the members are pointers to structures.
    let (parent, signal) = unsafe {
        (
            follow(creator, offset!(task_real_parent))?,
            follow(creator, offset!(task_signal))?,
        )
    };
    let children = offset!(task_children) as u64;
    let threads = signal as u64 + offset!(signal_thread_head) as u64;
    let (sibling, node) = (
        offset!(task_sibling) as u64,
        offset!(task_thread_node) as u64,
    );
    walk(creator as u64 + children, sibling, tid, looks)
        .or_else(|| walk(threads, node, tid, looks))
        .or_else(|| walk(parent as u64 + children, sibling, tid, looks))
}

/// Walks one list from its end.
#[inline(never)]
fn walk(head: u64, member: u64, tid: u32, looks: u32) -> Option<u64> {
    let mut search = Search {
        entry: previous(head)?,
        head,
        member,
        found: 0,
        tid: u64::from(tid),
    };
    // SAFETY: the callback gets the state that lives as long as the call.
    unsafe {
        bpf_loop(looks, look as *mut c_void, (&raw mut search).cast(), 0);
    }
    (search.found != 0).then_some(search.found)
}

unsafe extern "C" fn look(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `walk` holds on its stack.
    let search = unsafe { &mut *context.cast::<Search>() };
    if search.entry == search.head {
        return 1;
    }
    let task = search.entry - search.member;
    if untyped::<u32>(task + offset!(task_pid) as u64).map(u64::from) == Some(search.tid) {
        search.found = task;
        return 1;
    }
    // An entry that is taken off at this moment leads nowhere, or to itself: begin again.
    search.entry = match previous(search.entry) {
        Some(previous) if previous != search.entry => previous,
        _ => previous(search.head).unwrap_or(search.head),
    };
    0
}

/// `prev` of a `struct list_head`.
#[inline(always)]
fn previous(entry: u64) -> Option<u64> {
    untyped(entry + 8)
}
