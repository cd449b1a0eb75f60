//! Which container a process is in, by the name of its control group.

use lineage_tests::group::Group;
use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::Recorder;
use lineage_tests::wait;
use serde_json::json;

/// An id as container managers choose it; this test's own.
fn id(first: u8) -> String {
    let pid = u64::from(std::process::id());
    format!("{first:02x}{pid:062x}")
}

#[test]
fn a_new_image_says_which_container_it_runs_in() {
    let id = id(1);
    let group = Group::new(format!("docker-{id}.scope"));
    let recorder = Recorder::new();
    let actor = ACTOR.display().to_string();
    let mut child = recorder.start(&format!("report read 0 1 exec {actor} actor exit 0"));
    let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let line = wait::line(&mut out, "its id", |line| !line.is_empty());
    group
        .take(line.split_whitespace().next().expect("the process id"))
        .expect("we are root");
    let input = child.stdin.as_mut().expect("piped");
    std::io::Write::write_all(input, b"x").expect("the actor reads");
    let run = recorder.finish(child.wait_with_output().expect("our own child"));
    let execs = run.rows.all("process.exec", &json!({ "result": 0 }));
    assert_eq!(execs.len(), 2, "{execs:#?}");
    execs[0].expect(&json!({ "detail": null }));
    let moved = run.rows.only("process.cgroup", &json!({}));
    assert_eq!(moved.get("detail")["container"], format!("docker:{id}"));
    execs[1].expect(&json!({ "detail": { "container": format!("docker:{id}") } }));
}

#[test]
fn what_is_found_in_a_container_says_so() {
    let id = id(2);
    let group = Group::new(format!("libpod-{id}.scope"));
    let mut child = std::process::Command::new(&*ACTOR)
        .args(["report", "read", "0", "1", "exit", "0"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the actor runs");
    group.take(&child.id().to_string()).expect("we are root");
    let recorder = Recorder::new();
    let attached = recorder.attach(&[child.id()]);
    drop(child.stdin.take());
    wait::exit("the actor", &mut child);
    let run = recorder.finish(attached.output());
    let container = json!(format!("podman:{id}"));
    let start = run.rows.only("lineage.start", &json!({}));
    assert_eq!(start.get("detail")["container"], container);
    let found = run.rows.only("process.snapshot", &json!({}));
    assert_eq!(found.get("detail")["container"], container);
    let context = run.evidence.artifact(start.text("context"));
    let context: serde_json::Value = serde_json::from_slice(&context).expect("JSON");
    assert_eq!(context["container"], container);
}

#[test]
fn a_process_made_in_a_container_says_so() {
    let id = id(3);
    let group = Group::new(format!("docker-{id}.scope"));
    let run = Recorder::new().script(&format!(
        "open @g {} O_RDONLY clone-into @g @c [ ] wait @c",
        group.path().display()
    ));
    let fork = run.rows.only("process.fork", &json!({}));
    assert_eq!(fork.get("detail")["container"], format!("docker:{id}"));
}
