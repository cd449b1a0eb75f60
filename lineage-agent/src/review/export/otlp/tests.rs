use super::*;

const LINEAGE: &str = "2dedc184-c35c-8c55-a0a7-dde57ba0e809";

fn exported(records: &[Record<'_>]) -> Vec<Json> {
    let at = Place {
        host: "h".to_owned(),
        named: Some(("build7".to_owned(), String::new())),
        artifact: &|_| None,
    };
    let mut out = Vec::new();
    let mut otlp = Otlp::new(&mut out);
    otlp.host(&at).unwrap();
    for record in records {
        otlp.record(&at, record, true).unwrap();
    }
    otlp.finish().unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn span_of(line: &Json) -> &Json {
    &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
}

fn acts(kind: &'static str, uid: &'static str, exec: u64, seq: u64) -> Record<'static> {
    Record {
        kind: Some(kind),
        lineage: Some(LINEAGE),
        process_uid: Some(uid),
        exec: Some(exec),
        pid: Some(10),
        seq: Some(seq),
        time_ns: Some(i64::try_from(seq).unwrap()),
        exe: Some("/bin/sh"),
        ..Record::default()
    }
}

#[test]
fn a_span_lasts_from_exec_to_exit_and_its_parent_is_who_forked() {
    let lines = exported(&[
        acts("process.exec", "a", 1, 5),
        Record {
            child_uid: Some("b"),
            ..acts("process.fork", "a", 1, 6)
        },
        Record {
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ..acts("process.exec", "b", 1, 7)
        },
        Record {
            exit_code: Some(3),
            ..acts("process.exit", "b", 1, 9)
        },
    ]);
    // What only got ready for an exec has no span.
    let [child, parent] = &lines[..] else {
        panic!("two spans: {lines:?}")
    };
    let (child, parent) = (span_of(child), span_of(parent));
    assert_eq!(child["traceId"], LINEAGE.replace('-', ""));
    assert_eq!(child["parentSpanId"], parent["spanId"]);
    assert_eq!(child["startTimeUnixNano"], "7");
    assert_eq!(child["endTimeUnixNano"], "9");
    assert_eq!(child["status"]["code"], 2);
    assert_eq!(child["links"].as_array().map(Vec::len), Some(1));
    assert_eq!(child["links"][0]["spanId"], "b7ad6b7169203331");
    assert_ne!(child["traceId"], child["links"][0]["traceId"]);
    assert_eq!(parent["endTimeUnixNano"], "9");
}

#[test]
fn events_are_kept_up_to_a_number_and_the_rest_is_counted() {
    let mut records = vec![acts("process.exec", "a", 1, 0)];
    for seq in 1..=200 {
        records.push(Record {
            peer_addr: Some("::1"),
            peer_port: Some(80),
            transport: Some("unix-stream"),
            result: Some(-111),
            ..acts("net.connect", "a", 1, seq)
        });
    }
    let lines = exported(&records);
    let span = span_of(&lines[0]);
    assert_eq!(span["events"].as_array().map(Vec::len), Some(EVENTS_MAX));
    assert_eq!(span["droppedEventsCount"], 72);
    let attributes = span["events"][0]["attributes"].to_string();
    assert!(attributes.contains("ECONNREFUSED") && attributes.contains(r#""unix""#));
}

#[test]
fn a_child_in_another_lineage_is_linked_and_no_part_of_the_trace() {
    let lines = exported(&[
        acts("process.exec", "a", 1, 0),
        Record {
            child_uid: Some("b"),
            ..acts("process.fork", "a", 1, 1)
        },
        Record {
            lineage: Some("no uuid"),
            ..acts("process.exec", "b", 1, 2)
        },
    ]);
    let child = lines
        .iter()
        .map(span_of)
        .find(|span| span["startTimeUnixNano"] == "2");
    let child = child.unwrap();
    assert!(child["parentSpanId"].is_null());
    assert_eq!(child["links"][0]["traceId"], LINEAGE.replace('-', ""));
    assert_eq!(child["traceId"].as_str().map(str::len), Some(32));
}
