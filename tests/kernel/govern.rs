//! What a policy allows happens, and what it does not is told, and prevented as far as it can be.

mod others;

use std::fs;
use std::process::Command;

use lineage_common::tier::Tier;
use lineage_tests::evidence::Verdict;
use lineage_tests::governed::{self, TIER};
use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::{Value, json};

/// Whether it is refused before it has an effect.
fn is_prevented() -> bool {
    *TIER == Tier::Lsm
}

/// A recorder as the others have it, in the best tier there is.
fn governed(mode: &str) -> Recorder {
    governed::governed(mode, "").best_tier()
}

/// What was decided about the only record of this kind that fits.
fn decided(run: &Recorded, kind: &str, fits: &serde_json::Value, expected: &serde_json::Value) {
    run.rows.only(kind, fits).expect(expected);
}

#[test]
fn what_becomes_of_what_is_denied_is_said_for_this_host() {
    let recorder = governed("audit");
    let check = ["policy", "check", "--json"];
    let output = Command::new(&*LINEAGE)
        .args(check)
        .arg(recorder.path("p.cedar"))
        .output();
    let output = output.expect("the lineage binary runs").stdout;
    let said: Value = serde_json::from_slice(&output).expect("one line of JSON");
    assert_eq!(said["tier"], TIER.name());
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

/// A kernel that preempts its own code can leave out a hook for whoever runs while another is in it, which counts as a loss.
#[test]
fn what_no_hook_saw_is_judged_all_the_same() {
    const TIMES: usize = 1000;
    let recorder = governed("audit").or(Verdict::VerifiedWithLoss);
    let closed = recorder.path("closed/file").canonicalize();
    let closed = closed.expect("it is").display().to_string();
    let branch = format!("fork @c [ repeat {TIMES} [ open @f {closed} O_RDONLY close @f ] ] ");
    let run = recorder.script(&format!("{}{}", branch.repeat(4), "wait -1 ".repeat(4)));
    let opens = run.rows.all("file.open", &json!({ "path": closed }));
    assert_eq!(opens.len(), 4 * TIMES);
    for open in opens {
        open.expect(
            &json!({ "verdict": "deny", "rule": "p.cedar:closed", "effect": "would-deny" }),
        );
    }
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

#[test]
fn people_are_told_what_was_denied() {
    let recorder = governed::governed("enforce", "");
    let script = recorder.placed("open @a ROOT/closed/file O_RDONLY");
    let run = recorder.script(&script);
    let said = run.stderr();
    let decisions = "decisions: 1 allowed, 1 killed after the effect\n";
    assert!(said.contains(decisions), "{said}");
    assert!(said.contains(" --decision deny\n"), "{said}");
    let mut tree = Command::new(&*LINEAGE);
    let tree = tree.arg("tree").arg(&run.evidence.directory).output();
    let tree = tree.expect("the lineage binary runs").stdout;
    let tree = String::from_utf8(tree).expect("text");
    let denied = run
        .recorder
        .placed("✗ denied read ROOT/closed/file killed-after-effect: p.cedar:closed\n");
    assert!(tree.contains(&denied), "{tree}");
}

/// What changes names and attributes: the call as the actor has it, the kind of its record, what is judged.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "linkat -100 =ROOT/closed/file -100 =ROOT/open/linked 0",
        "file.link",
        "link ROOT/closed/file",
    ),
    (
        "linkat -100 =ROOT/open/file -100 =ROOT/closed/linked 0",
        "file.link",
        "link ROOT/closed/linked",
    ),
    (
        "symlinkat =anywhere -100 =ROOT/closed/symlink",
        "file.symlink",
        "link ROOT/closed/symlink",
    ),
    (
        "mkdirat -100 =ROOT/closed/made 511",
        "file.mkdir",
        "create ROOT/closed/made",
    ),
    (
        "mknodat -100 =ROOT/closed/node 33188 0",
        "file.mknod",
        "create ROOT/closed/node",
    ),
    (
        "truncate =ROOT/closed/file 0",
        "file.truncate",
        "write ROOT/closed/file",
    ),
    (
        "fchmodat -100 =ROOT/closed/file 0",
        "file.chmod",
        "chmod ROOT/closed/file",
    ),
    (
        "fchownat -100 =ROOT/closed/file 1 1 0",
        "file.chown",
        "chmod ROOT/closed/file",
    ),
    (
        "renameat2 -100 =ROOT/open/file -100 =ROOT/closed/moved 0",
        "file.rename",
        "rename ROOT/closed/moved",
    ),
    (
        "renameat2 -100 =ROOT/closed/other -100 =ROOT/open/moved 0",
        "file.rename",
        "rename ROOT/closed/other",
    ),
    (
        "unlinkat -100 =ROOT/closed/empty 512",
        "file.rmdir",
        "delete ROOT/closed/empty",
    ),
    (
        "unlinkat -100 =ROOT/closed/file 0",
        "file.unlink",
        "delete ROOT/closed/file",
    ),
];

/// All of them as a script, and what they need.
fn changes(recorder: &Recorder) -> String {
    fs::create_dir(recorder.path("closed/empty")).expect("writable");
    fs::write(recorder.path("closed/other"), "c").expect("writable");
    let calls = CHANGES
        .iter()
        .map(|(call, ..)| format!("call @r {call} ; "));
    recorder.placed(&calls.collect::<String>())
}

#[test]
fn what_changes_names_is_judged_by_both_of_them() {
    let recorder = governed("audit");
    let script = changes(&recorder);
    let run = recorder.script(&script);
    for (_, kind, judged) in CHANGES {
        let fits = json!({ "judged": run.recorder.placed(judged) });
        let expected = json!({ "verdict": "deny", "effect": "would-deny", "result": 0 });
        decided(&run, kind, &fits, &expected);
    }
}

#[test]
fn names_that_lead_up_are_denied_where_only_the_name_is_known() {
    let recorder = governed("audit");
    let script = recorder.placed(
        "chdir ROOT/open/ call @a mkdirat -100 =./a//b/../new 493 ; call @a unlinkat -100 =../open/./file 0 ;",
    );
    let (hooked, path) = (*TIER != Tier::Trace, recorder.placed("ROOT/open/file"));
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
        let script = recorder.placed("call @r unlinkat -100 =ROOT/closed/file 0 ; print alive");
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
        let judged = run.recorder.placed(judged);
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
    recorder.policy(policy, mode).best_tier()
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
