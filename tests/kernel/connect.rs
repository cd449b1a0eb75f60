//! `net.connect`: the address the kernel connected to, or the one that was asked for.

use std::net::{TcpListener, UdpSocket};

use lineage_tests::recorder::Recorder;
use serde_json::json;

#[test]
fn tcp_over_ipv4_and_ipv6() {
    for address in ["127.0.0.1", "::1"] {
        let listener = TcpListener::bind((address, 0)).expect("loopback");
        let bound = listener.local_addr().expect("bound");
        let family = if bound.is_ipv4() { "inet" } else { "inet6" };
        let recorder = Recorder::new();
        let run = recorder.script(&format!(
            "socket @s {family} stream connect @s {bound} send @s 9 close @s"
        ));
        let (_, peer) = listener.accept().expect("it connected");
        let connect = run.rows.only("net.connect", &json!({}));
        connect.expect(&json!({
            "origin": "kernel", "result": 0, "transport": "tcp",
            "local_addr": address, "local_port": peer.port(),
            "peer_addr": address, "peer_port": bound.port(),
        }));
        let close = run
            .rows
            .only("net.close", &json!({ "opened": connect.int("seq") }));
        close.expect(&json!({
            "bytes_written": 9, "bytes_read": 0, "closed_by": "close", "ino": connect.int("ino"),
            "peer_port": bound.port(),
        }));
    }
}

#[test]
fn an_ipv4_peer_of_an_ipv6_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let run = Recorder::new().script(&format!(
        "socket @s inet6 stream connect @s [::ffff:127.0.0.1]:{port} close @s"
    ));
    run.rows.only("net.connect", &json!({})).expect(&json!({
        "result": 0, "peer_addr": "::ffff:127.0.0.1", "peer_port": port,
    }));
}

#[test]
fn udp_has_a_peer_once_connected() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let bound = socket.local_addr().expect("bound");
    let run = Recorder::new().script(&format!(
        "socket @s inet dgram connect @s {bound} send @s 4 sendmsg @s 6 close @s"
    ));
    let connect = run.rows.only("net.connect", &json!({}));
    connect.expect(&json!({
        "transport": "udp", "result": 0, "peer_addr": "127.0.0.1", "peer_port": bound.port(),
        "local_addr": "127.0.0.1",
    }));
    let mut letters = [0; 16];
    let (bytes, from) = socket.recv_from(&mut letters).expect("it sent");
    assert_eq!(
        (bytes, i64::from(from.port())),
        (4, connect.int("local_port"))
    );
    run.rows
        .only("net.close", &json!({ "opened": connect.int("seq") }))
        .expect(&json!({
            "bytes_written": 10,
        }));
}

#[test]
fn a_datagram_without_connecting_is_a_first_use() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let bound = socket.local_addr().expect("bound");
    let run = Recorder::new().script(&format!(
        "socket @s inet dgram sendto @s 7 {bound} close @s"
    ));
    let used = run.rows.only("net.inherit", &json!({ "transport": "udp" }));
    run.rows
        .only("net.close", &json!({ "opened": used.int("seq") }))
        .expect(&json!({
            "bytes_written": 7,
        }));
}

#[test]
fn unix_sockets_by_path_and_by_abstract_name() {
    let recorder = Recorder::new();
    let path = recorder.path("socket").display().to_string();
    let name = format!("lineage-test-{}", std::process::id());
    let run = recorder.script(&format!(
        "socket @l unix stream bind @l unix:{path} listen @l socket @c unix stream connect @c unix:{path} \
         socket @m unix seqpacket bind @m unix:@{name} listen @m socket @d unix seqpacket connect @d unix:@{name}"
    ));
    run.rows.only("net.connect", &json!({ "transport": "unix-stream" })).expect(&json!({
        "peer_addr": path, "peer_port": null, "local_addr": null, "result": 0, "origin": "kernel",
    }));
    run.rows
        .only("net.connect", &json!({ "transport": "unix-seqpacket" }))
        .expect(&json!({
            "peer_addr": format!("@{name}"), "result": 0,
        }));
}

#[test]
fn failures_have_their_errno_and_what_was_asked_for() {
    // A port that the kernel gives to nobody, and nobody listens on.
    let port = 9;
    let recorder = Recorder::new();
    let path = recorder.path("nobody").display().to_string();
    let run = recorder.script(&format!(
        "socket @a inet stream fails ECONNREFUSED connect @a 127.0.0.1:{port} \
         socket @b inet6 stream fails ECONNREFUSED connect @b [::1]:{port} \
         socket @c unix stream fails ENOENT connect @c unix:{path} fails EBADF connect 99 127.0.0.1:{port}"
    ));
    let asked = [
        (
            json!({ "fd": 3 }),
            json!({ "result": -111, "peer_addr": "127.0.0.1", "peer_port": port }),
        ),
        (
            json!({ "fd": 4 }),
            json!({ "result": -111, "peer_addr": "::1", "peer_port": port }),
        ),
        (
            json!({ "fd": 5 }),
            json!({ "result": -2, "peer_addr": path }),
        ),
        (
            json!({ "result": -9 }),
            json!({ "peer_addr": "127.0.0.1", "peer_port": port }),
        ),
    ];
    for (which, expected) in asked {
        let connect = run.rows.only("net.connect", &which);
        connect.expect(&expected);
        connect.expect(&json!({ "origin": "claimed" }));
    }
}

#[test]
fn a_connect_in_progress_has_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let bound = listener.local_addr().expect("bound");
    let run = Recorder::new().script(&format!(
        "socket @s inet stream nonblock @s fails EINPROGRESS connect @s {bound} close @s"
    ));
    run.rows.only("net.connect", &json!({})).expect(&json!({
        "result": -115, "peer_addr": "127.0.0.1", "peer_port": bound.port(), "origin": "kernel",
    }));
}
