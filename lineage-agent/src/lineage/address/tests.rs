use zerocopy::FromZeros as _;

use super::*;

fn shown(socket: &Socket, given: &[u8], given_local: bool) -> Ends {
    ends(
        &SocketEvent {
            socket,
            local: b"",
            peer: b"",
            given,
        },
        given_local,
    )
}

fn socket(family: u16, socket_type: u16, protocol: u16) -> Socket {
    Socket {
        family,
        socket_type,
        protocol,
        ..Socket::new_zeroed()
    }
}

#[test]
fn an_abstract_name_is_not_a_path() {
    assert_eq!(unix_name(b"\0bus"), "@bus");
    assert_eq!(unix_name(b"@bus\0"), "\\x40bus");
    assert_eq!(unix_name(b"/run/bus\0\0"), "/run/bus");
}

#[test]
fn both_ends_of_a_socket() {
    let mut local_addr = [0; 16];
    local_addr[..4].copy_from_slice(&[127, 0, 0, 1]);
    let socket = Socket {
        local_addr,
        local_port: 80,
        held: Held(Held::LOCAL),
        ..socket(family::INET, SOCK_STREAM, IPPROTO_TCP)
    };
    let ends = shown(&socket, b"", false);
    assert_eq!(ends.transport, "tcp");
    assert_eq!(ends.local, internet([127, 0, 0, 1], 80));
    assert_eq!(ends.peer, End::default());
}

#[test]
fn transports_read_well() {
    for (family, kind, protocol, name) in [
        (family::INET, SOCK_DGRAM, 17, "udp"),
        (family::INET, SOCK_DGRAM, 1, "icmp"),
        (family::INET6, SOCK_RAW, 58, "raw-icmpv6"),
        (family::INET, SOCK_RAW, 255, "raw"),
        (family::INET, SOCK_RAW, 200, "raw-200"),
        (family::INET, 9, 77, "2/9/77"),
        (family::INET, SOCK_STREAM, 262, "mptcp"),
        (family::NETLINK, SOCK_RAW, 0, "netlink-route"),
        (family::NETLINK, SOCK_DGRAM, 99, "netlink-99"),
        (family::PACKET, SOCK_RAW, 3, "packet-raw"),
        (family::VSOCK, SOCK_STREAM, 0, "vsock-stream"),
        (family::UNIX, SOCK_SEQPACKET, 0, "unix-seqpacket"),
        (family::ALG, SOCK_SEQPACKET, 0, "alg"),
        (29, SOCK_RAW, 1, "29/3/1"),
    ] {
        assert_eq!(transport(family, &socket(family, kind, protocol)), name);
    }
}

/// The family in host order, then the rest.
fn address(family: u16, rest: &[u8]) -> Vec<u8> {
    [&family.to_ne_bytes(), rest].concat()
}

#[test]
fn what_a_caller_gave_is_shown_by_its_own_family() {
    let word = |word: u32| word.to_ne_bytes();
    let mut v6 = vec![0, 53, 0, 0, 0, 0];
    v6.extend([0; 15]);
    v6.extend([1, 0, 0, 0, 0]);
    let netlink = [&[0, 0][..], &word(77), &word(5)].concat();
    let kernel = [&[0, 0][..], &word(0), &word(0)].concat();
    let vsock = [&[0, 0][..], &word(1024), &word(2)].concat();
    let link = [
        &[8, 0][..],
        &word(3),
        &[0, 0, 0, 6, 1, 2, 3, 4, 5, 255, 0, 0],
    ]
    .concat();
    let alg = [&b"hash\0\0\0\0\0\0\0\0\0\0"[..], &[0; 8], b"sha256\0junk"].concat();
    for (family, rest, addr, port) in [
        (
            family::INET,
            &[0, 80, 10, 0, 0, 1][..],
            Some("10.0.0.1"),
            Some(80),
        ),
        (family::INET, &[0, 80, 10, 0, 0], None, None),
        (family::INET6, &v6, Some("::1"), Some(53)),
        (family::INET6, &v6[..20], None, None),
        (family::UNIX, b"/run/bus\0junk", Some("/run/bus"), None),
        (family::UNIX, b"\0bus", Some("@bus"), None),
        (family::UNIX, b"", None, None),
        (family::NETLINK, &netlink, Some("77/0x5"), None),
        (family::NETLINK, &kernel, Some("kernel"), None),
        (family::VSOCK, &vsock, Some("2"), Some(1024)),
        (family::PACKET, &link, Some("if3/01:02:03:04:05:ff"), None),
        (family::ALG, &alg, Some("hash/sha256"), None),
        (99, &[1, 2, 3], None, None),
    ] {
        let given = address(family, rest);
        let none = Socket::new_zeroed();
        let ends = shown(&none, &given, false);
        let expected = End {
            addr: addr.map(str::to_owned),
            port,
        };
        assert_eq!(ends.peer, expected, "{family} {rest:?}");
        assert_eq!(ends.transport, format!("{family}/0/0"), "{family}");
        assert_eq!(shown(&none, &given, true).local, expected);
    }
}

#[test]
fn every_start_of_an_address_is_bearable() {
    for family in 0..64 {
        let long = address(family, &[0xff; 126]);
        for len in 0..=long.len() {
            let _ = shown(&Socket::new_zeroed(), &long[..len], false);
        }
    }
}
