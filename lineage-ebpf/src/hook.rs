//! Decisions made before a call returns, at hooks of security modules: what all of them share.
//!
//! A hook can be preempted, so the scratch of its CPU is not its own. It claims one of a few others; when all are taken,
//! what is asked is denied without being looked at where the policy is enforced, and counted. The decision waits, by
//! thread, until the call returns, and goes into the record of that call. What is decided about and has no record of
//! its own is counted as well.

mod waiting;

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_send_signal, bpf_task_pt_regs};
use lineage_common::{
    layout::Action,
    policy::{Mode, Named, Operation, Outcome},
};

use crate::{
    atomic::{add, exchange},
    emit::BODY,
    host,
    judge::{self, Operations},
    key,
    maps::{self, Scratch},
    other, path,
    read::{Typed, mask_unix, offset, typed},
    task::{self, Actor},
};

pub(crate) use waiting::{
    Image, Waiting, decided, forget, image, refused, settle, taken, taken_by_address,
};
use waiting::{denied, wait};

/// What a hook can do about what is denied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    /// Answer so that the kernel refuses it.
    Refuse,
    /// End the process.
    Kill,
}

/// `EPERM` (`include/uapi/asm-generic/errno-base.h`).
const NOT_PERMITTED: i32 = 1;

/// A place in the file system.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) mnt: u64,
    pub(crate) dentry: u64,
}

impl Place {
    /// There is none.
    pub(crate) const NONE: Self = Self { mnt: 0, dentry: 0 };
}

/// What is asked: operations on one place or two, of which each must be allowed, on the name of a Unix socket that has no
/// place, or one on other processes.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) operations: Operations,
    pub(crate) places: [Place; 2],
    pub(crate) name: Name,
    pub(crate) others: Others,
}

impl Question {
    /// Nothing yet that the operations are on.
    pub(crate) const fn of(operations: Operations) -> Self {
        Self {
            operations,
            places: [Place::NONE; 2],
            name: Name::NONE,
            others: Others::NONE,
        }
    }
}

/// What is done to others, and to whom.
#[derive(Clone, Copy)]
pub(crate) struct Others {
    pub(crate) operation: Operation,
    /// The `struct task_struct` of one of them.
    pub(crate) thread: u64,
    pub(crate) reach: Reach,
}

impl Others {
    /// Nobody.
    pub(crate) const NONE: Self = Self {
        operation: Operation::SIGNAL,
        thread: 0,
        reach: Reach::ONE,
    };
}

/// Who else it is done to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach(u32);

impl Reach {
    /// Nobody.
    pub(crate) const ONE: Self = Self(0);
    /// The group of processes that it is in.
    pub(crate) const GROUP: Self = Self(1);
    /// Everybody.
    pub(crate) const ALL: Self = Self(2);
    /// Nobody: the one that asks lets it be done to itself.
    pub(crate) const ITSELF: Self = Self(3);
}

/// A name in the kernel's memory, and its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    pub(crate) at: u64,
    pub(crate) len: u64,
}

impl Name {
    /// There is none.
    pub(crate) const NONE: Self = Self { at: 0, len: 0 };
}

/// The answer to what the current process asks, if something governs it.
#[inline(always)]
pub(crate) fn answer(power: Power, look: impl FnOnce() -> Option<(Question, u32)>) -> i32 {
    if !maps::governs() {
        return 0;
    }
    let Ok(actor) = Actor::current() else {
        return 0;
    };
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let lineage = unsafe { (*actor.task).lineage };
    if maps::governance(lineage).is_none() {
        return 0;
    }
    let Some((question, image)) = look() else {
        return 0;
    };
    let denied = judged(power, lineage, &question, image);
    if denied & judge::ENFORCED != 0 && power == Power::Refuse {
        -NOT_PERMITTED
    } else {
        0
    }
}

#[inline(always)]
fn judged(power: Power, lineage: u32, question: &Question, image: u32) -> u64 {
    let slot = claim_scratch();
    let Some(scratch) = maps::scratch(slot as u32).filter(|_| slot != NO_SCRATCH) else {
        return unlooked(power, lineage);
    };
    let operations = match power {
        Power::Refuse => question.operations.and(Operations::REFUSED),
        Power::Kill => question.operations,
    };
    let mut denied = 0;
    // SAFETY: the scratch is ours until it is released.
    unsafe {
        (*scratch).lineage = lineage;
        for place in question.places {
            if denied == 0 && set_place(scratch, place) {
                denied = judge_place(slot as u32, operations.0, image);
            }
        }
        if question.name.at != 0 {
            denied = judge_abstract(
                slot as u32,
                operations.0,
                question.name.at,
                question.name.len,
            );
        }
        if question.others.thread != 0 {
            let Others {
                operation,
                thread,
                reach,
            } = question.others;
            denied = judge_others(slot as u32, operation.0.into(), thread, reach.0);
        }
        // With a barrier: another CPU can be the next to have it.
        exchange(&raw mut (*scratch).busy, 0);
    }
    denied
}

/// Puts a place into the facts of a scratch; whether there is one. By way of memory, because what is known to be a
/// pointer the verifier lets nobody calculate with.
#[inline(always)]
unsafe fn set_place(scratch: *mut Scratch, place: Place) -> bool {
    // SAFETY: the scratch is the caller's.
    unsafe {
        let facts = &raw mut (*scratch).facts;
        (&raw mut (*facts).mnt).write_volatile(place.mnt);
        (&raw mut (*facts).dentry).write_volatile(place.dentry);
        (&raw const (*facts).dentry).read_volatile() != 0
    }
}

/// There is no scratch.
const NO_SCRATCH: u64 = u64::MAX;

/// How many are tried.
const TRIES: u32 = 16;

/// Claims a scratch that is no CPU's; its number. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn claim_scratch() -> u64 {
    let [first, count] = maps::spare_scratches();
    if count == 0 {
        return NO_SCRATCH;
    }
    let start = maps::cpu() * 2;
    for next in 0..TRIES {
        let number = first + (start + next) % count;
        let Some(scratch) = maps::scratch(number) else {
            break;
        };
        // SAFETY: map values live as long as the program.
        unsafe {
            if exchange(&raw mut (*scratch).busy, 1) == 0 {
                (*scratch).cpu = number;
                return u64::from(number);
            }
        }
    }
    NO_SCRATCH
}

/// There is no place to look at it: denied where the policy is enforced.
#[inline(always)]
fn unlooked(power: Power, lineage: u32) -> u64 {
    if let Some(counters) = maps::counters(maps::cpu()) {
        // SAFETY: map values live as long as the program.
        unsafe { add(&raw mut (*counters).unjudged, 1) };
    }
    // SAFETY: as above.
    let enforced = maps::governance(lineage)
        .is_some_and(|governance| unsafe { (*governance).mode == Mode::ENFORCE });
    if !enforced {
        return judge::DENIED;
    }
    if power == Power::Kill {
        // SAFETY: a signal to the current process.
        unsafe { bpf_send_signal(judge::KILL) };
    }
    judge::DENIED | judge::ENFORCED
}

/// Judges operations on the place that is in the facts of a scratch, and lets the decision wait; as
/// [`judge::decide`]. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_place(number: u32, operations: u32, image: u32) -> u64 {
    let Some(scratch) = maps::scratch(number) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's.
    unsafe {
        (*scratch).outcome = Outcome::UNGOVERNED;
        (*scratch).judged_len = 0;
        let reasons = if path::set_root(scratch, task::current()).is_none() {
            Outcome::CUT
        } else {
            let (mnt, dentry) = ((*scratch).facts.mnt, (*scratch).facts.dentry);
            let (len, flags) = path::append(scratch, BODY, mnt, dentry);
            let host = host::append(scratch, BODY + len, flags);
            judge::unknown(host.view, flags)
        };
        let denied = judge::judge_path(number, operations, reasons, 0);
        wait(scratch, image);
        denied
    }
}

/// Judges operations on a Unix socket that has a name beginning with NUL, which policies write as `@`; as
/// [`judge_place`]. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_abstract(number: u32, operations: u32, at: u64, len: u64) -> u64 {
    let Some(scratch) = maps::scratch(number) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's; the length is masked, and the key has room for more.
    unsafe {
        (*scratch).outcome = Outcome::UNGOVERNED;
        (*scratch).judged_len = 0;
        (*scratch).judged_at = 0;
        let len = mask_unix(len);
        let to = key::given(scratch);
        *to = b'@';
        // With the NUL that the helper adds it has as many bytes as with the one that it begins with.
        let copied = bpf_probe_read_kernel_str(to.add(1).cast(), len as u32, (at + 1) as *const _);
        // What has a NUL in it, or no name at all, no policy can speak of.
        let reasons = if len < 2 || copied != len as i64 {
            Outcome::NOT_ON_HOST
        } else {
            0
        };
        key::end(scratch, len);
        let operations = Operations(operations);
        let denied = judge::decide(scratch, operations, reasons).unwrap_or(0);
        wait(scratch, Image::OTHER);
        denied
    }
}

/// Judges an operation on other processes, which is refused when it is denied; as [`judge_place`]. A global function, see
/// [`crate`].
///
/// Of a signal to several the kernel asks for each, and the answer is the same for all: how they stand to the one that asks
/// is how all of them do.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_others(number: u32, operation: u32, thread: u64, reach: u32) -> u64 {
    let Some(scratch) = maps::scratch(number) else {
        return 0;
    };
    if reach != Reach::ONE.0 && denied() {
        return if refused() {
            judge::DENIED | judge::ENFORCED
        } else {
            judge::DENIED
        };
    }
    // SAFETY: the scratch is the caller's.
    unsafe {
        let named = match Reach(reach) {
            Reach::ONE => other::of_thread(thread, (*scratch).lineage),
            Reach::GROUP => other::of_group(thread, (*scratch).lineage),
            Reach::ITSELF => Named::INSIDE.0.into(),
            _ => Named::OUTSIDE.0.into(),
        };
        (*scratch).outcome = Outcome::UNGOVERNED;
        (*scratch).judged_at = 0;
        key::name(scratch, named as u32);
    }
    let denied = judge::refuse(scratch, operation);
    // SAFETY: as above.
    unsafe { wait(scratch, Image::OTHER) };
    denied
}

/// What the call is that the current thread is in.
#[inline(always)]
pub(crate) fn action() -> Action {
    maps::action(u64::from(call(task::current())))
}

/// An argument of the call that a thread is in.
#[inline(always)]
pub(crate) fn argument<const N: usize>(thread: Typed) -> u64 {
    // SAFETY: the thread is typed; its registers always exist, and every argument is one of them.
    unsafe {
        let regs = bpf_task_pt_regs(thread.cast_mut().cast()) as Typed;
        typed(regs, offset!(derived.regs_arguments[N]))
    }
}

/// The number of the call that the current thread is in.
#[inline(always)]
pub(crate) fn call(thread: Typed) -> u32 {
    // SAFETY: the thread is typed; its registers always exist.
    unsafe {
        let regs = bpf_task_pt_regs(thread.cast_mut().cast()) as Typed;
        typed(regs, offset!(derived.regs_number))
    }
}
