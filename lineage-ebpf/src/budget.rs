//! Budgets of grants: how much may be done of what is allowed, counted over all processes that are bound to a grant or to one
//! below it.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_send_signal};
use lineage_common::{
    policy::{
        BUDGET_LEVELS, Decided, End, Mode, Operation, Outcome, Protocol, Ruling, SPENT_COUNT, Spent,
    },
    task::Descriptor,
};

use crate::{
    atomic::{and_half, fetch_add},
    descriptor, endpoints,
    judge::KILL,
    maps::{self, DECIDED},
    task::Actor,
};

/// Takes from the budgets of a lineage; the level of the first grant whose budget does not have that much, from 1, or 0.
/// What was denied counts as well, so a budget that is spent stays so. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn spend(lineage: u32, what: u32, amount: u64) -> u64 {
    let Some(governance) = maps::governance(lineage) else {
        return 0;
    };
    let what = what as usize & (SPENT_COUNT - 1);
    let mut level = 0;
    while level < BUDGET_LEVELS {
        // SAFETY: map values live as long as the program.
        unsafe {
            let place = (*governance).budgets[level];
            if place != 0
                && let Some(budget) = maps::budget(place)
            {
                let limit = (*budget).limits[what];
                let spent = (&raw mut (*budget).spent).cast::<u64>().add(what);
                if limit != u64::MAX && fetch_add(spent, amount).saturating_add(amount) > limit {
                    return level as u64 + 1;
                }
            }
        }
        level += 1;
    }
    0
}

/// `AF_INET`, `AF_INET6` (`include/linux/socket.h`)
fn is_internet(file: u64) -> bool {
    matches!(endpoints::family(file), 2 | 10)
}

/// What is said when the budget of a grant at this level, from 1, is spent.
#[inline(always)]
pub(crate) fn ruling(level: u64) -> Ruling {
    Ruling {
        allowed: 0,
        level: (level - 1) as u8,
        rule: Ruling::NO_RULE,
    }
}

/// Takes bytes that were sent through a descriptor from the budgets. When they do not have that many, the process is ended
/// where that is enforced, and the decision is left for the record that is made of this use. A global function, see
/// [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn sent(fd: i32, bytes: u64) -> u64 {
    let Ok(actor) = Actor::current() else {
        return 0;
    };
    if let Some(known) = descriptor::find(&actor, fd) {
        take(&actor, known, bytes);
    }
    0
}

#[inline(always)]
fn take(actor: &Actor, known: *mut Descriptor, bytes: u64) {
    // SAFETY: map values stay readable; the entry of a tracked process stays while one of its threads runs.
    unsafe {
        if (*known).used & Descriptor::SOCKET == 0 || !is_internet((*known).file) {
            return;
        }
        let lineage = (*actor.task).lineage;
        let level = spend(lineage, Spent::Byte as u32, bytes);
        if level == 0 {
            return;
        }
        let Some(governance) = maps::governance(lineage) else {
            return;
        };
        let kind = if (*governance).mode != Mode::ENFORCE {
            Outcome::DENIED
        } else if bpf_send_signal(KILL) == 0 {
            Outcome::KILLED
        } else {
            Outcome::NOT_KILLED
        };
        let decided = Decided {
            ruling: ruling(level),
            outcome: Outcome(kind.0 | Outcome::BUDGET | Outcome::of(Operation::SEND)),
            generation: (*governance).generation,
            operation: u32::from(Operation::SEND.0),
            end: End {
                address: [0; 16],
                port: 0,
                protocol: Protocol::OTHER,
                reserved: [0; 5],
            },
        };
        // Without room it is not told, and done all the same.
        let _ = DECIDED.insert(bpf_get_current_pid_tgid(), decided, 0);
        // As if these were the first: then there is a record of them.
        and_half(&raw mut (*known).used, !Descriptor::WRITTEN);
    }
}
