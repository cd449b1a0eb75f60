//! A story of hostile names, in the form of `tests/golden/story.ndjson`.

use serde_json::{Value as Json, json};

/// What a path may hold: as the recorder writes such bytes, and raw, as only forged evidence has them.
pub(super) const HOSTILE: [&str; 4] = [
    r"/tmp/new\x0aline\xff\\ \x1b[31m",
    "/tmp/</script>\"'&amp;<!--]]>{{%s}}",
    "/tmp/raw\n\u{0}\u{1b}[31m\u{202e}\u{ffff}\u{2028}",
    "/tmp/日本語 🦀",
];

/// One process that does one thing of each kind with each of the names.
pub(super) fn hostile() -> String {
    let mut records = vec![json!({ "kind": "lineage.start", "origin": "agent" })];
    for (index, name) in HOSTILE.iter().enumerate() {
        for (kind, more) in acts(index, name) {
            let mut record = json!({
                "kind": kind, "origin": "kernel", "exec": index + 1, "pid": 4710, "tid": 4710, "ppid": 1,
                "process_uid": "00001000-0000-8000-8000-00000000000a",
                "parent_uid": "00001001-0000-8000-8000-00000000000a", "result": 0,
            });
            let more = more.as_object().expect("an object").clone();
            record.as_object_mut().expect("an object").extend(more);
            records.push(record);
        }
    }
    let lines = records.iter_mut().enumerate().map(|(seq, record)| {
        let time = 1_795_507_200_000_000_000 + 1000 * seq as i64;
        record["seq"] = seq.into();
        record["lineage_seq"] = seq.into();
        record["lineage"] = "2dedc184-c35c-8c55-a0a7-dde57ba0e809".into();
        record["context"] = "".into();
        record["time_ns"] = time.into();
        if seq > 0 {
            record["cause"] = 0.into();
        }
        format!("{record}\n")
    });
    lines.collect()
}

fn acts(index: usize, name: &str) -> Vec<(&'static str, Json)> {
    let file = json!({
        "path": name, "comm": name, "exe": name, "dev": 1, "ino": index, "generation": 0, "size": 1,
        "mtime_ns": index, "ctime_ns": i64::MAX, "judged": name, "verdict": "deny", "rule": name,
        "effect": "would-deny", "recognised": name,
    });
    let end = json!({
        "local_addr": name, "peer_addr": name, "local_port": -1, "peer_port": 70_000, "transport": name,
        "ino": index, "cookie": i64::MAX,
    });
    let exec = json!({
        "comm": name, "exe": name, "argv": [name, ""], "cwd": name, "dev": 1, "ino": index,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": name,
    });
    let names = json!({ "path": name, "target": name, "dir": name, "target_dir": name });
    let refused = json!({
        "peer_addr": "fe80::1%eth0", "peer_port": 443, "transport": "tcp", "ino": 99, "result": -111,
    });
    let signal = json!({ "target_pid": i64::MIN, "detail": { "why": name } });
    let mut acts = vec![("process.exec", exec)];
    for kind in [
        "file.open",
        "file.read",
        "file.write",
        "file.map",
        "file.unlink",
        "file.chmod",
    ] {
        acts.push((kind, file.clone()));
    }
    for kind in [
        "net.connect",
        "net.accept",
        "net.listen",
        "net.send",
        "net.close",
    ] {
        acts.push((kind, end.clone()));
    }
    acts.push(("file.rename", names));
    acts.push(("net.connect", refused));
    acts.push(("process.signal", signal));
    acts.push(("process.execmem", json!({ "protection": "rwxp" })));
    acts.push(("kernel.module", json!({ "path": name })));
    acts.push((
        "process.snapshot",
        json!({ "comm": name, "argv": "not JSON" }),
    ));
    if index + 1 == HOSTILE.len() {
        acts.push(("process.exit", json!({ "exit_signal": 9 })));
    }
    acts
}
