//! `lineage status`: what recorders tell while they record.

use std::fs::File;
use std::io::BufReader;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use lineage_tests::programs::{LINEAGE, lineage_for_everybody};
use lineage_tests::recorder::Recorder;
use lineage_tests::wait;
use serde_json::Value;

use crate::refusals::assert_refused;

fn status(recorder: &Recorder, options: &[&str]) -> Output {
    let mut command = Command::new(&*LINEAGE);
    command.arg("status").args(options);
    let output = command.arg(recorder.evidence().directory).output();
    output.expect("the lineage binary runs")
}

/// What is said of the only recorder there, if there is one.
fn said(recorder: &Recorder) -> Option<Value> {
    let output = status(recorder, &["--json"]);
    let text = String::from_utf8(output.stdout).expect("text");
    let said: Option<Value> = serde_json::from_str(text.trim()).ok();
    let runs = said.as_ref().is_some_and(|said| said["runs"] == true);
    assert_eq!(output.status.success(), runs, "{text}");
    said
}

#[test]
fn a_large_file_that_is_read_shows_how_far_it_is() {
    let recorder = Recorder::new().option("--digest-wait").option("0");
    let model = recorder.path("model.gguf");
    let file = File::create(&model).expect("writable");
    file.set_len(100 << 30).expect("a sparse file");
    let path = model.display();
    let script = format!("open @m {path} O_RDONLY print ready read 0 1");
    let mut child = recorder.start(&script);
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    wait::line(&mut lines, "ready", |line| line == "ready");
    let first = wait::until("the model to be read", || {
        let said = said(&recorder)?;
        let reading = &said["digests"];
        (reading["name"] == "model.gguf" && reading["bytes"].as_u64()? > 0).then_some(said)
    });
    assert_eq!(first["pid"], child.id(), "{first}");
    assert_eq!(first["lost"], 0, "{first}");
    assert_eq!(first["processes"], 1, "{first}");
    assert_eq!(first["digests"]["size"], 100_u64 << 30, "{first}");
    assert!(first["records"].as_u64() > Some(0), "{first}");
    let bytes = |said: &Value| said["digests"]["bytes"].as_u64();
    wait::until("it to go on", || {
        (bytes(&said(&recorder)?) > bytes(&first)).then_some(())
    });
    // The same directory by another name.
    let link = recorder.path("link");
    std::os::unix::fs::symlink(recorder.path("evidence"), &link).expect("writable");
    let mut by_link = Command::new(&*LINEAGE);
    let by_link = by_link.arg("status").arg(&link).status();
    assert!(by_link.expect("the lineage binary runs").success());
    // Whoever may not look does not know.
    let (_directory, program) = lineage_for_everybody();
    let mut nobody = Command::new(program);
    let nobody = nobody.arg("status").uid(65534).gid(65534).output();
    let nobody = nobody.expect("the lineage binary runs");
    assert_refused(&nobody, 2, &["read what recorders tell (root can)"]);

    let shown = status(&recorder, &[]);
    let shown = String::from_utf8(shown.stdout).expect("text");
    assert!(shown.contains("model.gguf: "), "{shown}");
    assert!(shown.contains(" % of 107 GB"), "{shown}");

    drop(child.stdin.take());
    let run = recorder.finish(child.wait_with_output().expect("our own child"));
    assert_eq!(said(&run.recorder), None, "it has ended");
    let digest = run
        .rows
        .only("file.digest", &serde_json::json!({ "path": model }));
    assert_eq!(digest.get("detail")["reason"], "not-waited");
}

#[test]
fn one_that_was_killed_is_told_until_it_is_sealed() {
    let recorder = Recorder::new();
    let mut child = recorder.start("print ready read 0 1");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    wait::line(&mut lines, "ready", |line| line == "ready");
    wait::until("it to tell", || said(&recorder));
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    // The actor lives on, unrecorded, until its input ends.
    drop(child.stdin.take());

    let left = said(&recorder).expect("it is told");
    assert_eq!(left["runs"], false, "{left}");
    let shown = String::from_utf8(status(&recorder, &[]).stdout).expect("text");
    assert!(shown.starts_with("DIED "), "{shown}");
    let evidence = recorder.evidence();
    let keys = format!(" --keys {}` completes it", evidence.keys.display());
    assert!(shown.contains(&keys), "{shown}");
    let mut seal = Command::new(&*LINEAGE);
    seal.arg("seal").arg(&evidence.directory);
    let sealed = seal.arg("--keys").arg(&evidence.keys).output();
    assert!(sealed.expect("the lineage binary runs").status.success());
    assert_eq!(said(&recorder), None, "it is sealed");
}
