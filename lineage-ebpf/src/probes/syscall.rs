//! The return of every system call.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use lineage_common::layout::Action;

use crate::{
    maps,
    probes::{close, open},
    read::{Typed, offset, typed},
    skip::Skip,
    task::Actor,
};

/// A system call that returned.
#[derive(Clone, Copy)]
pub(crate) struct Returned {
    /// `struct pt_regs`: the arguments are still in it.
    pub(crate) regs: Typed,
    /// What it returned.
    pub(crate) result: i64,
}

/// Argument `n` of a returned system call; `n` is a literal.
macro_rules! argument {
    ($call:expr, $n:literal) => {{
        // SAFETY: `regs` is typed and every argument is a register.
        let value: u64 = unsafe {
            $crate::read::typed(
                $call.regs,
                $crate::read::offset!(derived.regs_arguments[$n]),
            )
        };
        value
    }};
}
pub(crate) use argument;

/// `TP_PROTO(struct pt_regs *regs, long ret)`
/// ([`include/trace/events/syscalls.h`](https://elixir.bootlin.com/linux/v6.12/source/include/trace/events/syscalls.h#L42)).
///
/// The arguments are still in the registers and the result is known, so one hook does: an entry
/// hook would double the cost for every other process on the host. What is not recorded leaves at
/// the first table look-up.
#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let _ = returned(&ctx);
    0
}

#[inline(always)]
fn returned(ctx: &BtfTracePointContext) -> Result<(), Skip> {
    let regs: Typed = ctx.arg(0);
    // SAFETY: the argument is a `struct pt_regs`.
    let number: u64 = unsafe { typed(regs, offset!(derived.regs_number)) };
    let action = maps::action(number);
    if action == Action::NONE {
        return Err(Skip::Untraced);
    }
    let actor = Actor::current()?;
    let call = Returned {
        regs,
        result: ctx.arg(1),
    };
    match action {
        Action::OPEN | Action::OPENAT | Action::OPENAT2 | Action::CREAT => {
            open::returned(&actor, &call, action)
        }
        Action::CLOSE => close::returned(&actor, &call),
        _ => Err(Skip::Untraced),
    }
}
