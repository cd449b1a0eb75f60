//! The return of every system call.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::warn;
use lineage_common::{layout::Action, tally::Class};

use crate::{
    atomic::fetch_add,
    descriptor, hook, judge, maps,
    probes::{
        accept, bind, call, close, connect, datagram, listen, map, open, pass, pipe, process_exec,
        process_fork, socket_create, transfer,
    },
    read::{Typed, offset, typed},
    skip::Skip,
    tally,
    task::{self, Actor},
};

/// A system call that returned.
#[derive(Clone, Copy)]
pub(crate) struct Returned {
    /// `struct pt_regs`: the arguments are still in it.
    pub(crate) regs: Typed,
    /// What it returned.
    pub(crate) result: i64,
    /// Its number in the native table.
    pub(crate) number: u32,
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
    let regs: Typed = ctx.arg(0);
    // Half a word: it is no more on ARM, and no number is larger.
    // SAFETY: the argument is a `struct pt_regs`.
    let number: u32 = unsafe { typed(regs, offset!(derived.regs_number)) };
    let _ = returned(u64::from(number), ctx.arg(1), |_| regs);
    0
}

/// The return of call `number`. The registers are asked for only when they are needed.
#[inline(always)]
pub(crate) fn returned(
    number: u64,
    result: i64,
    regs: impl FnOnce(&Actor) -> Typed,
) -> Result<(), Skip> {
    let action = maps::action(number);
    if action == Action::NONE {
        return Err(Skip::Untraced);
    }
    let thread = task::current();
    let of_other_table = || task::compat(thread) || maps::foreign(number);
    // The native ones of these are of no interest, whoever makes them: to see that takes less than to see who it is.
    if action == Action::COMPAT_ONLY && !maps::governs() && !of_other_table() {
        return Err(Skip::Untraced);
    }
    let actor = Actor::of(thread)?;
    judge::condemned(&actor);
    if of_other_table() {
        hook::settle();
        return compat(&actor, number, result);
    }
    let call = Returned {
        regs: regs(&actor),
        result,
        number: number as u32,
    };
    let done = match action {
        Action::READ | Action::WRITE => transfer::returned(&actor, &call, action),
        Action::SENDTO
        | Action::SENDMSG
        | Action::SENDMMSG
        | Action::RECVFROM
        | Action::RECVMSG
        | Action::RECVMMSG
        | Action::MQ_SEND => {
            let told = transfer::message(&actor, &call, action);
            if action != Action::MQ_SEND {
                let _ = pass::returned(&call, action);
            }
            if datagram::sends(action) {
                if datagram::is_not_yet(result) {
                    hook::forget();
                } else {
                    hook::settle();
                }
            }
            told
        }
        Action::MMAP | Action::MPROTECT => map::returned(&actor, &call, action),
        Action::CLOSE => close::returned(&actor, &call),
        Action::OPEN
        | Action::OPENAT
        | Action::OPENAT2
        | Action::CREAT
        | Action::OPEN_BY_HANDLE
        | Action::MEMFD
        | Action::MEMFD_SECRET => {
            let _ = open::returned(&actor, &call, action);
            hook::settle();
            return Ok(());
        }
        _ => seldom(&actor, &call, action),
    };
    if done == Err(Skip::News) {
        return transfer::report(&actor);
    }
    done
}

/// What is not in the hot loops of programs.
#[inline(always)]
fn seldom(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    if action.0 >= Action::SHAPED {
        let told = call::returned(actor, call, action);
        hook::settle();
        // Of these some move bytes between files as well.
        if action != Action::IOCTL {
            return Ok(());
        }
        told?;
    }
    rare(actor, call, action)
}

/// What has no probe of its own.
///
/// Calls that end in the same function share the place it is called from: the verifier goes through
/// a function anew for every such place.
#[inline(never)]
fn rare(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    match action {
        Action::CONNECT => settled(connect::returned(actor, call)),
        Action::ACCEPT => settled(accept::returned(actor, call)),
        Action::BIND => settled(bind::returned(actor, call)),
        Action::PIPE => pipe::returned(actor, call),
        Action::SOCKET => socket_create::returned(actor, call),
        Action::PAIR => socket_create::pair(actor, call),
        Action::LISTEN => settled(listen::returned(actor, call)),
        Action::DUP2 => close::duplicated(actor, call),
        Action::CLOSE_RANGE => close::range_returned(actor, call),
        Action::SENDFILE | Action::SPLICE | Action::TEE | Action::IOCTL => {
            transfer::copied(actor, call, action)
        }
        Action::VMSPLICE => transfer::spliced(actor, call),
        Action::EXECVE | Action::EXECVEAT => settled(process_exec::failed(actor, call, action)),
        // A descriptor of the child is opened.
        Action::FORK => settled(process_fork::failed(actor, call)),
        Action::RING => {
            judge::forget();
            settled(Ok(()))
        }
        Action::IO_SUBMIT => tally::call(actor, Class::AIO, 0, call.result),
        _ => Err(Skip::Untraced),
    }
}

/// Of a call about which hooks are asked.
#[inline(always)]
fn settled(_: Result<(), Skip>) -> Result<(), Skip> {
    hook::settle();
    Ok(())
}

/// A call of another table than the native one: its number and arguments mean something else. It is
/// counted, and the first one on each CPU is told at once.
#[inline(never)]
fn compat(actor: &Actor, number: u64, result: i64) -> Result<(), Skip> {
    descriptor::unfollowed(actor);
    let counters = maps::counters(maps::cpu()).ok_or(Skip::Unreadable)?;
    // SAFETY: map values live as long as the program.
    if unsafe { fetch_add(&raw mut (*counters).compat, 1) } == 0 {
        warn!(
            actor,
            "process {} makes 32-bit system calls: they are counted by number, and their arguments are not recorded",
            actor.pid()
        );
    }
    tally::call(actor, Class::COMPAT, number as u32, result)
}
