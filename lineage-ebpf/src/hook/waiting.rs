//! Decisions that wait, by thread, until the call they are about returns.

use aya_ebpf::helpers::generated::bpf_get_current_task;
use lineage_common::{
    layout::Action,
    limits::UNIX_PATH_BYTES_MAX,
    policy::{Operation, Outcome, PATH_KEY_BYTES, Ruling},
};

use super::call;
use crate::{
    atomic::add,
    maps::{self, Scratch, WAITING},
    read::{offset, typed},
    task,
};

/// A decision that waits for its call to return, and the path that it is about.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) ruling: Ruling,
    pub(crate) outcome: Outcome,
    pub(crate) generation: u32,
    pub(crate) judged_len: u32,
    /// Number of the call.
    pub(crate) call: u32,
    /// What the call is about to execute: see [`Image`].
    pub(crate) image: u32,
    pub(crate) path: [u64; PATH_KEY_BYTES / 8],
}

/// What is known of a file that is about to be executed.
pub(crate) struct Image;

impl Image {
    /// It names no interpreter of its own, or none that is opened before it is asked about itself.
    pub(crate) const OTHER: u32 = 0;
    /// An ELF file: the next one that is opened to be executed is the interpreter it names.
    pub(crate) const ELF: u32 = 1;
}

/// `PF_IO_WORKER` (`include/linux/sched.h`): a thread that the kernel made to do what was asked of a ring.
const IO_WORKER: u32 = 1 << 4;

/// Lets the decision in a scratch wait for the record of the call that the current thread is in.
#[inline(always)]
pub(super) unsafe fn wait(scratch: *mut Scratch, image: u32) {
    let thread = task::current();
    let (key, call) = (key(), call(thread));
    // SAFETY: a thread is typed; the member is an integer.
    let flags: u32 = unsafe { typed(thread, offset!(task_flags)) };
    let action = maps::action(u64::from(call));
    let recorded = action != Action::NONE && action != Action::COMPAT_ONLY;
    if flags & IO_WORKER != 0 || task::compat(thread) || !recorded {
        return unrecorded();
    }
    // SAFETY: the scratch is the caller's; map values live as long as the program, and this one is changed by its
    // thread alone.
    unsafe {
        if let Some(earlier) = WAITING.get_ptr(key)
            && (*earlier).call == call
            && keeps(&*earlier, (*scratch).ruling, (*scratch).outcome)
        {
            // Each message of several has a record of its own, and this one's is without it.
            if action == Action::SENDMMSG && (*scratch).ruling.allowed == 0 {
                unrecorded();
            }
            return;
        }
        let waiting = &raw mut (*scratch).waiting;
        (*waiting).ruling = (*scratch).ruling;
        (*waiting).outcome = (*scratch).outcome;
        (*waiting).generation = (*scratch).generation;
        (*waiting).judged_len = (*scratch).judged_len;
        (*waiting).call = call;
        (*waiting).image = image;
        // By reference: it is too large for the stack.
        let waiting: &Waiting = &*waiting;
        if WAITING.insert(key, waiting, 0).is_err() {
            unrecorded();
        }
    }
}

/// Whether an earlier decision about the same call stays: the first that denies, and of what is allowed that about the
/// program, not the one about the interpreter that it names.
#[inline(always)]
fn keeps(earlier: &Waiting, ruling: Ruling, outcome: Outcome) -> bool {
    const EXEC: u32 = 1 << (Outcome::OPERATIONS_SHIFT + Operation::EXEC.0 as u32);
    let denied = earlier.ruling.allowed == 0;
    let about_program = earlier.outcome.0 & EXEC != 0 && outcome.0 & EXEC == 0;
    denied || about_program && ruling.allowed != 0
}

/// What the current thread is about to execute, as far as that was decided: [`Image`].
#[inline(always)]
pub(crate) fn image() -> u32 {
    // SAFETY: map values live as long as the program.
    WAITING
        .get_ptr(key())
        .map_or(Image::OTHER, |waiting| unsafe { (*waiting).image })
}

/// Whether what was decided about the call of the current thread, and waits, is a denial.
#[inline(always)]
pub(super) fn denied() -> bool {
    // SAFETY: map values live as long as the program.
    waiting().is_some_and(|waiting| unsafe { (*waiting).ruling.allowed } == 0)
}

/// Whether it is one for which the call, or a part of it, was refused.
#[inline(always)]
pub(crate) fn refused() -> bool {
    // SAFETY: as above.
    waiting().is_some_and(|waiting| unsafe {
        (*waiting).outcome.0 & Outcome::KIND == Outcome::PREVENTED.0
    })
}

/// Whether something was.
#[inline(always)]
pub(crate) fn decided() -> bool {
    waiting().is_some()
}

/// What was decided about the call of the current thread, if that waits.
#[inline(always)]
fn waiting() -> Option<*const Waiting> {
    if !maps::governs() || !maps::hooked() {
        return None;
    }
    let waiting = WAITING.get_ptr(key())?;
    // SAFETY: map values live as long as the program.
    (unsafe { (*waiting).call } == call(task::current())).then_some(waiting)
}

/// What tells a thread from others: it stays the same when an exec gives it another number.
#[inline(always)]
fn key() -> u64 {
    // SAFETY: takes nothing.
    unsafe { bpf_get_current_task() }
}

/// Counts a decision that no record has.
#[inline(always)]
fn unrecorded() {
    if let Some(counters) = maps::counters(maps::cpu()) {
        // SAFETY: map values live as long as the program.
        unsafe { add(&raw mut (*counters).undecided, 1) };
    }
}

/// Takes over what was decided about the call of the current thread, if something was, into the frame of a scratch.
#[inline(always)]
pub(crate) fn taken(scratch: *mut Scratch) {
    if maps::governs() && maps::hooked() {
        // SAFETY: the scratch is the caller's.
        take_waiting(unsafe { (*scratch).cpu });
    }
}

/// [`taken`] in the scratch of `cpu`. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn take_waiting(cpu: u32) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    let key = key();
    let Some(waiting) = WAITING.get_ptr(key) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's; the value is its thread's own.
    unsafe {
        // Of a call that makes no record something may still wait.
        if !is_same_call((*waiting).call, call(task::current())) {
            return settle_waiting();
        }
        (*scratch).ruling = (*waiting).ruling;
        (*scratch).outcome = (*waiting).outcome;
        (*scratch).generation = (*waiting).generation;
        (*scratch).judged_len = (*waiting).judged_len;
        (*scratch).judged_at = 0;
        let to = &raw mut (*scratch).waiting.path;
        for word in 0..PATH_KEY_BYTES / 8 {
            (*to)[word] = (*waiting).path[word];
        }
    }
    let _ = WAITING.remove(key);
    1
}

/// Whether a thread that made one call is in that still, by the numbers. A 64-bit image on x86 is given the number of
/// `execve`, however it was executed (`set_personality_64bit`, `arch/x86/kernel/process_64.c`).
#[inline(always)]
fn is_same_call(made: u32, now: u32) -> bool {
    let action = |number| maps::action(u64::from(number));
    made == now || action(made) == Action::EXECVEAT && action(now) == Action::EXECVE
}

/// Takes over what was decided about a message that was sent to the Unix address in the scratch, as one of several: the
/// last of them, or the first that is denied, and whether it is this one only the address tells.
#[inline(always)]
pub(crate) fn taken_by_address(scratch: *mut Scratch) {
    // SAFETY: the scratch is the caller's.
    if maps::governs() && maps::hooked() && has_address(unsafe { (*scratch).cpu }) != 0 {
        taken(scratch);
    }
}

/// Bytes of `sun_family` (`include/uapi/linux/un.h`).
const FAMILY_BYTES: usize = 2;

/// Whether what waits is about the Unix address in the scratch of `cpu`. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn has_address(cpu: u32) -> u64 {
    let (Some(scratch), Some(waiting)) = (maps::scratch(cpu), waiting()) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's, and has room for the largest address; map values live as long as the program.
    unsafe {
        let given = (&raw const (*scratch).peer.address)
            .cast::<u8>()
            .add(FAMILY_BYTES);
        let path = (&raw const (*waiting).path).cast::<u8>();
        let len = (*waiting).judged_len as usize;
        for at in 0..UNIX_PATH_BYTES_MAX {
            let letter = match *given.add(at) {
                0 if at == 0 => b'@',
                letter => letter,
            };
            if at == len {
                return u64::from(at != 0 && letter == 0);
            }
            if letter != *path.add(at) {
                return 0;
            }
        }
        u64::from(len == UNIX_PATH_BYTES_MAX)
    }
}

/// Nothing came of the call of the current thread yet, or what was asked is judged again: what waits is of no use.
#[inline(always)]
pub(crate) fn forget() {
    if maps::governs() && maps::hooked() {
        let _ = WAITING.remove(key());
    }
}

/// The call of the current thread has returned, or the thread ends: a decision that still waits has no record.
#[inline(always)]
pub(crate) fn settle() {
    if maps::governs() && maps::hooked() {
        settle_waiting();
    }
}

/// [`settle`]. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn settle_waiting() -> u64 {
    if WAITING.remove(key()).is_err() {
        return 0;
    }
    unrecorded();
    1
}
