use super::*;

fn exported(record: &Record<'_>) -> Json {
    let at = Place {
        host: "00112233445566778899aabbccddeeff".to_owned(),
        named: Some(("build7".to_owned(), "boot".to_owned())),
        artifact: &|_| None,
    };
    let mut out = Vec::new();
    let mut ocsf = Ocsf::new(&mut out);
    ocsf.record(&at, record, true).unwrap();
    ocsf.record(&at, record, false).unwrap();
    ocsf.finish().unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches('\n').count(), usize::from(!text.is_empty()));
    serde_json::from_str(&text).unwrap_or_default()
}

const UID: &str = "00001000-0000-8000-8000-00000000000a";

#[test]
fn an_exec_is_a_launch_by_the_parent() {
    let event = exported(&Record {
        seq: Some(7),
        time_ns: Some(1_795_500_000_000_999_999),
        kind: Some("process.exec"),
        process_uid: Some(UID),
        exec: Some(2),
        parent_uid: Some("00001001-0000-8000-8000-00000000000a"),
        pid: Some(10),
        ppid: Some(9),
        comm: Some("sh"),
        exe: Some("/bin/dash"),
        argv: Some(r#"["sh","-c","a b"]"#),
        result: Some(0),
        dev: Some(1),
        ino: Some(2),
        euid: Some(0),
        ..Record::default()
    });
    assert_eq!(event["type_uid"], 100_701);
    assert_eq!(event["time"], 1_795_500_000_000_i64);
    assert_eq!(event["actor"]["process"]["pid"], 9);
    let process = &event["process"];
    assert_eq!(process["cpid"], UID);
    assert_eq!(process["uid"], format!("{UID}/2"));
    assert_eq!(process["cmd_line"], "sh -c 'a b'");
    assert_eq!(process["file"]["uid"], "1/2/0");
    assert_eq!(
        event["unmapped"],
        json!({
            "time_ns": 1_795_500_000_000_999_999_i64,
            "result": 0,
            "argv": ["sh", "-c", "a b"],
            "euid": 0,
        })
    );
    assert_eq!(
        event["metadata"]["uid"],
        "00112233445566778899aabbccddeeff/7"
    );
}

#[test]
fn a_connection_that_failed_is_one_and_who_began_it_is_its_source() {
    let mut record = Record {
        kind: Some("net.connect"),
        pid: Some(1),
        transport: Some("tcp"),
        local_addr: Some("127.0.0.1"),
        local_port: Some(40_000),
        peer_addr: Some("::1"),
        peer_port: Some(70_000),
        result: Some(-111),
        ..Record::default()
    };
    let event = exported(&record);
    assert_eq!(event["type_uid"], 400_104);
    assert_eq!(event["status_code"], "ECONNREFUSED");
    assert_eq!(event["src_endpoint"]["port"], 40_000);
    assert_eq!(event["dst_endpoint"], json!({ "ip": "::1" }));
    assert_eq!(event["unmapped"]["peer_port"], 70_000);
    record.kind = Some("net.accept");
    record.result = Some(3);
    record.peer_addr = Some("@name");
    let event = exported(&record);
    assert_eq!(event["type_uid"], 400_101);
    assert_eq!(event["src_endpoint"]["name"], "@name");
    assert_eq!(event["dst_endpoint"]["ip"], "127.0.0.1");
    assert_eq!(event["connection_info"]["direction_id"], 1);
}

#[test]
fn what_was_denied_says_by_which_rule_and_what_came_of_it() {
    let event = exported(&Record {
        kind: Some("file.open"),
        pid: Some(1),
        path: Some("shadow"),
        dir: Some("/etc"),
        verdict: Some("deny"),
        effect: Some("killed-after-effect"),
        rule: Some("agent.cedar:secrets"),
        ..Record::default()
    });
    assert_eq!(event["severity_id"], 4);
    assert_eq!(event["action_id"], 2);
    assert_eq!(event["disposition"], "killed-after-effect");
    assert_eq!(event["policy"]["name"], "agent.cedar");
    assert_eq!(event["file"]["path"], "/etc/shadow");
    assert_eq!(event["metadata"]["profiles"], json!(["security_control"]));
    assert_eq!(event["unmapped"], json!({}));
}

#[test]
fn what_has_no_class_makes_no_event() {
    for kind in [None, Some("evidence.loss"), Some("none.such")] {
        let record = Record {
            kind,
            ..Record::default()
        };
        assert_eq!(exported(&record), Json::Null);
    }
}

#[test]
fn a_record_without_anything_still_has_what_the_schema_requires() {
    for kind in kinds::KINDS.iter().filter(|kind| kind.ocsf.is_some()) {
        let event = exported(&Record {
            kind: Some(kind.name),
            ..Record::default()
        });
        for required in ["class_uid", "time", "metadata", "severity_id", "device"] {
            assert!(!event[required].is_null(), "{}: {required}", kind.name);
        }
    }
}
