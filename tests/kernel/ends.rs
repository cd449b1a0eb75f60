//! The process at the other end, and the two ends of one connection.

use lineage_tests::recorder::Recorder;
use lineage_tests::rows::Rows;
use serde_json::json;

/// Fails unless the later of the accepted and the connecting end names the earlier, and nothing else.
fn expect_one_connection(rows: &Rows) {
    let accept = rows.only("net.accept", &json!({}));
    let connect = rows.only("net.connect", &json!({}));
    let (earlier, later) = if accept.int("seq") < connect.int("seq") {
        (accept, connect)
    } else {
        (connect, accept)
    };
    earlier.expect(&json!({ "other_end": null }));
    later.expect(&json!({
        "other_end": earlier.int("seq"), "peer_pid": earlier.int("pid"),
        "peer_uid": earlier.text("process_uid"), "net_ns": earlier.get("net_ns"),
    }));
}

/// A client and a server process that exchange 5 bytes one way and 3 the other.
fn exchange(family: &str, kind: &str, address: &str) -> String {
    format!(
        "socket @l {family} {kind} bind @l {address} listen @l \
         fork @k [ socket @c {family} {kind} connect @c @l send @c 5 recv @c 3 close @c exit 4 ] \
         accept @s @l recv @s 5 send @s 3 close @s wait @k"
    )
}

#[test]
fn tcp_of_one_host() {
    for (family, address) in [("inet", "127.0.0.1:0"), ("inet6", "[::1]:0")] {
        let run = Recorder::new().script(&exchange(family, "stream", address));
        expect_one_connection(&run.rows);
    }
}

#[test]
fn an_ipv4_end_and_an_ipv6_end() {
    let run = Recorder::new().script(
        "socket @l inet6 stream bind @l [::ffff:127.0.0.1]:0 listen @l socket @c inet6 stream \
         connect @c @l accept @s @l",
    );
    expect_one_connection(&run.rows);
}

#[test]
fn unix_of_two_processes() {
    for kind in ["stream", "seqpacket"] {
        let name = format!("lineage-ends-{kind}-{}", std::process::id());
        let run = Recorder::new().script(&exchange("unix", kind, &format!("unix:@{name}")));
        expect_one_connection(&run.rows);
        let connect = run.rows.only("net.connect", &json!({}));
        let accept = run.rows.only("net.accept", &json!({}));
        accept.expect(&json!({
            "peer_ino": connect.int("ino"), "peer_pid": connect.int("pid"),
            "peer_uid": connect.text("process_uid"),
        }));
        connect.expect(&json!({
            "peer_pid": accept.int("pid"), "peer_uid": accept.text("process_uid"),
        }));
    }
}

#[test]
fn a_peer_that_is_not_recorded() {
    let recorder = Recorder::new();
    let path = recorder.path("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    let run = recorder.script(&format!(
        "socket @c unix stream connect @c unix:{}",
        path.display()
    ));
    drop(listener);
    run.rows.only("net.connect", &json!({})).expect(&json!({
        "peer_pid": std::process::id(), "peer_uid": null, "other_end": null, "peer_ino": null,
    }));
}

#[test]
fn a_peer_that_has_ended() {
    let name = format!("lineage-ended-{}", std::process::id());
    let run = Recorder::new().script(&format!(
        "socket @l unix stream bind @l unix:@{name} listen @l \
         fork @k [ socket @c unix stream connect @c @l send @c 5 exit 4 ] wait @k accept @s @l"
    ));
    let connect = run.rows.only("net.connect", &json!({}));
    // Its number stays; its socket and the process are gone.
    run.rows.only("net.accept", &json!({})).expect(&json!({
        "peer_pid": connect.int("pid"), "peer_uid": null, "peer_ino": null, "other_end": null,
    }));
}

#[test]
fn a_named_datagram_socket() {
    let name = format!("lineage-named-{}", std::process::id());
    let run = Recorder::new().script(&format!(
        "socket @d unix dgram bind @d unix:@{name} \
         fork @k [ socket @c unix dgram connect @c unix:@{name} send @c 5 exit 4 ] wait @k recv @d 5"
    ));
    let bind = run.rows.only("net.bind", &json!({}));
    run.rows.only("net.connect", &json!({})).expect(&json!({
        "peer_addr": format!("@{name}"), "peer_ino": bind.int("ino"), "other_end": bind.int("seq"),
        "peer_pid": bind.int("pid"), "peer_uid": bind.text("process_uid"),
    }));
}

#[test]
fn a_port_used_again_is_another_connection() {
    // The server keeps its end of the first connection open, which the client has reset.
    let [.., high, low] = std::process::id().to_be_bytes();
    // Nobody else uses it.
    let client = format!("127.9.{high}.{low}:20000");
    let run = Recorder::new().script(&format!(
        "socket @l inet stream bind @l 127.0.0.1:0 listen @l \
         socket @c inet stream bind @c {client} connect @c @l accept @s @l send @s 9 close @c \
         socket @d inet stream bind @d {client} connect @d @l accept @t @l"
    ));
    let connects = run.rows.all("net.connect", &json!({}));
    let accepts = run.rows.all("net.accept", &json!({}));
    let ([c, d], [s, t]) = (&connects[..], &accepts[..]) else {
        panic!("{connects:#?} {accepts:#?}");
    };
    for field in ["local_addr", "local_port", "peer_addr", "peer_port"] {
        assert_eq!(c.get(field), d.get(field), "{field}");
    }
    c.expect(&json!({ "other_end": null }));
    s.expect(&json!({ "other_end": c.int("seq") }));
    d.expect(&json!({ "other_end": null, "peer_pid": null }));
    t.expect(&json!({ "other_end": d.int("seq") }));
}
