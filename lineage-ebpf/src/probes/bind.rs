//! Addresses bound.

use lineage_common::frame::Kind;

use crate::{
    probes::syscall::{Returned, argument},
    skip::Skip,
    socket::{self, Call, Claim},
    task::Actor,
};

/// `bind(fd, address, length)`.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let call = Call {
        kind: Kind::NET_BIND,
        fd: argument!(call, 0) as i32,
        result: call.result,
        done: call.result >= 0,
        claim: Claim::Local,
        address: argument!(call, 1),
        address_len: argument!(call, 2),
    };
    socket::record(actor, &call)
}
