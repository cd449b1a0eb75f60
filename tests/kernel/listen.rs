//! `net.listen`: which address, and how many may wait.

use lineage_tests::recorder::Recorder;
use serde_json::json;

#[test]
fn the_address_is_the_kernels() {
    let recorder = Recorder::new();
    let name = format!("lineage-listen-{}", std::process::id());
    let run = recorder.script(&format!(
        "socket @a inet stream bind @a 127.0.0.1:0 listen @a close @a \
         socket @b inet6 stream call @r listen @b 7 ; close @b \
         socket @c unix seqpacket bind @c unix:@{name} listen @c close @c"
    ));
    let bind = run.rows.only("net.bind", &json!({ "transport": "tcp" }));
    let listen = run
        .rows
        .only("net.listen", &json!({ "local_addr": "127.0.0.1" }));
    listen.expect(&json!({
        "origin": "kernel", "result": 0, "transport": "tcp", "fd": bind.int("fd"),
        "local_port": bind.int("local_port"), "ino": bind.int("ino"), "peer_addr": null,
        "peer_pid": null, "detail": { "backlog": 128 }, "net_ns": bind.int("net_ns"),
    }));
    // Without a bind the kernel has chosen the port.
    let free = run.rows.only("net.listen", &json!({ "local_addr": "::" }));
    assert!(free.int("local_port") > 0);
    free.expect(&json!({ "detail": { "backlog": 7 } }));
    run.rows
        .only("net.listen", &json!({ "transport": "unix-seqpacket" }))
        .expect(&json!({ "local_addr": format!("@{name}"), "peer_pid": null }));
    for listen in run.rows.all("net.listen", &json!({})) {
        let opened = json!({ "opened": listen.int("seq") });
        run.rows.only("net.close", &opened);
    }
}

#[test]
fn failures_have_their_errno() {
    let run = Recorder::new().script(
        "socket @u inet dgram call @a listen @u 5 ; call @b listen 99 5 ; open @f /dev/null O_RDONLY \
         call @c listen @f 5 ;",
    );
    let results: Vec<_> = run
        .rows
        .all("net.listen", &json!({ "detail": { "backlog": 5 } }))
        .iter()
        .map(|row| (row.int("result"), row.text("transport").to_owned()))
        .collect();
    let expected = [(-95, "udp"), (-9, "0/0/0"), (-88, "0/0/0")];
    assert_eq!(
        results,
        expected.map(|(errno, name)| (errno, name.to_owned()))
    );
}
