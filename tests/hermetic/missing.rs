//! Evidence of which a part is gone or is not what it was: what is there is shown, what is not is said, and the
//! exit status says so too.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use arrow_array::Array as _;
use lineage_agent::evidence::reader::Evidence;
use lineage_agent::review::event::EventName;
use lineage_agent::review::index::{HostFlows, Keeping, Until};
use lineage_agent::review::line::Screen;
use lineage_agent::review::why::{Why, WhyOptions};
use lineage_tests::programs::LINEAGE;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{STORY, write_story};

/// Evidence of the story, to be damaged, and its host's directory.
fn evidence() -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    write_story(temp.path(), STORY);
    let entries = fs::read_dir(temp.path().join("evidence")).expect("readable");
    let host = entries
        .map(|entry| entry.expect("readable").path())
        .find(|path| path.is_dir());
    (temp, host.expect("a host"))
}

fn lineage(place: &Path, words: &[&str]) -> Output {
    let mut lineage = Command::new(&*LINEAGE);
    lineage.current_dir(place).env("XDG_CACHE_HOME", place);
    lineage
        .args(words)
        .output()
        .expect("the lineage binary runs")
}

/// The exit status, what was printed, and what was said on standard error.
fn told(place: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let output = lineage(place, words);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The commands that go through all records.
const COMMANDS: [&[&str]; 8] = [
    &["ls", "evidence"],
    &["tree", "evidence"],
    &["timeline", "evidence"],
    &["why", "evidence", "60"],
    &["impact", "evidence", "47"],
    &["export", "evidence", "--format", "ocsf"],
    &["report", "evidence", "--html", "--force", "-o", "page.html"],
    &["index", "evidence", "-o", "tables"],
];

#[test]
fn whole_evidence_lacks_nothing() {
    let (temp, _) = evidence();
    for words in COMMANDS {
        let (status, _, said) = told(temp.path(), words);
        assert_eq!((status, said.as_str()), (Some(0), ""), "{words:?}");
    }
    let (status, _, said) = told(temp.path(), &["show", "evidence", "60"]);
    assert_eq!((status, said.as_str()), (Some(0), ""));
}

#[test]
fn records_that_go_while_causes_are_told_are_missed() {
    let (temp, host) = evidence();
    let evidence = Evidence::open(&temp.path().join("evidence")).expect("evidence");
    let name: EventName = "60".parse().expect("a name");
    let (of, event) = name.find(&evidence).expect("it is there");
    let keeping = Keeping {
        place: &temp.path().join("index"),
        memory: 1 << 20,
        progress: &|_, _| {},
    };
    let flows = HostFlows::of(of, Until::End, &keeping).expect("whole");
    let told = |why: &Why<'_>| {
        let mut out = Vec::new();
        why.write(&mut out, Screen::default()).expect("memory");
        String::from_utf8(out).expect("UTF-8")
    };
    let why = Why::new((of, &flows), event.clone(), WhyOptions::default()).expect("whole");
    assert!(told(&why).contains("/etc/shadow"));
    assert!(why.failed().is_none());

    let why = Why::new((of, &flows), event, WhyOptions::default()).expect("whole");
    fs::remove_dir_all(host.join("events")).expect("removable");
    assert!(told(&why).contains("which is missing"));
    let failed = why.failed().expect("a part is gone").to_string();
    assert!(failed.contains("lacks record"), "{failed}");
    let mut json = Vec::new();
    why.write_json(&mut json).expect("memory");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(
        (&json["partial"], &json["records"]),
        (&json!(true), &json!([]))
    );
}

#[test]
fn the_last_segments_are_missed_by_the_checkpoint() {
    let (temp, host) = evidence();
    let mut manifests: Vec<_> = fs::read_dir(host.join("manifests"))
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .collect();
    manifests.sort();
    fs::remove_file(manifests.last().expect("one")).expect("ours");
    for words in COMMANDS {
        // Of an event that is not there nothing can be asked.
        if words[0] != "why" && words[0] != "impact" {
            let (status, _, said) = told(temp.path(), words);
            assert_eq!(status, Some(2), "{words:?}: {said}");
            assert!(said.contains("lacks segment"), "{words:?}: {said}");
        }
    }
}

#[test]
fn rows_that_are_not_those_of_the_manifest_are_said_to_be_others() {
    let (temp, host) = evidence();
    // A manifest that tells of one record less.
    let path = fs::read_dir(host.join("manifests")).expect("readable");
    let path = path.map(|entry| entry.expect("readable").path()).min();
    let path = path.expect("a manifest");
    let text = fs::read_to_string(&path).expect("text");
    let count = text.lines().find_map(|line| line.strip_prefix("count "));
    let count: u64 = count.expect("a count").parse().expect("a number");
    let fewer = text.replace(
        &format!("count {count}\n"),
        &format!("count {}\n", count - 1),
    );
    fs::write(&path, fewer).expect("ours");
    let (status, out, said) = told(temp.path(), &["ls", "evidence"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(out.lines().count() as u64 > count, "{out}");
    assert!(
        said.contains("the records that the manifest of segment 0"),
        "{said}"
    );
}

/// Evidence of an earlier recorder, which did not have all the columns.
#[test]
fn columns_that_came_later_need_not_be_there() {
    let (temp, host) = evidence();
    let answers = || {
        [
            &["ls", "evidence", "--ndjson"][..],
            &["tree", "evidence"],
            &["show", "evidence", "60"],
            &["why", "evidence", "60", "--json"],
            &["impact", "evidence", "47", "--json"],
            &["export", "evidence", "--format", "prov"],
        ]
        .map(|words| told(temp.path(), words))
    };
    let whole = answers();
    let mut segments = Vec::new();
    parquet_below(&host.join("events"), &mut segments);
    for segment in &segments {
        let left_out = without_empty_columns(segment);
        assert!(left_out > 5, "{left_out}");
    }
    assert!(!segments.is_empty());
    assert_eq!(answers(), whole);
}

fn parquet_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => parquet_below(&path, found),
            false => found.push(path),
        }
    }
}

/// Writes a segment anew without the columns that hold nothing; how many these were.
fn without_empty_columns(segment: &Path) -> usize {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(segment).expect("there"));
    let batches = reader.and_then(|reader| reader.with_batch_size(1 << 20).build());
    let batches: Vec<_> = batches
        .expect("Parquet")
        .map(|it| it.expect("rows"))
        .collect();
    let [batch] = &batches[..] else {
        panic!("a short story")
    };
    let holds = |column: &usize| batch.column(*column).null_count() < batch.num_rows();
    let columns: Vec<usize> = (0..batch.num_columns()).filter(holds).collect();
    let fewer = batch.project(&columns).expect("columns of it");
    let file = File::create(segment).expect("ours");
    let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true);
    let writer = ArrowWriter::try_new_with_options(file, fewer.schema(), options);
    let mut writer = writer.expect("a writer");
    writer.write(&fewer).expect("written");
    writer.close().expect("written");
    batch.num_columns() - columns.len()
}

#[test]
fn what_governed_is_missed_and_never_believed_when_altered() {
    let (temp, host) = evidence();
    let artifacts = host.join("artifacts");
    for entry in fs::read_dir(&artifacts).expect("readable") {
        let path = entry.expect("readable").path();
        let mut bytes = fs::read(&path).expect("readable");
        bytes.push(b' ');
        fs::write(&path, bytes).expect("ours");
    }
    let (status, shown, said) = told(temp.path(), &["show", "evidence", "60"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("has been altered"), "{said}");
    assert!(
        shown.contains("60") && !shown.contains("what governed"),
        "{shown}"
    );
    fs::remove_dir_all(&artifacts).expect("ours");
    for words in [
        &["show", "evidence", "60"][..],
        &["report", "evidence", "--html", "-o", "page.html"],
    ] {
        let (status, _, said) = told(temp.path(), words);
        assert_eq!(status, Some(2));
        assert!(said.contains("lacks artifacts/"), "{said}");
    }
}

#[test]
fn nothing_is_written_into_evidence() {
    let (temp, host) = evidence();
    let host = host.file_name().expect("a name").to_str().expect("text");
    let inside = format!("evidence/{host}/manifests/0000000099");
    for words in [
        &["index", "evidence", "-o", "evidence"][..],
        &["index", "evidence", "-o", "evidence/../evidence/new/tables"],
        &["why", "evidence", "60", "--index", "evidence"],
        &["prove", "evidence", "60", "-o", &inside],
        &["export", "evidence", "--format", "dot", "-o", &inside],
        &["report", "evidence", "--html", "--force", "-o", &inside],
    ] {
        let (status, _, said) = told(temp.path(), words);
        assert_eq!(status, Some(2), "{words:?}");
        assert!(said.contains("inside of the evidence"), "{words:?}: {said}");
    }
    assert!(!temp.path().join(&inside).exists());
}

#[test]
fn tables_are_checked_without_touching_anything() {
    let (temp, host) = evidence();
    let place = temp.path();
    let host = host.file_name().expect("a name");
    let check = ["index", "evidence", "-o", "tables", "--check"];
    let (status, _, said) = told(place, &check);
    assert_eq!(status, Some(2));
    assert!(
        said.contains("no directory") && !place.join("tables").exists(),
        "{said}"
    );
    assert_eq!(told(place, &check[..4]).0, Some(0));
    let (status, out, said) = told(place, &check);
    assert_eq!((status, said.as_str()), (Some(0), ""));
    assert_eq!(out.matches("as the evidence has it").count(), 3, "{out}");
    let edges = place.join("tables").join(host).join("edges.parquet");
    let mut bytes = fs::read(&edges).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&edges, &bytes).expect("ours");
    let (status, out, _) = told(place, &check);
    assert_eq!(status, Some(1));
    assert!(
        out.contains("edges.parquet: not as the evidence has it"),
        "{out}"
    );
    assert_eq!(fs::read(&edges).expect("readable"), bytes);
}
