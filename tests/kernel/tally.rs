//! Calls that are only counted, and requests of devices and files that are not.

use std::fs;
use std::io::{BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use lineage_agent::probe::catalog::Entry;
use lineage_common::limits::TALLIES_PER_PROCESS_MAX;
use lineage_tests::entries;
use lineage_tests::evidence::Verdict;
use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::Recorder;
use lineage_tests::wait;
use serde_json::{Value, json};

/// `LOOP_CTL_GET_FREE`, `RNDGETENTCNT`, `TCGETS`
const GET_FREE: u32 = 0x4c82;
const ENTROPY: u32 = 0x8004_5200;
const GET_ATTRIBUTES: u32 = 0x5401;

#[test]
fn requests_of_devices_are_counted() {
    let run = Recorder::new().script(&format!(
        "open @l /dev/loop-control O_RDWR open @u /dev/urandom O_RDONLY open @n /dev/null O_RDWR \
         repeat 5 [ call @r ioctl @l {GET_FREE} 0 ; ] call @r ioctl @u {ENTROPY} room ; \
         repeat 3 [ call @f ioctl @u 305419896 0 ; ] print @f \
         call @f ioctl @n {GET_ATTRIBUTES} room ; call @f ioctl 99 {GET_FREE} 0 ; print @f"
    ));
    assert_eq!(run.stdout(), "-22\n-9\n");
    let control = fs::metadata("/dev/loop-control").expect("it is there");
    let device = json!({
        "origin": "kernel", "call": "ioctl", "path": "/dev/loop-control",
        "request": GET_FREE, "rdev": control.rdev(),
    });
    let rows = run.rows.all("file.ioctl", &device);
    let [first, total] = rows[..] else {
        panic!("{rows:?}");
    };
    first.expect(&json!({
        "count": 1, "dev": control.dev(), "ino": control.ino(), "mode": control.mode(),
        "detail": { "name": "LOOP_CTL_GET_FREE", "type": "L", "nr": 130 },
    }));
    assert!(first.int("result") >= 0);
    total.expect(&json!({ "count": 5, "result": null, "ino": null }));
    assert!(total.int("seq") > first.int("seq"));
    // One call has no total, and one that fails is told as such.
    let entropy = json!({ "path": "/dev/urandom", "request": ENTROPY });
    let entropy = run.rows.only("file.ioctl", &entropy);
    entropy.expect(&json!({ "count": 1, "result": 0, "detail": {
        "name": "RNDGETENTCNT", "type": "R", "nr": 0, "size": 4, "direction": "read",
    } }));
    let unknown = json!({ "path": "/dev/urandom", "request": 305_419_896 });
    let rows = run.rows.all("file.ioctl", &unknown);
    assert_eq!(rows.len(), 2);
    rows[0].expect(&json!({ "count": 1, "result": -22 }));
    rows[1].expect(&json!({ "count": 3, "result": null }));
    assert_eq!(rows[1].get("detail")["failed"], 3);
    // That something is asked whether it is a terminal is no news.
    run.rows.none("file.ioctl", &json!({ "path": "/dev/null" }));
    assert_eq!(run.rows.all("file.ioctl", &json!({})).len(), 5);
}

#[test]
fn each_process_has_its_own_counts() {
    let run = Recorder::new().script(&format!(
        "open @l /dev/loop-control O_RDWR repeat 2 [ call @r ioctl @l {GET_FREE} 0 ; ] \
         fork @c [ repeat 3 [ call @r ioctl @l {GET_FREE} 0 ; ] ] wait @c \
         thread @t [ call @r ioctl @l {GET_FREE} 0 ; ] join @t"
    ));
    let counts = |values| {
        let rows = run.rows.all("file.ioctl", &values);
        let counts: Vec<i64> = rows.iter().map(|row| row.int("count")).collect();
        counts
    };
    let fork = run.rows.only("process.fork", &json!({}));
    let (parent, child) = (fork.int("pid"), fork.int("child_pid"));
    assert_eq!(counts(json!({ "pid": parent })), [1, 3]);
    assert_eq!(counts(json!({ "pid": child })), [1, 3]);
}

#[test]
fn requests_that_matter_by_themselves_are_recorded() {
    let recorder = Recorder::new();
    let path = |name| {
        let file = recorder.file(name, "content");
        file.canonicalize().expect("it is there")
    };
    let (one, two) = (path("one"), path("two"));
    let run = recorder.script(&format!(
        "open @o {} O_RDWR open @t {} O_RDWR open @n /dev/net/tun O_RDWR open @p /dev/ptmx O_RDWR \
         call @r ioctl @o {} @t ; print @r repeat 2 [ call @r ioctl @o {} room ; print @r ] \
         call @r ioctl @p {} =x ; print @r call @r ioctl @n {} room ; print @r",
        one.display(),
        two.display(),
        0x4004_9409_u32,
        0x4008_6602_u32,
        0x5412,
        0x4004_54ca_u32,
    ));
    let told = run.stdout();
    let results: Vec<i64> = told.lines().map(|line| line.parse().unwrap()).collect();
    let stat = fs::metadata(&one).expect("it is there");
    let clone = json!({
        "origin": "kernel", "call": "ioctl", "path": one, "target": two, "result": results[0],
        "dev": stat.dev(), "ino": stat.ino(), "request": 0x4004_9409_u32, "count": null,
    });
    let clone = run.rows.only("file.ioctl", &clone);
    assert_eq!(clone.get("detail")["name"], "FICLONE");
    // What is cloned was read and written.
    let moved = if results[0] == 0 { 7 } else { 0 };
    for (path, bytes) in [(&one, "bytes_written"), (&two, "bytes_read")] {
        let close = run.rows.only("file.close", &json!({ "path": path }));
        assert_eq!(close.int(bytes), moved, "{bytes}");
    }
    let flags = json!({ "path": one, "request": 0x4008_6602_u32, "result": results[1] });
    assert_eq!(run.rows.all("file.xattr", &flags).len(), 2);
    let faked = json!({ "path": "/dev/ptmx", "request": 0x5412, "result": results[3] });
    let faked = run.rows.only("kernel.control", &faked);
    assert_eq!(faked.get("detail")["name"], "TIOCSTI");
    let interface = json!({ "path": "/dev/net/tun", "result": results[4] });
    let interface = run.rows.only("kernel.control", &interface);
    assert_eq!(interface.get("detail")["name"], "TUNSETIFF");
    assert_eq!(run.rows.all("file.ioctl", &json!({})).len(), 1);
}

#[test]
fn asynchronous_reads_and_writes_are_counted() {
    let run =
        Recorder::new().script("repeat 4 [ call @r io_submit 0 0 0 ; ] call @r io_submit 0 1 0 ;");
    let rows = run
        .rows
        .all("kernel.control", &json!({ "call": "io_submit" }));
    assert_eq!(rows.len(), 2);
    rows[0].expect(&json!({ "count": 1, "result": -22, "request": null, "detail": null }));
    rows[1].expect(&json!({ "count": 5, "result": null, "detail": { "failed": 5 } }));
}

#[test]
fn what_does_not_fit_is_counted_as_such() {
    const FITS: usize = 1024;
    let mut script = "open @u /dev/urandom O_RDONLY".to_owned();
    for request in 0..FITS + 3 {
        let request = 0x7000_0000 + request;
        script.push_str(&format!(" call @r ioctl @u {request} 0 ;"));
    }
    let recorder = Recorder::new().expect(Verdict::VerifiedWithLoss);
    let run = recorder.option("--json").script(&script);
    assert_eq!(run.rows.all("file.ioctl", &json!({})).len(), FITS);
    let findings = run.evidence.verify().document["findings"].to_string();
    assert!(
        findings.contains(": 3 times no room in a table\""),
        "{findings}"
    );
    let summary: Value = serde_json::from_str(run.stderr().trim()).expect("one line of JSON");
    assert_eq!(summary["lost"], 0);
    let missing = json!({
        "descriptors_full": 0, "tallies_full": 3, "tasks_full": 0, "busy": 0, "unjudged": 0,
        "undecided": 0, "dropped": 0,
    });
    assert_eq!(summary["missing"], missing);
    let losses = run.rows.all("evidence.loss", &json!({}));
    let times = losses.iter().map(|loss| {
        let detail = loss.get("detail");
        assert_eq!(detail["counter"], "tallies_full", "{loss:?}");
        detail["times"].as_u64().expect("a number")
    });
    assert_eq!(times.sum::<u64>(), 3);
    let output = Command::new(&*LINEAGE)
        .arg("tree")
        .arg(&run.evidence.directory)
        .output();
    let tree = String::from_utf8(output.expect("it runs").stdout).expect("text");
    let said = "something is missing: 3 times there was no room to count a call";
    assert!(tree.contains(said), "{tree}");
}

#[test]
fn what_does_not_fit_is_said_while_it_happens() {
    let mut script = "open @u /dev/urandom O_RDONLY".to_owned();
    for request in 0..TALLIES_PER_PROCESS_MAX + 2 {
        let request = 0x7000_0000 + request;
        script.push_str(&format!(" call @r ioctl @u {request} 0 ;"));
    }
    script.push_str(" read 0 1");
    let recorder = Recorder::new().expect(Verdict::VerifiedWithLoss);
    let mut child = recorder.start(&script);
    let mut said = BufReader::new(child.stderr.take().expect("piped"));
    wait::line(&mut said, "a warning", |line| {
        line.contains("there was no room to count a call: how often it was made is missing; the")
    });
    let status = |options: &[&str]| {
        let mut command = Command::new(&*LINEAGE);
        command.arg("status").args(options);
        let output = command.arg(recorder.evidence().directory).output();
        String::from_utf8(output.expect("it runs").stdout).expect("text")
    };
    wait::until("it to be told", || {
        let told: Value = serde_json::from_str(&status(&["--json"])).ok()?;
        (told["missing"]["tallies_full"] == 2).then_some(())
    });
    let shown = status(&[]);
    let line = "\n  missing    2 times there was no room to count a call: ";
    assert!(shown.contains(line), "{shown}");
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("our own child");
    let mut summary = String::new();
    said.read_to_string(&mut summary).expect("text");
    assert!(
        summary.contains("lineage: 2 times there was no room to count a call"),
        "{summary}"
    );
    let _run = recorder.finish(output);
}

/// `IORING_OP_NOP`, `IORING_OP_READ`
const NOTHING: u32 = 0;
const READ: u32 = 22;

/// `io_uring_disabled` when nobody may use io_uring (since 6.6).
const DISABLED: &str = "2";

#[test]
fn requests_of_rings_are_counted_by_opcode() {
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    let disabled = disabled.is_ok_and(|value| value.trim() == DISABLED);
    let ways = entries::complete();
    for &entry in ways {
        // Linux 6.10 is the first with all of the events, where they can be read.
        let events = Path::new("/sys/kernel/tracing/events/sched/sched_prepare_exec");
        if entry == Entry::Guarded && ways.len() > 1 && !events.exists() {
            continue;
        }
        let recorder = Recorder::new();
        let mut command = recorder.command();
        command
            .env("LINEAGE_ENTRY", entry.name())
            .arg("--")
            .arg(&*ACTOR)
            .stdin(Stdio::null());
        if disabled {
            command.args(["fails", "EPERM"]);
        }
        let script = format!("submit {NOTHING} 5 0 submit {READ} 1 0 submit {READ} 2 2");
        command.args(
            script
                .split_ascii_whitespace()
                .take(if disabled { 4 } else { 12 }),
        );
        let run = recorder.finish(command.output().expect("it runs"));
        let submitted = json!({ "call": "io_uring_submit", "origin": "kernel" });
        let rows = run.rows.all("kernel.io_uring", &submitted);
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.int("request"),
                    row.get("detail").clone(),
                    row.int("count"),
                )
            })
            .collect();
        let of = |opcode: u32, name: &str, count: i64| {
            (i64::from(opcode), json!({ "opcode": name }), count)
        };
        let nothing = |count| of(NOTHING, "IORING_OP_NOP", count);
        let read = |count| of(READ, "IORING_OP_READ", count);
        let expected = [nothing(1), read(1), nothing(5), read(3)];
        let expected = if disabled { &[][..] } else { &expected[..] };
        assert_eq!(told, expected, "{}", entry.name());
    }
}
