//! `net.bind`: the address the kernel gave.

use std::net::TcpListener;

use lineage_tests::recorder::Recorder;
use serde_json::json;

#[test]
fn any_free_port_becomes_a_real_one() {
    let run = Recorder::new().script(
        "socket @a inet stream bind @a 127.0.0.1:0 socket @b inet6 dgram bind @b [::1]:0 \
         socket @c inet stream bind @c 0.0.0.0:0 listen @c socket @d inet stream connect @d @c",
    );
    let binds = run
        .rows
        .all("net.bind", &json!({ "result": 0, "origin": "kernel" }));
    let [tcp, udp, any] = binds.as_slice() else {
        panic!("{binds:#?}")
    };
    tcp.expect(&json!({ "transport": "tcp", "local_addr": "127.0.0.1", "peer_addr": null }));
    udp.expect(&json!({ "transport": "udp", "local_addr": "::1", "peer_addr": null }));
    any.expect(&json!({ "transport": "tcp", "local_addr": "0.0.0.0" }));
    assert!(
        binds.iter().all(|row| row.int("local_port") > 0),
        "{binds:#?}"
    );
    run.rows.only(
        "net.connect",
        &json!({ "peer_port": any.int("local_port") }),
    );
}

#[test]
fn unix_names() {
    let recorder = Recorder::new();
    let path = recorder.path("socket").display().to_string();
    let name = format!("@lineage-bind-{}", std::process::id());
    let run = recorder.script(&format!(
        "socket @a unix dgram bind @a unix:{path} socket @b unix stream bind @b unix:{name}"
    ));
    run.rows.only(
        "net.bind",
        &json!({ "transport": "unix-dgram", "local_addr": path }),
    );
    run.rows.only(
        "net.bind",
        &json!({ "transport": "unix-stream", "local_addr": name }),
    );
}

#[test]
fn failures_have_their_errno_and_what_was_asked_for() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = taken.local_addr().expect("bound").port();
    let run = Recorder::new().script(&format!(
        "socket @a inet stream fails EADDRINUSE bind @a 127.0.0.1:{port} \
         fails EADDRNOTAVAIL bind @a 203.0.113.1:{port}"
    ));
    for (result, address) in [(-98, "127.0.0.1"), (-99, "203.0.113.1")] {
        run.rows
            .only("net.bind", &json!({ "result": result }))
            .expect(&json!({
                "origin": "claimed", "local_addr": address, "local_port": port,
            }));
    }
}
