//! `lineage show`, `timeline` and `diff` over the story, on a screen and in a pipe.

use std::fs;
use std::process::{Command, Output};
use std::sync::LazyLock;

use lineage_tests::programs::LINEAGE;
use lineage_tests::terminal::Terminal;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::cli::{STORY, check, lineage, piped, shown, write_story};

/// Two runs of the same agent; in the other one things have happened.
static RUNS: LazyLock<TempDir> = LazyLock::new(|| {
    let temp = tempfile::tempdir().expect("a temporary directory");
    for (name, story) in [("run1", STORY.to_owned()), ("run2", other_story())] {
        let directory = temp.path().join(name);
        fs::create_dir(&directory).expect("a directory");
        write_story(&directory, &story);
    }
    temp
});

fn other_story() -> String {
    let changes = [
        // Noise.
        ("\"pid\":47", "\"pid\":57"),
        ("pipe:[180891]", "pipe:[99]"),
        // It ends well, and goes elsewhere.
        ("\"exit_code\":7", "\"exit_code\":0"),
        ("\"peer_port\":8123", "\"peer_port\":8443"),
        ("http://127.0.0.1:8123/", "http://127.0.0.1:8443/"),
        ("/srv/agent/out file.txt", "/srv/agent/out\\\\x1b[2J.txt"),
        ("/usr/bin/sort", "/usr/bin/tac"),
    ];
    let mut story = STORY.to_owned();
    for (from, to) in changes {
        assert!(story.contains(from), "{from}");
        story = story.replace(from, to);
    }
    story
}

fn diff(arguments: &[&str]) -> Command {
    let mut diff = Command::new(&*LINEAGE);
    diff.arg("diff").args(arguments).current_dir(RUNS.path());
    diff.env_remove("NO_COLOR").env("TERM", "xterm");
    diff
}

fn output(mut command: Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("lineage runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn show_has_all_fields_and_what_they_mean() {
    // An open, a program with a hostile name, a refused open, a connection, a close, a loss.
    let events = ["46", "122", "125", "128", "132", "133"];
    let all = |show: &dyn Fn(&str) -> String| events.map(show).join("\n");
    check("show.txt", &all(&|event| piped("show", &[event])));
    let narrow = all(&|event| shown(80, "show", &[event, "--color=never"]));
    check("show-80.txt", &narrow);
    let colours = shown(100, "show", &["125"]);
    check("show-colours.txt", &colours);
}

#[test]
fn show_as_json_has_the_records_it_refers_to() {
    let show: Json = serde_json::from_str(&piped("show", &["47", "--json"])).expect("JSON");
    let line = STORY.lines().nth(47).expect("a record");
    let recorded: Json = serde_json::from_str(line).expect("JSON");
    assert_eq!(show["record"], recorded);
    assert_eq!(show["related"]["opened"]["seq"], 46);
    assert_eq!(show["related"]["cause"]["argv"][1], ".env");
    assert_eq!(show["source"]["cause"], "derived");
    assert_eq!(show["meaning"]["dev"], "254:0");
    let (status, out, said) = output(lineage("show", &["138"]));
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(said.contains("its records here end at 137"), "{said}");
}

#[test]
fn timeline_in_a_pipe_and_on_terminals() {
    check("timeline.txt", &piped("timeline", &[]));
    check(
        "timeline-80.txt",
        &shown(80, "timeline", &["--color=never"]),
    );
    let wide = ["--until", "2026-11-24", "--per", "10ms", "--all"];
    check("timeline-colours.txt", &shown(100, "timeline", &wide));
}

#[test]
fn timeline_counts_every_record_once() {
    let timeline: Json = serde_json::from_str(&piped("timeline", &["--json"])).expect("JSON");
    let intervals = timeline["intervals"].as_array().expect("a list");
    let sum = |name: &str| -> u64 {
        let numbers = intervals
            .iter()
            .map(|interval| interval[name].as_u64().expect("a number"));
        numbers.sum()
    };
    assert_eq!(sum("records"), 138);
    let groups = ["process", "file", "net", "recorder"].map(sum);
    assert_eq!(groups.iter().sum::<u64>(), 138);
    assert_eq!(sum("lost"), 40);
    let (status, out, said) = output(lineage("timeline", &["--since", "2027-01-01"]));
    assert_eq!((status, out.as_str()), (Some(0), ""));
    assert_eq!(said, "lineage: there is no such record\n");
}

#[test]
fn diff_tells_what_another_run_did() {
    let (status, out, said) = output(diff(&["run1/evidence", "run2/evidence"]));
    assert_eq!((status, said.as_str()), (Some(1), ""));
    check("diff.txt", &out);
    let narrow = Terminal::all_until(
        diff(&["run2/evidence", "run1/evidence", "--color=never"]),
        80,
        1,
    );
    check("diff-80.txt", &narrow);
    check(
        "diff-colours.txt",
        &Terminal::all_until(diff(&["run1/evidence", "run2/evidence", "--exact"]), 100, 1),
    );
    let (_, json, _) = output(diff(&["run1/evidence", "run2/evidence", "--json"]));
    let json: Json = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["equal"], false);
    assert_eq!(json["a"]["lost_frames"], 40);
}

#[test]
fn diff_compares_what_is_asked_for() {
    let of = |filter: &[&str]| {
        let runs = ["run1/evidence", "run2/evidence"];
        output(diff(&[&runs[..], filter].concat()))
    };
    let (_, json, _) = of(&["--peer", "*:8*", "--json"]);
    let json: Json = serde_json::from_str(&json).expect("JSON");
    let changes = json["differences"].as_array().expect("a list");
    assert_eq!(changes.len(), 2, "{changes:?}");
    for change in changes {
        assert_eq!(change["what"], "hosts", "{change}");
    }
    let (status, out, said) = of(&["--comm", "cat"]);
    assert_eq!((status, out.as_str()), (Some(0), ""));
    assert_eq!(said, "lineage: both did the same\n");
    let (status, out, said) = of(&["--kind", "fork"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(said.contains("cannot compare such records"), "{said}");
    let (status, out, said) = of(&["--comm", "nobody"]);
    assert_eq!((status, out.as_str()), (Some(0), ""));
    assert!(
        said.starts_with("lineage: there is no such record"),
        "{said}"
    );
}

#[test]
fn diff_ends_like_diff() {
    let (status, out, said) = output(diff(&["run1/evidence", "run1/evidence", "--exact"]));
    assert_eq!((status, out.as_str()), (Some(0), ""));
    assert_eq!(said, "lineage: both did the same\n");
    let (status, out, said) = output(diff(&["run1/evidence", "run3/evidence"]));
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(
        said.contains("run3/evidence: No such file or directory"),
        "{said}"
    );
}
