//! Who records the first use of a descriptor, when threads use it at the same moment.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::task::Task;

use crate::atomic::{and_half, fetch_or_half};

/// Most looks at whether the other thread is ready: they take far longer than its record, which no
/// preemption delays. Only a hypervisor that stops its processor does, for milliseconds.
const LOOKS_MAX: u32 = 1 << 17;

/// State of the wait, on the stack of [`enter`].
struct Waiting {
    task: *mut Task,
    bit: u32,
}

/// The bit of a descriptor, which it may share with others.
#[inline(always)]
fn bit(fd: i32) -> u32 {
    1 << (fd as u32 % u32::BITS)
}

/// Waits until no other thread of the process is between this and [`leave`] with the descriptor. One that
/// its processor keeps for longer is not waited for: then both record it.
#[inline(never)]
pub(crate) fn enter(task: *mut Task, fd: i32) {
    let mut waiting = Waiting { task, bit: bit(fd) };
    // SAFETY: the callback gets the state that lives as long as the call.
    unsafe {
        bpf_loop(LOOKS_MAX, look as *mut c_void, (&raw mut waiting).cast(), 0);
    }
}

unsafe extern "C" fn look(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `enter` holds on its stack; the entry of a tracked process
    // stays while one of its threads runs.
    unsafe {
        let waiting = &*context.cast::<Waiting>();
        let before = fetch_or_half(&raw mut (*waiting.task).entered, waiting.bit);
        i64::from(before & waiting.bit == 0)
    }
}

/// Lets the next thread in.
#[inline(always)]
pub(crate) fn leave(task: *mut Task, fd: i32) {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    unsafe { and_half(&raw mut (*task).entered, !bit(fd)) };
}
