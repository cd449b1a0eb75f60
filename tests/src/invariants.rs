//! What is true of every complete recording, whatever was recorded.

use std::collections::{HashMap, HashSet};

use lineage_agent::evidence::kinds;
use serde_json::Value;

use crate::rows::{Row, Rows};

/// Kinds that make a process what it is: what the other records of a process have as their cause.
const MAKERS: [&str; 5] = [
    "lineage.start",
    "process.fork",
    "process.exec",
    "process.snapshot",
    "evidence.loss",
];

/// Fails when a record contradicts another.
pub fn check(rows: &Rows) {
    positions(rows);
    fields(rows);
    causes(rows);
    contexts(rows);
    lives(rows);
    descriptors(rows);
}

/// A record carries only what its kind lists.
fn fields(rows: &Rows) {
    let mut right: HashSet<(&str, &str)> = HashSet::new();
    for row in &rows.0 {
        let kind = row.text("kind");
        for name in row.names() {
            if right.insert((kind, name)) {
                let kind = kinds::find(kind).expect("a kind of the table");
                assert!(kind.carries(name), "{name} in {row:?}");
            }
        }
    }
}

/// `seq` and `lineage_seq` have no gaps, and time does not run backwards.
fn positions(rows: &Rows) {
    let mut lineages: HashMap<&str, i64> = HashMap::new();
    let mut latest = i64::MIN;
    for (index, row) in rows.0.iter().enumerate() {
        assert_eq!(usize::try_from(row.int("seq")).ok(), Some(index), "{row:?}");
        assert_eq!(
            row.int("time_ns").div_euclid(1000),
            row.int("time"),
            "{row:?}"
        );
        if let Some(lineage) = row.get("lineage").as_str() {
            let next = lineages.entry(lineage).or_insert(0);
            assert_eq!(row.int("lineage_seq"), *next, "{row:?}");
            *next += 1;
        }
        let told = ["context.change", "lineage.end"].contains(&row.text("kind"));
        if told || row.get("origin") == "kernel" || row.get("origin") == "claimed" {
            assert!(
                row.int("time_ns") >= latest,
                "earlier than the record before: {row:?}"
            );
            latest = row.int("time_ns");
        }
    }
}

/// Every record but the registration of a lineage has an earlier cause, and following causes leads
/// there.
fn causes(rows: &Rows) {
    for row in &rows.0 {
        match row.text("kind") {
            // What made another lineage from one of its processes caused it.
            "lineage.start" if row.get("detail")["how"] == "delegate" => {
                assert_ne!(
                    rows.cause(row).get("lineage"),
                    row.get("lineage"),
                    "{row:?}"
                );
            }
            "lineage.start" => assert_eq!(row.get("cause"), &Value::Null, "{row:?}"),
            "evidence.loss" => {}
            _ => {
                let cause = rows.cause(row);
                assert!(
                    cause.int("seq") < row.int("seq"),
                    "{row:?} before {cause:?}"
                );
                assert_eq!(
                    cause.get("lineage"),
                    row.get("lineage"),
                    "{row:?} {cause:?}"
                );
            }
        }
    }
}

/// The context of a lineage's records is that of its start, or that of the last change, whose cause is
/// the change before it.
fn contexts(rows: &Rows) {
    let mut current: HashMap<&str, &Row> = HashMap::new();
    for row in &rows.0 {
        let Some(lineage) = row.get("lineage").as_str() else {
            continue;
        };
        let began = current.insert(lineage, row);
        match (row.text("kind"), began) {
            ("lineage.start", None) => {}
            ("context.change", Some(began)) => {
                assert_eq!(row.int("cause"), began.int("seq"), "{row:?} {began:?}");
                assert_ne!(row.text("context"), began.text("context"), "{row:?}");
            }
            (_, Some(began)) => {
                assert_eq!(row.text("context"), began.text("context"), "{row:?}");
                current.insert(lineage, began);
            }
            (_, None) => panic!("before the start of its lineage: {row:?}"),
        }
    }
}

/// A process acts only between its beginning and its end, and its records are caused by what last
/// made it what it is.
fn lives(rows: &Rows) {
    let mut made_by: HashMap<&str, &Row> = HashMap::new();
    let mut ended: HashSet<&str> = HashSet::new();
    for row in &rows.0 {
        let kind = row.text("kind");
        let Some(process) = row.get("process_uid").as_str() else {
            continue;
        };
        assert!(
            !ended.contains(process),
            "after the end of its process: {row:?}"
        );
        if kind == "process.snapshot" {
            made_by.insert(process, row);
            continue;
        }
        let cause = rows.at(row.int("cause"));
        if cause.text("kind") == "lineage.start" && cause.get("detail")["how"] == "delegate" {
            // From then on it is what it was made there.
            made_by.insert(process, cause);
        }
        let maker = made_by.get(process);
        let maker = maker.unwrap_or_else(|| panic!("nothing made this process: {row:?}"));
        assert_eq!(
            row.int("cause"),
            maker.int("seq"),
            "{row:?} made by {maker:?}"
        );
        assert!(MAKERS.contains(&maker.text("kind")), "{maker:?}");
        match (kind, row.get("child_uid").as_str()) {
            ("process.fork", Some(child)) => {
                made_by.insert(child, row);
            }
            ("process.exec", _) if row.int("result") == 0 => {
                made_by.insert(process, row);
            }
            ("process.exit", _) => {
                ended.insert(process);
            }
            _ => {}
        }
    }
}

/// What a close says was opened is what the record it names opened, in the same process.
fn descriptors(rows: &Rows) {
    for close in &rows.0 {
        let Some(opened) = close.get("opened").as_i64() else {
            continue;
        };
        let open = rows.at(opened);
        for field in ["process_uid", "fd", "ino", "path", "transport"] {
            assert_eq!(
                open.get(field),
                close.get(field),
                "{field}: {close:?} {open:?}"
            );
        }
        assert!(opened < close.int("seq"), "{close:?} {open:?}");
    }
}
