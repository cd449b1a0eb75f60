//! What is proposed says what was done, and nothing hostile in it gets out of its quotes.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::authority::policy::compile;
use crate::authority::policy::engine::{Engine, Object};
use crate::authority::policy::profile::Target;
use crate::authority::policy::source::{Schema, Source};
use crate::evidence::escape::escape;

const OPTIONS: Options = Options {
    siblings_max: 3,
    address_blocks: false,
};

fn learned<'a>(records: impl IntoIterator<Item = Record<'a>>) -> Learner {
    let mut learner = Learner::default();
    for (seq, record) in (0..).zip(records) {
        learner.add(&Record {
            seq: Some(seq),
            ..record
        });
    }
    learner
}

fn policy(proposal: &Proposal) -> String {
    proposal.rules.iter().map(|rule| &*rule.text).collect()
}

fn opened(path: &str, flags: i64) -> Record<'_> {
    Record {
        kind: Some("file.open"),
        origin: Some("kernel"),
        result: Some(3),
        path: Some(path),
        flags: Some(flags),
        ..Record::default()
    }
}

fn socket<'a>(kind: &'static str, transport: &'static str, addr: &'a str, port: i64) -> Record<'a> {
    Record {
        kind: Some(kind),
        origin: Some("kernel"),
        result: Some(0),
        transport: Some(transport),
        local_addr: Some(addr),
        local_port: Some(port),
        peer_addr: Some(addr),
        peer_port: Some(port),
        ..Record::default()
    }
}

/// The reason for which the last of these is left out.
fn left_out<'a>(records: impl IntoIterator<Item = Record<'a>>) -> Option<Reason> {
    let learner = learned(records);
    learner.told.left_out.keys().next().copied()
}

/// What comes of the records below.
const PROPOSED: &str = r#"@id("exec")
permit (principal, action == Action::"exec", resource is Program)
when {
  resource.path == "/usr/bin/python3.11"
};
@id("read")
permit (principal, action == Action::"read", resource is File)
when {
  resource.path like "/srv/lib/*"
};
@id("read-2")
permit (principal, action == Action::"read", resource is File)
when {
  resource.path == "/srv/a/b\\c\"*"
};
@id("write-create")
permit (principal, action in [Action::"write", Action::"create"], resource is File)
when {
  resource.path == "/srv/lib/4"
};
@id("rename")
permit (principal, action == Action::"rename", resource is File)
when {
  [
    "/srv/a/new",
    "/srv/a/old"
  ].contains(resource.path)
};
@id("connect-unix")
permit (principal, action == Action::"connect", resource is UnixSocket)
when {
  resource.path == "@bus"
};
@id("connect-tcp")
permit (principal, action == Action::"connect", resource is Endpoint)
when {
  resource.protocol == "tcp" &&
  (resource.port == 443) &&
  ([
    ip("10.0.0.1"),
    ip("10.0.0.2")
  ].contains(resource.address))
};
@id("bind-udp")
permit (principal, action == Action::"bind", resource is Endpoint)
when {
  resource.protocol == "udp" &&
  (resource.port == 0 ||
  resource.port >= 32768) &&
  (resource.address == ip("0.0.0.0"))
};
"#;

#[test]
fn a_proposal_is_what_people_would_write() {
    let exec = Record {
        process_uid: Some("container"),
        kind: Some("process.exec"),
        exe: Some("/bin/in-container"),
        host_path: Some("/usr/bin/python3.11"),
        result: Some(0),
        ..Record::default()
    };
    let rename = Record {
        kind: Some("file.rename"),
        origin: Some("claimed"),
        result: Some(0),
        dir: Some("/srv/a"),
        path: Some("./new"),
        target: Some("/srv/a//old/"),
        ..Record::default()
    };
    let proposal = learned([
        exec,
        opened("/srv/a/b\\\\c\"*", 0),
        opened("/srv/lib/1", 0),
        opened("/srv/lib/2", 0),
        opened("/srv/lib/3", 0),
        opened("/srv/lib/4", 0o1101),
        opened("/srv/lib/5", 0),
        socket("net.connect", "tcp", "10.0.0.1", 443),
        socket("net.connect", "tcp", "::ffff:10.0.0.2", 443),
        socket("net.connect", "unix-stream", "@bus", 0),
        socket("net.bind", "udp", "0.0.0.0", 40_000),
        rename,
    ])
    .propose(OPTIONS);
    assert_eq!(policy(&proposal), PROPOSED);
    assert_eq!((proposal.told.records, proposal.told.used), (12, 12));
    assert_eq!(proposal.directories, ["/srv/lib"]);
}

#[test]
fn a_script_is_permitted_beside_its_interpreter() {
    let executed = |filename: &'static str, cwd: &'static str| Record {
        kind: Some("process.exec"),
        origin: Some("kernel"),
        result: Some(0),
        exe: Some("/bin/dash"),
        interpreter: Some("/bin/sh"),
        filename: Some(filename),
        cwd: Some(cwd),
        ..Record::default()
    };
    let permitted = |record| policy(&learned([record]).propose(OPTIONS));
    for (filename, cwd) in [("/srv/run.sh", "/"), ("./run.sh", "/srv")] {
        let text = permitted(executed(filename, cwd));
        for path in ["/srv/run.sh", "/bin/dash"] {
            assert!(text.contains(&format!("\"{path}\"")), "{text}");
        }
    }
    let upward = executed("../run.sh", "/srv/x");
    assert_eq!(left_out([upward]), Some(Reason::Upward));
    assert!(permitted(upward).contains("/bin/dash"));
}

#[test]
fn what_was_judged_is_what_is_permitted() {
    let judged = |judged: &'static str, kind: &'static str, effect: &'static str| Record {
        judged: Some(judged),
        effect: Some(effect),
        ..Record {
            kind: Some(kind),
            ..opened("/srv/a", 0o101)
        }
    };
    let proposal = learned([
        judged("write /srv/c", "file.open", "allowed"),
        judged("bind 127.0.0.1:0/tcp", "net.bind", "would-deny"),
        judged("delete /srv/b", "file.unlink", "allowed"),
        judged("connect unix:/run/a", "net.connect", "allowed"),
        judged("use io_uring", "kernel.io_uring", "allowed"),
        judged("signal inside", "process.signal", "allowed"),
    ])
    .propose(OPTIONS);
    let names: Vec<&str> = proposal.rules.iter().map(|rule| &*rule.id).collect();
    assert_eq!(
        names,
        [
            "write",
            "delete",
            "connect-unix",
            "use",
            "signal",
            "bind-tcp"
        ]
    );
    assert_eq!((proposal.told.used, proposal.told.would_deny), (6, 1));
    assert!(
        proposal.rules[0].text.contains("\"/srv/c\""),
        "{proposal:?}"
    );
    for (what, why) in [
        ("fly /srv/c", Reason::Unknown),
        ("connect somewhere", Reason::Unknown),
        ("read unix:/srv/c", Reason::Unknown),
        ("use anything", Reason::Unknown),
        ("delete /\\xff", Reason::NotText),
        ("delete", Reason::Cut),
    ] {
        let record = judged(what, "file.open", "allowed");
        assert_eq!(left_out([record]), Some(why), "{what}");
    }
    let nowhere = Record {
        notes: Some("not-on-host"),
        ..judged("read", "file.open", "would-deny")
    };
    assert_eq!(left_out([nowhere]), Some(Reason::NotOnHost));
}

/// A record of something that a process did.
fn by(kind: &'static str, process: &'static str) -> Record<'static> {
    Record {
        kind: Some(kind),
        origin: Some("kernel"),
        lineage: Some("l"),
        process_uid: Some(process),
        result: Some(0),
        ..Record::default()
    }
}

fn proposed(records: &[Record<'_>]) -> String {
    policy(&learned(records.iter().copied()).propose(OPTIONS))
}

#[test]
fn what_is_used_of_the_kernel_and_done_to_others_is_proposed() {
    let fork = Record {
        child_uid: Some("b"),
        ..by("process.fork", "a")
    };
    let signal = |target| Record {
        target_uid: target,
        ..by("process.signal", "a")
    };
    let says = |records: &[Record<'_>], what: &str| {
        let text = proposed(records);
        assert!(text.contains(what), "{text}");
    };
    says(
        &[fork, signal(Some("b"))],
        "resource.relation == \"inside\"",
    );
    says(&[signal(Some("b"))], "resource.relation == \"outside\"");
    says(&[signal(None)], "resource.relation == \"outside\"");
    says(
        &[Record {
            user_ns: Some(7),
            ..fork
        }],
        "resource.name == \"namespace\"",
    );
    says(
        &[Record {
            call: Some("mount"),
            ..by("file.mount", "a")
        }],
        "resource.name == \"mount\"",
    );
    says(
        &[Record {
            call: Some("mmap"),
            ..by("process.execmem", "a")
        }],
        "resource.name == \"execmem\"",
    );
    let map = Record {
        path: Some("/usr/lib/a.so"),
        protection: Some("r-xp"),
        call: Some("mmap"),
        ..by("file.map", "a")
    };
    says(&[map], "@id(\"map\")");
}

#[test]
fn what_policies_do_not_speak_of_is_not_proposed() {
    let fork = Record {
        child_uid: Some("b"),
        ..by("process.fork", "a")
    };
    let signal = |target| Record {
        target_uid: target,
        ..by("process.signal", "a")
    };
    let map = Record {
        path: Some("/usr/lib/a.so"),
        protection: Some("r-xp"),
        call: Some("mmap"),
        ..by("file.map", "a")
    };
    let nothing = [
        fork,
        signal(Some("a")),
        Record {
            detail: Some("{\"pid\":7,\"signal\":0}"),
            ..signal(None)
        },
        Record { call: None, ..map },
        Record {
            protection: Some("r--p"),
            ..map
        },
        Record {
            call: Some("ioctl"),
            ..by("kernel.control", "a")
        },
    ];
    assert_eq!(proposed(&nothing), "");
}

#[test]
fn names_that_look_made_up_are_told_of_where_rules_name_them() {
    let paths = ["/tmp/tmp8x2kq1zw", "/tmp/notes"].map(|path| opened(path, 0));
    assert_eq!(
        learned(paths).propose(OPTIONS).made_up,
        ["/tmp/tmp8x2kq1zw"]
    );
    // A directory that stands for what is in it names none of that.
    let many = (0..20).map(|n| format!("/tmp/agent/tmp8x2kq1z{n}"));
    let many: Vec<String> = many.collect();
    let grouped = learned(many.iter().map(|path| opened(path, 0))).propose(OPTIONS);
    assert_eq!(grouped.directories, ["/tmp/agent"]);
    assert!(grouped.made_up.is_empty(), "{:?}", grouped.made_up);
}

/// A file whose name was removed, by the name as given.
fn unlinked(path: &str) -> Record<'_> {
    Record {
        kind: Some("file.unlink"),
        origin: Some("claimed"),
        dir: Some("/srv"),
        ..opened(path, 0)
    }
}

fn of<'a>(process: &'a str, record: Record<'a>) -> Record<'a> {
    Record {
        process_uid: Some(process),
        ..record
    }
}

#[test]
fn what_did_not_happen_or_is_not_known_is_left_out_with_the_reason() {
    let open = |path| opened(path, 0);
    let cases = [
        (
            Reason::Failed,
            Record {
                result: Some(-13),
                ..open("/a")
            },
        ),
        (
            Reason::Denied,
            Record {
                effect: Some("killed-after-effect"),
                ..open("/a")
            },
        ),
        (
            Reason::NotOnHost,
            Record {
                notes: Some("unlinked,not-on-host"),
                ..open("/a")
            },
        ),
        (
            Reason::Cut,
            Record {
                truncated: Some("path"),
                ..open("/a")
            },
        ),
        (Reason::Cut, open("/…/a")),
        (
            Reason::Claimed,
            Record {
                origin: Some("claimed"),
                ..open("/a")
            },
        ),
        (Reason::NoPlace, open("pipe:[7]")),
        (
            Reason::NoPlace,
            Record {
                dir: None,
                ..unlinked("a")
            },
        ),
    ];
    for (reason, record) in cases {
        assert_eq!(left_out([record]), Some(reason), "{record:?}");
    }
}

#[test]
fn what_cannot_be_said_is_left_out_with_the_reason() {
    let open = |path| opened(path, 0);
    let long = format!("/{}", "a".repeat(247));
    let cases = [
        (Reason::Upward, unlinked("a/../b")),
        (Reason::NotText, open("/\\xff")),
        (Reason::NotText, open("/a\\x0ab")),
        (Reason::NotText, open("/a\\xe2\\x80\\xaeb")),
        (Reason::NotText, open("/a\u{fffd}b")),
        (Reason::NotText, open("/a\\")),
        (Reason::TooLong, open(&long)),
        (
            Reason::NoPlace,
            socket("net.connect", "unix-stream", "relative", 0),
        ),
        (
            Reason::NoAddress,
            Record {
                peer_addr: None,
                ..socket("net.connect", "udp", "", 0)
            },
        ),
        (
            Reason::NoAddress,
            socket("net.connect", "tcp", "10.0.0.1", 65_536),
        ),
    ];
    for (reason, record) in cases {
        assert_eq!(left_out([record]), Some(reason), "{record:?}");
    }
}

#[test]
fn names_of_processes_elsewhere_are_left_out() {
    let open = |path| opened(path, 0);
    let elsewhere = Record {
        host_path: Some("/var/c/a"),
        ..of("p", open("/a"))
    };
    let fork = Record {
        kind: Some("process.fork"),
        child_uid: Some("q"),
        result: Some(7),
        ..of("p", Record::default())
    };
    let new_namespace = Record {
        mnt_ns: Some(7),
        ..fork
    };
    for records in [
        &[elsewhere, of("p", unlinked("a"))][..],
        &[elsewhere, fork, of("q", unlinked("a"))],
        &[new_namespace, of("q", unlinked("a"))],
    ] {
        assert_eq!(left_out(records.iter().copied()), Some(Reason::Elsewhere));
    }
    assert_eq!(left_out([elsewhere, of("p", open("/b"))]), None);
    assert_eq!(left_out([elsewhere, of("q", unlinked("a"))]), None);
    assert_eq!(left_out([fork, of("q", unlinked("a"))]), None);
}

#[test]
fn messages_through_connections_are_not_proposed() {
    let open = |path| opened(path, 0);
    // Sent through a connection: nothing is judged. Other kinds are not spoken of.
    for record in [
        socket("net.send", "tcp", "10.0.0.1", 1),
        socket("net.send", "udp", "10.0.0.1", 1),
        Record {
            kind: Some("process.fork"),
            result: Some(-11),
            ..open("/a")
        },
    ] {
        let learner = learned([record]);
        assert_eq!((learner.told.used, learner.told.left_out.len()), (0, 0));
    }
}

#[test]
fn there_is_a_limit_and_it_is_said() {
    let paths: Vec<String> = (0..DIFFERENT_MAX + 5)
        .map(|n| format!("/srv/{n}/a"))
        .collect();
    let learner = learned(paths.iter().map(|path| opened(path, 0)));
    assert_eq!(
        learner.told.left_out[&Reason::TooMany],
        LeftOut {
            records: 5,
            first: DIFFERENT_MAX as u64
        }
    );
    // The largest there is can be used.
    let text = policy(&learner.propose(OPTIONS));
    let schema = Schema::new();
    let source = Source::parse("p", text.as_bytes(), &schema).unwrap();
    compile(&[vec![source]], &schema).unwrap();
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"*".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"\\".to_vec()),
        Just(b"\\u{41}".to_vec()),
        Just(b"//".to_vec()),
        Just("é".as_bytes().to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\xff".to_vec()),
        "[ab ;})]{1,2}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_was_done_is_allowed(
        files in prop::collection::vec((0..3_usize, names(), 0..4_i64), 0..30),
        ports in prop::collection::vec((0..4_u8, any::<u16>(), 0..3_usize), 0..50),
        address_blocks: bool,
    ) {
        let directories = ["/srv/a*\"", "/srv/b\\", "/c"];
        let files: Vec<(String, i64)> = files
            .iter()
            .map(|(directory, name, flags)| {
                let path = [directories[*directory].as_bytes(), b"/", name].concat();
                (escape(&path), *flags)
            })
            .collect();
        let ports: Vec<(String, i64, &str)> = ports
            .iter()
            .map(|(last, port, kind)| {
                let kind = ["net.connect", "net.bind", "net.listen"][*kind];
                (format!("10.0.0.{last}"), i64::from(*port), kind)
            })
            .collect();
        let opens = files.iter().map(|(path, flags)| opened(path, *flags));
        let sockets = ports
            .iter()
            .map(|(address, port, kind)| socket(kind, "tcp", address, *port));
        let records: Vec<Record<'_>> = opens.chain(sockets).collect();
        let proposal = learned(records.iter().copied()).propose(Options { address_blocks, ..OPTIONS });
        let schema = Arc::new(Schema::new());
        let text = policy(&proposal);
        let source = Source::parse("p", text.as_bytes(), &schema);
        let source = source.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        let levels = [vec![source]];
        compile(&levels, &schema).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        let engine = Engine::new(&levels, schema).unwrap();
        for record in &records {
            for act in acts(record, Known::default()).unwrap_or_default() {
                let (resource, object) = match act.thing {
                    Thing::Text(resource, path) => (resource, Object::Path(path)),
                    Thing::End(protocol, address, port) => {
                        (Resource::Endpoint, Object::Endpoint { address, port, protocol })
                    }
                };
                let target = Target { operation: act.operation, resource };
                prop_assert!(engine.decide(target, &object).allowed, "{target:?} {object:?}\n{text}");
            }
        }
    }
}
