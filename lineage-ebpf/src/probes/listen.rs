//! Sockets made to listen.

use lineage_common::frame::Kind;

use crate::{
    probes::syscall::{Returned, argument},
    skip::Skip,
    socket::{self, Address},
    task::Actor,
};

/// `listen(fd, backlog)`.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let backlog = Address::number(argument!(call, 1) as i32);
    let fd = argument!(call, 0) as i32;
    socket::called(actor, fd, Kind::NET_LISTEN, call.result, &backlog)
}
