//! The directory of the evidence: one recorder's alone, and never inside of other evidence.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lineage_tests::evidence::{Evidence, Verdict};
use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::Recorder;
use lineage_tests::wait;
use serde_json::json;

use crate::refusals::{assert_refused, attempt};

#[test]
fn of_two_recorders_into_one_directory_one_is_refused_and_the_other_loses_nothing() {
    let recorder = Recorder::new();
    let mut one = recorder.start("read 0 1 exit 7");
    let mut other = recorder.start("read 0 1 exit 7");
    let first_ended = wait::until("one to be refused", || {
        let ended = [&mut one, &mut other].map(|child| child.try_wait().expect("our own"));
        ended.iter().position(Option::is_some)
    });
    let (refused, records) = if first_ended == 0 {
        (one, other)
    } else {
        (other, one)
    };
    let refused = refused.wait_with_output().expect("our own child");
    assert_refused(&refused, 125, &["evidence"]);
    // Which ends the input of what is recorded.
    let run = recorder.finish(records.wait_with_output().expect("our own child"));
    assert_eq!(run.output.status.code(), Some(7), "{}", run.stderr());
    run.rows.only("process.exit", &json!({ "exit_code": 7 }));
}

#[test]
fn recorders_that_begin_together_name_directories_of_their_own() {
    let recorder = Recorder::new();
    let place = recorder.path("place");
    fs::create_dir(&place).expect("writable");
    let record = || {
        let mut command = Command::new(&*LINEAGE);
        command
            .args(["record", "--keys"])
            .arg(recorder.path("keys"));
        command.arg("--").arg(&*ACTOR).args(["exit", "7"]);
        let command = command.current_dir(&place).stderr(Stdio::piped());
        command.spawn().expect("the lineage binary runs")
    };
    let recorders: Vec<_> = (0..3).map(|_| record()).collect();
    for child in recorders {
        let output = child.wait_with_output().expect("our own child");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{said}");
    }
    let made: Vec<PathBuf> = fs::read_dir(&place)
        .expect("it is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    assert_eq!(made.len(), 3, "{made:?}");
    for directory in made {
        let evidence = Evidence::new(directory, recorder.path("keys"));
        assert_eq!(evidence.verify().verdict, Verdict::Verified);
        evidence
            .rows()
            .only("process.exit", &json!({ "exit_code": 7 }));
    }
}

#[test]
fn a_directory_named_by_the_time_goes_when_nothing_is_recorded() {
    let recorder = Recorder::new();
    let place = recorder.path("place");
    fs::create_dir(&place).expect("writable");
    let mut command = Command::new(&*LINEAGE);
    command.arg("record").current_dir(&place);
    let output = command.args(["--", "no-such-command"]).output();
    let output = output.expect("the lineage binary runs");
    assert_refused(&output, 127, &["no-such-command"]);
    assert_eq!(fs::read_dir(&place).expect("it is there").count(), 0);
}

#[test]
fn nothing_is_recorded_into_other_evidence() {
    let run = Recorder::new().script("exit 0");
    let evidence = &run.evidence.directory;
    let mut into = Command::new(&*LINEAGE);
    into.arg("record").arg("--keys").arg(&run.evidence.keys);
    into.arg("-o").arg(evidence.join("sub"));
    let output = attempt(&run.recorder, &mut into);
    assert_refused(&output, 125, &["evidence/sub", "holds evidence"]);
    let mut inside = Command::new(&*LINEAGE);
    inside.arg("record").arg("--keys").arg(&run.evidence.keys);
    let output = attempt(&run.recorder, inside.current_dir(evidence));
    assert_refused(&output, 125, &["lineage-", "holds evidence"]);
    let report = run.evidence.verify();
    assert_eq!(report.verdict, Verdict::Verified, "{report:?}");
    assert_eq!(report.document["findings"], json!([]), "{report:?}");
}

#[test]
fn a_log_goes_on_with_its_own_keys_only() {
    let recorder = Recorder::new();
    let append = |keys: &str, code: &str| {
        let mut command = Command::new(&*LINEAGE);
        command.args(["record", "--append", "-o"]);
        command.arg(recorder.path("evidence"));
        command.arg("--keys").arg(recorder.path(keys));
        command.arg("--").arg(&*ACTOR).args(["exit", code]);
        command.output().expect("the lineage binary runs")
    };
    let output = append("keys", "1");
    let said = String::from_utf8_lossy(&output.stderr);
    let seal = format!(
        "the log is open: `lineage seal {} --keys {}` completes it",
        recorder.path("evidence").display(),
        recorder.path("keys").display()
    );
    assert!(said.contains(&seal), "{said}");
    let mut new = Command::new(&*LINEAGE);
    new.args(["key", "new", "--epochs", "24", "--keys"]);
    let made = new.arg(recorder.path("others")).output();
    assert!(made.expect("the lineage binary runs").status.success());
    let output = append("others", "2");
    assert_refused(&output, 125, &["evidence of host", "--keys"]);
    assert_eq!(append("keys", "3").status.code(), Some(3));

    let seal = |keys: &str| {
        let mut command = Command::new(&*LINEAGE);
        command.arg("seal").arg(recorder.path("evidence"));
        let output = command.arg("--keys").arg(recorder.path(keys)).output();
        output.expect("the lineage binary runs")
    };
    assert_refused(
        &seal("others"),
        2,
        &["holds evidence of host", "others (--keys)"],
    );
    assert_refused(&seal("nowhere"), 2, &["no key at"]);
    assert!(!String::from_utf8_lossy(&seal("nowhere").stderr).contains("key new"));
    assert!(seal("keys").status.success());
    assert_refused(&append("keys", "4"), 125, &["is complete"]);
}
