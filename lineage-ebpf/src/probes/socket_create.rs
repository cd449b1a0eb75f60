//! Sockets created.
//!
//! What connects, listens or is sent through tells so in records of its own. Those sockets are only
//! remembered, so that their close is known as a socket's; all others are recorded.

use lineage_common::frame::{Flags, Kind, Socket};

use crate::{
    descriptor,
    emit::{Frame, What},
    endpoints,
    probes::syscall::{Returned, argument},
    read::user,
    skip::Skip,
    socket::{self, Address, NAMES},
    task::Actor,
};

/// `AF_UNIX`, `AF_INET`, `AF_INET6`, `SOCK_STREAM`, `SOCK_DGRAM` (`include/linux/socket.h`,
/// `include/linux/net.h`).
const UNIX: u32 = 1;
const INET: u32 = 2;
const INET6: u32 = 10;
const STREAM: u32 = 1;
const DGRAM: u32 = 2;

/// `SOCK_TYPE_MASK` (`include/linux/net.h`): what is above are flags.
const TYPE_MASK: u32 = 0xf;

/// `IPPROTO_TCP`, `IPPROTO_UDP`, `IPPROTO_MPTCP` (`include/uapi/linux/in.h`).
const TCP: u32 = 6;
const UDP: u32 = 17;
const MPTCP: u32 = 262;

/// `socket(family, type, protocol)`.
#[inline(never)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let (family, kind) = (argument!(call, 0) as u32, argument!(call, 1) as u32);
    let (kind, protocol) = (kind & TYPE_MASK, argument!(call, 2) as u32);
    let usual = family == UNIX
        || ((family == INET || family == INET6)
            && (kind == STREAM || kind == DGRAM)
            && matches!(protocol, 0 | TCP | UDP | MPTCP));
    if call.result < 0 {
        if usual {
            return Err(Skip::Untraced);
        }
        return unplaced(actor, call, Kind::NET_SOCKET, Flags(0));
    }
    let fd = call.result as i32;
    descriptor::made(actor, fd);
    if !usual {
        let asked = Address::number(protocol as i32);
        return socket::record(fd, Kind::NET_SOCKET, call.result, &asked);
    }
    socket::remember(actor, fd, Kind::NET_SOCKET)
}

/// `socketpair(family, type, protocol, fds)`: a record of each end. As with a pipe, the table of
/// descriptors has to bear out where the ends are.
#[inline(never)]
pub(crate) fn pair(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    if call.result < 0 {
        return unplaced(actor, call, Kind::NET_PAIR, Flags(0));
    }
    let [first, second] = user::<[i32; 2]>(argument!(call, 3)).unwrap_or([-1; 2]);
    if is_pair(first, second) == 0 {
        return unplaced(actor, call, Kind::NET_PAIR, Flags::CLAIMED);
    }
    let asked = Address::number(argument!(call, 2) as i32);
    descriptor::made(actor, first);
    descriptor::made(actor, second);
    socket::record(first, Kind::NET_PAIR, call.result, &asked)?;
    socket::record(second, Kind::NET_PAIR, call.result, &asked)
}

/// 1 when two descriptors can be those that were just made, and lead to each other's sockets; otherwise 0.
/// Only of `AF_UNIX` the kernel tells which two belong together. A global function, see [`crate`]: as a
/// part of its caller, Linux 6.1 never found it true.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn is_pair(first: i32, second: i32) -> u64 {
    let Ok(actor) = Actor::current() else {
        return 0;
    };
    let (one, other) = (sock(&actor, first), sock(&actor, second));
    if one == 0 || other == 0 {
        return 0;
    }
    u64::from(endpoints::peer(one) == other && endpoints::peer(other) == one)
}

/// The `struct sock` of the socket at a descriptor, if it can be one that was just made; otherwise 0.
#[inline(never)]
fn sock(actor: &Actor, fd: i32) -> u64 {
    match descriptor::just_made(actor, fd, socket::TYPE_SOCKET) {
        0 => 0,
        file => endpoints::sock(file).unwrap_or(0),
    }
}

/// Records what was asked for: there is no socket, or it is where the caller's memory does not say any
/// more.
#[inline(never)]
fn unplaced(actor: &Actor, call: &Returned, kind: Kind, flags: Flags) -> Result<(), Skip> {
    let (family, of_type) = (argument!(call, 0) as u16, argument!(call, 1) as u32);
    let protocol = argument!(call, 2) as i32;
    let frame = Frame::take(kind)?;
    let body = frame.body::<Socket>();
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        socket::clear(body);
        (*body).family = family;
        (*body).socket_type = (of_type & TYPE_MASK) as u16;
        (*body).protocol = protocol as u16;
        (*body).argument = protocol;
    }
    let what = What {
        kind,
        flags,
        result: call.result,
    };
    frame.send(actor, what, NAMES);
    Ok(())
}
