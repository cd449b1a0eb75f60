//! Variables of a new image's environment that carry a trace context: `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`.
//!
//! The environment is user memory, and these are only what somebody says. The names are those that tools agree on
//! (<https://opentelemetry.io/docs/specs/otel/context/env-carriers/>).

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::limits::{HINT_BYTES_MAX, HINTS_MAX, VARIABLES_MAX};

use crate::{
    maps::{self, Scratch},
    read::{copy_user_string, load, mask_frame},
};

/// State of the search. Lives in [`Scratch`], because the stack has no room.
#[repr(C)]
pub(crate) struct Search {
    /// Address of the next variable, or of the rest of a long one.
    next: u64,
    /// Where the environment ends.
    end: u64,
    /// Where in the frame the next variable goes.
    at: u64,
    /// How many were found.
    found: u64,
    /// 1 in the rest of a long one.
    within: u64,
}

/// Appends the variables to the frame in the scratch of `cpu` at `at`, each ended by NUL, out of the environment from `start`
/// to `end`; their bytes. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn append_hints(cpu: u32, at: u64, start: u64, end: u64) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's; the callback gets it by way of our stack.
    unsafe {
        let state = &raw mut (*scratch).search;
        (*state).next = start;
        (*state).end = end;
        (*state).at = at;
        (*state).found = 0;
        (*state).within = 0;
        let mut context = scratch;
        bpf_loop(
            VARIABLES_MAX,
            variable as *mut c_void,
            (&raw mut context).cast(),
            0,
        );
        (*state).at - at
    }
}

unsafe extern "C" fn variable(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the pointer that `append_hints` holds on its stack.
    let scratch = unsafe { *context.cast::<*mut Scratch>() };
    // SAFETY: the scratch is ours until it is released.
    unsafe {
        let state = &raw mut (*scratch).search;
        let next = (*state).next;
        if next >= (*state).end || (*state).found >= u64::from(HINTS_MAX) {
            return 1;
        }
        let at = (*state).at;
        let (len, cut) = copy_user_string(scratch, at, next, HINT_BYTES_MAX as u64);
        if len == 0 && cut {
            return 1;
        }
        let within = (*state).within;
        if within == 0 && is_hint(scratch, at) {
            (*state).at = at + len + 1;
            (*state).found += 1;
        }
        (*state).within = u64::from(cut);
        // What is cut goes on where its NUL is in the frame.
        (*state).next = next + len + u64::from(!cut);
        0
    }
}

/// Whether what is in the frame at `at` begins with one of the names.
#[inline(always)]
unsafe fn is_hint(scratch: *mut Scratch, at: u64) -> bool {
    const TRACE: (u64, u64) = (word(*b"TRACEPAR"), word(*b"ENT=\0\0\0\0"));
    const STATE: (u64, u64) = (word(*b"TRACESTA"), word(*b"TE=\0\0\0\0\0"));
    const BAGGAGE: u64 = word(*b"BAGGAGE=");
    // SAFETY: the offset is masked, and the frame has room for twice the mask.
    let (first, second) = unsafe {
        let from = (&raw const (*scratch).frame)
            .cast::<u8>()
            .add(mask_frame(at) as usize);
        (load(from), load(from.add(8)))
    };
    first == BAGGAGE
        || first == TRACE.0 && second & 0xffff_ffff == TRACE.1
        || first == STATE.0 && second & 0xff_ffff == STATE.1
}

/// Eight bytes as they are in memory.
const fn word(bytes: [u8; 8]) -> u64 {
    u64::from_ne_bytes(bytes)
}
