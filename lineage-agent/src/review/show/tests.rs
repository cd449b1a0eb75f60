//! Records as no recorder would write them; whole outputs are in the golden tests of the command.

use std::collections::BTreeMap;

use super::super::line::Screen;
use super::super::text::width;
use super::context::Context;
use super::decision;
use super::found::Show;
use crate::evidence::escape::is_hidden;
use crate::evidence::record::Owned;
use crate::evidence::schema::{FIELDS, FieldType, Record, Value};

fn show(record: &Record<'_>) -> Show {
    Show {
        record: Owned::of(record).unwrap(),
        related: BTreeMap::new(),
        began_ns: Some(i64::MIN),
        digest: None,
        context: None,
        missing: None,
    }
}

fn written(show: &Show, columns: Option<usize>) -> String {
    let mut out = Vec::new();
    let screen = Screen {
        columns,
        colour: false,
    };
    show.write(&mut out, screen).unwrap();
    String::from_utf8(out).unwrap()
}

/// A record with every field there is.
fn all_fields(text: &str, number: i64) -> Record<'_> {
    let mut record = Record::default();
    for field in FIELDS {
        let value = match field.field_type {
            FieldType::U64 => Value::U64(number.cast_unsigned()),
            FieldType::I64 | FieldType::Micros => Value::I64(number),
            FieldType::Text => Value::Text(text),
        };
        assert!(record.set(field.id, value));
    }
    record
}

#[test]
fn every_field_is_there_whatever_it_holds() {
    let hostile = "\x1b[2J\u{202e}\u{9b}漢字\n\"]}";
    for number in [0, -1, i64::MIN, i64::MAX] {
        for text in [hostile, "", &"x".repeat(3000)] {
            let show = show(&all_fields(text, number));
            let shown = written(&show, Some(80));
            for field in FIELDS {
                let row = format!("\n  {} ", field.name);
                assert!(shown.contains(&row), "{} in {shown}", field.name);
            }
            let hidden = shown
                .chars()
                .find(|letter| *letter != '\n' && is_hidden(*letter));
            assert_eq!(hidden, None);
            let json = show.json();
            assert_eq!(json["record"]["seq"], number.cast_unsigned());
            assert_eq!(json["source"]["cwd"], "kernel");
        }
    }
}

#[test]
fn long_values_are_wrapped_and_nothing_is_lost() {
    let path = format!("/srv/{}", "0123456789".repeat(30));
    let record = Record {
        seq: Some(7),
        kind: Some("file.open"),
        path: Some(&path),
        detail: Some(
            r#"{"a": {"b": ["one two three four five six seven eight nine ten eleven"]}}"#,
        ),
        ..Record::default()
    };
    let show = show(&record);
    let shown = written(&show, Some(80));
    assert!(shown.lines().all(|line| width(line) <= 80), "{shown}");
    let together: String = shown.lines().skip(2).map(str::trim).collect();
    assert!(together.contains(&path), "{shown}");
    assert!(shown.contains(&format!("\n{:23}\"b\": [\n", "")), "{shown}");
    // Into a file nothing is broken.
    assert!(written(&show, None).contains(&path));
}

#[test]
fn what_is_claimed_is_only_what_the_caller_named() {
    let source = |record: &Record<'_>, field: &str| {
        show(record).json()["source"][field]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let opened = Record {
        kind: Some("file.open"),
        origin: Some("claimed"),
        path: Some("x"),
        dir: Some("/srv"),
        result: Some(-2),
        cause: Some(1),
        ..Record::default()
    };
    assert_eq!(source(&opened, "path"), "claimed");
    assert_eq!(source(&opened, "dir"), "kernel");
    assert_eq!(source(&opened, "result"), "kernel");
    assert_eq!(source(&opened, "cause"), "derived");
    let bound = Record {
        kind: Some("net.bind"),
        origin: Some("claimed"),
        local_port: Some(80),
        peer_port: Some(1),
        ..Record::default()
    };
    assert_eq!(source(&bound, "local_port"), "claimed");
    assert_eq!(source(&bound, "peer_port"), "kernel");
    let found = Record {
        origin: Some("snapshot"),
        pid: Some(1),
        argv: Some("[]"),
        ..Record::default()
    };
    assert_eq!(source(&found, "pid"), "snapshot");
    assert_eq!(source(&found, "argv"), "claimed");
}

#[test]
fn what_was_decided_is_told_in_words() {
    let record = Record {
        verdict: Some("deny"),
        effect: Some("killed-after-effect"),
        rule: Some("agent.cedar:no-secrets"),
        judged: Some("read /srv/secret"),
        grant_level: Some(0),
        table_generation: Some(2),
        ..Record::default()
    };
    let told = |record: &Record<'_>, context: Option<&Context>| {
        let rows = decision::rows(record, context).into_iter();
        rows.map(|row| format!("{}: {}", row.name, row.value))
            .collect::<Vec<_>>()
    };
    let mut context = Context::default();
    context.policy = serde_json::json!({
        "generation": 1,
        "levels": [[{ "name": "other.cedar", "blake3": "x" }, { "name": "agent.cedar", "blake3": "9f3c" }]],
    });
    assert_eq!(
        told(&record, Some(&context)),
        [
            "decision: denied: it happened, and the process was ended",
            "asked: read /srv/secret",
            "by rule: agent.cedar:no-secrets",
            "by policy: agent.cedar  blake3 9f3c",
            "generation: 2, where its context has 1",
        ]
    );
    let unruled = Record {
        effect: Some("prevented"),
        rule: None,
        reason: Some("over"),
        table_generation: None,
        ..record
    };
    assert_eq!(
        told(&unruled, None),
        [
            "decision: denied, and prevented: it did not happen",
            "asked: read /srv/secret",
            "by rule: nothing is authorised any more",
        ]
    );
    assert!(told(&Record::default(), Some(&context)).is_empty());
    // What governed may be anything.
    context.policy = serde_json::json!({ "generation": -1, "levels": [7, [7], { "a": [] }] });
    assert!(!context.rows().is_empty());
    assert_eq!(told(&record, Some(&context))[3], "by policy: agent.cedar");
}
