//! A command that ends before the processes it started: they are waited for, or left and counted.

use std::io::{BufReader, Read};

use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::wait;
use serde_json::{Value, json};

#[test]
fn what_still_runs_is_told_and_recorded_to_its_end() {
    let recorder = Recorder::new();
    let later = recorder.path("later").display().to_string();
    let mut child = recorder.start(&format!(
        "fork @c [ read 0 1 open @f {later} O_WRONLY|O_CREAT exit 4 ] exit 3"
    ));
    let input = child.stdin.take();
    let mut said = BufReader::new(child.stderr.take().expect("piped"));
    let notice = wait::line(&mut said, "the notice", |line| line.contains("has ended"));
    assert!(
        notice.starts_with("lineage: the command has ended, but 1 process of it still runs: "),
        "{notice}"
    );
    drop(input);
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("text");
    assert!(!rest.contains("still run"), "{rest}");
    let run = recorder.finish(child.wait_with_output().expect("our own child"));

    assert_eq!(run.output.status.code(), Some(3));
    let command = run.rows.only("process.exit", &json!({ "exit_code": 3 }));
    let left = run.rows.only("process.exit", &json!({ "exit_code": 4 }));
    let open = run.rows.only("file.open", &json!({ "path": later }));
    open.expect(&json!({ "pid": left.int("pid") }));
    assert!(open.int("seq") > command.int("seq"));
    let end = run.rows.only("lineage.end", &json!({}));
    end.expect(&json!({ "detail": { "reason": "ended", "running": 0 } }));
}

/// Records, until its end, a command that leaves two processes behind. They live until the recorder
/// has ended.
fn left_behind(recorder: Recorder) -> Recorded {
    let recorder = recorder.option("--until-exit");
    let wait = "read 0 1 exit 4";
    let mut child = recorder.start(&format!("fork @a [ {wait} ] fork @b [ {wait} ] exit 3"));
    let input = child.stdin.take();
    wait::exit("the recorder", &mut child);
    drop(input);
    let run = recorder.finish(child.wait_with_output().expect("our own child"));
    assert_eq!(run.output.status.code(), Some(3));
    run.rows
        .only("process.exit", &json!({}))
        .expect(&json!({ "exit_code": 3 }));
    let end = run.rows.only("lineage.end", &json!({}));
    end.expect(&json!({ "detail": { "reason": "command-ended", "running": 2 } }));
    run
}

#[test]
fn what_is_left_behind_is_told() {
    let said = left_behind(Recorder::new()).stderr();
    assert!(
        said.contains(
            "the command has ended; 2 processes of it still run, from here on unrecorded"
        ),
        "{said}"
    );
    assert!(!said.contains("Ctrl-C"), "{said}");
}

#[test]
fn what_is_left_behind_is_counted_for_programs() {
    let said = left_behind(Recorder::new().option("--json")).stderr();
    let summary: Value = serde_json::from_str(&said).expect("one JSON object and nothing else");
    assert_eq!(summary["running"], 2);
    assert_eq!(summary["exit_status"], 3);
}
