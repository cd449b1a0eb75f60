//! The recorder killed in the middle: what was committed stays proven, and nothing looks tampered.

use std::io::BufReader;
use std::process::Command;

use lineage_tests::evidence::Verdict;
use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::Recorder;
use lineage_tests::wait;
use serde_json::json;

/// Finishes evidence as an operator does after a crash.
fn seal(recorder: &Recorder) -> std::process::Output {
    let evidence = recorder.evidence();
    let mut command = Command::new(&*LINEAGE);
    command
        .arg("seal")
        .arg(&evidence.directory)
        .arg("--keys")
        .arg(&evidence.keys);
    command.output().expect("the lineage binary runs")
}

#[test]
fn what_was_committed_survives_a_kill() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "").display().to_string();
    let script = format!("repeat 500 [ open @f {path} O_RDONLY close @f ] print ready read 0 1");
    let mut child = recorder.start(&script);
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    wait::line(&mut lines, "ready", |line| line == "ready");
    let evidence = recorder.evidence();
    wait::until("all 1000 to be committed", || {
        let rows = evidence.so_far()?;
        (rows.all("file.close", &json!({ "path": path })).len() == 500).then_some(())
    });
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    // The actor lives on, unrecorded, until its input ends.
    drop(child.stdin.take());

    let before = evidence.verify();
    assert_ne!(before.verdict, Verdict::Tampered, "{before:?}");
    let sealed = seal(&recorder);
    assert!(
        sealed.status.success(),
        "{}",
        String::from_utf8_lossy(&sealed.stderr)
    );
    let after = evidence.verify();
    assert!(
        matches!(after.verdict, Verdict::Verified | Verdict::VerifiedWithLoss),
        "{after:?}"
    );
    let rows = evidence.rows();
    for kind in ["file.open", "file.close"] {
        assert_eq!(
            rows.all(kind, &json!({ "path": path })).len(),
            500,
            "{kind}"
        );
    }
    // A second seal finds nothing to do and changes nothing.
    assert!(seal(&recorder).status.success());
    assert_eq!(evidence.rows().0, rows.0);
}

#[test]
fn a_kill_at_any_moment_never_looks_like_tampering() {
    // The moments are steps of the workload, so they fall all over the recorder's work.
    for moment in [1, 3, 10, 40, 120, 300] {
        let recorder = Recorder::new();
        let path = recorder.file("file", "").display().to_string();
        let script = format!(
            "repeat 400 [ print tick repeat 50 [ open @f {path} O_RDONLY close @f ] ] read 0 1"
        );
        let mut child = recorder.start(&script);
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        for _ in 0..moment {
            wait::line(&mut lines, "a tick", |line| line == "tick");
        }
        let evidence = recorder.evidence();
        let committed = evidence.so_far().map_or(0, |rows| rows.0.len());
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        // The pipes' ends go away and with them the actor.
        drop((child.stdin.take(), lines));

        let before = evidence.verify();
        assert_ne!(
            before.verdict,
            Verdict::Tampered,
            "after {moment} ticks: {before:?}"
        );
        let sealed = seal(&recorder);
        assert!(
            sealed.status.success(),
            "{}",
            String::from_utf8_lossy(&sealed.stderr)
        );
        let after = evidence.verify();
        assert!(
            matches!(after.verdict, Verdict::Verified | Verdict::VerifiedWithLoss),
            "after {moment} ticks: {after:?}"
        );
        let kept = evidence.rows().0.len();
        assert!(
            kept >= committed,
            "{committed} were committed, {kept} are left"
        );
    }
}

#[test]
fn recording_goes_on_after_a_crash_in_the_same_directory() {
    let recorder = Recorder::new();
    let mut child = recorder.start("print ready read 0 1");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    wait::line(&mut lines, "ready", |line| line == "ready");
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    let actor = ACTOR.to_str().expect("UTF-8");
    let mut command = recorder.command();
    let output = command
        .args(["--append", "--", actor, "exit", "9"])
        .output();
    let output = output.expect("the lineage binary runs");
    assert_eq!(
        output.status.code(),
        Some(9),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = recorder.evidence().verify();
    assert!(
        matches!(
            report.verdict,
            Verdict::Verified | Verdict::VerifiedWithLoss
        ),
        "{report:?}"
    );
    recorder
        .evidence()
        .rows()
        .only("process.exit", &json!({ "exit_code": 9 }));
}
