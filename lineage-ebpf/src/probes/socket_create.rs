//! Sockets created: not recorded, but remembered, so that their close is known as a socket's.

use crate::{
    descriptor::{self, Target},
    emit::Sent,
    path,
    probes::syscall::Returned,
    skip::Skip,
    task::{self, Actor},
};

/// `socket(…)`.
#[inline(never)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    if call.result < 0 {
        return Err(Skip::Untraced);
    }
    let fd = call.result as i32;
    let file = task::file(actor.thread, fd).ok_or(Skip::Unreadable)?;
    let identity = path::identity(file).ok_or(Skip::Unreadable)?;
    descriptor::made(actor, fd);
    let target = Target {
        file,
        ino: identity.ino,
        dev: identity.dev,
        socket: true,
    };
    descriptor::recorded(actor, fd, &target, &Sent::NOTHING);
    Ok(())
}
