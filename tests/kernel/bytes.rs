//! Byte totals: what every call that moves bytes adds to its descriptor.

use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use serde_json::json;

/// The close of the only descriptor opened on this path.
fn close_of<'a>(run: &'a Recorded, path: &str) -> &'a Row {
    let open = run.rows.only("file.open", &json!({ "path": path }));
    let close = run
        .rows
        .only("file.close", &json!({ "opened": open.int("seq") }));
    close.expect(&json!({
        "path": path, "fd": open.int("fd"), "dev": open.int("dev"), "ino": open.int("ino"),
        "result": 0, "process_uid": open.text("process_uid"),
    }));
    close
}

#[test]
fn reads_and_writes_add_up() {
    let recorder = Recorder::new();
    let read = recorder.file("read", "0123456789").display().to_string();
    let written = recorder.path("written").display().to_string();
    let run = recorder.script(&format!(
        "open @r {read} O_RDONLY read @r 4 readv @r 4 pread @r 3 0 read @r 100 close @r \
         open @w {written} O_WRONLY|O_CREAT write @w 5 writev @w 7 pwrite @w 2 100 close @w"
    ));
    // 4 + 4 + 3, and the last read finds 2 of the 100.
    close_of(&run, &read).expect(&json!({
        "bytes_read": 13, "bytes_written": 0, "closed_by": "close",
    }));
    close_of(&run, &written).expect(&json!({ "bytes_read": 0, "bytes_written": 14 }));
}

#[test]
fn bytes_moved_inside_the_kernel_count_on_both_sides() {
    let recorder = Recorder::new();
    let source = recorder.file("source", [7; 5000]).display().to_string();
    let sent = recorder.path("sent").display().to_string();
    let copied = recorder.path("copied").display().to_string();
    let run = recorder.script(&format!(
        "open @s {source} O_RDONLY open @a {sent} O_WRONLY|O_CREAT open @b {copied} O_WRONLY|O_CREAT \
         sendfile @a @s 3000 copy-range @b @s 1500 pipe @r @w splice @w @s 500 \
         close @s close @a close @b close @w close @r"
    ));
    close_of(&run, &source).expect(&json!({ "bytes_read": 5000, "bytes_written": 0 }));
    close_of(&run, &sent).expect(&json!({ "bytes_read": 0, "bytes_written": 3000 }));
    close_of(&run, &copied).expect(&json!({ "bytes_read": 0, "bytes_written": 1500 }));
}

#[test]
fn failed_transfers_count_nothing() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "0123456789").display().to_string();
    let run = recorder.script(&format!(
        "open @f {path} O_RDONLY fails EBADF write @f 10 read @f 3 fails EBADF read 99 1 close @f"
    ));
    close_of(&run, &path).expect(&json!({ "bytes_read": 3, "bytes_written": 0 }));
}

#[test]
fn totals_are_those_of_all_threads_together() {
    let recorder = Recorder::new();
    let path = recorder.path("file").display().to_string();
    let run = recorder.script(&format!(
        "open @f {path} O_WRONLY|O_CREAT thread @a [ repeat 50 [ write @f 3 ] ] \
         thread @b [ repeat 50 [ write @f 4 ] ] join @a join @b close @f"
    ));
    close_of(&run, &path).expect(&json!({ "bytes_written": 350 }));
}
