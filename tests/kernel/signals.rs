//! SIGINT and SIGTERM: the recorder stops, and what it recorded is complete and proven.

use std::io::BufReader;

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
