//! What a policy says about what is done, looked up in its tables.
//!
//! A file is judged by the path that the host has for it: no other root, mount namespace or link makes it another one.

mod socket;

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_ktime_get_boot_ns, bpf_send_signal},
};
use lineage_common::{
    frame::{Flags, HostPath, Kind},
    policy::{End, Mode, Named, Operation, Outcome, PathKey, Ruling, Spent},
};

use crate::{
    budget,
    emit::Frame,
    host, key,
    maps::{self, DECIDED, Scratch},
    path,
    skip::Skip,
    task::Actor,
};

pub(crate) use socket::{Plain, breached, socket};

/// `SIGKILL` (`include/uapi/asm-generic/signal.h`).
pub(crate) const KILL: u32 = 9;

/// Operations on one file, a bit for each by its number, and how they are judged.
#[derive(Clone, Copy)]
pub(crate) struct Operations(pub(crate) u32);

impl Operations {
    pub(crate) const NONE: Self = Self(0);
    /// What is denied is refused by whoever asks, and nobody is ended.
    pub(crate) const REFUSED: Self = Self(1 << 31);
    /// It is the path of a Unix socket.
    pub(crate) const UNIX_SOCKET: Self = Self(1 << 30);
    /// What allows it is not used up by it: there is more to come of the same act.
    pub(crate) const UNCOUNTED: Self = Self(1 << 29);
    /// It gives a file another name: done all the same, the names that policies go by lead elsewhere.
    pub(crate) const LEADS: Self = Self(1 << 28);
    /// Bits of operations.
    const ALL: u32 = (1 << 18) - 1;

    /// These and one more.
    pub(crate) const fn with(self, operation: Operation) -> Self {
        Self(self.0 | 1 << operation.0)
    }

    /// Both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Takes over what was decided about the call of the current thread before it had an effect, if the frame is about that, and
/// about an end for which this holds.
#[inline(always)]
pub(crate) fn decided(scratch: *mut Scratch, kind: Kind, is_meant: impl FnOnce(&End) -> bool) {
    if !maps::governs() {
        return;
    }
    let operation = match kind {
        Kind::NET_CONNECT => Operation::CONNECT,
        Kind::NET_BIND => Operation::BIND,
        Kind::NET_SEND => Operation::SEND,
        Kind::NET_LISTEN => Operation::LISTEN,
        _ => return,
    };
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied before it is removed; the scratch is the caller's.
    unsafe {
        let Some(decided) = DECIDED.get(thread).copied() else {
            return;
        };
        if decided.operation != u32::from(operation.0) || !is_meant(&decided.end) {
            return;
        }
        (*scratch).ruling = decided.ruling;
        (*scratch).outcome = decided.outcome;
        (*scratch).generation = decided.generation;
        (*scratch).end = decided.end;
    }
    let _ = DECIDED.remove(thread);
}

/// Whether a decision is about bytes, whatever the address.
#[inline(always)]
pub(crate) fn is_nowhere(end: &End) -> bool {
    end.port == 0 && words(end) == [0; 4]
}

/// The address of an end.
#[inline(always)]
pub(crate) fn words(end: &End) -> [u32; 4] {
    // SAFETY: both have the same size and no invalid values.
    unsafe { core::mem::transmute(end.address) }
}

/// Whether what was decided about the frame of a scratch is a denial.
#[inline(always)]
pub(crate) fn denied(scratch: *mut Scratch) -> bool {
    // SAFETY: the scratch is the caller's.
    unsafe { (*scratch).outcome != Outcome::UNGOVERNED && (*scratch).ruling.allowed == 0 }
}

/// Whether no hook has decided what the frame of a scratch is about. Where hooks are asked, a kernel that preempts its own
/// code can leave one out.
#[inline(always)]
pub(crate) fn is_undecided(scratch: *mut Scratch) -> bool {
    // SAFETY: the scratch is the caller's.
    maps::governs() && unsafe { (*scratch).outcome == Outcome::UNGOVERNED }
}

/// Whether the last that was decided about the call of the current thread is that a message is refused.
#[inline(always)]
pub(crate) fn refused_message() -> bool {
    // SAFETY: map values stay readable.
    let decided = unsafe { DECIDED.get(bpf_get_current_pid_tgid()) };
    decided.is_some_and(|decided| {
        decided.operation == u32::from(Operation::SEND.0)
            && decided.outcome.0 & Outcome::KIND == Outcome::PREVENTED.0
    })
}

/// Forgets what was decided about requests of the current thread: they have no record of their own, and the next
/// call's must not have it.
///
/// Not inlined: its stack is free again afterwards.
#[inline(never)]
pub(crate) fn forget() {
    if maps::governs() {
        let _ = DECIDED.remove(bpf_get_current_pid_tgid());
    }
}

/// Ends the acting process if that was decided when it was created, as it returns from its creation like from a call; or if
/// somebody left it something that policies do not know of: see [`maps::breach`].
#[inline(always)]
pub(crate) fn condemned(actor: &Actor) {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    if maps::governs() && (unsafe { (*actor.task).condemned } != 0 || is_over(actor)) {
        // SAFETY: takes a number only. When it fails the process is ending.
        unsafe { bpf_send_signal(KILL) };
    }
}

/// Whether a policy that is enforced no longer holds what it governs.
#[inline(always)]
fn is_over(actor: &Actor) -> bool {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    maps::breached() && maps::governance(unsafe { (*actor.task).lineage }).is_some()
}

/// Judges operations on the file whose path was walked last, into what of the frame is sent: `view` is how the host sees
/// it, `flags` what the walk met.
#[inline(always)]
pub(crate) fn path(scratch: *mut Scratch, operations: Operations, view: u16, flags: Flags) {
    if !maps::governs() || operations.0 & Operations::ALL == 0 {
        return;
    }
    // SAFETY: the scratch is the caller's.
    unsafe {
        let reasons = unknown(view, flags);
        judge_path((*scratch).cpu, operations.0, reasons, path::begin(scratch));
    }
}

/// [`path`], without a call of its own.
#[inline(always)]
pub(crate) fn path_here(scratch: *mut Scratch, operations: Operations, view: u16, flags: Flags) {
    if operations.0 & Operations::ALL != 0 {
        // SAFETY: the scratch is the caller's.
        let at = unsafe { path::begin(scratch) };
        walked(scratch, operations, unknown(view, flags), at);
    }
}

/// Why a path that was walked cannot be judged, if it cannot.
#[inline(always)]
pub(crate) fn unknown(view: u16, flags: Flags) -> u32 {
    let mut reasons = 0;
    if flags.has(Flags::PATH_CUT) {
        reasons |= Outcome::CUT;
    }
    if view != HostPath::SAME.view && view != HostPath::WHOLE {
        reasons |= Outcome::NOT_ON_HOST;
    }
    reasons
}

/// [`path`] in the scratch of `cpu`, as [`decide`] does; where in the frame the path begins, 0 if the frame is sent without
/// it. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn judge_path(cpu: u32, operations: u32, reasons: u32, at: u32) -> u64 {
    match maps::scratch(cpu) {
        Some(scratch) => walked(scratch, Operations(operations), reasons, at),
        None => 0,
    }
}

/// [`judge_path`], here.
#[inline(always)]
fn walked(scratch: *mut Scratch, operations: Operations, mut reasons: u32, at: u32) -> u64 {
    // SAFETY: the scratch is the caller's.
    unsafe {
        (*scratch).judged_at = at;
        if reasons == 0 {
            key::end(scratch, 0);
            if at != 0 {
                (*scratch).judged_len = path::length(scratch);
            }
            // A file that was opened by its handle, and whose name the kernel does not know (`d_obtain_alias`, `fs/dcache.c`).
            if key::is_nameless(scratch) && host::is_somewhere((*scratch).facts.mnt) {
                reasons = Outcome::NOT_ON_HOST;
            }
        }
    }
    decide(scratch, operations, reasons).unwrap_or(0)
}

/// Judges what the acting process does to what has a name, unless that is [`Named::NONE`].
#[inline(always)]
pub(crate) fn name(frame: &Frame, actor: &Actor, operation: Operation, named: Named) {
    if !maps::governs() || named == Named::NONE {
        return;
    }
    // SAFETY: the scratch is the caller's; the entry of a tracked process stays while one of its threads runs.
    unsafe {
        (*frame.scratch).lineage = (*actor.task).lineage;
        judge_name((*frame.scratch).cpu, operation.0.into(), named.0.into());
    }
}

/// [`name`] in the scratch of `cpu`. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_name(cpu: u32, operation: u32, named: u32) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's.
    unsafe { key::name(scratch, named) };
    let denied = by_key(scratch, operation, 0);
    if named == u32::from(Named::MOUNT.0) && denied & ENFORCED != 0 {
        // SAFETY: the scratch is the caller's.
        maps::breach(unsafe { (*scratch).lineage });
    }
    denied
}

/// Judges one operation, with [`PathKey::UNIX_SOCKET`] if it is one on such, by the key in the scratch of `cpu`; denied at
/// once when there are reasons. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_key(cpu: u32, operation: u32, reasons: u32) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    by_key(scratch, operation, reasons)
}

/// [`judge_key`], here.
#[inline(always)]
fn by_key(scratch: *mut Scratch, operation: u32, reasons: u32) -> u64 {
    let mut operations = Operations(1 << (operation & 0x1f));
    if operation & PathKey::UNIX_SOCKET != 0 {
        operations = operations.and(Operations::UNIX_SOCKET);
    }
    one(scratch, operations, operation, reasons)
}

/// Judges one operation by the key, for whoever refuses what is denied.
#[inline(always)]
pub(crate) fn refuse(scratch: *mut Scratch, operation: u32) -> u64 {
    let operations = Operations(1 << (operation & 0x1f)).and(Operations::REFUSED);
    one(scratch, operations, operation, 0)
}

#[inline(always)]
fn one(scratch: *mut Scratch, operations: Operations, operation: u32, reasons: u32) -> u64 {
    // SAFETY: the scratch is the caller's.
    let decided = decide_by(
        scratch,
        operations,
        reasons,
        false,
        |scratch, table| unsafe { key::look_up(scratch, table, operation) },
    );
    decided.unwrap_or(0)
}

/// It is denied.
pub(crate) const DENIED: u64 = 1;
/// It is denied, and what governs is enforced.
pub(crate) const ENFORCED: u64 = 2;

/// Whether nothing is authorised any more by what ends at this boot time.
#[inline(always)]
pub(crate) fn over(until_ns: u64) -> bool {
    // SAFETY: takes nothing.
    let ended = || unsafe { bpf_ktime_get_boot_ns() } >= until_ns;
    until_ns != u64::MAX && ended() || maps::breached()
}

/// Decides about operations on what the key has the path of; denied at once when there are reasons. [`DENIED`],
/// perhaps with [`ENFORCED`]; else 0.
#[inline(always)]
pub(crate) fn decide(
    scratch: *mut Scratch,
    operations: Operations,
    reasons: u32,
) -> Result<u64, Skip> {
    // SAFETY: the scratch is the caller's.
    decide_by(
        scratch,
        operations,
        reasons,
        true,
        |scratch, table| unsafe { look_up(scratch, table, operations) },
    )
}

/// The same, by what `look_up` finds, which is not asked where there are reasons to deny anyway. Programs are counted where
/// they can be among the operations.
#[inline(always)]
fn decide_by(
    scratch: *mut Scratch,
    operations: Operations,
    mut reasons: u32,
    programs: bool,
    look_up: impl FnOnce(*mut Scratch, u32) -> Option<Ruling>,
) -> Result<u64, Skip> {
    // SAFETY: map values live as long as the program, and the scratch is the caller's.
    unsafe {
        let governance = maps::governance((*scratch).lineage).ok_or(Skip::Untraced)?;
        let (table, mode) = ((*governance).table, (*governance).mode);
        if over((*governance).until_ns) {
            reasons |= Outcome::OVER;
        }
        let mut ruling = Ruling {
            allowed: 0,
            level: 0,
            rule: Ruling::NO_RULE,
        };
        if reasons == 0 {
            match look_up(scratch, table) {
                Some(found) => ruling = found,
                None => reasons |= Outcome::NO_ENTRY,
            }
            if (*scratch).judged_at == 0 && (*scratch).judged_len != 0 {
                key::keep(scratch);
            }
        } else {
            (*scratch).judged_len = 0;
            (*scratch).judged_at = 0;
        }
        if programs
            && ruling.allowed != 0
            && operations.has(Operations::NONE.with(Operation::EXEC))
            && !operations.has(Operations::UNCOUNTED)
        {
            let level = budget::spend((*scratch).lineage, Spent::Exec as u32, 1);
            if level != 0 {
                ruling = budget::ruling(level);
                reasons |= Outcome::BUDGET;
            }
        }
        let denied = ruling.allowed == 0;
        let kind = carried_out(denied, mode, operations);
        if operations.has(Operations::LEADS)
            && matches!(kind, Outcome::KILLED | Outcome::NOT_KILLED)
        {
            maps::breach((*scratch).lineage);
        }
        if operations.has(Operations::UNIX_SOCKET) {
            reasons |= Outcome::UNIX_SOCKET;
        }
        let judged = (operations.0 & Operations::ALL) << Outcome::OPERATIONS_SHIFT;
        (*scratch).ruling = ruling;
        (*scratch).outcome = Outcome(kind.0 | reasons | judged);
        (*scratch).generation = (*governance).generation;
        Ok(match (denied, mode == Mode::ENFORCE) {
            (false, _) => 0,
            (true, false) => DENIED,
            (true, true) => DENIED | ENFORCED,
        })
    }
}

/// What comes of a decision.
#[inline(always)]
fn carried_out(denied: bool, mode: Mode, operations: Operations) -> Outcome {
    if !denied {
        Outcome::ALLOWED
    } else if mode != Mode::ENFORCE {
        Outcome::DENIED
    } else if operations.has(Operations::REFUSED) {
        Outcome::PREVENTED
    // SAFETY: takes a number only.
    } else if unsafe { bpf_send_signal(KILL) } == 0 {
        Outcome::KILLED
    } else {
        Outcome::NOT_KILLED
    }
}

/// The first ruling that does not allow one of the operations, else the last that does; `None` without an entry.
#[inline(always)]
unsafe fn look_up(scratch: *mut Scratch, table: u32, operations: Operations) -> Option<Ruling> {
    /// An open can be so many.
    const TOGETHER: u32 = 3;
    let socket = if operations.has(Operations::UNIX_SOCKET) {
        PathKey::UNIX_SOCKET
    } else {
        0
    };
    let mut ruling = Ruling::NONE;
    let mut left = operations.0 & Operations::ALL;
    let mut looked = 0;
    while looked < TOGETHER && left != 0 {
        // SAFETY: the scratch is the caller's.
        ruling = unsafe { key::look_up(scratch, table, lowest(left) | socket)? };
        if ruling.allowed == 0 {
            break;
        }
        left &= left - 1;
        looked += 1;
    }
    if left != 0 && ruling.allowed != 0 {
        return None;
    }
    Some(ruling)
}

/// Number of the lowest bit that is set in what has one: the probes' machine has no instruction for that.
#[inline(always)]
const fn lowest(bits: u32) -> u32 {
    let bit = bits & bits.wrapping_neg();
    ((bit & 0xffff_0000 != 0) as u32) << 4
        | ((bit & 0xff00_ff00 != 0) as u32) << 3
        | ((bit & 0xf0f0_f0f0 != 0) as u32) << 2
        | ((bit & 0xcccc_cccc != 0) as u32) << 1
        | (bit & 0xaaaa_aaaa != 0) as u32
}
