//! `net.send`, `net.receive`: whom messages go to and come from.

use std::net::UdpSocket;

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::json;

/// The peers that messages had, in their order, and the bytes of the first message of each.
fn peers(run: &Recorded, kind: &str) -> Vec<(i64, i64)> {
    let rows = run.rows.all(kind, &json!({ "origin": "claimed" }));
    rows.iter()
        .map(|row| (row.int("peer_port"), row.int("result")))
        .collect()
}

#[test]
fn the_first_to_each_address() {
    for (family, address) in [("inet", "127.0.0.1"), ("inet6", "::1")] {
        let bind = || UdpSocket::bind((address, 0)).expect("loopback");
        let (one, two) = (bind(), bind());
        let (first, second) = (one.local_addr().unwrap(), two.local_addr().unwrap());
        let run = Recorder::new().script(&format!(
            "socket @s {family} dgram sendto @s 7 {first} sendto @s 8 {first} sendmsg-to @s 9 {second} \
             sendto @s 3 {second} fork @c [ sendto @s 2 {first} exit 3 ] wait @c close @s"
        ));
        let (a, b) = (i64::from(first.port()), i64::from(second.port()));
        // That of the child is its own.
        assert_eq!(peers(&run, "net.send"), [(a, 7), (b, 9), (a, 2)]);
        let sent = run.rows.only("net.send", &json!({ "result": 7 }));
        let mut letters = [0; 16];
        let (_, from) = one.recv_from(&mut letters).expect("it sent");
        sent.expect(&json!({
            "origin": "claimed", "transport": "udp", "peer_addr": address,
            "local_port": from.port(),
        }));
        let used = run
            .rows
            .only("net.inherit", &json!({ "pid": sent.int("pid") }));
        run.rows
            .only("net.close", &json!({ "opened": used.int("seq") }))
            .expect(&json!({ "bytes_written": 27, "ino": sent.int("ino") }));
    }
}

/// An IPv4 address ends in padding, and the kernel takes more bytes than it needs.
#[test]
fn what_is_left_behind_an_address_tells_none_apart() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let port = socket.local_addr().expect("bound").port();
    let [high, low] = port.to_be_bytes();
    // `AF_INET`, the port, the address.
    let address = i64::from_le_bytes([2, 0, high, low, 127, 0, 0, 1]);
    let given = ["0 16", "7 16", "7,9 24", "-1,-1 20"].map(|behind| {
        let (left, len) = behind.split_once(' ').expect("two words");
        format!("call @r sendto @s =letters 7 0 #{address},{left} {len} ;")
    });
    let run = Recorder::new().script(&format!(
        "socket @s inet dgram {} sendto @s 5 127.0.0.1:{port} close @s",
        given.join(" ")
    ));
    assert_eq!(peers(&run, "net.send"), [(i64::from(port), 7)]);
    run.rows
        .only("net.close", &json!({ "transport": "udp" }))
        .expect(&json!({ "bytes_written": 33 }));
}

#[test]
fn a_program_has_news_of_its_own() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let bound = socket.local_addr().expect("bound");
    let run = Recorder::new().script(&format!(
        "socket @s inet dgram dup2 @s 9 sendto 9 7 {bound} sendto 9 6 {bound} \
         exec {} actor sendto 9 5 {bound} sendto 9 4 {bound} ;",
        ACTOR.display()
    ));
    let port = i64::from(bound.port());
    assert_eq!(peers(&run, "net.send"), [(port, 7), (port, 5)]);
}

/// What comes back from the queue of errors the process had sent itself.
#[test]
fn an_own_message_that_comes_back_is_not_received() {
    let run = Recorder::new().script(
        "socket @s inet dgram report-errors @s sendto @s 7 127.0.0.1:9 \
         call @r recvfrom @s room 100 8192 0 0 ; print @r close @s",
    );
    assert_eq!(run.stdout(), "7\n");
    run.rows.none("net.receive", &json!({}));
    run.rows
        .only("net.close", &json!({ "transport": "udp" }))
        .expect(&json!({ "bytes_written": 7, "bytes_read": 0 }));
}

#[test]
fn many_in_one_call() {
    let sockets: Vec<_> = (0..3)
        .map(|_| UdpSocket::bind("127.0.0.1:0").expect("loopback"))
        .collect();
    let [a, b, c] = [0, 1, 2].map(|at: usize| sockets[at].local_addr().unwrap());
    let run = Recorder::new().script(&format!(
        "socket @s inet dgram sendmmsg @s 5 [ {a} {b} {a} {c} ] sendmmsg @s 6 [ {c} {b} ] close @s"
    ));
    let port = |address: std::net::SocketAddr| i64::from(address.port());
    let expected = [(port(a), 5), (port(b), 5), (port(c), 5)];
    assert_eq!(peers(&run, "net.send"), expected);
    run.rows
        .only("net.close", &json!({ "transport": "udp" }))
        .expect(&json!({ "bytes_written": 32 }));
}

#[test]
fn the_first_from_each_address() {
    let run = Recorder::new().script(
        "socket @r inet dgram bind @r 127.0.0.1:0 socket @a inet dgram socket @b inet dgram \
         bind @a 127.0.0.1:0 bind @b 127.0.0.1:0 \
         sendto @a 4 @r recvfrom @r 4 sendto @b 5 @r recvmsg-from @r 5 sendto @a 4 @r recvfrom @r 4 \
         sendto @a 6 @r sendto @b 6 @r recvmmsg @r 6 2 sendto @a 1 @r recv @r 1 close @r",
    );
    let ports: Vec<_> = run
        .rows
        .all("net.bind", &json!({}))
        .iter()
        .map(|row| row.int("local_port"))
        .collect();
    let [own, a, b] = ports[..] else {
        panic!("not three sockets: {ports:?}");
    };
    assert_eq!(peers(&run, "net.receive"), [(a, 4), (b, 5)]);
    for row in run.rows.all("net.receive", &json!({ "origin": "claimed" })) {
        row.expect(&json!({
            "local_port": own, "peer_addr": "127.0.0.1", "transport": "udp",
        }));
    }
    // Nobody asked where this one came from.
    run.rows
        .only("net.receive", &json!({ "origin": "kernel" }))
        .expect(&json!({ "local_port": own, "result": 1, "peer_addr": null, "peer_port": null }));
    run.rows
        .only("net.close", &json!({ "local_port": own }))
        .expect(&json!({ "bytes_read": 26 }));
}

#[test]
fn a_connected_socket_has_its_peer_already() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let other = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let (bound, aside) = (socket.local_addr().unwrap(), other.local_addr().unwrap());
    let run = Recorder::new().script(&format!(
        "socket @s inet dgram connect @s {bound} send @s 4 sendmsg @s 6 sendto @s 5 {aside} close @s"
    ));
    // But a message can go elsewhere.
    assert_eq!(peers(&run, "net.send"), [(i64::from(aside.port()), 5)]);
    run.rows
        .only("net.send", &json!({ "origin": "claimed" }))
        .expect(&json!({ "peer_addr": "127.0.0.1" }));
    run.rows
        .only("net.send", &json!({ "origin": "kernel" }))
        .expect(&json!({ "peer_addr": "127.0.0.1", "peer_port": bound.port(), "result": 4 }));
}

#[test]
fn unix_sockets_by_path_and_by_abstract_name() {
    let recorder = Recorder::new();
    let path = recorder.path("socket").display().to_string();
    let name = format!("lineage-datagram-{}", std::process::id());
    let run = recorder.script(&format!(
        "socket @a unix dgram bind @a unix:{path} socket @b unix dgram bind @b unix:@{name} \
         sendto @b 3 unix:{path} recvfrom @a 3 sendto @a 4 unix:@{name} recvmsg-from @b 4 \
         sendto @a 4 unix:@{name} socket @c unix dgram sendto @c 2 unix:{path} recvfrom @a 2"
    ));
    let name = format!("@{name}");
    run.rows
        .only("net.send", &json!({ "peer_addr": name }))
        .expect(&json!({ "local_addr": path, "transport": "unix-dgram", "result": 4 }));
    run.rows
        .only("net.send", &json!({ "peer_addr": path, "result": 3 }))
        .expect(&json!({ "local_addr": name }));
    run.rows
        .only("net.receive", &json!({ "peer_addr": name }))
        .expect(&json!({ "local_addr": path, "result": 3 }));
    run.rows
        .only("net.receive", &json!({ "peer_addr": path }))
        .expect(&json!({ "local_addr": name, "result": 4 }));
    // A socket without a name has no address that could be recorded.
    run.rows
        .only("net.receive", &json!({ "peer_addr": null }))
        .expect(&json!({ "local_addr": path, "result": 2, "origin": "kernel" }));
    assert_eq!(run.rows.all("net.receive", &json!({})).len(), 3);
}

#[test]
fn failures_have_their_errno() {
    let recorder = Recorder::new();
    let path = recorder.path("nobody").display().to_string();
    let run = recorder.script(&format!(
        "socket @s inet dgram fails EACCES sendto @s 3 127.255.255.255:9 \
         fails EACCES sendmsg-to @s 3 127.255.255.255:9 socket @d unix dgram \
         fails ENOENT sendto @d 3 unix:{path} fails ENOENT sendmmsg @d 3 [ unix:{path} ] \
         fails EINVAL sendto @s 3 127.0.0.1:0"
    ));
    let results: Vec<_> = run
        .rows
        .all("net.send", &json!({ "origin": "claimed" }))
        .iter()
        .map(|row| (row.int("result"), row.text("peer_addr").to_owned()))
        .collect();
    // Once each, however often.
    let expected = [
        (-13, "127.255.255.255".to_owned()),
        (-2, path),
        (-22, "127.0.0.1".to_owned()),
    ];
    assert_eq!(results, expected);
}

#[test]
fn a_connection_made_by_sending() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let bound = listener.local_addr().expect("bound");
    let run = Recorder::new().script(&format!(
        "socket @s inet stream fastopen @s 6 {bound} send @s 2 close @s"
    ));
    let connect = run.rows.only("net.connect", &json!({}));
    let (_, peer) = listener.accept().expect("it connected");
    connect.expect(&json!({
        "origin": "kernel", "result": 6, "transport": "tcp", "peer_addr": "127.0.0.1",
        "peer_port": bound.port(), "local_port": peer.port(),
    }));
    run.rows.only("net.send", &json!({})).expect(&json!({
        "origin": "kernel", "result": 6, "peer_port": bound.port(), "local_port": peer.port(),
    }));
    run.rows
        .only("net.close", &json!({ "opened": connect.int("seq") }))
        .expect(&json!({ "bytes_written": 8 }));
}

#[test]
fn an_address_is_seen_behind_a_message_without_one() {
    let sockets = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback"));
    let [connected, other] = [0, 1].map(|at: usize| sockets[at].local_addr().expect("bound"));
    let run = Recorder::new().script(&format!(
        "socket @s inet dgram connect @s {connected} sendmmsg @s 3 [ none {other} none ]"
    ));
    run.rows.only(
        "net.send",
        &json!({ "origin": "claimed", "peer_port": other.port(), "result": 3 }),
    );
}
