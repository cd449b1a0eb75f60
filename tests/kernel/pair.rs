//! `net.pair`: both ends of `socketpair`, and who has them afterwards.

use lineage_tests::recorder::Recorder;
use serde_json::json;

#[test]
fn both_ends_name_each_other() {
    for kind in ["stream", "dgram", "seqpacket"] {
        let run = Recorder::new().script(&format!(
            "socketpair @a @b {kind} send @a 3 close @a close @b"
        ));
        let [first, second] = run.rows.all("net.pair", &json!({}))[..] else {
            panic!("not two ends");
        };
        let own = first.text("process_uid");
        first.expect(&json!({
            "origin": "kernel", "result": 0, "transport": format!("unix-{kind}"),
            "peer_ino": second.int("ino"), "peer_pid": first.int("pid"), "peer_uid": own,
            "other_end": null, "local_addr": null, "peer_addr": null,
        }));
        second.expect(&json!({
            "peer_ino": first.int("ino"), "peer_pid": first.int("pid"), "peer_uid": own,
            "other_end": first.int("seq"),
        }));
        assert_ne!(first.int("fd"), second.int("fd"));
        run.rows.none("net.inherit", &json!({}));
        run.rows
            .only("net.close", &json!({ "opened": first.int("seq") }))
            .expect(&json!({ "bytes_written": 3 }));
        run.rows
            .only("net.close", &json!({ "opened": second.int("seq") }));
    }
}

#[test]
fn bytes_go_both_ways() {
    let run = Recorder::new().script(
        "socketpair @a @b stream send @a 3 recv @b 3 sendmsg @b 5 recvmsg @a 5 close @a close @b",
    );
    let uses = run
        .rows
        .all("net.pair", &json!({ "transport": "unix-stream" }));
    assert_eq!(uses.len(), 2, "{uses:#?}");
    let totals = [(5, 3), (3, 5)];
    for (row, (read, written)) in uses.into_iter().zip(totals) {
        row.expect(&json!({ "local_addr": null, "peer_addr": null, "local_port": null }));
        run.rows
            .only("net.close", &json!({ "opened": row.int("seq") }))
            .expect(&json!({
                "bytes_read": read, "bytes_written": written, "closed_by": "close",
            }));
    }
}

#[test]
fn an_end_in_a_child() {
    let run = Recorder::new().script(
        "socketpair @a @b stream fork @c [ close @a send @b 4 close @b exit 5 ] close @b recv @a 4 wait @c",
    );
    let [first, second] = run.rows.all("net.pair", &json!({}))[..] else {
        panic!("not two ends");
    };
    let used = run.rows.only("net.inherit", &json!({}));
    // Who made the pair, which is not who has the other end.
    used.expect(&json!({
        "ino": second.int("ino"), "peer_ino": first.int("ino"), "other_end": first.int("seq"),
        "peer_pid": first.int("pid"), "peer_uid": first.text("process_uid"),
    }));
    assert_ne!(used.int("pid"), first.int("pid"));
}

/// Where the ends are only the caller's memory says, which another thread can write over: what it says
/// then is not believed, and what was there keeps its totals.
#[test]
fn ends_that_were_written_over_are_not_believed() {
    let run = Recorder::new().script(
        "socketpair @a @b stream send @a 3 pipe @r @w write @w 4 \
         repeat 50 [ socketpair-over @a @b pipe-over @r @w socketpair-over @a @r pipe-over @r @r ] \
         close @a close @r close @w exit 0",
    );
    // Whether the other thread is in time for the ends of a pipe is up to the kernel.
    let lies = json!({ "origin": "claimed", "result": 0, "fd": null, "ino": null });
    assert_eq!(run.rows.all("net.pair", &lies).len(), 100);
    for kind in ["net.close", "file.close"] {
        run.rows.none(kind, &json!({ "closed_by": "replace" }));
    }
    let first = run.rows.all("net.pair", &json!({}))[0];
    run.rows
        .only("net.close", &json!({ "opened": first.int("seq") }))
        .expect(&json!({ "bytes_written": 3, "closed_by": "close" }));
    let of_pipe = json!({ "bytes_written": 4, "closed_by": "close" });
    run.rows.only("file.close", &of_pipe);
}

#[test]
fn failures_have_their_errno() {
    let run = Recorder::new().script(
        "call @a socketpair 2 1 0 room ; call @b socketpair 1 1 0 0 ; call @c socketpair 99 1 0 room ;",
    );
    let results: Vec<_> = run
        .rows
        .all("net.pair", &json!({ "fd": null, "ino": null }))
        .iter()
        .map(|row| row.int("result"))
        .collect();
    assert_eq!(results, [-95, -14, -97]);
}
