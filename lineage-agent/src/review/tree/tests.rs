//! Trees of made-up records; whole trees of real evidence are in the golden tests of the command.

use serde_json::{Value, json};

use super::*;

/// Builds records with ascending `seq` and time.
struct Story {
    tree: Tree,
    seq: u64,
}

impl Story {
    fn new(options: TreeOptions) -> Self {
        Self {
            tree: Tree::new(options),
            seq: 0,
        }
    }

    /// Takes a record by the process with this id; returns its `seq`.
    fn tell(&mut self, kind: &'static str, pid: i64, record: Record<'_>) -> u64 {
        let uid = format!("uid-{pid}");
        let seq = self.seq;
        self.seq += 1;
        self.tree.record(&Record {
            seq: Some(seq),
            time: Some(1_795_500_000_000_000 + seq as i64 * 1000),
            kind: Some(kind),
            lineage: Some("5f0c9a3e-0000-4000-8000-000000000000"),
            process_uid: Some(&uid),
            pid: Some(pid),
            comm: Some("sh"),
            ..record
        });
        seq
    }

    /// As the first record of a lineage that the process enters.
    fn enter(&mut self, pid: i64, lineage: &'static str) {
        let (uid, seq) = (format!("uid-{pid}"), self.seq);
        self.seq += 1;
        self.tree.record(&Record {
            seq: Some(seq),
            kind: Some(kinds::FILE_OPEN),
            lineage: Some(lineage),
            process_uid: Some(&uid),
            pid: Some(pid),
            path: Some("/srv/part"),
            result: Some(3),
            ..Record::default()
        });
    }

    fn fork(&mut self, pid: i64, child: i64) {
        self.clone(pid, child, None);
    }

    fn clone(&mut self, pid: i64, child: i64, detail: Option<&str>) {
        let uid = format!("uid-{child}");
        let record = Record {
            child_uid: Some(&uid),
            child_pid: Some(child),
            detail,
            ..Record::default()
        };
        self.tell(kinds::PROCESS_FORK, pid, record);
    }

    fn exec(&mut self, pid: i64, exe: &str, argv: &str) {
        let record = Record {
            exe: Some(exe),
            argv: Some(argv),
            result: Some(0),
            ..Record::default()
        };
        self.tell(kinds::PROCESS_EXEC, pid, record);
    }

    fn exit(&mut self, pid: i64, code: i64, signal: i64) {
        let record = Record {
            exit_code: Some(code),
            exit_signal: Some(signal),
            ..Record::default()
        };
        self.tell(kinds::PROCESS_EXIT, pid, record);
    }

    fn drawn(&self) -> String {
        let mut out = Vec::new();
        self.tree.write(&mut out, Screen::default()).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn json(&self) -> Value {
        let mut out = Vec::new();
        self.tree.write_json(&mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }
}

#[test]
fn a_tree_shows_programs_ends_files_and_connections() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/dash", r#"["sh","-c","a; b"]"#);
    story.fork(10, 11);
    story.exec(11, "/usr/bin/curl", r#"["curl","-s","http://[::1]:80/"]"#);
    let connect = Record {
        peer_addr: Some("::1"),
        peer_port: Some(80),
        transport: Some("tcp"),
        fd: Some(5),
        result: Some(0),
        ..Record::default()
    };
    let opened = story.tell(kinds::NET_CONNECT, 11, connect);
    let close = Record {
        fd: Some(5),
        opened: Some(opened),
        bytes_read: Some(12),
        bytes_written: Some(34_567),
        ..Record::default()
    };
    story.tell(kinds::NET_CLOSE, 11, close);
    story.exit(11, 7, 0);
    story.fork(10, 12);
    let open = |path, flags, result| Record {
        path: Some(path),
        flags: Some(flags),
        result: Some(result),
        ..Record::default()
    };
    story.tell(kinds::FILE_OPEN, 12, open("/srv/out.txt", 0o1101, 3));
    story.tell(kinds::FILE_OPEN, 12, open("/etc/shadow", 0, -13));
    story.tell(kinds::FILE_OPEN, 12, open("/usr/lib/libc.so.6", 0, 3));
    story.exit(12, 0, 9);
    assert_eq!(
        story.drawn(),
        "\
lineage 5f0c9a3e-0000-4000-8000-000000000000  2026-11-24 06:00:00.000 UTC, 10.0 ms
3 processes, 3 opens, 1 connection, 1 failed call, 11 records
dash (sh) -c 'a; b' 10 running
├─ curl -s 'http://[::1]:80/' 11 4.00 ms exit 7
│    →  [::1]:80 tcp read 12 B wrote 34.6 kB
└─ (sh) 12 4.00 ms SIGKILL  3 opens, 1 failed
     ✗  /etc/shadow EACCES
     w  /srv/out.txt
"
    );
}

#[test]
fn like_siblings_stand_in_one_line() {
    let mut story = Story::new(TreeOptions {
        children_max: 2,
        ..TreeOptions::default()
    });
    story.exec(1, "/bin/sh", r#"["sh"]"#);
    for pid in 2..1002 {
        story.fork(1, pid);
        story.exec(pid, "/bin/true", r#"["true"]"#);
        story.exit(pid, 0, 0);
    }
    for pid in [2000, 2001, 2002] {
        story.fork(1, pid);
        story.exit(pid, pid, 0);
    }
    let drawn = story.drawn();
    let lines: Vec<_> = drawn.lines().skip(2).collect();
    assert_eq!(
        lines,
        [
            "sh 1 running",
            "├─ true ×1000 2…1001 2.00 s together exit 0",
            "├─ (sh) 2000 1.00 ms exit 2000",
            "└─ … 2 more"
        ]
    );
}

#[test]
fn forks_that_only_fork_again_are_passed_over() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(1, "/bin/sh", r#"["sh"]"#);
    story.fork(1, 2);
    story.fork(2, 3);
    story.fork(3, 4);
    story.exec(4, "/bin/false", r#"["false"]"#);
    story.exit(4, 1, 0);
    story.exit(3, 1, 0);
    story.exit(2, 0, 0);
    let drawn = story.drawn();
    let last = drawn.lines().last().unwrap();
    assert_eq!(last, "└─ (sh) (sh) › false 4 2.00 ms exit 1");
}

#[test]
fn depth_is_bounded_and_what_is_below_is_counted() {
    let mut story = Story::new(TreeOptions::default());
    for pid in 1..100_050 {
        story.exec(pid, "/bin/sh", r#"["sh"]"#);
        story.fork(pid, pid + 1);
    }
    let drawn = story.drawn();
    let last = drawn.lines().rev().nth(1).unwrap();
    assert!(last.trim_start().starts_with("└─ … 99959 more"), "{last}");
    assert!(drawn.lines().count() < 50);
}

#[test]
fn what_is_kept_of_a_process_is_bounded() {
    let mut story = Story::new(TreeOptions::default());
    for number in 0..1000 {
        let path = format!("/srv/{number}/x");
        let record = Record {
            path: Some(&path),
            flags: Some(1),
            result: Some(3),
            ..Record::default()
        };
        story.tell(kinds::FILE_OPEN, 1, record);
    }
    assert!(story.drawn().contains("\n  … 994 more files\n"));
}

#[test]
fn many_files_of_a_directory_stand_in_one_line() {
    let mut story = Story::new(TreeOptions::default());
    for path in [
        "/srv/a/1",
        "/srv/b/1",
        "/srv/a/2",
        "/srv/a/3",
        "/srv/a/4",
        "/srv/a/secret",
    ] {
        let record = Record {
            path: Some(path),
            flags: Some(1),
            result: Some(3),
            ..Record::default()
        };
        story.tell(kinds::FILE_OPEN, 1, record);
    }
    let drawn = story.drawn();
    let lines: Vec<_> = drawn.lines().skip(3).collect();
    assert_eq!(
        lines,
        [
            "  w  /srv/a/secret",
            "  w  /srv/a/ (4 files)",
            "  w  /srv/b/1"
        ]
    );
}

#[test]
fn namespaces_made_for_a_process_are_shown() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/unshare", r#"["unshare"]"#);
    let made = r#"{"flags":["CLONE_NEWNS","CLONE_NEWPID"],"uts_ns":1}"#;
    story.clone(10, 11, Some(made));
    story.fork(11, 12);
    story.exit(12, 0, 0);
    story.exit(11, 0, 0);
    story.clone(10, 13, Some(r#"{"flags":["CLONE_VM"]}"#));
    let drawn = story.drawn();
    let shown: Vec<&str> = drawn
        .lines()
        .filter(|line| line.contains("(new namespaces: mnt, pid)"))
        .collect();
    assert_eq!(shown.len(), 1, "{drawn}");
    assert!(shown[0].contains(" 11 "), "{drawn}");
}

#[test]
fn who_entered_a_lineage_of_its_own_says_so() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/lead", r#"["lead"]"#);
    story.fork(10, 11);
    story.exec(11, "/usr/bin/part", r#"["part"]"#);
    let part = "5f0c9a3e-0000-4000-8000-000000000001";
    story.enter(11, part);
    let drawn = story.drawn();
    let own = format!("⇒ in a lineage of its own, {part} (1 record)\n");
    assert_eq!(drawn.matches(&own).count(), 1, "{drawn}");
    let json = story.json();
    assert_eq!(json["lineages"][1]["processes"], 1);
    assert_eq!(json["processes"][1]["lineage"], part);
}

#[test]
fn sockets_without_a_connection_are_shown_too() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/server", r#"["server"]"#);
    let local = Record {
        local_addr: Some("0.0.0.0"),
        local_port: Some(80),
        transport: Some("tcp"),
        result: Some(0),
        ..Record::default()
    };
    story.tell(kinds::NET_BIND, 10, local);
    story.tell(kinds::NET_LISTEN, 10, local);
    let of = |transport| Record {
        transport: Some(transport),
        result: Some(0),
        ..Record::default()
    };
    story.tell(kinds::NET_SOCKET, 10, of("netlink-route"));
    let end_at = |fd| Record {
        fd: Some(fd),
        ..of("unix-stream")
    };
    let end = story.tell(kinds::NET_PAIR, 10, end_at(5));
    story.tell(kinds::NET_PAIR, 10, end_at(6));
    let close = Record {
        fd: Some(5),
        opened: Some(end),
        bytes_written: Some(5),
        ..Record::default()
    };
    story.tell(kinds::NET_CLOSE, 10, close);
    let drawn = story.drawn();
    for line in [
        "on 0.0.0.0:80 tcp listens\n",
        "·  netlink-route\n",
        "↔  unix-stream ×2 wrote 5 B\n",
    ] {
        assert!(drawn.contains(line), "{line} in {drawn}");
    }
}

#[test]
fn no_socket_is_said_to_have_no_data_that_had() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/ping", r#"["ping"]"#);
    let of = |transport, peer_addr| Record {
        fd: Some(3),
        transport: Some(transport),
        peer_addr,
        result: Some(0),
        ..Record::default()
    };
    story.tell(kinds::NET_SOCKET, 10, of("icmp", None));
    let opened = story.tell(kinds::NET_CONNECT, 10, of("icmp", Some("192.0.2.1")));
    let close = Record {
        fd: Some(3),
        opened: Some(opened),
        bytes_written: Some(64),
        ..Record::default()
    };
    story.tell(kinds::NET_CLOSE, 10, close);
    let message = Record {
        origin: Some("claimed"),
        ..of("udp", Some("192.0.2.2"))
    };
    story.tell(kinds::NET_SEND, 10, message);
    story.tell(kinds::NET_CONNECT, 10, of("udp", Some("192.0.2.3")));
    let drawn = story.drawn();
    for line in [
        "·  icmp\n",
        "→  192.0.2.1 icmp wrote 64 B\n",
        "→  192.0.2.2 udp\n",
        "→  192.0.2.3 udp no data\n",
    ] {
        assert!(drawn.contains(line), "{line} in {drawn}");
    }
}

#[test]
fn what_else_a_process_did_stands_in_one_line() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/python3", r#"["python3"]"#);
    let of = |call, target_pid, result| Record {
        call: Some(call),
        target_pid,
        result: Some(result),
        ..Record::default()
    };
    story.tell(kinds::FILE_RENAME, 10, of("rename", None, 0));
    story.tell(kinds::FILE_RENAME, 10, of("renameat2", None, 0));
    story.tell(kinds::PROCESS_SIGNAL, 10, of("kill", Some(7), 0));
    story.tell(kinds::PROCESS_SIGNAL, 10, of("kill", Some(1), -1));
    // Told otherwise, or of no weight.
    story.tell(kinds::FILE_MAP, 10, of("mmap", None, 0));
    story.tell(kinds::FILE_READ, 10, Record::default());
    let drawn = story.drawn();
    let line = "!  rename ×2, signal → 7, signal → 1 EPERM\n";
    assert!(drawn.contains(line), "{drawn}");
}

#[test]
fn calls_that_are_only_counted_fail_too() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/stty", r#"["stty"]"#);
    let of = |request, result, count, detail| Record {
        call: Some("ioctl"),
        request: Some(request),
        result,
        count: Some(count),
        detail,
        ..Record::default()
    };
    story.tell(kinds::FILE_IOCTL, 10, of(1, Some(-13), 1, None));
    story.tell(kinds::FILE_IOCTL, 10, of(2, Some(0), 1, None));
    let total = of(1, None, 10, Some(r#"{"failed":10}"#));
    story.tell(kinds::FILE_IOCTL, 10, total);
    let total = of(2, None, 10, Some(r#"{"failed":4}"#));
    story.tell(kinds::FILE_IOCTL, 10, total);
    let drawn = story.drawn();
    for part in [
        "!  ioctl EACCES, ioctl ×6, ioctl failed ×13\n",
        "  14 failed\n",
        ", 14 failed calls, ",
    ] {
        assert!(drawn.contains(part), "{part} in {drawn}");
    }
    let tree = story.json();
    let acts = &tree["processes"][0]["acts"];
    let told = |index: usize| {
        let act = &acts[index];
        (&act["failed"], &act["error"], &act["times"])
    };
    assert_eq!(told(0), (&json!(true), &json!(-13), &json!(1)));
    assert_eq!(told(1), (&json!(false), &json!(null), &json!(6)));
    assert_eq!(told(2), (&json!(true), &json!(null), &json!(13)));
}

#[test]
fn counts_that_cannot_be_are_no_reason_to_stop() {
    let mut story = Story::new(TreeOptions::default());
    for _ in 0..2 {
        let total = Record {
            call: Some("ioctl"),
            count: Some(u64::MAX),
            detail: Some(r#"{"failed":18446744073709551615}"#),
            ..Record::default()
        };
        story.tell(kinds::FILE_IOCTL, 10, total);
    }
    let tree = story.json();
    assert_eq!(tree["processes"][0]["failed"], json!(u64::MAX));
}

#[test]
fn names_that_were_removed_or_changed_are_told() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/python3", r#"["python3"]"#);
    let about = |dir, path, target| Record {
        call: Some("renameat2"),
        dir,
        path: Some(path),
        target,
        result: Some(0),
        ..Record::default()
    };
    story.tell(kinds::FILE_RENAME, 10, about(Some("/srv"), "a", Some("/b")));
    for path in ["/x", "/x", "/y"] {
        story.tell(kinds::FILE_UNLINK, 10, about(None, path, None));
    }
    story.tell(kinds::FILE_RMDIR, 10, about(None, "/d", None));
    story.tell(kinds::FILE_RMDIR, 10, about(None, "/d", None));
    let drawn = story.drawn();
    let line = "!  rename /srv/a to /b, unlink /x and 2 more, rmdir /d ×2\n";
    assert!(drawn.contains(line), "{drawn}");
    let tree = story.json();
    let act = &tree["processes"][0]["acts"][0];
    assert_eq!(
        (&act["path"], &act["target"]),
        (&json!("/srv/a"), &json!("/b"))
    );
}

#[test]
fn what_others_did_to_a_process_is_said_to_be_theirs() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/python3", r#"["python3"]"#);
    let moved = |target_pid, detail| Record {
        target_pid,
        detail: Some(detail),
        ..Record::default()
    };
    let by_other = moved(None, r#"{"path":"/a","by":1}"#);
    story.tell(kinds::PROCESS_CGROUP, 10, by_other);
    let of_other = moved(Some(12), r#"{"path":"/a"}"#);
    story.tell(kinds::PROCESS_CGROUP, 10, of_other);
    let drawn = story.drawn();
    let line = "!  cgroup by process 1, cgroup → 12\n";
    assert!(drawn.contains(line), "{drawn}");
    assert_eq!(story.json()["processes"][0]["acts"][0]["by_pid"], 1);
}

#[test]
fn json_tells_what_is_not_settled() {
    let mut story = Story::new(TreeOptions::default());
    let connect = |peer_addr, result| Record {
        peer_addr: Some(peer_addr),
        transport: Some("tcp"),
        result: Some(result),
        ..Record::default()
    };
    story.tell(kinds::NET_CONNECT, 10, connect("192.0.2.1", -115));
    story.tell(kinds::NET_CONNECT, 10, connect("192.0.2.2", 0));
    let tree = story.json();
    let connections = &tree["processes"][0]["connections"];
    assert_eq!(connections[0]["unsettled"], true);
    assert_eq!(connections[1]["unsettled"], false);
}

#[test]
fn what_is_missing_is_said_in_words() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/true", r#"["true"]"#);
    story.tree.record(&Record {
        kind: Some(kinds::EVIDENCE_LOSS),
        lost_count: Some(0),
        detail: Some(r#"{"what":"the recorder ended without closing","segment":0}"#),
        ..Record::default()
    });
    let drawn = story.drawn();
    let line = "\nsomething is missing: the recorder ended without closing\n";
    assert!(drawn.ends_with(line), "{drawn}");
    let missing = json!(["the recorder ended without closing"]);
    assert_eq!(story.json()["missing"], missing);
    for times in [1000, 2] {
        let detail = json!({ "what": "there was no room for it", "times": times }).to_string();
        story.tree.record(&Record {
            kind: Some(kinds::EVIDENCE_LOSS),
            detail: Some(&detail),
            ..Record::default()
        });
    }
    let said = "1 002 times there was no room for it";
    let drawn = story.drawn();
    let line = format!("\nsomething is missing: {said}\n");
    assert!(drawn.ends_with(&line), "{drawn}");
    assert_eq!(story.json()["missing"][1], said);
}

#[test]
fn what_was_denied_is_said_with_what_came_of_it() {
    let mut story = Story::new(TreeOptions::default());
    story.exec(10, "/usr/bin/cat", r#"["cat"]"#);
    let denied = |effect, rule, judged| Record {
        verdict: Some("deny"),
        effect: Some(effect),
        rule,
        judged: Some(judged),
        ..Record::default()
    };
    let secret = denied("would-deny", Some("p.cedar:secrets"), "read /srv/key");
    story.tell(kinds::FILE_OPEN, 10, secret);
    story.tell(kinds::FILE_OPEN, 10, secret);
    let connect = denied("prevented", None, "connect 10.0.0.1:443/tcp");
    story.tell(kinds::NET_CONNECT, 10, connect);
    let allowed = Record {
        verdict: Some("allow"),
        effect: Some("allowed"),
        ..Record::default()
    };
    story.tell(kinds::FILE_OPEN, 10, allowed);
    let drawn = story.drawn();
    for line in [
        "3 denials",
        "✗ would be denied read /srv/key ×2 p.cedar:secrets\n",
        "✗ denied connect 10.0.0.1:443/tcp prevented: no rule permits it\n",
    ] {
        assert!(drawn.contains(line), "{drawn}");
    }
    let process = &story.json()["processes"][0];
    assert_eq!(
        process["denials"][0],
        json!({
            "judged": "read /srv/key", "effect": "would-deny", "by": "p.cedar:secrets", "times": 2,
        })
    );
}
