//! `file.close`: every way a descriptor ends.

use std::collections::HashSet;

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use serde_json::json;

use crate::snapshot::descriptors_max;

/// The close of the only descriptor opened on this path.
fn close_of<'a>(run: &'a Recorded, path: &str) -> &'a Row {
    let open = run.rows.only("file.open", &json!({ "path": path }));
    run.rows
        .only("file.close", &json!({ "opened": open.int("seq") }))
}

#[test]
fn by_dup2_and_dup3_in_its_place() {
    let recorder = Recorder::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| recorder.file(name, "12345").display().to_string());
    let run = recorder.script(&format!(
        "open @a {a} O_RDONLY open @b {b} O_RDONLY open @c {c} O_RDONLY read @b 2 read @c 3 \
         dup2 @a @b dup3 @a @c read @b 1"
    ));
    close_of(&run, &b).expect(&json!({ "closed_by": "replace", "bytes_read": 2 }));
    close_of(&run, &c).expect(&json!({ "closed_by": "replace", "bytes_read": 3 }));
    // What `@b` names since then is the first file, by a descriptor nobody opened.
    let duplicate = run.rows.only("file.inherit", &json!({ "path": a }));
    let end = run
        .rows
        .only("file.close", &json!({ "opened": duplicate.int("seq") }));
    end.expect(&json!({ "closed_by": "exit", "bytes_read": 1 }));
}

#[test]
fn by_another_process_with_the_same_table() {
    let recorder = Recorder::new();
    let [a, b] = ["a", "b"].map(|name| recorder.file(name, "12345").display().to_string());
    // The kernel likes to put the next file where the closed one was in memory.
    let run = recorder.script(&format!(
        "repeat 20 [ open @a {a} O_RDONLY read @a 1 \
         clone-files @c [ close @a open @b {b} O_RDONLY ] wait @c read @a 5 close @a ]"
    ));
    let bytes = |path: &str| -> Vec<i64> {
        let closes = run.rows.all("file.close", &json!({ "path": path }));
        closes.iter().map(|row| row.int("bytes_read")).collect()
    };
    assert_eq!(bytes(&a), [1; 20]);
    // Twice each: by who opened it, and by who read it.
    assert_eq!(bytes(&b).len(), 2 * 20);
    assert_eq!(bytes(&b).iter().sum::<i64>(), 5 * 20);
    assert_eq!(
        run.rows.all("file.inherit", &json!({ "path": b })).len(),
        20
    );
}

#[test]
fn before_its_number_is_used_again() {
    let recorder = Recorder::new();
    let [a, b] = ["a", "b"].map(|name| recorder.path(name).display().to_string());
    let flags = "O_WRONLY|O_CREAT";
    let run = recorder.script(&format!(
        "repeat 20 [ open @a {a} {flags} write @a 10 clone-files @c [ close @a ] wait @c \
         open @b {b} {flags} write @b 7 close @b ]"
    ));
    for (path, bytes) in [(a, 10), (b, 7)] {
        let opens = run.rows.all("file.open", &json!({ "path": path }));
        assert_eq!(opens.len(), 20);
        for open in opens {
            run.rows
                .only("file.close", &json!({ "opened": open.int("seq") }))
                .expect(&json!({ "bytes_written": bytes, "path": path }));
        }
    }
}

#[test]
fn by_close_range() {
    let recorder = Recorder::new();
    let [a, b] = ["a", "b"].map(|name| recorder.file(name, "12345").display().to_string());
    let run = recorder.script(&format!(
        "open @x {a} O_RDONLY dup2 @x 100 open @y {b} O_RDONLY read @y 4 close-range @y 4294967295 close @x"
    ));
    close_of(&run, &b).expect(&json!({ "closed_by": "close_range", "bytes_read": 4 }));
    close_of(&run, &a).expect(&json!({ "closed_by": "close", "bytes_read": 0 }));
}

#[test]
fn by_an_exec_that_was_told_to() {
    let recorder = Recorder::new();
    let [kept, gone, late] =
        ["kept", "gone", "late"].map(|name| recorder.file(name, "12345").display().to_string());
    let actor = ACTOR.display();
    let run = recorder.script(&format!(
        "open @a {kept} O_RDONLY open @b {gone} O_RDONLY|O_CLOEXEC open @c {late} O_RDONLY cloexec @c \
         dup2 @a 50 close @a read 50 1 read @b 5 exec {actor} next read 50 2"
    ));
    let exec = run.rows.only("process.exec", &json!({ "exec": 2 }));
    for path in [gone.as_str(), &late] {
        let close = close_of(&run, path);
        close.expect(&json!({ "closed_by": "exec" }));
        assert!(close.int("seq") > run.rows.cause(exec).int("seq"));
    }
    close_of(&run, &gone).expect(&json!({ "bytes_read": 5 }));
    // The one that was kept goes on under the new program, with one total.
    let duplicate = run
        .rows
        .only("file.inherit", &json!({ "path": kept, "fd": 50 }));
    let close = run
        .rows
        .only("file.close", &json!({ "opened": duplicate.int("seq") }));
    close.expect(&json!({ "closed_by": "exit", "bytes_read": 3 }));
}

#[test]
fn by_the_end_of_the_process() {
    let recorder = Recorder::new();
    let [quiet, killed] =
        ["quiet", "killed"].map(|name| recorder.file(name, "12345").display().to_string());
    let run = recorder.script(&format!(
        "fork @a [ open @f {quiet} O_RDONLY read @f 1 exit 0 ] wait @a \
         fork @b [ open @f {killed} O_RDONLY read @f 2 kill self 9 pause ] wait @b"
    ));
    for (path, bytes) in [(quiet, 1), (killed, 2)] {
        let close = close_of(&run, &path);
        close.expect(&json!({ "closed_by": "exit", "bytes_read": bytes }));
        let exit = run.rows.only(
            "process.exit",
            &json!({ "process_uid": close.text("process_uid") }),
        );
        assert!(close.int("seq") < exit.int("seq"));
    }
}

#[test]
fn a_close_that_fails_is_recorded_too() {
    let run = Recorder::new().script("fails EBADF close 777");
    run.rows
        .only("file.close", &json!({ "fd": 777 }))
        .expect(&json!({
            "result": -9, "opened": null, "path": null, "bytes_read": null,
        }));
}

#[test]
fn a_number_used_again_is_another_descriptor() {
    let recorder = Recorder::new();
    let [a, b] = ["a", "b"].map(|name| recorder.file(name, "12345").display().to_string());
    let run = recorder.script(&format!(
        "open @x {a} O_RDONLY read @x 1 close @x open @y {b} O_RDONLY read @y 2 close @y"
    ));
    let (first, second) = (close_of(&run, &a), close_of(&run, &b));
    assert_eq!(first.int("fd"), second.int("fd"));
    first.expect(&json!({ "bytes_read": 1, "path": a }));
    second.expect(&json!({ "bytes_read": 2, "path": b }));
}

/// More than a process may have, open at the same time: the totals of each are kept.
#[test]
fn seventy_thousand_at_once() {
    const ALL: u64 = 70_000;
    // Room for all of it: they end at once.
    let recorder = Recorder::new().option("--bulk-ring=67108864");
    let file = recorder.file("file", "0123456789").display().to_string();
    let each = ALL.min(descriptors_max() - 300);
    let processes = ALL.div_ceil(each);
    let run = recorder.script(&format!(
        "pipe @r @w pipe @ready @say \
         repeat {processes} [ fork @c [ repeat {each} [ open @f {file} O_RDONLY ] read @f 3 write @say 1 read @r 1 ] ] \
         repeat {processes} [ read @ready 1 ] write @w {processes} repeat {processes} [ wait -1 ]"
    ));
    let opened = run.rows.all("file.open", &json!({ "path": file }));
    assert_eq!(opened.len() as u64, processes * each);
    let closed = run
        .rows
        .all("file.close", &json!({ "path": file, "closed_by": "exit" }));
    let known: HashSet<i64> = closed.iter().map(|row| row.int("opened")).collect();
    assert_eq!(known, opened.iter().map(|row| row.int("seq")).collect());
    let read: i64 = closed.iter().map(|row| row.int("bytes_read")).sum();
    assert_eq!(read, 3 * processes.cast_signed());
    run.rows.none("file.inherit", &json!({ "path": file }));
}
