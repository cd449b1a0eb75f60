//! `lineage export`: what the tools that exports are for make of them (`tests/exports/check.py`), over the story of
//! `tests/golden/` and one of hostile names.

mod hostile;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use lineage_tests::programs::{LINEAGE, python};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use self::hostile::{HOSTILE, hostile};
use crate::cli::{STORY, write_story};
use crate::golden;

const FORMATS: [&str; 6] = ["ocsf", "perfetto", "otlp", "prov", "graphml", "dot"];

/// Evidence of the story, and of hostile names after it.
static EVIDENCE: LazyLock<TempDir> = LazyLock::new(|| {
    let temp = tempfile::tempdir().expect("a temporary directory");
    write_story(&temp.path().join("story"), STORY);
    write_story(&temp.path().join("hostile"), &hostile());
    temp
});

fn export(story: &str, format: &str, more: &[&str]) -> Output {
    let mut lineage = Command::new(&*LINEAGE);
    lineage
        .arg("export")
        .arg(evidence(story))
        .args(["--format", format])
        .args(more);
    lineage.output().expect("lineage runs")
}

fn evidence(story: &str) -> PathBuf {
    EVIDENCE.path().join(story).join("evidence")
}

/// What a good export prints.
fn exported(story: &str, format: &str, more: &[&str]) -> String {
    let output = export(story, format, more);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What the consumer of a format says of an export.
fn checked(story: &str, format: &str) -> Json {
    let text = exported(story, format, &[]);
    assert_eq!(exported(story, format, &[]), text, "twice the same");
    let hidden = |it: &char| *it != '\n' && lineage_agent::evidence::escape::is_hidden(*it);
    assert_eq!(text.chars().find(hidden), None);
    let file = EVIDENCE.path().join(format!("{story}.{format}"));
    fs::write(&file, text).expect("writable");
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("exports/check.py");
    let output = Command::new(python())
        .arg(check)
        .arg(format)
        .arg(&file)
        .output();
    let output = output.expect("Python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn story_count(kind: &str) -> usize {
    STORY.matches(&format!("\"kind\":\"{kind}\"")).count()
}

#[test]
fn ocsf_events_fit_the_published_schema() {
    let found = checked("story", "ocsf");
    assert_eq!(found["types"]["100701"], story_count("process.exec"));
    assert_eq!(found["types"]["504001"], story_count("process.snapshot"));
    let found = checked("hostile", "ocsf");
    let all = hostile().lines().count() - 1;
    assert_eq!(found["events"], all - HOSTILE.len());
}

#[test]
fn perfetto_traces_follow_the_format() {
    let found = checked("story", "perfetto");
    let begun = ["process.exec", "process.fork", "process.snapshot"].map(story_count);
    let begun = begun.iter().sum::<usize>();
    assert!(
        found["phases"]["B"].as_u64() <= Some(begun as u64) && found["flows"].as_u64() > Some(0)
    );
    checked("hostile", "perfetto");
}

#[test]
fn opentelemetry_reads_the_spans() {
    let found = checked("story", "otlp");
    assert!(found["spans"].as_u64() >= Some(story_count("process.exec") as u64));
    let found = checked("hostile", "otlp");
    assert!(found["links"].as_u64() >= Some(HOSTILE.len() as u64));
}

#[test]
fn prov_documents_are_read_and_said_in_the_notation() {
    let found = checked("story", "prov");
    assert!(found["records"]["Communication"].as_u64() > Some(0));
    checked("hostile", "prov");
}

#[test]
fn networkx_reads_the_graph() {
    let found = checked("story", "graphml");
    assert_eq!(found["edges"]["fork"], story_count("process.fork"));
    let found = checked("hostile", "graphml");
    let labels = found["labels"].as_array().expect("labels");
    assert!(
        labels.contains(&json!(HOSTILE[0])) && labels.contains(&json!(HOSTILE[1])),
        "{labels:?}"
    );
}

#[test]
fn graphviz_draws_the_graph() {
    for story in ["story", "hostile"] {
        let file = EVIDENCE.path().join(format!("{story}.dot"));
        fs::write(&file, exported(story, "dot", &[])).expect("writable");
        let output = Command::new("dot").arg("-Tplain").arg(&file).output();
        let output = output.expect("dot runs; `cargo xtask test` installs it");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let drawn = String::from_utf8(output.stdout).expect("UTF-8");
        let nodes = drawn.lines().filter(|line| line.starts_with("node "));
        assert!(output.status.success() && nodes.count() > 3);
    }
}

#[test]
fn exports_are_what_they_were() {
    for (format, name) in [
        ("dot", "story.dot"),
        ("otlp", "story.otlp.jsonl"),
        ("prov", "story.prov.json"),
    ] {
        let only = ["-k", "exec,fork,exit,connect,accept,read,write,file.close"];
        golden::check(
            &format!("tests/golden/exports/{name}"),
            &exported("story", format, &only),
        );
    }
}

#[test]
fn conditions_choose_what_is_exported() {
    let failed = exported("story", "ocsf", &["-k", "process.exec"]);
    assert_eq!(failed.lines().count(), story_count("process.exec"));
    for format in FORMATS {
        let output = export("story", format, &["--path", "/no/such/file"]);
        assert!(output.status.success(), "{format}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "lineage: there is no such record\n");
    }
}

#[test]
fn a_file_is_written_whole_and_never_over_another() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let file = temp.path().join("out");
    let name = file.to_str().expect("UTF-8");
    assert_eq!(exported("story", "ocsf", &["-o", name]), "");
    assert_eq!(
        fs::read_to_string(&file).expect("written"),
        exported("story", "ocsf", &[])
    );
    let again = export("story", "dot", &["-o", name]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("it is there already"));
    let nowhere = temp.path().join("none/out");
    let nowhere = export("story", "dot", &["-o", nowhere.to_str().expect("UTF-8")]);
    assert_eq!(nowhere.status.code(), Some(2));
    let names = fs::read_dir(temp.path()).expect("readable").count();
    assert_eq!(names, 1, "nothing else is left");
}

#[test]
fn what_is_missing_is_told_and_the_rest_exported() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    write_story(temp.path(), STORY);
    let host = fs::read_dir(temp.path().join("evidence"))
        .expect("evidence")
        .next();
    let host = host.expect("a host").expect("readable").path();
    for date in fs::read_dir(host.join("events")).expect("events") {
        fs::remove_dir_all(date.expect("readable").path()).expect("removed");
    }
    for format in FORMATS {
        let mut lineage = Command::new(&*LINEAGE);
        lineage
            .arg("export")
            .arg(temp.path().join("evidence"))
            .args(["--format", format]);
        let output = lineage.output().expect("lineage runs");
        assert_eq!(output.status.code(), Some(2), "{format}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.starts_with("lineage: cannot export all records: "),
            "{said}"
        );
    }
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    for format in ["ocsf", "otlp"] {
        let mut lineage = Command::new(&*LINEAGE);
        lineage
            .arg("export")
            .arg(evidence("story"))
            .args(["--format", format]);
        let mut child = lineage
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("lineage runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(output.status.success(), "{format}");
    }
}
