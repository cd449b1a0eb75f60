//! Connections made.

use lineage_common::frame::Kind;

use crate::{
    probes::syscall::{Returned, argument},
    skip::Skip,
    socket::{self, Call, Claim},
    task::Actor,
};

/// `-EINPROGRESS`: the connection is being made and the kernel holds both addresses.
const IN_PROGRESS: i64 = -115;

/// `connect(fd, address, length)`.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let call = Call {
        kind: Kind::NET_CONNECT,
        fd: argument!(call, 0) as i32,
        result: call.result,
        done: call.result >= 0 || call.result == IN_PROGRESS,
        claim: Claim::Peer,
        address: argument!(call, 1),
        address_len: argument!(call, 2),
    };
    socket::record(actor, &call)
}
