//! What policies say about calls: what they use of the kernel, do to other processes, or did to what their names say.

use lineage_common::{
    calls::Shape,
    frame::{Call, Clone3, Flags},
    layout::Action,
    policy::{Named, Operation, Outcome},
};

use super::named;
use crate::{
    emit::{BODY, Frame},
    given::{self, Name},
    judge::{self, Operations},
    maps::{self, Scratch},
    probes::syscall::{Returned, argument},
    task::Actor,
};

/// The bases of both names and the operation, in one word.
#[inline(always)]
pub(super) fn bases(shape: Shape, operation: Operation) -> u64 {
    named(shape.base, shape.target_base) | u64::from(operation.0) << 16
}

/// Judges what a call did to what its names say: the first that is denied, else the last. The strings of the frame begin
/// at `strings` and end at `end`.
#[inline(never)]
pub(super) unsafe fn names(
    scratch: *mut Scratch,
    bases: u64,
    strings: u64,
    end: u64,
    flags: Flags,
) {
    let operation = Operation((bases >> 16) as u8);
    let (first, second) = (bases & 0xff, bases >> 8 & 0xff);
    let mut operations = Operations::NONE.with(operation);
    let linked = operation == Operation::LINK && second < u64::from(Shape::NONE);
    if operation == Operation::RENAME || linked {
        operations = operations.and(Operations::LEADS);
    }
    // SAFETY: the scratch is the caller's; an argument's position is masked to their number.
    unsafe {
        let body = (&raw const (*scratch).frame)
            .cast::<u8>()
            .add(BODY as usize)
            .cast::<Call>();
        let dirfd = |base: u64| (*body).arguments[(base & 7) as usize] as i32;
        let cut = |flag| if flags.has(flag) { Outcome::CUT } else { 0 };
        let name = Name {
            dirfd: dirfd(first),
            at: strings + u64::from((*body).base_len),
            len: u64::from((*body).name_len),
        };
        let denied = given::judge(scratch, operations, name, cut(Flags::PATH_CUT), end);
        if second >= u64::from(Shape::NONE) || denied != 0 {
            return;
        }
        let name = Name {
            dirfd: dirfd(second),
            at: name.at + name.len + u64::from((*body).target_base_len),
            len: u64::from((*body).target_len),
        };
        given::judge(scratch, operations, name, cut(Flags::TARGET_CUT), end);
    }
}

/// Judges a call that had an effect: what it uses of the kernel, or does to another process, which stands to the
/// lineage so.
#[inline(always)]
pub(super) fn call(frame: &Frame, actor: &Actor, call: &Returned, action: Action, relation: u64) {
    if !maps::governs() || call.result < 0 {
        return;
    }
    let (operation, named) = match action {
        Action::PTRACE | Action::PROCESS | Action::RESULT => {
            (Operation::PTRACE, Named(relation as u8))
        }
        Action::SIGNAL | Action::SIGNAL_THREAD | Action::SIGNAL_PIDFD => {
            (Operation::SIGNAL, Named(relation as u8))
        }
        _ => (Operation::USE, facility(call, action)),
    };
    // What is done to others may have been decided before; what waits about anything else is about files that it opened.
    // SAFETY: the scratch is the caller's.
    let decided = unsafe { (*frame.scratch).outcome != Outcome::UNGOVERNED };
    if operation == Operation::USE || !decided {
        judge::name(frame, actor, operation, named);
    }
}

/// `TIOCSTI` and `TIOCLINUX` (`include/uapi/asm-generic/ioctls.h`).
const TERMINAL_INPUT: [u32; 2] = [0x5412, 0x541c];

/// The facility that a call uses.
#[inline(always)]
fn facility(call: &Returned, action: Action) -> Named {
    let uses = match action {
        Action::NAMESPACES => argument!(call, 0) & Clone3::NAMESPACES.0 != 0,
        Action::IOCTL => TERMINAL_INPUT.contains(&(argument!(call, 1) as u32)),
        _ => action != Action::IOCTL_TWO,
    };
    if uses {
        maps::facility(call.number)
    } else {
        Named::NONE
    }
}
