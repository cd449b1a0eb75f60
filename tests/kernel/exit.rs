//! `process.exit` and `thread.exit`: how each ended, and what the recorder passes on.

use std::collections::BTreeSet;

use lineage_tests::recorder::Recorder;
use serde_json::json;

#[test]
fn the_status_is_recorded_and_passed_on() {
    for status in [0, 1, 3, 255] {
        let run = Recorder::new().script(&format!("exit {status}"));
        assert_eq!(run.output.status.code(), Some(status));
        let exit = run.rows.only("process.exit", &json!({}));
        exit.expect(&json!({ "exit_code": status, "exit_signal": null }));
    }
}

#[test]
fn a_signal_is_recorded_and_passed_on_like_a_shell_does() {
    for signal in [1, 9, 15] {
        let run = Recorder::new().script(&format!("kill self {signal} pause"));
        assert_eq!(run.output.status.code(), Some(128 + signal));
        let exit = run.rows.only("process.exit", &json!({}));
        exit.expect(&json!({ "exit_code": null, "exit_signal": signal }));
    }
}

#[test]
fn a_thread_can_end_the_process() {
    let run = Recorder::new().script("thread @t [ exit 6 ] pause");
    assert_eq!(run.output.status.code(), Some(6));
    run.rows.only("process.exit", &json!({ "exit_code": 6 }));
}

#[test]
fn recording_goes_on_until_the_last_descendant_ends() {
    let recorder = Recorder::new();
    let path = recorder.path("late").display().to_string();
    // The command ends at once; its child lives on until the pipe to it is closed by that end.
    let run = recorder.script(&format!(
        "pipe @r @w fork @c [ close @w read @r 1 open @f {path} O_WRONLY|O_CREAT exit 8 ] exit 2"
    ));
    assert_eq!(run.output.status.code(), Some(2));
    let late = run.rows.only("file.open", &json!({ "path": path }));
    let command = run.rows.only("process.exit", &json!({ "exit_code": 2 }));
    assert!(late.int("seq") > command.int("seq"));
    run.rows.only("process.exit", &json!({ "exit_code": 8 }));
}

#[test]
fn threads_that_end_together_are_one_end_of_the_process() {
    let run = Recorder::new().script(
        "repeat 40 [ fork @p [ repeat 6 [ thread @t [ pause ] ] exit 3 ] wait @p ] \
         repeat 40 [ fork @q [ repeat 6 [ thread @t [ ] ] ] wait @q ]",
    );
    for fork in run.rows.all("process.fork", &json!({})) {
        let process = json!({ "process_uid": fork.text("child_uid") });
        let started = run.rows.all("thread.start", &process);
        assert_eq!(started.len(), 6);
        let leader = fork.int("child_pid");
        let all: BTreeSet<_> = started
            .iter()
            .map(|start| start.int("result"))
            .chain([leader])
            .collect();
        let mut ended = run.rows.all("thread.exit", &process);
        // The one that is left alone is the end of the process only; of several that end at once
        // the last is both.
        let last = run.rows.only("process.exit", &process);
        let both = ended.iter().any(|end| end.int("tid") == last.int("tid"));
        assert_eq!(ended.len(), 6 + usize::from(both), "{fork:?}");
        ended.push(last);
        let ended: BTreeSet<_> = ended.iter().map(|end| end.int("tid")).collect();
        assert_eq!(ended, all, "{fork:?}");
    }
}
