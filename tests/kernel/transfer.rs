//! `file.read`, `file.write` and the first bytes of `net.send`, `net.receive`: what goes through
//! descriptors, and in which turns.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::{Row, version};
use lineage_tests::wait;
use serde_json::json;

/// Reads and writes of the file with this path, in their order.
fn uses<'a>(run: &'a Recorded, path: &str) -> Vec<&'a Row> {
    let rows = run.rows.0.iter();
    rows.filter(|row| matches!(row.text("kind"), "file.read" | "file.write"))
        .filter(|row| row.get("path") == path)
        .collect()
}

/// A kind, the bytes of the call, and the record that opened the descriptor.
fn told(row: &Row) -> (&str, i64, i64) {
    (row.text("kind"), row.int("result"), row.int("opened"))
}

/// Sets the last change of a file's content to a time that no write of now gives.
fn made_long_ago(path: &Path) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = File::options().write(true).open(path);
    let changed = file.and_then(|file| file.set_modified(long_ago));
    changed.expect("our own file");
}

#[test]
fn the_first_read_and_the_first_write_are_recorded() {
    for (verb, kind) in [
        ("read @f 4", "file.read"),
        ("pread @f 4 2", "file.read"),
        ("readv @f 4", "file.read"),
        ("write @f 4", "file.write"),
        ("pwrite @f 4 2", "file.write"),
        ("writev @f 4", "file.write"),
    ] {
        let recorder = Recorder::new();
        let file = recorder.file("file", "0123456789");
        let path = file.display().to_string();
        let run = recorder.script(&format!("open @f {path} O_RDWR {verb} {verb} close @f"));
        let open = run.rows.only("file.open", &json!({ "path": path }));
        let [used] = uses(&run, &path)[..] else {
            panic!("{verb}: {:?}", uses(&run, &path));
        };
        assert_eq!(told(used), (kind, 4, open.int("seq")), "{verb}");
        used.expect(&json!({
            "fd": open.int("fd"), "dev": open.int("dev"), "ino": open.int("ino"),
            "generation": open.int("generation"), "origin": "kernel",
            "process_uid": open.text("process_uid"), "cause": open.int("cause"),
        }));
        if kind == "file.read" {
            used.expect(&version(&fs::metadata(&file).expect("it is there")));
        }
        let close = run
            .rows
            .only("file.close", &json!({ "opened": open.int("seq") }));
        assert_eq!(
            (close.int("bytes_read"), close.int("bytes_written")),
            if kind == "file.read" { (8, 0) } else { (0, 8) }
        );
    }
}

#[test]
fn what_was_written_has_the_version_after_it() {
    let recorder = Recorder::new();
    let file = recorder.path("file");
    let path = file.display().to_string();
    let run = recorder.script(&format!("open @f {path} O_WRONLY|O_CREAT write @f 7"));
    run.rows
        .only("file.write", &json!({ "path": path, "result": 7 }))
        .expect(&version(&fs::metadata(&file).expect("it is there")));
}

#[test]
fn calls_that_move_nothing_are_none() {
    let recorder = Recorder::new();
    let empty = recorder.file("empty", "").display().to_string();
    let file = recorder.file("file", "0123456789").display().to_string();
    let run = recorder.script(&format!(
        "open @e {empty} O_RDONLY read @e 5 open @f {file} O_RDONLY fails EBADF write @f 10 \
         fails EBADF read 99 1 read @f 10 read @f 10 close @e close @f"
    ));
    assert_eq!(uses(&run, &empty), [] as [&Row; 0]);
    let [read] = uses(&run, &file)[..] else {
        panic!("{:?}", uses(&run, &file));
    };
    assert_eq!((read.text("kind"), read.int("result")), ("file.read", 10));
}

#[test]
fn both_ways_through_one_descriptor_are_one_record_each() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let run = recorder.script(&format!(
        "open @f {path} O_RDWR repeat 100000 [ pread @f 1 0 pwrite @f 1 0 ] close @f"
    ));
    let open = run.rows.only("file.open", &json!({ "path": path }));
    let seq = open.int("seq");
    let uses: Vec<_> = uses(&run, &path).into_iter().map(told).collect();
    assert_eq!(uses, [("file.read", 1, seq), ("file.write", 1, seq)]);
    run.rows
        .only("file.close", &json!({ "opened": seq }))
        .expect(&json!({ "bytes_read": 100_000, "bytes_written": 100_000 }));
}

#[test]
fn a_write_between_two_reads_is_told_apart() {
    let recorder = Recorder::new();
    let file = recorder.file("file", "0123456789");
    made_long_ago(&file);
    let path = file.display().to_string();
    let run = recorder.script(&format!(
        "pipe @r @w pipe @s @t open @a {path} O_RDONLY \
         fork @b [ read @r 1 open @o {path} O_WRONLY pwrite @o 12 0 pwrite @o 12 0 close @o write @t 1 ] \
         pread @a 2 0 pread @a 2 0 write @w 1 read @s 1 pread @a 3 0 pread @a 2 0 wait @b"
    ));
    let [first, write, second] = uses(&run, &path)[..] else {
        panic!("{:#?}", uses(&run, &path));
    };
    let opens = run.rows.all("file.open", &json!({ "path": path }));
    let [a, b] = opens[..] else {
        panic!("{opens:#?}");
    };
    assert_ne!(a.text("process_uid"), b.text("process_uid"));
    assert_eq!(told(first), ("file.read", 2, a.int("seq")));
    assert_eq!(told(write), ("file.write", 12, b.int("seq")));
    assert_eq!(told(second), ("file.read", 3, a.int("seq")));
    first.expect(&json!({ "size": 10, "mtime_ns": 1_000_000_000_000_000_000_i64 }));
    write.expect(&json!({ "size": 12 }));
    second.expect(&version(&fs::metadata(&file).expect("it is there")));
}

/// Faster than the time of a file's last change goes on.
#[test]
fn turns_are_told_apart_within_a_clock_tick() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let run = recorder.script(&format!(
        "pipe @r @w pipe @s @t open @a {path} O_RDONLY \
         fork @b [ open @o {path} O_WRONLY repeat 20 [ read @r 1 pwrite @o 5 0 write @t 1 ] ] \
         repeat 20 [ write @w 1 read @s 1 pread @a 5 0 pread @a 5 0 ] wait @b"
    ));
    let uses = uses(&run, &path);
    let kinds: Vec<_> = uses.iter().map(|row| row.text("kind")).collect();
    assert_eq!(kinds, ["file.write", "file.read"].repeat(20), "{uses:#?}");
    for pair in uses.chunks(2) {
        assert_ne!(pair[0].text("process_uid"), pair[1].text("process_uid"));
    }
}

#[test]
fn writers_that_take_turns_are_told_apart() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let run = recorder.script(&format!(
        "open @a {path} O_WRONLY open @b {path} O_WRONLY write @a 1 write @a 2 write @b 3 write @b 4 \
         write @a 5 write @b 6"
    ));
    let bytes: Vec<_> = uses(&run, &path)
        .iter()
        .map(|row| row.int("result"))
        .collect();
    assert_eq!(bytes, [1, 3, 5, 6]);
}

#[test]
fn other_readers_are_no_change() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let run = recorder.script(&format!(
        "open @a {path} O_RDWR open @b {path} O_RDONLY pread @a 1 0 pread @b 2 0 pread @a 3 0 \
         pwrite @a 4 0 pread @a 5 0 pread @b 6 0 pread @a 7 0 pread @b 8 0"
    ));
    let uses: Vec<_> = uses(&run, &path)
        .iter()
        .map(|row| (row.text("kind"), row.int("result")))
        .collect();
    assert_eq!(
        uses,
        [
            ("file.read", 1),
            ("file.read", 2),
            ("file.write", 4),
            ("file.read", 6),
        ]
    );
}

#[test]
fn changes_by_strangers_are_noticed() {
    let recorder = Recorder::new();
    let file = recorder.file("file", "0123456789");
    made_long_ago(&file);
    let path = file.display().to_string();
    let mut recording = recorder.start(&format!(
        "open @f {path} O_RDONLY pread @f 2 0 pread @f 3 0 print ready read 0 1 pread @f 4 0 pread @f 5 0"
    ));
    let mut ready = [0; 6];
    let stdout = recording.stdout.as_mut().expect("piped");
    stdout.read_exact(&mut ready).expect("it prints");
    fs::write(&file, "changed").expect("writable");
    let stdin = recording.stdin.as_mut().expect("piped");
    stdin.write_all(b"g").expect("it reads");
    let run = recorder.finish(recording.wait_with_output().expect("it ends"));
    let [before, after] = uses(&run, &path)[..] else {
        panic!("{:#?}", uses(&run, &path));
    };
    before.expect(&json!({
        "result": 2, "size": 10, "mtime_ns": 1_000_000_000_000_000_000_i64,
    }));
    after.expect(&json!({ "kind": "file.read", "result": 4, "size": 7 }));
}

#[test]
fn truncation_is_a_change() {
    let recorder = Recorder::new();
    let file = recorder.file("file", "0123456789");
    made_long_ago(&file);
    let path = file.display().to_string();
    let run = recorder.script(&format!(
        "open @f {path} O_RDWR pread @f 9 0 call @x ftruncate @f 4 ; pread @f 9 0 pread @f 9 0"
    ));
    let bytes: Vec<_> = uses(&run, &path)
        .iter()
        .map(|row| (row.int("result"), row.int("size")))
        .collect();
    assert_eq!(bytes, [(9, 10), (4, 4)]);
}

#[test]
fn turns_without_end_are_bounded() {
    const TURNS: usize = 20_000;
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let begun = Instant::now();
    let run = recorder.script(&format!(
        "open @a {path} O_RDONLY open @b {path} O_WRONLY \
         repeat {TURNS} [ pread @a 1 0 pwrite @b 1 0 ] close @a close @b"
    ));
    // No kernel ticks faster than 1000 times in a second.
    let ticks = usize::try_from(begun.elapsed().as_millis()).expect("not that long");
    for kind in ["file.read", "file.write"] {
        let found = run.rows.all(kind, &json!({ "path": path })).len();
        assert!(found >= 64, "{found} of {kind}");
        assert!(
            found <= TURNS.min(64 + ticks),
            "{found} of {kind} in {ticks} ms"
        );
    }
    for close in run.rows.all("file.close", &json!({ "path": path })) {
        assert_eq!(close.int("bytes_read") + close.int("bytes_written"), 20_000);
    }
}

#[test]
fn a_child_and_a_duplicate_have_uses_of_their_own() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let run = recorder.script(&format!(
        "open @f {path} O_RDONLY read @f 2 fork @c [ read @f 3 read @f 1 ] wait @c dup @g @f read @g 1 read @f 2"
    ));
    let open = run.rows.only("file.open", &json!({ "path": path }));
    let inherits = run.rows.all("file.inherit", &json!({ "path": path }));
    let [child, duplicate] = inherits[..] else {
        panic!("{inherits:#?}");
    };
    let uses = uses(&run, &path);
    assert_eq!(
        uses.iter().map(|row| told(row)).collect::<Vec<_>>(),
        [
            ("file.read", 2, open.int("seq")),
            ("file.read", 3, child.int("seq")),
            ("file.read", 1, duplicate.int("seq")),
        ]
    );
    // First what it is, then what is done with it.
    assert_eq!(uses[1].int("seq"), child.int("seq") + 1);
    assert_eq!(uses[2].int("seq"), duplicate.int("seq") + 1);
}

#[test]
fn another_program_of_the_process_has_uses_of_its_own() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let actor = ACTOR.display();
    let run = recorder.script(&format!(
        "open @f {path} O_RDONLY dup2 @f 50 pread 50 1 0 pread 50 2 0 exec {actor} actor pread 50 3 0 pread 50 4 0 ;"
    ));
    let [before, after] = uses(&run, &path)[..] else {
        panic!("{:#?}", uses(&run, &path));
    };
    let exec = run.rows.cause(after);
    exec.expect(&json!({ "kind": "process.exec", "result": 0 }));
    assert!(before.int("seq") < exec.int("seq"));
    assert_eq!((before.int("result"), after.int("result")), (1, 3));
    assert_eq!(before.get("opened"), after.get("opened"));
}

#[test]
fn what_is_moved_inside_the_kernel_is_read_and_written() {
    let recorder = Recorder::new();
    let source = recorder.file("source", [7; 5000]).display().to_string();
    let sent = recorder.path("sent").display().to_string();
    let copied = recorder.path("copied").display().to_string();
    let run = recorder.script(&format!(
        "open @s {source} O_RDONLY open @a {sent} O_WRONLY|O_CREAT open @b {copied} O_WRONLY|O_CREAT \
         sendfile @a @s 3000 copy-range @b @s 1500 pipe @r @w splice @w @s 500"
    ));
    let of = |path: &str| -> Vec<_> {
        let rows = uses(&run, path).into_iter();
        rows.map(|row| (row.text("kind").to_owned(), row.int("result")))
            .collect()
    };
    assert_eq!(of(&source), [("file.read".to_owned(), 3000)]);
    assert_eq!(of(&sent), [("file.write".to_owned(), 3000)]);
    assert_eq!(of(&copied), [("file.write".to_owned(), 1500)]);
    let pipe = run.rows.only("file.write", &json!({ "result": 500 }));
    assert!(pipe.text("path").starts_with("pipe:["), "{pipe:?}");
}

#[test]
fn of_a_pipe_the_first_each_way() {
    let run = Recorder::new().script(
        "pipe @r @w fork @c [ close @r repeat 5 [ write @w 6 ] ] close @w repeat 5 [ read @r 6 ] read @r 1 wait @c",
    );
    let one = |kind| {
        let rows = run.rows.all(kind, &json!({ "result": 6 }));
        let [row] = rows[..] else {
            panic!("{rows:#?}");
        };
        assert!(row.text("path").starts_with("pipe:["), "{row:?}");
        row.expect(&json!({ "size": null, "mtime_ns": null, "generation": null }));
        row
    };
    let (read, write) = (one("file.read"), one("file.write"));
    assert_eq!(read.int("ino"), write.int("ino"));
    assert_ne!(read.text("process_uid"), write.text("process_uid"));
}

#[test]
fn of_a_connection_the_first_each_way() {
    let run = Recorder::new().script(
        "socket @l inet stream bind @l 127.0.0.1:0 listen @l socket @c inet stream connect @c @l \
         accept @s @l repeat 3 [ send @c 10 recv @s 10 ] write @s 4 read @c 4 write @s 5 read @c 5",
    );
    let connect = run.rows.only("net.connect", &json!({}));
    let accept = run.rows.only("net.accept", &json!({}));
    for (kind, end, bytes) in [
        ("net.send", connect, 10),
        ("net.receive", accept, 10),
        ("net.send", accept, 4),
        ("net.receive", connect, 4),
    ] {
        let row = run.rows.only(kind, &json!({ "fd": end.int("fd") }));
        row.expect(&json!({ "result": bytes, "origin": "kernel" }));
        for field in ["ino", "transport", "local_port", "peer_addr", "peer_port"] {
            assert_eq!(row.get(field), end.get(field), "{field} of {row:?}");
        }
    }
    run.rows.none("file.read", &json!({ "result": 4 }));
}

#[test]
fn a_message_has_one_record_with_its_address_or_without() {
    let run = Recorder::new().script(
        "socket @r inet dgram bind @r 127.0.0.1:0 socket @s inet dgram sendto @s 3 @r sendto @s 4 @r recv @r 3 \
         recv @r 4 connect @s @r send @s 5 send @s 6 sendmsg @s 7 recv @r 5 recv @r 6 recv @r 7 \
         socketpair @a @b dgram write @a 8 read @b 8 sendmsg @a 9 recvmsg @b 9",
    );
    let bytes = |kind, origin| -> Vec<_> {
        let rows = run.rows.all(kind, &json!({ "origin": origin }));
        rows.iter().map(|row| row.int("result")).collect()
    };
    assert_eq!(bytes("net.send", "claimed"), [3]);
    assert_eq!(bytes("net.send", "kernel"), [5, 8]);
    assert_eq!(bytes("net.receive", "claimed"), [] as [i64; 0]);
    assert_eq!(bytes("net.receive", "kernel"), [3, 8]);
}

#[test]
fn what_is_inherited_is_recorded_before_it_is_used() {
    let run = Recorder::new().script(
        "socketpair @a @b stream fork @c [ close @a write @b 6 ] wait @c close @b read @a 6",
    );
    let inherit = run.rows.only("net.inherit", &json!({}));
    let send = run.rows.only("net.send", &json!({}));
    assert_eq!(send.int("seq"), inherit.int("seq") + 1);
    send.expect(&json!({ "fd": inherit.int("fd"), "ino": inherit.int("ino"), "result": 6 }));
}

/// Descriptors of two threads change places all the time.
#[test]
fn a_reused_descriptor_is_never_taken_for_the_one_before() {
    const TIMES: usize = 2000;
    let recorder = Recorder::new();
    let a = recorder.file("a", "0123456789").display().to_string();
    let b = recorder.file("b", "0123456789").display().to_string();
    let steps = |path: &str, bytes: u8| {
        format!(
            "repeat {TIMES} [ open @f {path} O_RDWR pread @f {bytes} 0 pwrite @f {bytes} 0 close @f ]"
        )
    };
    let run = recorder.script(&format!(
        "thread @x [ {} ] thread @y [ {} ] join @x join @y",
        steps(&a, 3),
        steps(&b, 5)
    ));
    for (path, bytes) in [(&a, 3), (&b, 5)] {
        let ino = run.rows.all("file.open", &json!({ "path": path }))[0].int("ino");
        for kind in ["file.read", "file.write"] {
            let rows = run.rows.all(kind, &json!({ "path": path }));
            assert_eq!(rows.len(), TIMES, "{kind}");
            let mut opened: Vec<_> = rows.iter().map(|row| row.int("opened")).collect();
            opened.dedup();
            assert_eq!(opened.len(), TIMES, "{kind}");
            for row in rows {
                row.expect(&json!({ "ino": ino, "result": bytes }));
                run.rows
                    .at(row.int("opened"))
                    .expect(&json!({ "kind": "file.open", "path": path, "ino": ino }));
            }
        }
    }
}

/// What is still open when recording ends has no totals, but its first uses.
#[test]
fn what_is_never_closed_was_used() {
    let recorder = Recorder::new();
    let file = recorder.path("file");
    let path = file.display().to_string();
    let mut recording = recorder.start(&format!(
        "open @f {path} O_WRONLY|O_CREAT write @f 9 print ready pause"
    ));
    let mut ready = [0; 6];
    let stdout = recording.stdout.as_mut().expect("piped");
    stdout.read_exact(&mut ready).expect("it prints");
    wait::until("the write", || {
        let rows = recorder.evidence().so_far()?;
        (!rows
            .all("file.write", &json!({ "path": path, "result": 9 }))
            .is_empty())
        .then_some(())
    });
    let pid = rustix::process::Pid::from_child(&recording);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let run = recorder.finish(recording.wait_with_output().expect("it ends"));
    run.rows
        .only("file.write", &json!({ "path": path, "result": 9 }));
}
