//! SIGINT and SIGTERM: the recorder stops, and what it recorded is complete and proven.

use std::io::BufReader;
use std::process::Stdio;

use lineage_tests::recorder::Recorder;
use lineage_tests::wait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

#[test]
fn the_recorder_stops_cleanly_while_what_it_recorded_goes_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let recorder = Recorder::new();
        let path = recorder.file("file", "").display().to_string();
        let script =
            format!("repeat 100 [ open @f {path} O_RDONLY close @f ] print ready read 0 1");
        let mut child = recorder.start(&script);
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        wait::line(&mut lines, "ready", |line| line == "ready");
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).expect("our own child");
        // Only the recorder got the signal; the actor may end with it or live until its input ends.
        drop(child.stdin.take());
        let output = child.wait_with_output().expect("our own child");
        let run = recorder.finish(output);
        run.rows.only("lineage.end", &json!({}));
        assert_eq!(
            run.rows.all("file.open", &json!({ "path": path })).len(),
            100
        );
    }
}

#[test]
fn a_second_signal_stops_and_is_the_status_while_the_command_goes_on() {
    let recorder = Recorder::new();
    // Which ignores whichever is passed on.
    let script = "trap '' TERM HUP; echo ready; read line; exit 0";
    let mut command = recorder.command();
    command.args(["--", "/bin/sh", "-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    wait::line(&mut lines, "ready", |line| line == "ready");
    let input = child.stdin.take();
    let pid = Pid::from_child(&child);
    // Both are kept apart by being different ones: of one kind, two may come as one.
    kill_process(pid, Signal::TERM).expect("our own child");
    kill_process(pid, Signal::HUP).expect("our own child");
    wait::exit("the recorder", &mut child);
    drop(input);
    let run = recorder.finish(child.wait_with_output().expect("our own child"));
    let status = run.output.status.code().expect("an exit status");
    // They are answered in any order.
    let signals = [Signal::TERM, Signal::HUP].map(|signal| 128 + signal.as_raw());
    assert!(signals.contains(&status), "{status}: {}", run.stderr());
    assert!(
        run.stderr()
            .contains("stopped by a signal; 1 process of it still runs")
    );
}
