//! What a policy allows happens, and what it does not is told, and prevented as far as it can be.

use std::fs;

use std::process::Command;
use std::sync::LazyLock;

use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::{Value, json};

/// How early what is denied is stopped on this kernel, as the agent says.
static TIER: LazyLock<String> = LazyLock::new(|| {
    let output = Command::new(&*LINEAGE).args(["doctor", "--json"]).output();
    let output = output.expect("the lineage binary runs").stdout;
    let said: Value = serde_json::from_slice(&output).expect("one line of JSON");
    said["tier"]
        .as_str()
        .expect("something can be governed")
        .to_owned()
});

/// Whether it is refused before it has an effect.
fn is_prevented() -> bool {
    *TIER == "lsm"
}

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
            "judged": format!("read,write {open}"),
        }),
    );
    decided(
        &run,
        "file.open",
        &json!({ "path": closed }),
        &json!({
            "verdict": "deny", "effect": "would-deny", "rule": by("closed"), "judged": format!("read {closed}"),
        }),
    );
    decided(
        &run,
        "file.open",
        &json!({ "path": format!("{open}.new") }),
        &json!({
            "verdict": "allow", "judged": format!("write,create {open}.new"),
        }),
    );
    decided(
        &run,
        "process.exec",
        &json!({ "verdict": "deny" }),
        &json!({
            "effect": "would-deny", "rule": null, "judged": format!("exec {open}.actor"),
        }),
    );
    assert_eq!(run.output.status.code(), Some(0));
}

#[test]
fn a_program_that_is_denied_does_not_run() {
    let recorder = governed("enforce");
    let mark = recorder.path("open/mark").display().to_string();
    let refused = if is_prevented() { "fails EPERM " } else { "" };
    let run = recorder.script(&format!("{refused}exec /bin/sh -c :>{mark} ;"));
    assert!(!run.recorder.path("open/mark").exists());
    let denied = json!({ "verdict": "deny" });
    if is_prevented() {
        decided(
            &run,
            "process.exec",
            &denied,
            &json!({ "effect": "prevented", "result": -1 }),
        );
        assert_eq!(run.output.status.code(), Some(0));
        return;
    }
    decided(
        &run,
        "process.exec",
        &denied,
        &json!({ "effect": "killed-before-run" }),
    );
    // Nothing at all was done by it.
    run.rows.only("process.exit", &json!({ "exit_signal": 9 }));
    assert_eq!(run.output.status.code(), Some(128 + 9));
}

/// What changes names and attributes: the call as the actor has it, the kind of its record, what is judged. In all of
/// them `C` is the closed directory and `O` the open one.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "linkat -100 =C/file -100 =O/linked 0",
        "file.link",
        "link C/file",
    ),
    (
        "linkat -100 =O/file -100 =C/linked 0",
        "file.link",
        "link C/linked",
    ),
    (
        "symlinkat =anywhere -100 =C/symlink",
        "file.symlink",
        "link C/symlink",
    ),
    ("mkdirat -100 =C/made 511", "file.mkdir", "create C/made"),
    (
        "mknodat -100 =C/node 33188 0",
        "file.mknod",
        "create C/node",
    ),
    ("truncate =C/file 0", "file.truncate", "write C/file"),
    ("fchmodat -100 =C/file 0", "file.chmod", "chmod C/file"),
    ("fchownat -100 =C/file 1 1 0", "file.chown", "chmod C/file"),
    (
        "renameat2 -100 =O/file -100 =C/moved 0",
        "file.rename",
        "rename C/moved",
    ),
    (
        "renameat2 -100 =C/other -100 =O/moved 0",
        "file.rename",
        "rename C/other",
    ),
    ("unlinkat -100 =C/empty 512", "file.rmdir", "delete C/empty"),
    ("unlinkat -100 =C/file 0", "file.unlink", "delete C/file"),
];

/// All of them as a script, and what they need.
fn changes(recorder: &Recorder) -> String {
    fs::create_dir(recorder.path("closed/empty")).expect("writable");
    fs::write(recorder.path("closed/other"), "c").expect("writable");
    let calls = CHANGES
        .iter()
        .map(|(call, ..)| format!("call @r {call} ; "));
    placed(&calls.collect::<String>(), recorder)
}

/// The absolute paths of the two directories in a text.
fn placed(text: &str, recorder: &Recorder) -> String {
    let root = recorder.path("").canonicalize().expect("it is there");
    let place = |name| root.join(name).display().to_string();
    text.replace("C/", &(place("closed") + "/"))
        .replace("O/", &(place("open") + "/"))
}

#[test]
fn what_changes_names_is_judged_by_both_of_them() {
    let recorder = governed("audit");
    let script = changes(&recorder);
    let run = recorder.script(&script);
    for (_, kind, judged) in CHANGES {
        let fits = json!({ "judged": placed(judged, &run.recorder) });
        let expected = json!({ "verdict": "deny", "effect": "would-deny", "result": 0 });
        decided(&run, kind, &fits, &expected);
    }
}

#[test]
fn names_that_lead_up_are_denied_where_only_the_name_is_known() {
    let recorder = governed("audit");
    let script = placed(
        "chdir O/ call @a mkdirat -100 =./a//b/../new 493 ; call @a unlinkat -100 =../open/./file 0 ;",
        &recorder,
    );
    let (hooked, path) = (*TIER != "trace", placed("O/file", &recorder));
    fs::create_dir_all(recorder.path("open/a/b")).expect("writable");
    let run = recorder.script(&script);
    let expected = if hooked {
        json!({ "verdict": "allow", "judged": format!("delete {path}") })
    } else {
        json!({ "verdict": "deny", "rule": null, "judged": "delete" })
    };
    decided(&run, "file.unlink", &json!({}), &expected);
}

#[test]
fn what_changes_names_is_stopped() {
    if !is_prevented() {
        let recorder = governed("enforce");
        let script = placed("call @r unlinkat -100 =C/file 0 ; print alive", &recorder);
        let run = recorder.script(&script);
        let effect = json!({ "effect": "killed-after-effect" });
        decided(&run, "file.unlink", &json!({ "verdict": "deny" }), &effect);
        assert_eq!(run.stdout(), "");
        return;
    }
    let recorder = governed("enforce");
    let script = changes(&recorder);
    let run = recorder.script(&(script + "print alive"));
    assert_eq!(run.stdout(), "alive\n");
    for (_, kind, judged) in CHANGES {
        let judged = placed(judged, &run.recorder);
        let fits = json!({ "judged": judged });
        decided(
            &run,
            kind,
            &fits,
            &json!({ "effect": "prevented", "verdict": "deny", "result": -1 }),
        );
    }
    // Nothing of it happened.
    let closed = run.recorder.path("closed");
    assert_eq!(
        fs::read_to_string(closed.join("file")).expect("it is there"),
        "b"
    );
    let mut left: Vec<_> = fs::read_dir(&closed)
        .expect("it is there")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["empty", "file", "other"]);
    assert!(!run.recorder.path("open/moved").exists());
    assert!(!run.recorder.path("open/linked").exists());
}

#[test]
fn a_better_tier_than_there_is_can_be_demanded() {
    let recorder = governed("enforce").option("--require-tier").option("lsm");
    let output = recorder
        .command()
        .arg("--")
        .arg(&*ACTOR)
        .args(["print", "ran"])
        .output();
    let output = output.expect("the lineage binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if is_prevented() {
        assert_eq!(output.stdout, b"ran\n", "{said}");
        return;
    }
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert_eq!(output.stdout, b"");
    assert!(
        said.contains("this host has no tier lsm for policies: "),
        "{said}"
    );
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
