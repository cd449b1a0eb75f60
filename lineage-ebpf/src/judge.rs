//! What a policy says about what was done, looked up while the frame about it is put together.
//!
//! A file is judged by the path that the host has for it: no other root, mount namespace or link makes it another one.

use core::ffi::c_void;

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_ktime_get_boot_ns, bpf_loop, bpf_send_signal},
};
use lineage_common::{
    frame::{Flags, HostPath, Kind},
    policy::{KEY_HEAD_BITS, Mode, Operation, Outcome, PATH_KEY_BYTES, Ruling},
};

use crate::{
    maps::{self, DECIDED, Scratch},
    path::ENDS,
    read::{copy_kernel, load, mask_frame, store},
    skip::Skip,
};

/// `SIGKILL` (`include/uapi/asm-generic/signal.h`).
const KILL: u32 = 9;

/// Operations on one file, a bit for each by its number.
#[derive(Clone, Copy)]
pub(crate) struct Operations(pub(crate) u32);

impl Operations {
    pub(crate) const NONE: Self = Self(0);

    /// These and one more.
    pub(crate) const fn with(self, operation: Operation) -> Self {
        Self(self.0 | 1 << operation.0)
    }
}

/// Takes over what was decided about the call of the current thread before it had an effect, if the frame is about that.
#[inline(always)]
pub(crate) fn decided(scratch: *mut Scratch, kind: Kind) {
    if !maps::governs() {
        return;
    }
    let operation = match kind {
        Kind::NET_CONNECT => Operation::CONNECT,
        Kind::NET_BIND => Operation::BIND,
        Kind::NET_SEND => Operation::SEND,
        _ => return,
    };
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied before it is removed; the scratch is the caller's.
    unsafe {
        let Some(decided) = DECIDED.get(&thread).copied() else {
            return;
        };
        if decided.operation != u32::from(operation.0) {
            return;
        }
        (*scratch).ruling = decided.ruling;
        (*scratch).outcome = decided.outcome;
        (*scratch).generation = decided.generation;
        (*scratch).end = decided.end;
    }
    let _ = DECIDED.remove(&thread);
}

/// Judges operations on the file whose path was walked last: `view` is how the host sees it, `flags` what the
/// walk met.
#[inline(always)]
pub(crate) fn path(scratch: *mut Scratch, operations: Operations, view: u16, flags: Flags) {
    if !maps::governs() || operations.0 == 0 {
        return;
    }
    let mut reasons = 0;
    if flags.has(Flags::PATH_CUT) {
        reasons |= Outcome::CUT;
    }
    if view != HostPath::SAME.view && view != HostPath::WHOLE {
        reasons |= Outcome::NOT_ON_HOST;
    }
    // SAFETY: the scratch is the caller's.
    judge_path(unsafe { (*scratch).cpu }, operations.0, reasons);
}

/// [`path`] in the scratch of `cpu`; denied at once when there are reasons. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_path(cpu: u32, operations: u32, reasons: u32) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    let _ = judged(scratch, operations, reasons);
    0
}

#[inline(always)]
fn judged(scratch: *mut Scratch, operations: u32, mut reasons: u32) -> Result<(), Skip> {
    // SAFETY: map values live as long as the program, and the scratch is the caller's.
    unsafe {
        let governance = maps::governance((*scratch).lineage).ok_or(Skip::Untraced)?;
        let (table, mode) = ((*governance).table, (*governance).mode);
        let until_ns = (*governance).until_ns;
        if until_ns != u64::MAX && bpf_ktime_get_boot_ns() >= until_ns {
            reasons |= Outcome::OVER;
        }
        let mut ruling = Ruling {
            allowed: 0,
            level: 0,
            rule: Ruling::NO_RULE,
        };
        if reasons == 0 {
            build_key(scratch);
            (*scratch).key.data.table = table;
            match look_up(scratch, operations) {
                Some(found) => ruling = found,
                None => reasons |= Outcome::NO_ENTRY,
            }
        }
        let kind = if ruling.allowed != 0 {
            Outcome::ALLOWED
        } else if mode != Mode::ENFORCE {
            Outcome::DENIED
        } else if bpf_send_signal(KILL) == 0 {
            Outcome::KILLED
        } else {
            Outcome::NOT_KILLED
        };
        (*scratch).ruling = ruling;
        (*scratch).outcome = Outcome(kind.0 | reasons | operations << Outcome::OPERATIONS_SHIFT);
        (*scratch).generation = (*governance).generation;
    }
    Ok(())
}

/// The first ruling that does not allow one of the operations, else the last that does; `None` without an entry.
#[inline(always)]
unsafe fn look_up(scratch: *mut Scratch, operations: u32) -> Option<Ruling> {
    let mut found = None;
    let mut operation = 1;
    while operation <= Operation::CHMOD.0 {
        if operations >> operation & 1 == 1 {
            // SAFETY: the scratch is the caller's.
            let ruling = unsafe {
                (*scratch).key.data.operation = u32::from(operation);
                maps::path_rule(&(*scratch).key)?
            };
            found = Some(ruling);
            if ruling.allowed == 0 {
                return found;
            }
        }
        operation += 1;
    }
    found
}

/// Puts the path that was walked last into the key, from the root on, as far as it fits.
#[inline(always)]
unsafe fn build_key(scratch: *mut Scratch) {
    // SAFETY: the scratch is the caller's; the callback gets it by way of our stack.
    unsafe {
        let components = (*scratch).walk.components;
        let mut state = Building {
            scratch,
            left: components,
            at: 0,
        };
        if components == 0 {
            (*scratch).key.data.path[0] = b'/';
            state.at = 1;
        } else {
            bpf_loop(
                ENDS as u32,
                component as *mut c_void,
                (&raw mut state).cast(),
                0,
            );
        }
        let at = state.at as usize;
        let mut bits = KEY_HEAD_BITS + 8 * PATH_KEY_BYTES as u32;
        if at < PATH_KEY_BYTES {
            (*scratch).key.data.path[at] = 0;
            bits = KEY_HEAD_BITS + 8 * (at as u32 + 1);
        }
        (*scratch).key.prefix_len = bits;
    }
}

/// Longest component that is copied in words: cheaper than a copy of the exact length.
const SHORT: u64 = 32;

/// Where the building of a key is.
#[repr(C)]
struct Building {
    scratch: *mut Scratch,
    /// Components that are still to come.
    left: u64,
    /// Bytes of the key so far.
    at: u64,
}

/// Adds one component: the last of those that are left.
unsafe extern "C" fn component(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is what `build_key` holds on its stack.
    unsafe {
        let state = context.cast::<Building>();
        let scratch = (*state).scratch;
        let left = (*state).left;
        if left == 0 || (*state).at >= PATH_KEY_BYTES as u64 {
            return 1;
        }
        let walk = &raw const (*scratch).walk;
        let end = u64::from((*walk).ends[(left - 1) as usize % ENDS]);
        let begin = if left == 1 {
            0
        } else {
            u64::from((*walk).ends[(left - 2) as usize % ENDS])
        };
        let len = (end - begin - 1) & 0xff;
        let at = (*state).at & 0xff;
        let to = (&raw mut (*scratch).key.data.path)
            .cast::<u8>()
            .add(at as usize);
        *to = b'/';
        let from = (&raw const (*scratch).frame)
            .cast::<u8>()
            .add(mask_frame((*walk).start + begin) as usize);
        if len <= SHORT {
            // In words, beyond the end: the next one, or the NUL, is written over it.
            for word in 0..SHORT as usize / 8 {
                store(to.add(1 + word * 8), load(from.add(word * 8)));
            }
        } else {
            copy_kernel(to.add(1), len, from as u64);
        }
        (*state).at = at + 1 + len;
        (*state).left = left - 1;
        0
    }
}
