//! The command that a recording begins with runs as the user wrote it.

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::thread;

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::Recorder;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;

/// Words that `lineage record` would understand, did they stand before the command.
const FOREIGN: &[&str] = &[
    "--json",
    "--help",
    "--version",
    "--until-exit",
    "-p",
    "-qo",
    "--output=elsewhere",
    "--no-such-option",
    "--",
];

#[test]
fn what_follows_the_command_is_its_own() {
    let script = FOREIGN.iter().flat_map(|word| ["print", word]);
    let script: Vec<&str> = script.chain(["exit", "3"]).collect();
    let separators: [&[&str]; 2] = [&[], &["--"]];
    for separator in separators {
        let recorder = Recorder::new();
        let mut command = recorder.command();
        command.args(separator).arg(&*ACTOR).args(&script);
        let output = command.stdin(Stdio::null()).output();
        let run = recorder.finish(output.expect("the lineage binary runs"));

        assert_eq!(run.output.status.code(), Some(3), "{}", run.stderr());
        assert_eq!(run.stdout().lines().collect::<Vec<_>>(), FOREIGN);
        let exec = run.rows.only("process.exec", &json!({ "exe": *ACTOR }));
        let arguments = exec.argv().split_off(1);
        assert!(
            arguments
                .iter()
                .eq(script.iter().map(|word| word.as_bytes()))
        );
    }
}

#[test]
fn what_stands_before_it_is_not() {
    let recorder = Recorder::new();
    let mut command = recorder.command();
    command.args(["--until-exti", "true"]);
    let output = command.output().expect("the lineage binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("'--until-exti' found") && said.contains("'--until-exit'"),
        "{said}"
    );
    assert!(!recorder.path("evidence").exists());
}

/// As much as the kernel takes, of bytes that are written with several each.
#[test]
fn a_command_may_be_as_long_as_the_kernel_takes() {
    const WORDS: usize = 12;
    let word = "\x01".repeat(100_000);
    let recorder = Recorder::new();
    let mut command = recorder.command();
    command.args(["sh", "-c", "exit 3", "sh"]);
    command.args(vec![&word; WORDS]);
    let output = command.stdin(Stdio::null()).output();
    let run = recorder.finish(output.expect("the lineage binary runs"));

    assert_eq!(run.output.status.code(), Some(3), "{}", run.stderr());
    let start = run.rows.only("lineage.start", &json!({}));
    let detail = start.get("detail");
    assert_eq!(detail["command"], json!(["sh", "-c", "exit 3", "sh"]));
    assert_eq!(detail["arguments_left_out"], WORDS);
    let exec = run.rows.all("process.exec", &json!({ "argc": WORDS + 4 }));
    assert_eq!(exec[0].get("truncated"), "argv");
}

/// A shell continues the jobs that it brings to the foreground: that is no leave to begin.
#[test]
fn nobody_else_lets_it_begin() {
    let recorder = Recorder::new();
    let mut command = recorder.command();
    command.arg(&*ACTOR).args(["exit", "3"]).process_group(0);
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the lineage binary runs");
    let group = Pid::from_child(&child);
    let signals = thread::spawn(move || {
        while kill_process_group(group, Signal::CONT).is_ok() {
            thread::yield_now();
        }
    });
    let run = recorder.finish(child.wait_with_output().expect("our own child"));
    signals.join().expect("it ends with the group");
    assert_eq!(run.output.status.code(), Some(3), "{}", run.stderr());
    run.rows.only("process.exec", &json!({ "exe": *ACTOR }));
}
