//! Connections made.

use lineage_common::frame::Kind;

use crate::{
    probes::syscall::{Returned, argument},
    skip::Skip,
    socket::{self, Address},
    task::Actor,
};

/// `connect(fd, address, length)`.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let address = Address::at(argument!(call, 1), u64::from(argument!(call, 2) as u32));
    let fd = argument!(call, 0) as i32;
    socket::called(actor, fd, Kind::NET_CONNECT, call.result, &address)
}
