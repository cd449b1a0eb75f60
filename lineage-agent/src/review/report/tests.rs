use super::*;

/// A report of records of one host.
fn report(records: &[Record<'_>]) -> Report {
    let mut report = Report::default();
    report.begin("00ff");
    let mut graph = Graph::default();
    for record in records {
        graph.record(record);
        report.record(record);
    }
    report.graphs.add(graph);
    report
}

fn page(records: &[Record<'_>]) -> String {
    let mut out = Vec::new();
    report(records).write(None, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn data(records: &[Record<'_>]) -> Value {
    data_of(&page(records))
}

/// The data that a page has in it.
fn data_of(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

const LINEAGE: Option<&str> = Some("425e25c8-d95d-8410-88fe-f4a2addc5413");

fn acting(seq: u64, kind: &'static str, cause: u64, uid: &'static str) -> Record<'static> {
    Record {
        seq: Some(seq),
        time: Some(1_000_000 + seq.cast_signed()),
        kind: Some(kind),
        lineage: LINEAGE,
        cause: Some(cause),
        process_uid: Some(uid),
        pid: Some(4711),
        comm: Some("agent"),
        result: Some(0),
        ..Record::default()
    }
}

/// A lineage whose process forks another one, which reads a file and is denied a connection.
fn story() -> Vec<Record<'static>> {
    let file = Record {
        path: Some("/srv/<img src=x onerror=alert(1)>"),
        fd: Some(3),
        dev: Some(1),
        ino: Some(7),
        generation: Some(0),
        mode: Some(0o100_644),
        flags: Some(0),
        ..acting(4, kinds::FILE_OPEN, 3, "child")
    };
    vec![
        Record {
            process_uid: None,
            pid: None,
            cause: None,
            ..acting(0, kinds::LINEAGE_START, 0, "")
        },
        acting(1, kinds::PROCESS_SNAPSHOT, 0, "parent"),
        Record {
            exe: Some("/usr/bin/python3"),
            argv: Some(r#"["python3","a b.py"]"#),
            ..acting(2, kinds::PROCESS_EXEC, 1, "parent")
        },
        Record {
            child_uid: Some("child"),
            child_pid: Some(4712),
            ..acting(3, kinds::PROCESS_FORK, 2, "parent")
        },
        file,
        Record {
            kind: Some(kinds::FILE_READ),
            seq: Some(5),
            result: Some(10),
            opened: Some(4),
            ..file
        },
        Record {
            result: Some(-13),
            verdict: Some("deny"),
            effect: Some("prevented"),
            rule: Some("agent.cedar:net"),
            judged: Some("connect 192.0.2.1:443/tcp"),
            transport: Some("tcp"),
            peer_addr: Some("192.0.2.1"),
            peer_port: Some(443),
            ..acting(6, kinds::NET_CONNECT, 3, "child")
        },
        Record {
            exit_code: Some(3),
            ..acting(7, kinds::PROCESS_EXIT, 3, "child")
        },
    ]
}

#[test]
fn what_happened_is_in_the_columns() {
    let data = data(&story());
    let text = |id: &Value| data["strings"][id.as_u64().unwrap() as usize].clone();
    assert_eq!(data["events"]["seq"].as_array().unwrap().len(), 8);
    assert_eq!(data["events"]["cause"][4], 1);
    let processes = &data["processes"];
    assert_eq!(processes["parent"], serde_json::json!([null, 0]));
    assert_eq!(text(&processes["command"][0]), "python3 'a b.py'");
    assert_eq!(processes["denied"], serde_json::json!([0, 1]));
    assert_eq!(text(&processes["ending"][1]), "status 3");
    assert_eq!(processes["ended_badly"], serde_json::json!([0, 1]));
    assert_eq!(text(&data["decisions"]["by"][0]), "agent.cedar:net");
    assert_eq!(data["events"]["decided"], serde_json::json!([[6, 0]]));
    assert_eq!(text(&data["peers"]["end"][0]), "192.0.2.1:443");
    assert_eq!(data["lineages"]["denied"][0], 1);
    assert!(data["verification"].is_null());
}

#[test]
fn flows_lead_from_the_file_to_who_read_it() {
    let data = data(&story());
    let graph = &data["graphs"]["hosts"][0];
    let rules = data["graphs"]["rules"].as_array().unwrap();
    let read = rules.iter().position(|rule| rule[0] == "read").unwrap();
    let flows = graph["rule"].as_array().unwrap();
    let at = flows.iter().position(|rule| *rule == read as u64).unwrap();
    let node = |end: &str| graph[end][at].as_u64().unwrap() as usize;
    assert_eq!(graph["node_kind"][node("from")], 1);
    assert_eq!(graph["node_seq"][node("from")], 4);
    assert_eq!(graph["node_kind"][node("to")], 0);
    assert_eq!(graph["node_seq"][node("to")], 3);
}

#[test]
fn the_same_records_give_the_same_page() {
    assert_eq!(page(&story()), page(&story()));
}

#[test]
fn hostile_records_do_no_harm() {
    let extreme = Record {
        seq: Some(u64::MAX),
        time: Some(i64::MIN),
        kind: Some("no.such.kind"),
        cause: Some(u64::MAX),
        pid: Some(i64::MIN),
        argv: Some("[\"</script>"),
        path: Some("\u{202e}</script><script>alert(1)</script>"),
        verdict: Some("deny"),
        ..Record::default()
    };
    let again = Record {
        seq: Some(0),
        time: Some(i64::MAX),
        process_uid: Some("x"),
        parent_uid: Some("x"),
        child_uid: Some("x"),
        kind: Some(kinds::PROCESS_FORK),
        ..extreme
    };
    let page = page(&[extreme, again, extreme, Record::default()]);
    assert!(!page.contains("alert(1)</script>"));
    assert!(!page.contains('\u{202e}'));
}

#[test]
fn the_outcome_of_a_verification_is_in_the_page() {
    let mut out = Vec::new();
    let outcome = serde_json::json!({ "verdict": "VERIFIED", "findings": [] });
    report(&[]).write(Some(&outcome), &mut out).unwrap();
    let page = String::from_utf8(out).unwrap();
    assert_eq!(data_of(&page)["verification"], outcome);
}

#[test]
fn what_goes_through_a_connection_counts_for_its_other_end() {
    let socket = |seq, kind| Record {
        transport: Some("tcp"),
        peer_addr: Some("192.0.2.1"),
        peer_port: Some(443),
        ..acting(seq, kind, 1, "parent")
    };
    let close = Record {
        opened: Some(2),
        bytes_read: Some(30),
        bytes_written: Some(12),
        ..socket(4, kinds::NET_CLOSE)
    };
    let datagram = Record {
        origin: Some("claimed"),
        ..socket(5, kinds::NET_RECEIVE)
    };
    let connect = socket(2, kinds::NET_CONNECT);
    let receive = socket(3, kinds::NET_RECEIVE);
    let data = data(&[connect, receive, close, datagram]);
    let peers = &data["peers"];
    assert_eq!(peers["way"], serde_json::json!([0, 1]));
    assert_eq!(peers["times"], serde_json::json!([1, 0]));
    assert_eq!(peers["bytes_sent"], serde_json::json!([12, 0]));
    assert_eq!(peers["bytes_received"], serde_json::json!([30, 0]));
}
