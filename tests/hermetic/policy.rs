//! `lineage policy`, as people use it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use lineage_tests::programs::LINEAGE;
use lineage_tests::terminal::Terminal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::golden;

const WIDE: &str = r#"
@id("read") permit (principal, action == Action::"read", resource is File);
@id("keys") forbid (principal, action, resource is File) when { resource.path like "/keys/*" };
@id("web") permit (principal, action == Action::"connect", resource is Endpoint)
when { resource.port == 443 && resource.protocol == "tcp" };
@id("socket") permit (principal, action == Action::"connect", resource is UnixSocket)
when { resource.path == "/run/agent.sock" };
"#;

const NARROW: &str = r#"
permit (principal, action == Action::"read", resource) when { resource.path like "/data/*" };
"#;

fn desk() -> TempDir {
    let temp = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in [("wide.cedar", WIDE), ("narrow.cedar", NARROW)] {
        fs::write(temp.path().join(name), text).expect("writable");
    }
    temp
}

fn run(desk: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(&*LINEAGE);
    command.args(words).current_dir(desk);
    command.output().expect("the lineage binary runs")
}

/// What is said about something, and how the command ends.
fn explain(desk: &Path, words: &[&str]) -> (Option<i32>, Value) {
    let all = [
        &["policy", "explain", "--json", "--policy", "wide.cedar"],
        words,
    ]
    .concat();
    let output = run(desk, &all);
    let document = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), document)
}

#[test]
fn a_question_is_answered_with_the_rule() {
    let desk = desk();
    let ask = |action, object| {
        let (status, document) = explain(desk.path(), &[action, object]);
        let rules = document["rules"].as_array().cloned().unwrap_or_default();
        let names: Vec<String> = rules
            .iter()
            .filter_map(|rule| Some(rule["rule"].as_str()?.to_owned()))
            .collect();
        (status, names.join(" "))
    };
    assert_eq!(
        ask("read", "/etc/passwd"),
        (Some(0), "wide.cedar:read".to_owned())
    );
    assert_eq!(
        ask("read", "/keys/a"),
        (Some(1), "wide.cedar:keys".to_owned())
    );
    assert_eq!(ask("write", "/etc/passwd"), (Some(1), String::new()));
    let web = (Some(0), "wide.cedar:web".to_owned());
    assert_eq!(ask("connect", "[2001:db8::1]:443/tcp"), web);
    assert_eq!(ask("connect", "10.0.0.1:443"), web);
    assert_eq!(ask("connect", "10.0.0.1:443/udp").0, Some(1));
    assert_eq!(
        ask("connect", "unix:/run/agent.sock").1,
        "wide.cedar:socket"
    );
    for (action, object) in [
        ("fly", "/a"),
        ("read", "a"),
        ("connect", "/a"),
        ("connect", "host:1"),
    ] {
        assert_eq!(
            ask(action, object),
            (Some(2), String::new()),
            "{action} {object}"
        );
    }
    let output = run(
        desk.path(),
        &[
            "policy",
            "explain",
            "--policy",
            "wide.cedar",
            "read",
            "/keys/a",
        ],
    );
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("denied: read /keys/a\nby wide.cedar:keys:\n  @id(\"keys\")"),
        "{text}"
    );
}

#[test]
fn of_a_chain_every_grant_must_allow_it() {
    let desk = desk();
    let well = |words: &[&str]| {
        let output = run(desk.path(), words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {stderr}");
        output.stdout
    };
    well(&["grant", "key", "a.pem"]);
    let public = well(&["grant", "key", "b.pem"]);
    fs::write(desk.path().join("b.pub"), public).expect("writable");
    let issue = "grant issue --key a.pem --purpose x --for 1h --policy wide.cedar --policy narrow.cedar \
                 --narrowed-by b.pub -o whole";
    well(&issue.split_whitespace().collect::<Vec<_>>());
    let narrow = "grant narrow whole --key b.pem --policy narrow.cedar -o part";
    well(&narrow.split_whitespace().collect::<Vec<_>>());
    let ask = |grant, object| {
        let words = ["--policy", "narrow.cedar", "--grant", grant, "read", object];
        let (status, document) = explain(desk.path(), &words);
        (status, document["grant"].clone())
    };
    assert_eq!(ask("whole", "/etc/passwd"), (Some(0), json!(0)));
    assert_eq!(ask("part", "/etc/passwd"), (Some(1), json!(1)));
    assert_eq!(ask("part", "/data/a"), (Some(0), json!(1)));
    let (status, _) = explain(desk.path(), &["--grant", "part", "read", "/data/a"]);
    assert_eq!(status, Some(2), "the narrow policy is missing");
}

#[test]
fn policies_are_checked_rule_by_rule() {
    let desk = desk();
    let check = |text: &str| {
        fs::write(desk.path().join("p.cedar"), text).expect("writable");
        let output = run(
            desk.path(),
            &["policy", "check", "p.cedar", "--tier", "trace"],
        );
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("text"))
    };
    let (status, said) = check(WIDE);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains(
            "forbid p.cedar:keys: read, write, create, delete, rename, link, chmod, map\n"
        ),
        "{said}"
    );
    assert!(said.contains("tables: "), "{said}");
    assert!(
        said.contains("denied: killed after the effect, judged by the name as given: write, create, delete, rename, link, chmod\n"),
        "{said}"
    );
    assert!(said.contains("\ntier trace: "), "{said}");
    let (status, said) = check(&WIDE.replace("/keys/*", "/keys*"));
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("warning: p.cedar:keys: `like \"/keys*\"`"),
        "{said}"
    );
    let (status, said) = check(&WIDE.replace("resource.port == 443", "resource.port == 70443"));
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("warning: p.cedar:web: it never applies"),
        "{said}"
    );
    let (status, said) = check(&WIDE.replace("/keys/*", "/*/keys"));
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("policy p.cedar:keys: `"), "{said}");
    assert!(said.contains("`*` can only stand at the end"), "{said}");
    let (status, said) = check(&WIDE.replace("resource.port", "resource.prot"));
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("line 5 column"), "{said}");
    let schema = run(desk.path(), &["policy", "schema"]);
    assert!(String::from_utf8_lossy(&schema.stdout).contains("entity Endpoint"));
}

#[test]
fn what_is_said_of_rules_fits_the_terminal() {
    let desk = desk();
    let mut check = Command::new(&*LINEAGE);
    check.args(["policy", "check", "wide.cedar", "--tier", "trace"]);
    check.current_dir(desk.path());
    let shown = Terminal::all_of(check, 80);
    let mut lines = shown.lines();
    assert!(lines.all(|line| line.chars().count() <= 80), "{shown}");
    golden::check("tests/golden/policy-check-80.txt", &shown);
}

/// What is said of each rule depends on the host that is to enforce it.
#[test]
fn what_becomes_of_what_is_denied_is_said_by_tier() {
    let desk = desk();
    let denied = |tier: &str, rule: usize| {
        let words = ["policy", "check", "wide.cedar", "--json", "--tier", tier];
        let output = run(desk.path(), &words);
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(document["tier"], tier);
        let each = document["rules"][rule]["denied"]
            .as_array()
            .expect("a list");
        let told = each.iter().map(|one| {
            let effects = one["ways"].as_array().expect("a list").iter();
            let effects: Vec<String> = effects
                .map(|way| format!("{}{}", way["effect"], way["by_name"]))
                .collect();
            (
                one["action"].as_str().expect("a name").to_owned(),
                effects.join(" ").replace('"', ""),
            )
        });
        told.collect::<std::collections::BTreeMap<_, _>>()
    };
    let (files, web) = (1, 2);
    let trace = denied("trace", files);
    assert_eq!(trace["read"], "killed-after-effectfalse");
    assert_eq!(trace["delete"], "killed-after-effecttrue");
    assert_eq!(
        trace["write"],
        "killed-after-effectfalse killed-after-effecttrue"
    );
    let fexit = denied("fexit", files);
    assert_eq!(fexit["delete"], "killed-after-effectfalse");
    assert_eq!(denied("lsm", files)["delete"], "preventedfalse");
    for tier in ["trace", "fexit", "lsm"] {
        assert_eq!(denied(tier, web)["connect"], "preventedfalse");
    }
    let output = run(
        desk.path(),
        &["policy", "check", "wide.cedar", "--tier", "x"],
    );
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("expected trace, fexit or lsm"), "{said}");
}
