//! Changes to maps that make no probe miss anything.
//!
//! While a system call looks into a map or changes it, the kernel runs no guarded probe on that
//! processor, because a probe could be what waits for the same lock (`bpf_disable_instrumentation`,
//! `include/linux/bpf.h`). That takes less than a microsecond, unless another thread gets the
//! processor in the middle of it: then what that one does is not seen. A thread of a real-time class
//! is not interrupted by ordinary ones.

#![allow(unsafe_code, reason = "the scheduler's calls are only in `libc`")]

use super::catalog::Entry;

/// The lowest priority there is among threads that ordinary ones do not interrupt.
const PRIORITY: i32 = 1;

/// Does something with a map. Where the policy may not be changed it is done all the same: what is
/// missed is counted.
pub(super) fn uninterrupted<T>(entry: Entry, act: impl FnOnce() -> T) -> T {
    if entry == Entry::Typed {
        return act();
    }
    // SAFETY: takes a number and returns one.
    let before = unsafe { libc::sched_getscheduler(0) };
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel fills the structure.
    unsafe { libc::sched_getparam(0, &raw mut parameters) };
    let raised = libc::sched_param {
        sched_priority: PRIORITY,
    };
    // SAFETY: the structure lives as long as the call.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const raised) };
    let result = act();
    if before >= 0 {
        // SAFETY: as above.
        unsafe { libc::sched_setscheduler(0, before, &raw const parameters) };
    }
    result
}
