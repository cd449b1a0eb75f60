//! `file.inherit` and `net.inherit`: first use of what the process did not open itself.

use lineage_tests::recorder::Recorder;
use lineage_tests::rows::Row;
use serde_json::json;

#[test]
fn a_child_counts_its_own_bytes() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let run = recorder.script(&format!(
        "open @f {path} O_RDONLY read @f 2 fork @c [ read @f 3 read @f 1 close @f ] wait @c read @f 1 close @f"
    ));
    let open = run.rows.only("file.open", &json!({ "path": path }));
    let inherit = run.rows.only("file.inherit", &json!({ "path": path }));
    inherit.expect(&json!({
        "fd": open.int("fd"), "dev": open.int("dev"), "ino": open.int("ino"),
        "parent_uid": open.text("process_uid"), "origin": "kernel",
    }));
    run.rows
        .only("file.close", &json!({ "opened": inherit.int("seq") }))
        .expect(&json!({
            "bytes_read": 4, "process_uid": inherit.text("process_uid"),
        }));
    run.rows
        .only("file.close", &json!({ "opened": open.int("seq") }))
        .expect(&json!({
            "bytes_read": 3,
        }));
}

#[test]
fn what_a_child_never_uses_it_did_not_touch() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let run = recorder.script(&format!(
        "open @f {path} O_RDONLY fork @c [ close @f exit 3 ] wait @c read @f 1"
    ));
    run.rows.none("file.inherit", &json!({ "path": path }));
    let child = run
        .rows
        .only("process.exit", &json!({ "exit_code": 3 }))
        .text("process_uid");
    run.rows
        .only("file.close", &json!({ "process_uid": child }))
        .expect(&json!({
            "opened": null, "bytes_read": null, "bytes_written": null,
        }));
}

/// The first use is one, also when two threads have it at the same moment.
#[test]
fn threads_use_a_descriptor_at_once() {
    let recorder = Recorder::new();
    let path = recorder.path("file").display().to_string();
    let fds = 10..250;
    let each = |step: &str| -> String {
        let steps = fds.clone().map(|fd| step.replace("FD", &fd.to_string()));
        steps.collect::<Vec<_>>().join(" ")
    };
    let run = recorder.script(&format!(
        "open @f {path} O_WRONLY|O_CREAT {} fork @c [ thread @t [ {} ] {} join @t exit 3 ] wait @c",
        each("dup2 @f FD"),
        each("write FD 1"),
        each("write FD 1"),
    ));
    let child = run.rows.only("process.exit", &json!({ "exit_code": 3 }));
    let child = child.text("process_uid");
    for fd in fds {
        let used = json!({ "process_uid": child, "fd": fd });
        let inherit = run.rows.only("file.inherit", &used);
        run.rows
            .only("file.close", &used)
            .expect(&json!({ "opened": inherit.int("seq"), "bytes_written": 2 }));
    }
}

#[test]
fn a_pipe_is_seen_at_both_ends() {
    let run = Recorder::new().script(
        "pipe @r @w fork @c [ close @r write @w 6 close @w exit 4 ] wait @c close @w read @r 6 close @r",
    );
    let child = run
        .rows
        .only("process.exit", &json!({ "exit_code": 4 }))
        .text("process_uid");
    let of_pipe = |kind| -> Vec<_> {
        let rows = run.rows.all(kind, &json!({}));
        rows.into_iter()
            .filter(|row| row.text("path").starts_with("pipe:["))
            .collect()
    };
    let (made, uses) = (of_pipe("file.open"), of_pipe("file.inherit"));
    let ([read, made_to_write], [write]) = (made.as_slice(), uses.as_slice()) else {
        panic!("{made:#?} {uses:#?}")
    };
    let access = |row: &Row| row.int("flags") & i64::from(libc::O_ACCMODE);
    assert_eq!(
        (access(read), access(made_to_write), access(write)),
        (0, 1, 1)
    );
    assert_eq!(write.text("process_uid"), child);
    assert_eq!(
        (write.int("ino"), write.text("path")),
        (read.int("ino"), read.text("path"))
    );
    run.rows
        .only("file.close", &json!({ "opened": write.int("seq") }))
        .expect(&json!({
            "bytes_written": 6, "bytes_read": 0,
        }));
    run.rows
        .only("file.close", &json!({ "opened": read.int("seq") }))
        .expect(&json!({
            "bytes_written": 0, "bytes_read": 6,
        }));
}

#[test]
fn an_unlinked_file_is_still_the_same() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let run = recorder.script(&format!(
        "open @f {path} O_RDONLY unlink {path} fork @c [ read @f 5 ] wait @c"
    ));
    let open = run.rows.only("file.open", &json!({ "path": path }));
    run.rows
        .only("file.inherit", &json!({ "path": path }))
        .expect(&json!({
            "notes": "unlinked", "ino": open.int("ino"), "dev": open.int("dev"),
        }));
}

#[test]
fn a_connection_handed_to_a_child() {
    let run = Recorder::new().script(
        "socket @l inet stream bind @l 127.0.0.1:0 listen @l socket @c inet stream connect @c @l \
         accept @s @l fork @k [ send @c 10 close @c exit 4 ] wait @k recv @s 10 close @s close @c",
    );
    let connect = run.rows.only("net.connect", &json!({}));
    let inherit = run.rows.only("net.inherit", &json!({}));
    for field in [
        "ino",
        "local_addr",
        "local_port",
        "peer_addr",
        "peer_port",
        "transport",
        "fd",
    ] {
        assert_eq!(inherit.get(field), connect.get(field), "{field}");
    }
    run.rows
        .only("net.close", &json!({ "opened": inherit.int("seq") }))
        .expect(&json!({
            "bytes_written": 10, "bytes_read": 0,
        }));
    run.rows
        .only("net.close", &json!({ "opened": connect.int("seq") }))
        .expect(&json!({
            "bytes_written": 0, "bytes_read": 0,
        }));
}
