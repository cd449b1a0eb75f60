//! The ends of connections that are open, so that both ends of one are recognised.
//!
//! An end is known while the descriptor is open that its latest record is about. A TCP connection is
//! recognised by its network namespace, both addresses, and where the sequence numbers of both
//! directions began, which never are those of an earlier connection between the same addresses: so an
//! end of one is known for a while longer, because a client can be gone before it is accepted. One of
//! `AF_UNIX` is by the inode numbers of its sockets, each of which the kernel tells of the other.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::Arc,
};

use foldhash::fast::RandomState;
use lineage_common::frame::{Held, Socket};

use super::address::{IPPROTO_TCP, family};

/// Most ends kept; beyond, the oldest are forgotten.
const ENDS_MAX: usize = 1 << 16;

/// Most of them that are closed already.
const CLOSED_MAX: usize = 1 << 12;

/// One end of a connection: the record that tells of it, and who holds it.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// `seq` of the record.
    pub(super) seq: u64,
    /// The process.
    pub(super) pid: u32,
    /// Its `process_uid`, when known.
    pub(super) uid: Option<Arc<str>>,
}

/// All ends that are open, and of TCP the latest that were.
#[derive(Debug, Default)]
pub(super) struct Connections {
    ends: BTreeMap<u64, Open>,
    /// `seq` of those that are closed.
    closed: BTreeSet<u64>,
    /// `seq` by the inode number of the socket.
    by_ino: HashMap<u64, u64, RandomState>,
    /// `seq` by both addresses of TCP.
    by_addresses: HashMap<Addresses, u64, RandomState>,
}

/// An end, and what tells which connection it is one of.
#[derive(Debug)]
struct Open {
    end: End,
    ino: u64,
    peer_ino: u64,
    addresses: Option<Addresses>,
    first_sent: u32,
    first_received: u32,
}

/// What tells apart the TCP connections of one moment: network namespace, address and port of this
/// end, address and port of the other. IPv4 as IPv6, because a socket of the latter can have the other
/// end of one of the former.
type Addresses = (u32, Place, Place);
type Place = ([u8; 16], u32);

impl Connections {
    /// The other end of the connection of this socket.
    pub(super) fn other(&self, socket: &Socket) -> Option<&End> {
        let found = if socket.family == family::UNIX {
            let seq = self.by_ino.get(&socket.peer_ino)?;
            self.ends
                .get(seq)
                .filter(|open| open.addresses.is_none())
                .filter(|open| open.peer_ino == 0 || open.peer_ino == socket.ino)
        } else {
            let (net, local, peer) = addresses(socket)?;
            let seq = self.by_addresses.get(&(net, peer, local))?;
            self.ends
                .get(seq)
                .filter(|open| open.ino != socket.ino && open.same_connection(socket))
        };
        found.map(|open| &open.end)
    }

    /// Takes note of an end. What was known of the same socket gives way.
    pub(super) fn opened(&mut self, socket: &Socket, end: End) {
        let addresses = addresses(socket);
        if socket.ino == 0 || (addresses.is_none() && socket.family != family::UNIX) {
            return;
        }
        if let Some(seq) = self.by_ino.get(&socket.ino) {
            self.forget(*seq);
        }
        if self.ends.len() >= ENDS_MAX
            && let Some(oldest) = self.closed.first().or(self.ends.keys().next())
        {
            self.forget(*oldest);
        }
        let seq = end.seq;
        self.by_ino.insert(socket.ino, seq);
        if let Some(addresses) = addresses {
            self.by_addresses.insert(addresses, seq);
        }
        self.ends.insert(
            seq,
            Open {
                end,
                ino: socket.ino,
                peer_ino: socket.peer_ino,
                addresses,
                first_sent: socket.first_sent,
                first_received: socket.first_received,
            },
        );
    }

    /// The end that this record told of was closed.
    pub(super) fn closed(&mut self, seq: u64) {
        let keep = self
            .ends
            .get(&seq)
            .is_some_and(|end| end.addresses.is_some());
        if !keep {
            return self.forget(seq);
        }
        self.closed.insert(seq);
        if self.closed.len() > CLOSED_MAX
            && let Some(oldest) = self.closed.first()
        {
            self.forget(*oldest);
        }
    }

    /// Forgets the end that this record told of.
    fn forget(&mut self, seq: u64) {
        self.closed.remove(&seq);
        let Some(open) = self.ends.remove(&seq) else {
            return;
        };
        if self.by_ino.get(&open.ino) == Some(&seq) {
            self.by_ino.remove(&open.ino);
        }
        if let Some(addresses) = open.addresses
            && self.by_addresses.get(&addresses) == Some(&seq)
        {
            self.by_addresses.remove(&addresses);
        }
    }

    /// Forgets everything: a close may have been lost, after which a number means another socket.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Open {
    /// Whether the sequence numbers of both directions began where the other end says.
    fn same_connection(&self, other: &Socket) -> bool {
        let known = self.first_received != 0 || other.first_received != 0;
        known
            && follows(self.first_sent, other.first_received)
            && follows(other.first_sent, self.first_received)
    }
}

/// Whether what one end received first is what the other sent first. A connection's first number is
/// the one of its opening, which only the end that opened it counts. What is not known yet is 0.
fn follows(sent: u32, received: u32) -> bool {
    received == 0 || received.wrapping_sub(sent) <= 1
}

fn addresses(socket: &Socket) -> Option<Addresses> {
    let internet = matches!(socket.family, family::INET | family::INET6);
    let both = Held::LOCAL | Held::PEER;
    if !internet || socket.protocol != IPPROTO_TCP || socket.held.0 & both != both {
        return None;
    }
    let whole = |addr: [u8; 16]| match (socket.family, addr) {
        (family::INET, [a, b, c, d, ..]) => Ipv4Addr::new(a, b, c, d).to_ipv6_mapped().octets(),
        (_, addr) => addr,
    };
    Some((
        socket.net_ns,
        (whole(socket.local_addr), socket.local_port),
        (whole(socket.peer_addr), socket.peer_port),
    ))
}

#[cfg(test)]
mod tests;
