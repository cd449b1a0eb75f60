//! A policy that was learned from a recording lets the same happen again, and nothing else.

use std::fs;
use std::path::Path;
use std::process::Command;

use lineage_tests::evidence::Evidence;
use lineage_tests::programs::LINEAGE;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use serde_json::json;
use tempfile::TempDir;

/// What `lineage policy learn` proposes, written to a file.
fn learn(evidence: &Evidence, file: &Path, options: &[&str]) -> String {
    let mut command = Command::new(&*LINEAGE);
    command.args(["policy", "learn"]).arg(&evidence.directory);
    command.args(options).arg("-o").arg(file);
    let output = command.output().expect("the lineage binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    fs::read_to_string(file).expect("text")
}

/// A directory with files and a name that tries to get out of its quotes.
fn place() -> TempDir {
    let place = tempfile::tempdir().expect("a temporary directory");
    for name in ["read", "old", "other", "a\"\\*;"] {
        fs::write(place.path().join(name), "x").expect("writable");
    }
    place
}

const SCRIPT: &str = "open @a ROOT/read O_RDONLY open @b ROOT/new O_WRONLY|O_CREAT open @c ROOT/a\"\\*; O_RDWR \
    mkdir ROOT/dir rename ROOT/old ROOT/renamed unlink ROOT/renamed fails ENOENT open @d ROOT/none O_RDONLY \
    socket @e inet dgram connect @e 127.0.0.1:5353 socket @f inet6 dgram sendto @f 3 [::1]:5354 \
    socket @g inet stream bind @g 127.0.0.1:0 listen @g \
    pipe @in @out fork @other [ pause ] kill @other 15 status @ended @other \
    fork @child [ exec /bin/echo echo again ; ] wait @child";

fn run(place: &Path, script: &str, policy: Option<&Path>) -> Recorded {
    for name in ["new", "dir", "renamed"] {
        let path = place.join(name);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
    fs::write(place.join("old"), "x").expect("writable");
    let mut recorder = Recorder::new();
    if let Some(policy) = policy {
        recorder = recorder.governed_by(policy, "enforce");
    }
    recorder.script(&script.replace("ROOT", &place.display().to_string()))
}

#[test]
fn what_was_learned_from_can_be_done_again_and_nothing_else() {
    let place = place();
    let root = place.path().canonicalize().expect("it is there");
    let first = run(&root, SCRIPT, None);
    assert_eq!(first.output.status.code(), Some(0), "{}", first.stderr());
    let policy = first.recorder.path("learned.cedar");
    let text = learn(&first.evidence, &policy, &[]);
    assert!(text.starts_with("// PROPOSED by"), "{text}");
    assert!(text.contains("\n// Not verified."), "{text}");
    assert!(text.contains(" did not succeed (first: "), "{text}");

    let again = run(&root, SCRIPT, Some(&policy));
    assert_eq!(
        again.output.status.code(),
        Some(0),
        "{}\n{text}",
        again.stderr()
    );
    assert_eq!(again.stdout(), "again\n");
    assert!(
        again
            .rows
            .all("file.open", &json!({ "verdict": "allow" }))
            .len()
            >= 3
    );
    // What has no path is not judged.
    let opens = again.rows.all("file.open", &json!({ "verdict": null }));
    let pipes = opens
        .iter()
        .filter(|row| row.text("path").starts_with("pipe:"));
    assert_eq!(pipes.count(), 2);
    let denied = again
        .rows
        .0
        .iter()
        .filter(|row| row.get("verdict") == "deny");
    assert_eq!(denied.collect::<Vec<_>>(), [] as [&Row; 0], "{text}");
    // The same comes of what was judged.
    let learned = learn(&again.evidence, &again.recorder.path("again.cedar"), &[]);
    let rules = |text: &str| text.split_once("\n\n").map(|(_, rules)| rules.to_owned());
    assert!(rules(&learned).is_some());
    assert!(learned.contains("resource.port == 0"), "{learned}");

    for other in ["open @a ROOT/other O_RDONLY", "open @a ROOT/read O_WRONLY"] {
        let other = run(&root, other, Some(&policy));
        assert_eq!(other.output.status.code(), Some(128 + 9), "{text}");
    }
    let connect = "socket @a inet dgram fails EPERM connect @a 127.0.0.1:5355";
    let other = run(&root, connect, Some(&policy));
    assert_eq!(other.output.status.code(), Some(0), "{text}");
}

#[test]
fn what_was_killed_for_is_not_proposed() {
    let place = place();
    let root = place.path().canonicalize().expect("it is there");
    let policy = root.join("none.cedar");
    fs::write(
        &policy,
        "permit (principal, action == Action::\"exec\", resource);",
    )
    .expect("writable");
    let run = run(&root, "open @a ROOT/other O_RDONLY", Some(&policy));
    assert_eq!(run.output.status.code(), Some(128 + 9));
    let text = learn(&run.evidence, &root.join("learned.cedar"), &[]);
    assert!(
        text.contains("1 record denied by a policy that was enforced"),
        "{text}"
    );
    assert!(!text.contains("/other"), "{text}");
    assert!(text.contains("@id(\"exec\")"), "{text}");
}
