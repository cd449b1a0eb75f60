//! Requests submitted to an `io_uring`.

use aya_ebpf::{
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use lineage_common::tally::Class;

use crate::{
    descriptor,
    read::{Typed, offset, typed},
    skip::Skip,
    tally::{self, Once},
    task::Actor,
};

/// `TP_PROTO(struct io_kiocb *req)`, before 6.4 `io_uring_submit_sqe` with a second argument
/// ([`include/trace/events/io_uring.h`](https://elixir.bootlin.com/linux/v6.12/source/include/trace/events/io_uring.h)).
///
/// Runs when the kernel takes a request from the ring and has found it well-formed, in the thread that
/// submits: the caller of `io_uring_enter`, or the one the kernel made for the process to look at the
/// ring.
#[btf_tracepoint(function = "io_uring_submit_req")]
pub(crate) fn io_uring_submit(ctx: BtfTracePointContext) -> i32 {
    let request: Typed = ctx.arg(0);
    // SAFETY: the argument is a `struct io_kiocb`, and the member is a byte.
    let opcode: u8 = unsafe { typed(request, offset!(io_kiocb_opcode)) };
    let _ = submitted(opcode);
    0
}

/// `io_uring:io_uring_submit_req`: see [`super::guarded`].
#[tracepoint]
pub(crate) fn guarded_io_uring_submit(ctx: TracePointContext) -> u32 {
    // SAFETY: the agent took the offset from the event's format.
    if let Ok(opcode) = unsafe { ctx.read_at::<u8>(offset!(derived.event_opcode)) } {
        let _ = submitted(opcode);
    }
    0
}

#[inline(always)]
fn submitted(opcode: u8) -> Result<(), Skip> {
    let actor = Actor::current()?;
    descriptor::unfollowed(&actor);
    let once = Once::new(&actor, Class::IO_URING, u32::from(opcode), 0);
    tally::count(&actor, &once)
}
