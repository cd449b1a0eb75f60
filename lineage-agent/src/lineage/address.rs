//! Addresses and transports of sockets as the text and numbers that columns hold.

use std::net::{IpAddr, Ipv4Addr};

use lineage_common::{
    frame::{Held, Socket},
    limits::UNIX_PATH_BYTES_MAX,
};

use super::process::{End, Ends};
use crate::{event::SocketEvent, evidence::escape::escape_into};

/// Address families (`include/linux/socket.h`).
pub(super) mod family {
    pub(in super::super) const UNIX: u16 = 1;
    pub(in super::super) const INET: u16 = 2;
    pub(in super::super) const INET6: u16 = 10;
    pub(super) const NETLINK: u16 = 16;
    pub(super) const PACKET: u16 = 17;
    pub(super) const ALG: u16 = 38;
    pub(super) const VSOCK: u16 = 40;
}

/// Socket types (`include/linux/net.h`).
const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;
const SOCK_RAW: u16 = 3;
const SOCK_SEQPACKET: u16 = 5;

/// `IPPROTO_TCP` (`include/uapi/linux/in.h`).
pub(super) const IPPROTO_TCP: u16 = 6;

/// Protocols of `AF_INET` and `AF_INET6` (`include/uapi/linux/in.h`).
const IP: &[(u16, &str)] = &[
    (1, "icmp"),
    (2, "igmp"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "icmpv6"),
    (89, "ospf"),
    (132, "sctp"),
    (136, "udplite"),
    (262, "mptcp"),
];

/// `IPPROTO_RAW`: whatever the caller's own headers say.
const IPPROTO_RAW: u16 = 255;

/// Protocols of `AF_NETLINK` (`include/uapi/linux/netlink.h`).
const NETLINK: &[(u16, &str)] = &[
    (0, "route"),
    (2, "usersock"),
    (4, "sock-diag"),
    (6, "xfrm"),
    (7, "selinux"),
    (8, "iscsi"),
    (9, "audit"),
    (10, "fib-lookup"),
    (11, "connector"),
    (12, "netfilter"),
    (15, "uevent"),
    (16, "generic"),
    (18, "scsi"),
    (21, "crypto"),
    (22, "smc"),
];

/// Transport and both ends of a socket. What the caller gave takes the place of the local end when
/// `given_local`, else of the peer.
pub(super) fn ends(event: &SocketEvent<'_>, given_local: bool) -> Ends {
    let socket = event.socket;
    let held = |bit| socket.held.0 & bit != 0;
    let given = given(event.given);
    // Of what is no socket only the caller's address tells a family.
    let family = match (socket.family, given) {
        (0, Some((family, _))) => family,
        (family, _) => family,
    };
    let mut ends = Ends {
        transport: transport(family, socket),
        local: if held(Held::LOCAL) {
            end(socket, &socket.local_addr, socket.local_port, event.local)
        } else {
            End::default()
        },
        peer: if held(Held::PEER) {
            end(socket, &socket.peer_addr, socket.peer_port, event.peer)
        } else {
            End::default()
        },
    };
    if let Some((family, rest)) = given {
        let end = claimed(family, rest);
        if given_local {
            ends.local = end;
        } else {
            ends.peer = end;
        }
    }
    ends
}

fn transport(family: u16, socket: &Socket) -> String {
    let (kind, protocol) = (socket.socket_type, socket.protocol);
    let name = |names: &[(u16, &str)], number: u16| {
        let found = names.iter().find(|(known, _)| *known == number);
        found.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
    };
    let known =
        |names: &[(u16, &str)], number: u16| names.iter().any(|(known, _)| *known == number);
    let with_type = |prefix: &str| match kind {
        SOCK_STREAM => Some(format!("{prefix}-stream")),
        SOCK_DGRAM => Some(format!("{prefix}-dgram")),
        SOCK_RAW => Some(format!("{prefix}-raw")),
        SOCK_SEQPACKET => Some(format!("{prefix}-seqpacket")),
        _ => None,
    };
    let readable = match family {
        _ if kind == 0 => None,
        family::INET | family::INET6 if kind == SOCK_RAW && protocol == IPPROTO_RAW => {
            Some("raw".to_owned())
        }
        family::INET | family::INET6 if kind == SOCK_RAW => {
            Some(format!("raw-{}", name(IP, protocol)))
        }
        family::INET | family::INET6 if known(IP, protocol) => Some(name(IP, protocol)),
        family::NETLINK => Some(format!("netlink-{}", name(NETLINK, protocol))),
        family::UNIX => with_type("unix"),
        family::PACKET => with_type("packet"),
        family::VSOCK => with_type("vsock"),
        family::ALG => Some("alg".to_owned()),
        _ => None,
    };
    readable.unwrap_or_else(|| format!("{family}/{kind}/{protocol}"))
}

/// An end that the kernel holds.
fn end(socket: &Socket, addr: &[u8; 16], port: u32, name: &[u8]) -> End {
    let [a, b, c, d, ..] = *addr;
    let word = u32::from_ne_bytes([a, b, c, d]);
    match socket.family {
        family::INET => internet([a, b, c, d], port),
        family::INET6 => internet(*addr, port),
        family::UNIX if !name.is_empty() => only(unix_name(name)),
        family::NETLINK => only(netlink(port, word)),
        family::PACKET => {
            let name = addr.split(|byte| *byte == 0).next().unwrap_or_default();
            if name.is_empty() {
                return only(format!("if{}", port.cast_signed()));
            }
            let mut text = String::new();
            escape_into(name, &mut text);
            only(text)
        }
        family::VSOCK => vsock(word, port),
        _ => End::default(),
    }
}

/// The family and the rest of an address in the caller's memory.
fn given(address: &[u8]) -> Option<(u16, &[u8])> {
    let (family, rest) = address.split_first_chunk()?;
    Some((u16::from_ne_bytes(*family), rest))
}

/// An end that a caller gave: the rest of a `struct sockaddr_*`. Nothing when it is too short.
fn claimed(family: u16, rest: &[u8]) -> End {
    let part = |at: usize| rest.get(at..at + 4).and_then(|part| part.try_into().ok());
    let word = |at| part(at).map(u32::from_ne_bytes);
    let ip = |at| part(at).map(|octets: [u8; 4]| Ipv4Addr::from(octets));
    let port = || {
        let port = rest.first_chunk().copied().map(u16::from_be_bytes);
        port.map(u32::from)
    };
    let end = match family {
        family::UNIX => {
            let name = &rest[..rest.len().min(UNIX_PATH_BYTES_MAX)];
            let path = name.split(|byte| *byte == 0).next().unwrap_or_default();
            match name {
                [] | [0] => None,
                [0, ..] => Some(only(unix_name(name))),
                _ => Some(only(unix_name(path))),
            }
        }
        family::INET => ip(2).zip(port()).map(|(addr, port)| internet(addr, port)),
        family::INET6 => rest
            .get(6..22)
            .and_then(|addr| <[u8; 16]>::try_from(addr).ok())
            .zip(port())
            .map(|(addr, port)| internet(addr, port)),
        family::NETLINK => word(2)
            .zip(word(6))
            .map(|(port, groups)| only(netlink(port, groups))),
        family::PACKET => word(2).map(|index| only(link(index.cast_signed(), rest))),
        family::VSOCK => word(2).zip(word(6)).map(|(port, cid)| vsock(cid, port)),
        family::ALG => rest
            .get(..14)
            .zip(rest.get(22..))
            .map(|(kind, name)| only(algorithm(kind, name))),
        _ => None,
    };
    end.unwrap_or_default()
}

fn internet(addr: impl Into<IpAddr>, port: u32) -> End {
    End {
        addr: Some(addr.into().to_string()),
        port: Some(port),
    }
}

fn only(addr: String) -> End {
    End {
        addr: Some(addr),
        port: None,
    }
}

/// A port id, 0 being the kernel, and the groups, if any.
fn netlink(port: u32, groups: u32) -> String {
    match (port, groups) {
        (0, 0) => "kernel".to_owned(),
        (_, 0) => port.to_string(),
        _ => format!("{port}/{groups:#x}"),
    }
}

/// A context id and a port.
fn vsock(cid: u32, port: u32) -> End {
    let addr = match cid {
        u32::MAX => "any".to_owned(),
        cid => cid.to_string(),
    };
    End {
        addr: Some(addr),
        port: Some(port),
    }
}

/// The number of an interface, and the hardware address: `struct sockaddr_ll` behind its family.
fn link(index: i32, rest: &[u8]) -> String {
    let mut text = format!("if{index}");
    let len = rest.get(9).map_or(0, |len| usize::from(*len));
    for (at, byte) in rest.iter().skip(10).take(len.min(8)).enumerate() {
        let before = if at == 0 { '/' } else { ':' };
        text.push_str(&format!("{before}{byte:02x}"));
    }
    text
}

/// Type and name of an algorithm of the kernel.
fn algorithm(kind: &[u8], name: &[u8]) -> String {
    let mut text = String::new();
    for (at, part) in [kind, name].into_iter().enumerate() {
        if at > 0 {
            text.push('/');
        }
        escape_into(
            part.split(|byte| *byte == 0).next().unwrap_or(part),
            &mut text,
        );
    }
    text
}

/// A Unix socket's name: a path, or `@` and the rest of an abstract name (unix(7)). The `@` of a
/// path that starts with one is escaped, so the two cannot be confused.
fn unix_name(name: &[u8]) -> String {
    let mut text = String::new();
    let path = name.split(|byte| *byte == 0).next().unwrap_or(name);
    match (name.split_first(), path.strip_prefix(b"@")) {
        (Some((0, rest)), _) => {
            text.push('@');
            escape_into(rest, &mut text);
        }
        (_, Some(rest)) => {
            text.push_str("\\x40");
            escape_into(rest, &mut text);
        }
        _ => escape_into(path, &mut text),
    }
    text
}

#[cfg(test)]
mod tests;
