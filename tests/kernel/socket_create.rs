//! `net.socket`, and the sockets that are recorded because nothing else would tell of them.

use std::path::Path;

use lineage_tests::recorder::Recorder;
use serde_json::json;

#[test]
fn raw_packet_netlink_and_vsock() {
    let run = Recorder::new().script(
        "call @icmp socket 2 3 1 ; call @icmp6 socket 10 3 58 ; call @packet socket 17 524291 768 ; \
         call @netlink socket 16 3 0 ; call @vsock socket 40 1 0 ; close @icmp close @netlink",
    );
    for (transport, family, kind, protocol) in [
        ("raw-icmp", 2, 3, 1),
        ("raw-icmpv6", 10, 3, 58),
        ("packet-raw", 17, 3, 3),
        ("netlink-route", 16, 3, 0),
        ("vsock-stream", 40, 1, 0),
    ] {
        let made = run
            .rows
            .only("net.socket", &json!({ "transport": transport }));
        made.expect(&json!({
            "origin": "kernel", "fd": made.int("result"),
            "detail": { "family": family, "type": kind, "protocol": protocol },
            "peer_addr": null,
        }));
        assert!(made.int("ino") > 0 && made.int("net_ns") > 0);
    }
    for transport in ["raw-icmp", "netlink-route"] {
        let made = run
            .rows
            .only("net.socket", &json!({ "transport": transport }));
        run.rows
            .only("net.close", &json!({ "opened": made.int("seq") }))
            .expect(&json!({ "closed_by": "close", "bytes_written": 0 }));
    }
}

#[test]
fn what_is_usual_has_no_record_of_its_own() {
    let run = Recorder::new().script(
        "socket @a inet stream socket @b inet6 dgram socket @c unix stream call @d socket 2 1 6 ; \
         call @e socket 2 2050 17 ; call @f socket 2 9 0 ;",
    );
    run.rows.none("net.socket", &json!({ "transport": "tcp" }));
    run.rows.none("net.socket", &json!({ "transport": "udp" }));
    // There is no such type, so it was none that other records would tell of.
    run.rows
        .only("net.socket", &json!({}))
        .expect(&json!({ "result": -94, "transport": "2/9/0" }));
}

#[test]
fn failures_say_what_was_asked_for() {
    let run = Recorder::new().script(
        "setuid 65534 call @a socket 2 3 1 ; call @b socket 17 3 768 ; call @c socket 99 1 0 ;",
    );
    for (transport, errno) in [("raw-icmp", -1), ("packet-raw", -1), ("99/1/0", -97)] {
        run.rows
            .only("net.socket", &json!({ "transport": transport }))
            .expect(&json!({ "result": errno, "fd": null, "ino": null, "origin": "kernel" }));
    }
}

#[test]
fn addresses_of_other_families_are_readable() {
    let run = Recorder::new().script(
        "call @n socket 16 3 0 ; bind @n netlink:4242 connect @n netlink:0 \
         call @p socket 17 3 768 ; bind @p packet:1 \
         call @v socket 40 1 0 ; bind @v vsock:4294967295:7777 listen @v \
         call @w socket 40 1 0 ; fails EADDRNOTAVAIL bind @w vsock:77:5",
    );
    let of = |kind, transport: &str| {
        let found = json!({ "transport": transport, "origin": "kernel" });
        run.rows.only(kind, &found)
    };
    of("net.bind", "netlink-route").expect(&json!({ "local_addr": "4242", "local_port": null }));
    of("net.bind", "packet-raw").expect(&json!({ "local_addr": "lo", "local_port": null }));
    // What a module keeps the kernel's own type information does not describe.
    let built_in = !Path::new("/sys/module/vsock/initstate").exists();
    let vsock = json!({ "transport": "vsock-stream", "result": 0 });
    let bound = run.rows.only("net.bind", &vsock);
    bound.expect(&json!({ "local_addr": "any", "local_port": 7777 }));
    let listens = run.rows.only("net.listen", &vsock);
    if built_in {
        listens.expect(&json!({ "local_addr": "any", "local_port": 7777 }));
    }
    bound.expect(&json!({ "origin": if built_in { "kernel" } else { "claimed" } }));
    run.rows
        .only(
            "net.bind",
            &json!({ "transport": "vsock-stream", "result": -99 }),
        )
        .expect(&json!({ "origin": "claimed", "local_addr": "77", "local_port": 5 }));
}
