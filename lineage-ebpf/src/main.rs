//! The probes: what runs in the kernel.
//!
//! Each event has a file in `probes/` with its entry point. An entry point decides whether the
//! acting process is tracked ([`task`]), reads what happened from the kernel's own structures
//! ([`path`], [`socket`]), and hands a finished frame to [`emit`]. Nothing here waits, and every
//! loop is bounded; `lineage_common` has the layout of what goes out.
//!
//! The kernel verifies a function anew for each place and each state it is called from, unless it is
//! *global*: then once, for any arguments, which are numbers
//! ([`BPF_FUNC_GLOBAL`](https://docs.kernel.org/bpf/btf.html#btf-kind-func)). So what every frame needs
//! has a symbol of its own, and takes the scratch from the number of the CPU; and so has much of what is
//! not in the hot loops of programs, which looks the process up again ([`task::Actor::current`]). Whatever loads the
//! probes waits several times less for it.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(
    unsafe_code,
    reason = "every access to kernel memory and to a map is one; the verifier proves each"
)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "the macros of the entry points want their context by value"
)]

mod atomic;
mod auxv;
mod budget;
mod cgroup;
mod descriptor;
mod emit;
mod endpoints;
mod facts;
mod first;
mod given;
mod hints;
mod hook;
mod host;
mod judge;
mod key;
mod maps;
mod namespaces;
mod other;
mod path;
mod probes;
mod read;
mod skip;
mod socket;
mod start;
mod tally;
mod task;
mod tracked;
mod turns;
mod version;

/// Some helpers are only for programs under a GPL-compatible licence.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Never reached: the verifier refuses an object with a reachable panic.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
