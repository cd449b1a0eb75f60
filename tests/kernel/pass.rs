//! `descriptor.pass` and `descriptor.receive`: descriptors that go with messages over Unix sockets.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;

use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::{Row, version};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

/// The record of the other end of a pass: through the two ends of one connection, of the same thing.
fn received<'a>(run: &'a Recorded, pass: &Row) -> &'a Row {
    run.rows.only(
        "descriptor.receive",
        &json!({
            "socket_ino": pass.get("peer_ino"), "peer_ino": pass.get("socket_ino"),
            "ino": pass.get("ino"), "dev": pass.get("dev"),
        }),
    )
}

fn detail(row: &Row) -> Value {
    row.get("detail").clone()
}

#[test]
fn a_file_between_two_processes() {
    let recorder = Recorder::new();
    let file = recorder.file("file", "0123456789");
    let path = file.display().to_string();
    let status = std::fs::metadata(&file).expect("it is there");
    let run = recorder.script(&format!(
        "socketpair @a @b stream \
         fork @k [ close @a receive @b @f ; read @f 4 close @f receive @b @g ; exit 4 ] \
         close @b open @f {path} O_RDONLY read @f 2 pass @a @f ; pass @a @f ; wait @k read @f 3 close @f"
    ));
    let open = run.rows.only("file.open", &json!({ "path": path }));
    let passes = run.rows.all("descriptor.pass", &json!({}));
    assert_eq!(passes.len(), 2, "{passes:#?}");
    let what = json!({
        "path": path, "dev": status.dev(), "ino": status.ino(), "mode": status.mode(), "flags": open.get("flags"),
    });
    for pass in &passes {
        pass.expect(&what);
        pass.expect(&version(&status));
        pass.expect(&json!({
            "fd": open.get("fd"), "result": 1, "origin": "claimed", "call": "sendmsg",
            "process_uid": open.get("process_uid"), "truncated": null, "notes": null,
        }));
    }
    let [first, second] = run.rows.all("descriptor.receive", &json!({}))[..] else {
        panic!("{passes:#?}");
    };
    let child = run.rows.only("process.exit", &json!({ "exit_code": 4 }));
    for (pass, receive) in passes.iter().zip([first, second]) {
        receive.expect(&what);
        receive.expect(&json!({
            "result": 1, "origin": "claimed", "call": "recvmsg", "process_uid": child.get("process_uid"),
            "socket_ino": pass.get("peer_ino"), "peer_ino": pass.get("socket_ino"),
            "peer_pid": open.get("pid"), "peer_uid": open.get("process_uid"),
        }));
        assert_eq!(detail(receive)["index"], 0);
        // The sender's socket, by its own record.
        let end = run.rows.at(receive.int("other_end"));
        assert_eq!(end.get("ino"), receive.get("peer_ino"), "{end:?}");
    }
    // What was received counts by itself, and names its record.
    run.rows.none("file.inherit", &json!({ "path": path }));
    let close = |opened: &Row| {
        run.rows
            .only("file.close", &json!({ "opened": opened.int("seq") }))
    };
    close(first).expect(&json!({ "bytes_read": 4, "path": path, "closed_by": "close" }));
    close(second).expect(&json!({ "bytes_read": 0, "closed_by": "exit" }));
    close(open).expect(&json!({ "bytes_read": 5 }));
}

#[test]
fn each_thing_is_named_and_used() {
    let run = Recorder::new().script(
        "socketpair @a @b stream pipe @r @w memfd @m thing \
         socket @l inet stream bind @l 127.0.0.1:0 listen @l socket @c inet stream connect @c @l accept @s @l \
         fork @k [ close @a receive @b @p @t @n ; write @p 5 send @t 6 write @n 7 exit 4 ] \
         close @b pass @a @w @c @m ; wait @k read @r 5 recv @s 6",
    );
    let passes = run.rows.all("descriptor.pass", &json!({}));
    let [pipe, connection, memory] = passes[..] else {
        panic!("{passes:#?}");
    };
    let connect = run.rows.only("net.connect", &json!({}));
    let child = run.rows.only("process.exit", &json!({ "exit_code": 4 }));
    for (index, (pass, moved, kind)) in [
        (pipe, 5, "file.close"),
        (connection, 6, "net.close"),
        (memory, 7, "file.close"),
    ]
    .into_iter()
    .enumerate()
    {
        let receive = received(&run, pass);
        assert_eq!(
            [
                detail(pass)["index"].clone(),
                detail(receive)["index"].clone()
            ],
            [index, index]
        );
        for field in [
            "path",
            "transport",
            "local_addr",
            "local_port",
            "peer_addr",
            "peer_port",
            "mode",
        ] {
            assert_eq!(pass.get(field), receive.get(field), "{field}");
        }
        run.rows
            .only(kind, &json!({ "opened": receive.int("seq") }))
            .expect(&json!({
                "bytes_written": moved, "process_uid": child.get("process_uid"), "fd": receive.get("fd"),
            }));
    }
    for field in [
        "ino",
        "transport",
        "local_addr",
        "local_port",
        "peer_addr",
        "peer_port",
        "fd",
        "net_ns",
    ] {
        assert_eq!(connection.get(field), connect.get(field), "{field}");
    }
    assert!(pipe.text("path").starts_with("pipe:["));
    assert!(memory.text("path").contains("memfd:thing"));
    run.rows.none(
        "file.inherit",
        &json!({ "process_uid": child.get("process_uid") }),
    );
}

#[test]
fn as_many_as_a_message_takes() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let sent = "@f ".repeat(253);
    let names: String = (0..253).map(|index| format!("@n{index} ")).collect();
    let run = recorder.script(&format!(
        "socketpair @a @b stream open @f {path} O_RDONLY pass @a {sent} ; receive @b {names} ; read @n252 3 \
         fails EINVAL pass @a {sent} @f ;"
    ));
    let passes = run.rows.all("descriptor.pass", &json!({ "result": 1 }));
    let receives = run.rows.all("descriptor.receive", &json!({ "path": path }));
    assert_eq!((passes.len(), receives.len()), (253, 253));
    for (index, row) in passes.iter().enumerate() {
        assert_eq!(detail(row)["index"], index);
        row.expect(&json!({ "path": path, "notes": null }));
    }
    let numbers: std::collections::BTreeSet<i64> =
        receives.iter().map(|row| row.int("fd")).collect();
    assert_eq!(numbers.len(), 253);
    let last = receives[252];
    run.rows
        .only("file.close", &json!({ "opened": last.int("seq") }))
        .expect(&json!({ "bytes_read": 3, "closed_by": "exit" }));
    let refused = run.rows.all("descriptor.pass", &json!({ "result": -22 }));
    assert_eq!(refused.len(), 254);
}

#[test]
fn more_than_are_recorded() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "x").display().to_string();
    // 2000 numbers in one control message, which the kernel refuses.
    let len = 16 + 2000 * 4;
    let numbers = "0 ".repeat(1000);
    let run = recorder.script(&format!(
        "socketpair @a @b stream open @f {path} O_RDONLY fails EINVAL control @a {len} 4294967297 {numbers} ;"
    ));
    let passes = run.rows.all("descriptor.pass", &json!({}));
    assert_eq!(passes.len(), 1025);
    for pass in &passes[..1024] {
        pass.expect(&json!({ "notes": null, "fd": 0 }));
    }
    passes[1024].expect(&json!({ "notes": "more-not-recorded" }));
}

#[test]
fn several_messages_in_one_call() {
    let recorder = Recorder::new();
    let paths = ["a", "b"].map(|name| recorder.file(name, "123").display().to_string());
    let [a, b] = &paths;
    let run = recorder.script(&format!(
        "socketpair @x @y seqpacket open @a {a} O_RDONLY open @b {b} O_RDONLY pass-each @x @a @b ; \
         receive-each @y @c @d ; read @d 3"
    ));
    for (kind, call) in [
        ("descriptor.pass", "sendmmsg"),
        ("descriptor.receive", "recvmmsg"),
    ] {
        let rows = run.rows.all(kind, &json!({}));
        let found: Vec<_> = rows.iter().map(|row| row.text("path")).collect();
        assert_eq!(found, paths, "{kind}");
        for row in rows {
            row.expect(&json!({ "call": call, "result": 2 }));
            assert_eq!(detail(row)["index"], 0);
        }
    }
}

#[test]
fn malformed_control_messages() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "x").display().to_string();
    let rights = 1_i64 | 1 << 32;
    let other = 1_i64 | 99 << 32;
    let run = recorder.script(&format!(
        "socketpair @a @b stream open @f {path} O_RDONLY \
         fails EINVAL control @a 4 {rights} @f ; \
         fails EINVAL control @a 4096 {rights} @f ; \
         fails EINVAL control @a -1 {rights} @f ; \
         fails EINVAL control @a 20 {other} @f ; \
         fails EBADF control @a 20 {rights} 777 ; \
         control @a 16 0 20 {rights} @f ;"
    ));
    let passes = run.rows.all("descriptor.pass", &json!({}));
    let [bad, good] = passes[..] else {
        panic!("{passes:#?}");
    };
    bad.expect(&json!({ "fd": 777, "result": -9, "path": null, "ino": null, "origin": "claimed" }));
    // Behind one of another level, which the kernel passes over.
    good.expect(&json!({ "path": path, "result": 1 }));
}

#[test]
fn not_without_control_data_and_not_by_other_sockets() {
    let run = Recorder::new().script(
        "socketpair @a @b stream sendmsg @a 5 recvmsg @b 5 \
         socket @l inet stream bind @l 127.0.0.1:0 listen @l socket @c inet stream connect @c @l accept @s @l \
         pass @c @a ; recvmsg @s 1",
    );
    run.rows.none("descriptor.pass", &json!({}));
    run.rows.none("descriptor.receive", &json!({}));
}

#[test]
fn looked_at_cut_and_closed_by_exec() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "x").display().to_string();
    let script = format!(
        "import array, os, socket\n\
         a, b = socket.socketpair()\n\
         f = os.open('{path}', os.O_RDONLY)\n\
         room = socket.CMSG_SPACE(8)\n\
         socket.send_fds(a, [b'x'], [f])\n\
         b.recvmsg(1, room, socket.MSG_PEEK)\n\
         b.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)\n\
         socket.send_fds(a, [b'x'], [f, f, f])\n\
         _, told, flags, _ = b.recvmsg(1, socket.CMSG_LEN(4))\n\
         assert flags & socket.MSG_CTRUNC and len(told[0][2]) == 4\n\
         socket.send_fds(a, [b'x'], [f])\n\
         assert len(socket.recv_fds(b, 1, 5)[1]) == 1\n"
    );
    let Some(python) = python() else {
        return;
    };
    let run = recorder.run([python.as_str(), "-I", "-c", &script]);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert_eq!(
        run.rows
            .all("descriptor.pass", &json!({ "path": path }))
            .len(),
        5
    );
    let receives = run.rows.all("descriptor.receive", &json!({ "path": path }));
    let said: Vec<Value> = receives
        .iter()
        .map(|row| {
            let told = detail(row);
            let told = told.as_object().expect("an object");
            let remarks = told
                .keys()
                .filter(|name| !["socket", "index"].contains(&name.as_str()));
            json!(remarks.collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        json!(said),
        json!([["peek"], ["close_on_exec"], ["control_cut"], []])
    );
}

/// A Python that can send descriptors.
fn python() -> Option<String> {
    let asked = std::process::Command::new("python3")
        .args([
            "-c",
            "import sys, socket; socket.send_fds; print(sys.executable)",
        ])
        .output();
    let asked = asked.ok().filter(|asked| asked.status.success())?;
    Some(
        String::from_utf8(asked.stdout)
            .expect("text")
            .trim()
            .to_owned(),
    )
}

#[test]
fn from_a_process_that_is_not_recorded() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789");
    let place = recorder.path("socket");
    let listener = UnixListener::bind(&place).expect("bound");
    let sender = std::thread::spawn({
        let path = path.clone();
        move || {
            let (connection, _) = listener.accept().expect("a connection");
            let file = File::open(path).expect("readable");
            let fds = [std::os::fd::AsFd::as_fd(&file)];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
            let data = [std::io::IoSlice::new(b"x")];
            sendmsg(&connection, &data, &mut control, SendFlags::empty()).expect("sent");
            connection
        }
    });
    let run = recorder.script(&format!(
        "socket @c unix stream connect @c unix:{} receive @c @f ; read @f 7",
        place.display()
    ));
    // Open until here.
    drop(sender.join().expect("it sent"));
    let connect = run.rows.only("net.connect", &json!({}));
    let receive = run.rows.only("descriptor.receive", &json!({}));
    receive.expect(&json!({
        "path": path.display().to_string(), "socket_ino": connect.get("ino"), "other_end": null, "peer_uid": null,
        "peer_pid": std::process::id(),
    }));
    assert!(receive.int("peer_ino") > 0);
    run.rows.none("descriptor.pass", &json!({}));
    run.rows.none(
        "file.inherit",
        &json!({ "path": path.display().to_string() }),
    );
    run.rows
        .only("file.close", &json!({ "opened": receive.int("seq") }))
        .expect(&json!({ "bytes_read": 7 }));
}
