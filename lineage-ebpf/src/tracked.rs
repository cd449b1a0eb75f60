//! The table of tracked processes.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::bpf_map_lookup_elem,
    macros::map,
    maps::{Array, HashMap},
};
use lineage_common::{
    limits::{PIDS_MAX, TASKS_MAX},
    task::Task,
};

use crate::{
    atomic::{and, or},
    maps::MMAPABLE,
};

/// By process id, what is remembered.
#[map]
static TASKS: HashMap<u32, Task> = HashMap::with_max_entries(TASKS_MAX, 0);

/// By process id, a bit: set where [`TASKS`] has an entry or is about to, and almost nowhere else. So what is not
/// recorded costs no search. The agent sets some, in place.
#[map]
static TRACKED: Array<u64> = Array::with_max_entries(PIDS_MAX / u64::BITS, MMAPABLE);

/// The entry of a process, if it is tracked.
#[inline(always)]
pub(crate) fn task(pid: u32) -> Option<*mut Task> {
    // One key for both, because all functions of a probe share 512 bytes of stack.
    let mut key = pid / u64::BITS;
    // SAFETY: each map has keys of this type and values of that; map values live as long as the program, and others
    // change this one.
    unsafe {
        let word = lookup::<u64>((&raw const TRACKED).cast(), &raw const key)?;
        if word.read_volatile() >> (pid % u64::BITS) & 1 == 0 {
            return None;
        }
        (&raw mut key).write_volatile(pid);
        lookup((&raw const TASKS).cast(), &raw const key)
    }
}

/// The value of a map at a key.
///
/// # Safety
///
/// The map has keys of this type, and values of that.
#[inline(always)]
unsafe fn lookup<T>(map: *const c_void, key: *const u32) -> Option<*mut T> {
    // SAFETY: by contract.
    let value = unsafe { bpf_map_lookup_elem(map.cast_mut(), key.cast()) };
    (!value.is_null()).then_some(value.cast())
}

/// Enters a process; with `BPF_NOEXIST` only if there is no entry.
#[inline(always)]
pub(crate) fn enter(pid: u32, task: &Task, flags: u64) -> bool {
    if let Some(word) = TRACKED.get_ptr_mut(pid / u64::BITS) {
        // SAFETY: map values live as long as the program.
        unsafe { or(word, 1 << (pid % u64::BITS)) };
    }
    TASKS.insert(pid, task, flags).is_ok()
}

/// Forgets a process, whose id nobody else can have yet; whether there was an entry.
#[inline(always)]
pub(crate) fn forget(pid: u32) -> bool {
    let removed = TASKS.remove(pid).is_ok();
    if let Some(word) = TRACKED.get_ptr_mut(pid / u64::BITS) {
        // SAFETY: map values live as long as the program.
        unsafe { and(word, !(1 << (pid % u64::BITS))) };
    }
    removed
}
