//! Connections accepted.

use lineage_common::frame::Kind;

use crate::{
    descriptor,
    probes::syscall::{Returned, argument},
    skip::Skip,
    socket::{self, Address},
    task::Actor,
};

/// `accept(fd, …)`, `accept4(fd, …)`: the new socket when it succeeded, else the listening one.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let fd = if call.result >= 0 {
        descriptor::made(actor, call.result as i32);
        call.result as i32
    } else {
        argument!(call, 0) as i32
    };
    socket::record(fd, Kind::NET_ACCEPT, call.result, &Address::NONE)
}
