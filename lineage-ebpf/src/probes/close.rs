//! Descriptors closed.

use lineage_common::frame::Flags;

use crate::{
    descriptor::{self, Sweep},
    probes::syscall::{Returned, argument},
    skip::Skip,
    task::{self, Actor},
};

/// `-EBADF`: the only error of `close` that leaves the descriptor as it was.
const BAD_DESCRIPTOR: i64 = -9;

/// `CLOSE_RANGE_CLOEXEC` (`include/uapi/linux/close_range.h`): marks instead of closing.
const RANGE_CLOSE_ON_EXEC: u32 = 4;

/// `close(fd)`.
#[inline(never)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let fd = argument!(call, 0) as i32;
    let known = call.result != BAD_DESCRIPTOR && !reopened(actor, fd);
    if known && descriptor::close(actor, fd, Flags(0), call.result) != Err(Skip::Untracked) {
        return Ok(());
    }
    descriptor::close_unknown(actor, fd, call.result)
}

/// Whether another thread has opened the number again before this probe ran. Then the table has
/// the new file there, and the old one's totals went out when it was replaced.
#[inline(always)]
fn reopened(actor: &Actor, fd: i32) -> bool {
    if !task::shares_files(actor.files) {
        return false;
    }
    match (descriptor::find(actor, fd), task::file(actor.files, fd)) {
        (Some(descriptor), Some(file)) => descriptor::leads_to(actor, descriptor, file),
        _ => false,
    }
}

/// `close_range(first, last, flags)`.
#[inline(always)]
pub(crate) fn range_returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    if call.result != 0 || argument!(call, 2) as u32 & RANGE_CLOSE_ON_EXEC != 0 {
        return Err(Skip::Untraced);
    }
    let (first, last) = (argument!(call, 0) as u32, argument!(call, 1) as u32);
    descriptor::sweep(first, last, Sweep::RANGE.0);
    // No descriptor is larger, and a range may end at the largest number there is.
    let last = last.min(i32::MAX as u32);
    descriptor::closed_unknown(actor, first as i32, last as i32, Flags::BY_RANGE)
}

/// `dup2(old, new)`, `dup3(old, new, flags)`: what was at `new` is closed.
#[inline(always)]
pub(crate) fn duplicated(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let (old, new) = (argument!(call, 0) as i32, argument!(call, 1) as i32);
    if call.result < 0 || old == new {
        return Err(Skip::Untraced);
    }
    if descriptor::replaced(new) != 0 {
        return Ok(());
    }
    descriptor::closed_unknown(actor, new, new, Flags::BY_REPLACE)
}
