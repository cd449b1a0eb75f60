//! `net.accept`: both ends of a connection, and that they are two views of one.

use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::json;

/// Records a client and a server process that exchange 5 bytes one way and 3 the other.
fn exchange(family: &str, kind: &str, address: &str) -> Recorded {
    Recorder::new().script(&format!(
        "socket @l {family} {kind} bind @l {address} listen @l \
         fork @k [ socket @c {family} {kind} connect @c @l send @c 5 recv @c 3 close @c exit 4 ] \
         accept @s @l recv @s 5 sendmsg @s 3 close @s wait @k"
    ))
}

#[test]
fn tcp_seen_from_both_ends() {
    for (family, address, shown) in [
        ("inet", "127.0.0.1:0", "127.0.0.1"),
        ("inet6", "[::1]:0", "::1"),
    ] {
        let run = exchange(family, "stream", address);
        let accept = run.rows.only("net.accept", &json!({}));
        let connect = run.rows.only("net.connect", &json!({}));
        accept.expect(&json!({
            "origin": "kernel", "transport": "tcp", "local_addr": shown, "peer_addr": shown,
            "local_port": connect.int("peer_port"), "peer_port": connect.int("local_port"),
        }));
        assert_eq!(accept.int("fd"), accept.int("result"));
        assert_ne!(accept.text("process_uid"), connect.text("process_uid"));
        for (row, read, written) in [(accept, 5, 3), (connect, 3, 5)] {
            run.rows
                .only("net.close", &json!({ "opened": row.int("seq") }))
                .expect(&json!({
                    "bytes_read": read, "bytes_written": written, "closed_by": "close",
                    "local_port": row.int("local_port"), "peer_port": row.int("peer_port"),
                }));
        }
    }
}

#[test]
fn unix_seen_from_both_ends() {
    let name = format!("lineage-accept-{}", std::process::id());
    let run = exchange("unix", "stream", &format!("unix:@{name}"));
    let shown = format!("@{name}");
    let accept = run.rows.only("net.accept", &json!({}));
    accept.expect(&json!({
        "transport": "unix-stream", "local_addr": shown, "peer_addr": null, "local_port": null,
    }));
    run.rows.only("net.connect", &json!({ "peer_addr": shown }));
    run.rows
        .only("net.close", &json!({ "opened": accept.int("seq") }))
        .expect(&json!({
            "bytes_read": 5, "bytes_written": 3,
        }));
}

#[test]
fn failures_have_their_errno() {
    let run = Recorder::new().script(
        "socket @l inet stream bind @l 127.0.0.1:0 listen @l nonblock @l fails EAGAIN accept @s @l \
         fails EBADF accept @s 99",
    );
    let results: Vec<i64> = run
        .rows
        .all("net.accept", &json!({}))
        .iter()
        .map(|row| row.int("result"))
        .collect();
    assert_eq!(results, [-11, -9]);
}
