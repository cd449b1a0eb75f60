//! `-p PID`: what was there is found, and from then on nothing escapes.

use std::collections::HashSet;
use std::fs;
use std::io::{BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::Recorder;
use lineage_tests::wait;
use serde_json::json;

/// The actor, not recorded yet.
fn unrecorded(script: &str) -> Child {
    let mut command = Command::new(&*ACTOR);
    command
        .args(script.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command.spawn().expect("the actor runs")
}

#[test]
fn a_process_and_its_descendants_are_found_and_followed() {
    let recorder = Recorder::new();
    let held = recorder.file("held", "0123456789").display().to_string();
    let later = recorder.path("later").display().to_string();
    let mut actor = unrecorded(&format!(
        "open @f {held} O_RDONLY read @f 3 fork @c [ print ready read 0 1 read @f 2 \
         open @g {later} O_WRONLY|O_CREAT exit 5 ] wait @c exit 6"
    ));
    let mut lines = BufReader::new(actor.stdout.take().expect("piped"));
    wait::line(&mut lines, "ready", |line| line == "ready");
    let attached = recorder.attach(&[actor.id()]);
    actor
        .stdin
        .take()
        .expect("piped")
        .write_all(b"g")
        .expect("it reads");
    let status = wait::exit("the actor", &mut actor);
    assert_eq!(status.code(), Some(6));
    let output = attached.wait_with_output().expect("our own child");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let run = recorder.finish(output);

    let parent = run
        .rows
        .only("process.snapshot", &json!({ "pid": actor.id() }));
    let file = fs::metadata(&*ACTOR).expect("it is there");
    parent.expect(&json!({
        "origin": "snapshot", "exe": *ACTOR, "comm": "actor", "uid": 0, "euid": 0, "gid": 0,
        "dev": file.dev(), "ino": file.ino(), "ppid": std::process::id(),
        "cwd": std::env::current_dir().expect("a directory"),
    }));
    assert_eq!(parent.argv()[1..3], [b"open".to_vec(), b"@f".to_vec()]);
    let child = run
        .rows
        .only("process.snapshot", &json!({ "ppid": actor.id() }));
    child.expect(&json!({
        "cause": parent.int("seq"), "parent_uid": parent.text("process_uid"), "exe": *ACTOR,
    }));
    let open = run.rows.only("file.open", &json!({ "path": later }));
    open.expect(&json!({
        "cause": child.int("seq"), "process_uid": child.text("process_uid"), "exe": *ACTOR,
    }));
    // Opened before, used after.
    let used = run.rows.only("file.inherit", &json!({ "path": held }));
    run.rows
        .only("file.close", &json!({ "opened": used.int("seq") }))
        .expect(&json!({
            "bytes_read": 2, "process_uid": child.text("process_uid"),
        }));
    for (pid, code) in [(parent.int("pid"), 6), (child.int("pid"), 5)] {
        run.rows
            .only("process.exit", &json!({ "pid": pid, "exit_code": code }));
    }
}

#[test]
fn nothing_escapes_from_a_tree_that_forks_hard() {
    let recorder = Recorder::new();
    // Every process of the tree reports itself; leaves live for microseconds, parents often end
    // before their children.
    let leaf = "fork @d [ report ]";
    let middle = format!("fork @c [ report {leaf} {leaf} ]");
    let branch = format!("fork @b [ report repeat 400 [ {middle} wait -1 ] ]");
    let script = format!("repeat 4 [ {branch} ] repeat 4 [ wait -1 ] report");
    let mut actor = unrecorded(&script);
    let mut lines = BufReader::new(actor.stdout.take().expect("piped"));
    // The tree is in the middle of it once a few hundred have reported.
    let mut reports = Vec::new();
    for _ in 0..300 {
        reports.push(wait::line(&mut lines, "a report", |_| true));
    }
    let reader = std::thread::spawn(move || {
        use std::io::BufRead;
        lines
            .lines()
            .map(|line| line.expect("text"))
            .collect::<Vec<_>>()
    });
    let attached = recorder.attach(&[actor.id()]);
    assert!(wait::exit("the actor", &mut actor).success());
    let output = attached.wait_with_output().expect("our own child");
    reports.extend(reader.join().expect("it only reads"));
    let run = recorder.finish(output);

    let began = run.rows.only("lineage.start", &json!({})).int("time_ns");
    let known: HashSet<i64> = run
        .rows
        .all("process.fork", &json!({}))
        .iter()
        .map(|row| row.int("child_pid"))
        .chain(
            run.rows
                .all("process.snapshot", &json!({}))
                .iter()
                .map(|row| row.int("pid")),
        )
        .collect();
    let after: Vec<(i64, i64)> = reports
        .iter()
        .map(|line| line.split_once(' ').expect("two numbers"))
        .map(|(pid, time)| (pid.parse().expect("a pid"), time.parse().expect("a time")))
        .filter(|(_, time)| *time > began)
        .collect();
    assert!(
        after.len() > 500,
        "the tree was nearly over: {}",
        after.len()
    );
    let missing: Vec<_> = after
        .iter()
        .filter(|(pid, _)| !known.contains(pid))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {}: {missing:?}",
        missing.len(),
        after.len()
    );
}

#[test]
fn several_processes_are_one_recording() {
    let recorder = Recorder::new();
    let mut actors = [7, 8].map(|code| unrecorded(&format!("print ready read 0 1 exit {code}")));
    for actor in &mut actors {
        let mut lines = BufReader::new(actor.stdout.take().expect("piped"));
        wait::line(&mut lines, "ready", |line| line == "ready");
    }
    let attached = recorder.attach(&[actors[0].id(), actors[1].id()]);
    wait::until("both snapshots", || {
        let rows = recorder.evidence().so_far()?;
        (rows.all("process.snapshot", &json!({})).len() == 2).then_some(())
    });
    for actor in &mut actors {
        drop(actor.stdin.take());
        wait::exit("the actor", actor);
    }
    let run = recorder.finish(attached.wait_with_output().expect("our own child"));
    for (actor, code) in actors.iter().zip([7, 8]) {
        run.rows.only(
            "process.exit",
            &json!({ "pid": actor.id(), "exit_code": code }),
        );
    }
}
