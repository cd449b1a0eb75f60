use super::*;

fn exported(records: &[Record<'_>]) -> Vec<Json> {
    let at = Place {
        host: "h".to_owned(),
        named: None,
        artifact: &|_| None,
    };
    let mut out = Vec::new();
    let mut perfetto = Perfetto::new(&mut out, 1_000_000);
    perfetto.host(&at).unwrap();
    for record in records {
        perfetto.record(&at, record, true).unwrap();
    }
    perfetto.finish().unwrap();
    let trace: Json = serde_json::from_slice(&out).unwrap();
    trace["traceEvents"].as_array().unwrap().clone()
}

fn acts(kind: &'static str, uid: &'static str, pid: i64, seq: u64) -> Record<'static> {
    Record {
        kind: Some(kind),
        process_uid: Some(uid),
        pid: Some(pid),
        tid: Some(pid),
        seq: Some(seq),
        time_ns: Some(1_000_000 + i64::try_from(seq).unwrap() * 1_001),
        comm: Some("sh"),
        exe: Some("/bin/sh"),
        result: Some(0),
        ..Record::default()
    }
}

fn phases<'a>(events: &'a [Json], phase: &str) -> Vec<&'a Json> {
    events.iter().filter(|event| event["ph"] == phase).collect()
}

#[test]
fn programs_are_slices_and_flows_lead_from_forks_to_them() {
    let events = exported(&[
        acts("process.snapshot", "a", 10, 0),
        Record {
            child_uid: Some("b"),
            child_pid: Some(11),
            ..acts("process.fork", "a", 10, 1)
        },
        acts("process.exec", "b", 11, 2),
        acts("process.exit", "b", 11, 3),
    ]);
    let begun = phases(&events, "B");
    assert_eq!(begun.len(), 3);
    let ended: Vec<_> = phases(&events, "E")
        .iter()
        .map(|it| it["pid"].clone())
        .collect();
    assert_eq!(ended, [11, 11, 10]);
    let [fork] = phases(&events, "X")[..] else {
        panic!("one fork")
    };
    assert_eq!(fork["flow_out"], true);
    for program in &begun[1..] {
        assert_eq!(program["bind_id"], fork["bind_id"]);
        assert_eq!(program["flow_in"], true);
    }
    assert_eq!(fork["ts"].to_string(), "1.001");
}

#[test]
fn a_process_id_that_is_used_again_is_another_process() {
    let events = exported(&[
        acts("process.exec", "a", 10, 0),
        acts("process.exit", "a", 10, 1),
        acts("process.exec", "b", 10, 2),
    ]);
    let pids: Vec<_> = phases(&events, "B")
        .iter()
        .map(|it| it["pid"].clone())
        .collect();
    assert_eq!(pids[0], 10);
    assert_ne!(pids[1], 10);
    let mut labels = events
        .iter()
        .filter(|event| event["name"] == "process_labels");
    assert!(
        labels.next_back().unwrap()["args"]["labels"]
            .as_str()
            .unwrap()
            .ends_with("pid 10")
    );
}

#[test]
fn what_a_process_did_before_it_was_known_has_a_place() {
    let events = exported(&[Record {
        tid: Some(12),
        path: Some("/x\n</script>"),
        ..acts("file.open", "a", 10, 0)
    }]);
    let [open] = phases(&events, "i")[..] else {
        panic!("one instant")
    };
    assert_eq!((&open["pid"], &open["tid"]), (&10.into(), &12.into()));
    assert_eq!(open["name"], "file.open /x\n</script>");
}

#[test]
fn nothing_is_a_trace_too() {
    assert_eq!(exported(&[]), Vec::<Json>::new());
}
