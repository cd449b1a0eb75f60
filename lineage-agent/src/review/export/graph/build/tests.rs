//! The graph of a small story with hostile names, and what each format makes of it.

use std::io::Write as _;

use serde_json::Value as Json;

use super::*;
use crate::review::export::{dot, graphml, prov};

const LINEAGE: &str = "2dedc184-c35c-8c55-a0a7-dde57ba0e809";
const HOSTILE: &str = "a\n\"</data>]]>&amp;\\xff\u{0}\u{202e}\u{ffff}'";
const GRANT: &str = "11111111111111111111111111111111111111111111111111111111111111aa";
const CONTEXT: &str = r#"{"grants":["11111111111111111111111111111111111111111111111111111111111111aa","no digest"],"policy":null}"#;

fn written(
    write: Write<Vec<u8>>,
    records: &[Record<'_>],
    wanted: impl Fn(&Record<'_>) -> bool,
) -> String {
    let at = Place {
        host: "h".to_owned(),
        named: None,
        artifact: &|digest| (digest == "c").then(|| CONTEXT.as_bytes().to_vec()),
    };
    let mut exporter = GraphExporter::new(Vec::new(), write);
    exporter.host(&at).unwrap();
    for record in records {
        exporter.record(&at, record, wanted(record)).unwrap();
    }
    exporter.finish().unwrap();
    String::from_utf8(exporter.out).unwrap()
}

fn acts(kind: &'static str, uid: &'static str, exec: u64, seq: u64) -> Record<'static> {
    Record {
        kind: Some(kind),
        lineage: Some(LINEAGE),
        context: Some("c"),
        process_uid: Some(uid),
        exec: Some(exec),
        pid: Some(10),
        seq: Some(seq),
        time_ns: Some(1_795_507_200_000_000_000),
        exe: Some("/bin/sh"),
        result: Some(0),
        ..Record::default()
    }
}

fn story() -> Vec<Record<'static>> {
    let file = |mtime| Record {
        dev: Some(1),
        ino: Some(2),
        mtime_ns: Some(mtime),
        path: Some(HOSTILE),
        ..Record::default()
    };
    let on = |record: Record<'static>, file: Record<'static>| Record {
        dev: file.dev,
        ino: file.ino,
        mtime_ns: file.mtime_ns,
        path: file.path,
        ..record
    };
    vec![
        acts("process.exec", "a", 1, 0),
        Record {
            child_uid: Some("b"),
            child_pid: Some(11),
            ..acts("process.fork", "a", 1, 1)
        },
        Record {
            argv: Some(r#"["sh","a b"]"#),
            ..acts("process.exec", "b", 1, 2)
        },
        on(acts("file.write", "b", 1, 3), file(1)),
        on(acts("file.read", "a", 1, 4), file(2)),
        on(acts("file.read", "a", 1, 5), file(2)),
        Record {
            ino: Some(50),
            peer_addr: Some("10.0.0.1"),
            peer_port: Some(443),
            transport: Some("tcp"),
            ..acts("net.connect", "b", 1, 6)
        },
        Record {
            ino: Some(51),
            other_end: Some(6),
            ..acts("net.accept", "a", 1, 7)
        },
        Record {
            result: Some(-13),
            ..on(acts("file.read", "b", 1, 8), file(3))
        },
        Record {
            exit_code: Some(1),
            ..acts("process.exit", "b", 1, 9)
        },
    ]
}

/// The edges as words, by the labels of their ends.
fn edges(records: &[Record<'_>], wanted: impl Fn(&Record<'_>) -> bool) -> Vec<String> {
    let write: Write<Vec<u8>> = |graph, out| {
        for ((from, to, kind), edge) in &graph.edges {
            let (from, to) = (&graph.nodes[*from], &graph.nodes[*to]);
            let (from, to) = (from.kind.word(), to.kind.word());
            writeln!(out, "{} {from} {to} {}", kind.word(), edge.count)?;
        }
        Ok(())
    };
    let mut edges: Vec<_> = written(write, records, wanted)
        .lines()
        .map(str::to_owned)
        .collect();
    edges.sort_unstable();
    edges
}

#[test]
fn data_and_control_go_along_edges() {
    assert_eq!(
        edges(&story(), |_| true),
        [
            "accept connection program 1",
            "connect program connection 1",
            "exec program program 1",
            "fork program program 1",
            "read file program 2",
            "version file file 1",
            "write program file 1",
        ]
    );
}

#[test]
fn only_what_is_wanted_is_in_the_graph() {
    let reads = |record: &Record<'_>| record.kind == Some("file.read");
    assert_eq!(edges(&story(), reads), ["read file program 2"]);
    assert_eq!(edges(&story(), |_| false), [""; 0]);
}

#[test]
fn prov_says_who_acted_under_what() {
    let document: Json = serde_json::from_str(&written(prov::write, &story(), |_| true)).unwrap();
    let count = |section: &str| {
        document[section]
            .as_object()
            .map_or(0, serde_json::Map::len)
    };
    assert_eq!(count("activity"), 3);
    assert_eq!(count("entity"), 3);
    assert_eq!(count("agent"), 2);
    assert_eq!(count("wasInformedBy"), 2);
    assert_eq!(
        (count("used"), count("wasGeneratedBy"), count("alternateOf")),
        (2, 2, 1)
    );
    assert_eq!(count("wasDerivedFrom"), 0);
    let behalf = &document["actedOnBehalfOf"]["_:b0"];
    assert_eq!(behalf["prov:responsible"], format!("lineage:grant-{GRANT}"));
    let program = &document["activity"]["lineage:program-b-1"];
    assert_eq!(program["prov:startTime"], "2026-11-24T08:00:00.000000Z");
    assert_eq!(program["lineage:command"], "sh 'a b'");
    assert_eq!(program["lineage:exit_code"]["$"], "1");
}

#[test]
fn names_cannot_leave_their_place_in_xml_and_dot() {
    let xml = written(graphml::write, &story(), |_| true);
    assert!(!xml.contains("</data>]]>") && !xml.contains(['\0', '\u{ffff}', '\u{202e}']));
    assert!(xml.contains("\\x0a\"&lt;/data&gt;]]&gt;&amp;amp;"), "{xml}");
    let dot = written(dot::write, &story(), |_| true);
    let tips: Vec<_> = dot
        .lines()
        .filter(|line| line.contains("shape=note"))
        .collect();
    assert_eq!(tips.len(), 2);
    for line in tips {
        assert!(line.contains("a\\\\x0a\\\"</data>]]>&amp;amp;"), "{line}");
        assert!(line.ends_with("\"];"));
    }
}

#[test]
fn an_empty_graph_is_a_document() {
    let none = |write| written(write, &[], |_| true);
    assert_eq!(
        none(prov::write),
        "{\"prefix\":{\"lineage\":\"urn:lineage:\"}}\n"
    );
    assert!(none(graphml::write).ends_with("</graph>\n</graphml>\n"));
    assert!(none(dot::write).ends_with("}\n"));
}
