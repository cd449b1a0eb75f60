//! Connections accepted.

use lineage_common::frame::Kind;

use crate::{
    probes::syscall::{Returned, argument},
    skip::Skip,
    socket::{self, Call, Claim},
    task::Actor,
};

/// `accept(fd, …)`, `accept4(fd, …)`: the new socket when it succeeded, else the listening one.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let done = call.result >= 0;
    let fd = if done {
        call.result as i32
    } else {
        argument!(call, 0) as i32
    };
    let call = Call {
        kind: Kind::NET_ACCEPT,
        fd,
        result: call.result,
        done,
        claim: Claim::Nothing,
        address: 0,
        address_len: 0,
    };
    socket::record(actor, &call)
}
