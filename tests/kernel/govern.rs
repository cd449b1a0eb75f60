//! What a policy allows happens, and what it does not is told, and prevented as far as it can be.

use std::fs;
use std::os::unix::fs::symlink;

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::json;

/// A recorder with a directory of its own: below `open/` everything is allowed, below `closed/` nothing, and only
/// the actor may be executed.
fn governed(mode: &str) -> Recorder {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let root = root.display();
    for (name, text) in [("open/file", "a"), ("closed/file", "b")] {
        let path = recorder.path(name);
        fs::create_dir(path.parent().expect("a directory")).expect("writable");
        fs::write(path, text).expect("writable");
    }
    let actor = ACTOR.display();
    let policy = format!(
        r#"
        @id("run") permit (principal, action == Action::"exec", resource) when {{ resource.path == "{actor}" }};
        @id("open") permit (principal, action, resource is File) when {{ resource.path like "{root}/open/*" }};
        @id("read") permit (principal, action == Action::"read", resource is File);
        @id("closed") forbid (principal, action, resource is File) when {{ resource.path like "{root}/closed/*" }};
        "#
    );
    fs::write(recorder.path("p.cedar"), policy).expect("writable");
    let file = recorder.path("p.cedar").display().to_string();
    recorder
        .option("--policy")
        .option(&file)
        .option("--mode")
        .option(mode)
}

/// What was decided about the only record of this kind that fits.
fn decided(run: &Recorded, kind: &str, fits: &serde_json::Value, expected: &serde_json::Value) {
    run.rows.only(kind, fits).expect(expected);
}

#[test]
fn what_is_denied_is_told_when_it_is_only_audited() {
    let recorder = governed("audit");
    fs::copy(&*ACTOR, recorder.path("open/file.actor")).expect("writable");
    let (open, closed) = (recorder.path("open/file"), recorder.path("closed/file"));
    let (open, closed) = (
        open.canonicalize().expect("it is"),
        closed.canonicalize().expect("it is"),
    );
    let (open, closed) = (open.display().to_string(), closed.display().to_string());
    let script = format!(
        "open @a {open} O_RDWR open @b {closed} O_RDONLY open @c {open}.new O_WRONLY|O_CREAT exec {open}.actor actor exit 0 ;"
    );
    let run = recorder.script(&script);
    let by = |rule: &str| format!("p.cedar:{rule}");
    decided(
        &run,
        "file.open",
        &json!({ "path": open }),
        &json!({
            "verdict": "allow", "effect": "allowed", "rule": by("open"), "grant_level": 0, "table_generation": 1,
            "judged": "read,write",
        }),
    );
    decided(
        &run,
        "file.open",
        &json!({ "path": closed }),
        &json!({
            "verdict": "deny", "effect": "would-deny", "rule": by("closed"), "judged": "read",
        }),
    );
    decided(
        &run,
        "file.open",
        &json!({ "path": format!("{open}.new") }),
        &json!({
            "verdict": "allow", "judged": "write,create",
        }),
    );
    decided(
        &run,
        "process.exec",
        &json!({ "verdict": "deny" }),
        &json!({
            "effect": "would-deny", "rule": null, "judged": "exec",
        }),
    );
    assert_eq!(run.output.status.code(), Some(0));
}

#[test]
fn a_program_that_is_denied_does_not_run() {
    let recorder = governed("enforce");
    let mark = recorder.path("open/mark").display().to_string();
    let run = recorder.script(&format!("exec /bin/sh -c :>{mark} ;"));
    decided(
        &run,
        "process.exec",
        &json!({ "verdict": "deny" }),
        &json!({ "effect": "killed-before-run" }),
    );
    assert!(!run.recorder.path("open/mark").exists());
    // Nothing at all was done by it.
    run.rows.only("process.exit", &json!({ "exit_signal": 9 }));
    assert_eq!(run.output.status.code(), Some(128 + 9));
}

/// Whatever way leads there, and however its own process calls it.
#[test]
fn a_file_that_is_denied_is_opened_and_no_more() {
    let ways = [
        "open @a ROOT/closed/file O_RDONLY",
        "open @a ROOT/link O_RDONLY",
        "open @a ROOT/open/../closed/file O_RDONLY",
        "chdir ROOT/closed open @a file O_RDONLY",
        "open @d ROOT/closed O_PATH openat @a @d file O_RDONLY",
        "chroot ROOT/closed open @a /file O_RDONLY",
        "unshare CLONE_NEWNS mount-tmpfs ROOT/open open @a ROOT/open/own O_WRONLY|O_CREAT",
    ];
    for way in ways {
        let recorder = governed("enforce");
        symlink("closed/file", recorder.path("link")).expect("writable");
        let root = recorder.path("").canonicalize().expect("it is there");
        let way = way.replace("ROOT", root.display().to_string().trim_end_matches('/'));
        let run = recorder.script(&format!("{way} print opened"));
        let _ = rustix::mount::unmount(root.join("open"), rustix::mount::UnmountFlags::DETACH);
        assert_eq!(run.stdout(), "", "{way}");
        decided(
            &run,
            "file.open",
            &json!({ "verdict": "deny" }),
            &json!({
                "effect": "killed-after-effect",
            }),
        );
        assert_eq!(run.output.status.code(), Some(128 + 9), "{way}");
    }
}

/// A recorder that lets TCP connect to port 8080 of loopback addresses, and UDP send to port 53.
fn connected(mode: &str) -> Recorder {
    let recorder = Recorder::new();
    let policy = r#"
        permit (principal, action in [Action::"exec", Action::"read"], resource);
        @id("web") permit (principal, action == Action::"connect", resource is Endpoint)
        when { resource.address.isLoopback() && resource.port == 8080 && resource.protocol == "tcp" };
        @id("names") permit (principal, action == Action::"send", resource is Endpoint) when { resource.port == 53 };
        @id("any") permit (principal, action == Action::"bind", resource is Endpoint) when { resource.port == 0 };
    "#;
    fs::write(recorder.path("p.cedar"), policy).expect("writable");
    let file = recorder.path("p.cedar").display().to_string();
    recorder
        .option("--policy")
        .option(&file)
        .option("--mode")
        .option(mode)
}

#[test]
fn connections_are_refused_before_they_are_made() {
    let run = connected("enforce").script(
        "socket @a inet stream fails ECONNREFUSED connect @a 127.0.0.1:8080 \
         socket @b inet stream fails EPERM connect @b 127.0.0.1:8081 \
         socket @c inet6 stream fails EPERM connect @c [::1]:8081 \
         socket @d inet6 stream fails ECONNREFUSED connect @d [::ffff:127.0.0.1]:8080 \
         socket @e inet dgram fails EPERM connect @e 127.0.0.1:8080 \
         socket @f inet dgram sendto @f 3 127.0.0.1:53 fails EPERM sendto @f 3 127.0.0.1:54 \
         socket @g inet stream bind @g 127.0.0.1:0 socket @h inet stream fails EPERM bind @h 127.0.0.1:7777",
    );
    let decisions = |kind: &str| -> Vec<_> {
        let rows = run.rows.all(kind, &json!({}));
        let of = |field: &str, row: &lineage_tests::rows::Row| {
            row.get(field).as_str().unwrap_or("-").to_owned()
        };
        rows.iter()
            .map(|row| [of("judged", row), of("effect", row), of("rule", row)].join(" "))
            .collect()
    };
    assert_eq!(
        decisions("net.connect"),
        [
            "connect 127.0.0.1:8080/tcp allowed p.cedar:web",
            "connect 127.0.0.1:8081/tcp prevented -",
            "connect [::1]:8081/tcp prevented -",
            "connect 127.0.0.1:8080/tcp allowed p.cedar:web",
            "connect 127.0.0.1:8080/udp prevented -",
        ]
    );
    assert_eq!(
        decisions("net.send"),
        [
            "send 127.0.0.1:53/udp allowed p.cedar:names",
            "send 127.0.0.1:54/udp prevented -",
        ]
    );
    assert_eq!(
        decisions("net.bind"),
        [
            "bind 127.0.0.1:0/tcp allowed p.cedar:any",
            "bind 127.0.0.1:7777/tcp prevented -",
        ]
    );
}
