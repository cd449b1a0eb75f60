use zerocopy::FromZeros as _;

use super::*;

/// A TCP socket of 127.0.0.1 with these ports and these first numbers.
fn tcp(ino: u64, ports: (u32, u32), first: (u32, u32)) -> Socket {
    let mut addr = [0; 16];
    addr[..4].copy_from_slice(&[127, 0, 0, 1]);
    Socket {
        ino,
        local_addr: addr,
        peer_addr: addr,
        family: family::INET,
        protocol: IPPROTO_TCP,
        local_port: ports.0,
        peer_port: ports.1,
        first_sent: first.0,
        first_received: first.1,
        held: Held(Held::LOCAL | Held::PEER),
        ..Socket::new_zeroed()
    }
}

fn unix(ino: u64, peer_ino: u64) -> Socket {
    Socket {
        ino,
        peer_ino,
        family: family::UNIX,
        ..Socket::new_zeroed()
    }
}

fn end(seq: u64) -> End {
    End {
        seq,
        pid: 1,
        uid: None,
    }
}

fn other(connections: &Connections, socket: &Socket) -> Option<u64> {
    connections.other(socket).map(|end| end.seq)
}

#[test]
fn both_ends_of_a_tcp_connection() {
    let (client, server) = (tcp(1, (1000, 80), (5, 21)), tcp(2, (80, 1000), (21, 6)));
    let mut connections = Connections::default();
    connections.opened(&client, end(7));
    assert_eq!(other(&connections, &server), Some(7));
    assert_eq!(other(&connections, &client), None);
    connections.opened(&server, end(8));
    assert_eq!(other(&connections, &client), Some(8));
}

#[test]
fn an_end_of_tcp_is_known_after_its_close() {
    let (client, server) = (tcp(1, (1000, 80), (5, 21)), tcp(2, (80, 1000), (21, 6)));
    let mut connections = Connections::default();
    connections.opened(&client, end(7));
    connections.closed(7);
    assert_eq!(other(&connections, &server), Some(7));
    // Its inode number may be another socket's by then.
    connections.opened(&tcp(1, (2000, 80), (50, 70)), end(8));
    assert_eq!(other(&connections, &server), None);
}

#[test]
fn closed_ends_are_bounded_and_give_way_first() {
    let mut connections = Connections::default();
    let one = |at: u64| tcp(at, (u32::try_from(at).unwrap(), 80), (5, 21));
    for at in 1..=CLOSED_MAX as u64 + 1 {
        connections.opened(&one(at), end(at));
        connections.closed(at);
    }
    assert_eq!(connections.ends.len(), CLOSED_MAX);
    assert_eq!(other(&connections, &tcp(0, (80, 1), (21, 6))), None);
    assert_eq!(other(&connections, &tcp(0, (80, 2), (21, 6))), Some(2));
    for ino in 1_000_000..1_000_000 + ENDS_MAX as u64 {
        connections.opened(&unix(ino, 0), end(ino));
    }
    assert_eq!(
        (connections.ends.len(), connections.closed.len()),
        (ENDS_MAX, 0)
    );
    let first = unix(9, 1_000_000);
    assert_eq!(other(&connections, &first), Some(1_000_000));
}

#[test]
fn a_connect_in_progress_does_not_know_the_other_direction() {
    let mut connections = Connections::default();
    connections.opened(&tcp(1, (1000, 80), (5, 0)), end(7));
    assert_eq!(other(&connections, &tcp(2, (80, 1000), (21, 6))), Some(7));
    assert_eq!(other(&connections, &tcp(2, (80, 1000), (21, 9))), None);
    assert_eq!(other(&connections, &tcp(2, (80, 1000), (21, 0))), None);
}

#[test]
fn a_reused_port_is_another_connection() {
    let mut connections = Connections::default();
    connections.opened(&tcp(2, (80, 1000), (21, 6)), end(7));
    assert_eq!(other(&connections, &tcp(3, (1000, 80), (50, 70))), None);
    assert_eq!(other(&connections, &tcp(3, (1000, 80), (5, 70))), None);
    assert_eq!(other(&connections, &tcp(3, (1000, 80), (50, 21))), None);
}

#[test]
fn a_namespace_has_connections_of_its_own() {
    let mut connections = Connections::default();
    connections.opened(&tcp(1, (1000, 80), (5, 21)), end(7));
    let elsewhere = Socket {
        net_ns: 9,
        ..tcp(2, (80, 1000), (21, 6))
    };
    assert_eq!(other(&connections, &elsewhere), None);
}

#[test]
fn ipv4_and_ipv6_can_be_two_ends_of_one() {
    let client = tcp(1, (1000, 80), (5, 21));
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
    let server = Socket {
        family: family::INET6,
        local_addr: mapped,
        peer_addr: mapped,
        ..tcp(2, (80, 1000), (21, 6))
    };
    let mut connections = Connections::default();
    connections.opened(&client, end(7));
    assert_eq!(other(&connections, &server), Some(7));
}

#[test]
fn unix_sockets_are_told_by_their_inodes() {
    let mut connections = Connections::default();
    // Not accepted yet: the other end has no inode.
    connections.opened(&unix(1, 0), end(7));
    assert_eq!(other(&connections, &unix(2, 1)), Some(7));
    connections.opened(&unix(1, 2), end(8));
    assert_eq!(other(&connections, &unix(2, 1)), Some(8));
    assert_eq!(other(&connections, &unix(3, 1)), None);
    connections.closed(7);
    assert_eq!(other(&connections, &unix(2, 1)), Some(8));
    connections.closed(8);
    assert_eq!(other(&connections, &unix(2, 1)), None);
    connections.opened(&unix(1, 2), end(9));
    connections.clear();
    assert_eq!(other(&connections, &unix(2, 1)), None);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut connections = Connections::default();
    for ino in 1..=ENDS_MAX as u64 + 10 {
        connections.opened(&unix(ino, 0), end(ino));
    }
    let kept = |connections: &Connections| (connections.ends.len(), connections.by_ino.len());
    assert_eq!(kept(&connections), (ENDS_MAX, ENDS_MAX));
    assert_eq!(other(&connections, &unix(99_999, 10)), None);
    assert_eq!(other(&connections, &unix(99_999, 11)), Some(11));
}
