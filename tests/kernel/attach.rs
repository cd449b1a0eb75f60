//! `-p PID`: what was there is found, and from then on nothing escapes.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::Recorder;
use lineage_tests::rows::Row;
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
    let output = attached.output();
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
    let used = json!({ "path": held, "pid": child.int("pid") });
    let used = run.rows.only("file.snapshot", &used);
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

/// What the processes of a tree reported: process id and time (nanoseconds since 1970), as the lines
/// come.
struct Reports(Arc<Mutex<Vec<(i64, i64)>>>, JoinHandle<()>);

impl Reports {
    fn read(lines: impl BufRead + Send + 'static) -> Self {
        let all = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&all);
        let reader = std::thread::spawn(move || {
            for line in lines.lines() {
                let line = line.expect("text");
                let (pid, time) = line.split_once(' ').expect("two numbers");
                let report = (pid.parse().expect("a pid"), time.parse().expect("a time"));
                kept.lock().expect("nobody panics with it").push(report);
            }
        });
        Self(all, reader)
    }

    /// Waits for that many made from now on, however late they are read.
    fn more(&self, number: usize) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = i64::try_from(now.expect("after 1970").as_nanos()).expect("before 2262");
        wait::until("reports", || {
            let all = self.0.lock().expect("nobody panics with it");
            let new = all.iter().filter(|(_, time)| *time > now);
            (new.count() >= number).then_some(())
        });
    }

    /// All of them, once the tree has ended.
    fn all(self) -> Vec<(i64, i64)> {
        self.1.join().expect("it only reads");
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }
}

#[test]
fn nothing_escapes_from_a_tree_that_forks_hard() {
    let recorder = Recorder::new();
    let stop = recorder.path("stop");
    // Every process of the tree reports itself once; leaves live for microseconds, and their
    // parents often end before them.
    let leaf = "fork @d [ report ]";
    let middle = format!("fork @c [ report {leaf} {leaf} ] wait @c");
    let branch = format!("fork @b [ report until {} [ {middle} ] ]", stop.display());
    let script = format!("repeat 4 [ {branch} ] repeat 4 [ wait -1 ] report");
    let mut actor = unrecorded(&script);
    let reports = Reports::read(BufReader::new(actor.stdout.take().expect("piped")));
    reports.more(300);
    let attached = recorder.attach(&[actor.id()]);
    reports.more(3000);
    fs::write(&stop, "").expect("writable");
    assert!(wait::exit("the actor", &mut actor).success());
    let run = recorder.finish(attached.output());

    // Ids are used again in a tree like this one, so they are counted.
    let mut unknown: HashMap<i64, i64> = HashMap::new();
    let began = run.rows.only("lineage.start", &json!({})).int("time_ns");
    let after = reports.all().into_iter().filter(|(_, time)| *time > began);
    let mut total = 0;
    for (pid, _) in after {
        *unknown.entry(pid).or_default() += 1;
        total += 1;
    }
    for fork in run.rows.all("process.fork", &json!({})) {
        *unknown.entry(fork.int("child_pid")).or_default() -= 1;
    }
    for snapshot in run.rows.all("process.snapshot", &json!({})) {
        *unknown.entry(snapshot.int("pid")).or_default() -= 1;
    }
    let missing: Vec<_> = unknown
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    assert!(total >= 3000, "{total} reports");
    assert!(
        missing.is_empty(),
        "{} of {total}: {missing:?}",
        missing.len()
    );
}

#[test]
fn the_recorder_leaves_itself_out() {
    let recorder = Recorder::new();
    let later = recorder.path("later").display().to_string();
    let record = recorder.command();
    // The shell is recorded by a child of its own. Its other child was there before that, and goes
    // on once the test has seen that recording has begun.
    let script = format!(
        r#"exec 3<&0
        {} read 3 1 open @f {later} O_WRONLY\|O_CREAT exit 5 & other=$!
        "$@" -p $$ & recorder=$!
        wait $other
        kill -TERM $recorder
        wait $recorder"#,
        ACTOR.display()
    );
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script, "sh"]);
    command.arg(record.get_program()).args(record.get_args());
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = command.spawn().expect("a shell");
    let shell_pid = shell.id();
    let mut said = BufReader::new(shell.stderr.take().expect("piped"));
    wait::line(&mut said, "the beginning", |line| {
        line.contains("recording into")
    });
    let mut input = shell.stdin.take().expect("piped");
    input.write_all(b"g").expect("the actor reads");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("text");
    let output = shell.wait_with_output().expect("our own child");
    assert!(output.status.success(), "{rest}");
    let run = recorder.finish(output);

    let start = run.rows.only("lineage.start", &json!({}));
    let recorder = &start.get("detail")["recorder"]["pid"];
    assert!(recorder.is_i64(), "{start:?}");
    let foreign = |row: &Row| row.get("pid") != recorder && row.get("child_pid") != recorder;
    assert!(run.rows.0.iter().all(foreign), "it has recorded itself");
    run.rows
        .only("process.snapshot", &json!({ "pid": shell_pid }));
    let other = run
        .rows
        .only("process.snapshot", &json!({ "ppid": shell_pid }));
    let pid = other.int("pid");
    run.rows
        .only("file.open", &json!({ "path": later, "pid": pid }));
    run.rows
        .only("process.exit", &json!({ "pid": pid, "exit_code": 5 }));
    // The shell alone, which waits for the recorder.
    let end = run.rows.only("lineage.end", &json!({}));
    end.expect(&json!({ "detail": { "reason": "signal", "running": 1 } }));
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
    for actor in &mut actors {
        drop(actor.stdin.take());
        wait::exit("the actor", actor);
    }
    let run = recorder.finish(attached.output());
    for (actor, code) in actors.iter().zip([7, 8]) {
        run.rows.only(
            "process.exit",
            &json!({ "pid": actor.id(), "exit_code": code }),
        );
    }
}
