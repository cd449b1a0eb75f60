//! `lineage grant`, as people use it, and what other tools make of its documents.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use lineage_tests::desk::Desk;
use lineage_tests::programs::python;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A desk with two policies, in a directory that goes with it.
fn desk() -> (TempDir, Desk) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let desk = Desk::new(temp.path());
    desk.file("p.cedar", "permit (principal, action, resource);\n");
    desk.file("more.cedar", "// more\n");
    (temp, desk)
}

/// The boss grants something that the lead may give on.
fn issue(desk: &Desk, name: &str, more: &[&str]) {
    let words = ["--for", "1h", "--narrowed-by", "lead.pub"];
    desk.issue(name, &[&words[..], more].concat());
}

#[test]
fn a_grant_is_issued_narrowed_and_taken_back() {
    let (_temp, desk) = desk();
    issue(
        &desk,
        "grant",
        &["--uid", "1000", "--max-execs", "10", "--launch-only"],
    );
    let narrow = [
        "narrow",
        "grant",
        "--key",
        "lead.pem",
        "--max-execs",
        "9",
        "--for",
        "10m",
    ];
    desk.well(&[&narrow[..], &["-o", "child"]].concat());
    let (document, status) = desk.inspect(&["child", "--trust", "boss.pub"]);
    assert_eq!((&document["authorises"], status), (&json!(true), Some(0)));
    let grants = document["grants"].as_array().expect("grants");
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[1]["grant"]["parent"], grants[0]["id"]);
    assert_eq!(grants[1]["grant"]["budgets"], json!({ "execs": 9 }));
    let selector = json!({ "uids": [1000], "launchOnly": true });
    assert_eq!(grants[1]["grant"]["selector"], selector);
    assert_eq!(grants[1]["policies"][0]["name"], "p.cedar");

    desk.well(&[
        "revoke", "grant", "--key", "boss.pem", "--reason", "enough", "-o", "over",
    ]);
    let (document, status) = desk.inspect(&["child", "--trust", "boss.pub", "--revoked", "over"]);
    assert_eq!((&document["authorises"], status), (&json!(false), Some(1)));
    let why = document["why_not"].as_str().expect("a reason");
    assert!(why.contains("was revoked by ed25519:"), "{why}");
    assert!(why.ends_with("because of \"enough\""), "{why}");
    // Below, only what is below can be taken back.
    let said = desk.refused(&["revoke", "grant", "--key", "lead.pem"]);
    assert!(said.contains("only who issued it"), "{said}");
}

#[test]
fn what_nobody_answers_for_authorises_nothing() {
    let (_temp, desk) = desk();
    issue(&desk, "grant", &["--not-before", "2026-01-01T00:00:00Z"]);
    let at = |time: &str| {
        desk.inspect(&["grant", "--trust", "boss.pub", "--at", time])
            .1
    };
    assert_eq!(at("2025-12-31T23:59:59Z"), Some(1));
    assert_eq!(at("2026-01-01T00:00:00Z"), Some(0));
    assert_eq!(at("2026-01-01T01:00:00Z"), Some(1));
    let (document, status) = desk.inspect(&["grant", "--trust", "lead.pub"]);
    assert_eq!((&document["authorises"], status), (&json!(false), Some(1)));
    let (document, status) = desk.inspect(&["grant", "--at", "2026-01-01T00:00:00Z"]);
    assert_eq!((&document["authorises"], status), (&Value::Null, Some(3)));
}

#[test]
fn what_is_wider_is_refused_and_named() {
    let (_temp, desk) = desk();
    issue(
        &desk,
        "grant",
        &["--cgroup", "/agents", "--max-connections", "5"],
    );
    let wider = |words: &[&str], fields: &[&str]| {
        let said = desk.refused(&[&["narrow", "grant", "--key", "lead.pem"], words].concat());
        for field in fields {
            assert!(said.contains(&format!("{field}: ")), "{words:?}: {said}");
        }
    };
    wider(&["--cgroup", "/agents-evil"], &["selector.cgroups"]);
    wider(
        &["--max-connections", "6", "--for", "2h"],
        &["budgets.connections", "notAfter"],
    );
    wider(&["--policy", "more.cedar"], &["subject"]);
    wider(&["--narrowed-by", "boss.pub"], &["narrowedBy", "maxDepth"]);
    wider(&["--not-before", "2020-01-01T00:00:00Z"], &["notBefore"]);
    let said = desk.refused(&["narrow", "grant", "--key", "boss.pem"]);
    assert!(said.contains("issuer: ed25519:"), "{said}");
}

#[test]
fn bad_input_is_told_with_its_place() {
    let (_temp, desk) = desk();
    issue(&desk, "grant", &[]);
    let grant = desk.text("grant");
    let broken = |text: &str, expected: &str| {
        desk.file("broken", text);
        let said = desk.refused(&["inspect", "broken"]);
        assert!(said.contains(expected), "{said}");
    };
    broken(&grant[..100], "line 1 column 100");
    broken("", "0 grants");
    broken("{}", "missing field `payload` at line 1 column 2");
    broken(
        &grant.replace("in-toto+json", "other"),
        "not an in-toto statement",
    );
    let flipped = grant.replace("\"sig\":\"", "\"sig\":\"A");
    broken(&flipped, "sig is not base64");
    broken(
        &" ".repeat(3 << 20),
        "has 3145728 bytes, more than the 2097152",
    );
    symlink("/dev/zero", desk.path("zero")).expect("a link");
    let said = desk.refused(&["inspect", "zero"]);
    assert!(said.contains("not a regular file"), "{said}");
    // What is written as a key is one, whatever files there are.
    let boss = desk.text("boss.pub");
    desk.file(boss.trim(), desk.text("lead.pub"));
    assert_eq!(desk.inspect(&["grant", "--trust", boss.trim()]).1, Some(0));
    assert_eq!(desk.inspect(&["grant", "--trust", "lead.pub"]).1, Some(1));
    // A key that others can read, one that is none, and a file that is there.
    let said = desk.refused(&["inspect", "grant", "--trust", "p.cedar"]);
    assert!(said.contains("not a public key"), "{said}");
    fs::set_permissions(desk.path("boss.pem"), fs::Permissions::from_mode(0o644)).expect("ours");
    let words = [
        "issue",
        "--key",
        "boss.pem",
        "--purpose",
        "x",
        "--policy",
        "p.cedar",
        "--for",
    ];
    let said = desk.refused(&[&words[..], &["1h"]].concat());
    assert!(said.contains("has mode 0644"), "{said}");
    let lead = [
        "issue",
        "--key",
        "lead.pem",
        "--purpose",
        "x",
        "--policy",
        "p.cedar",
    ];
    assert!(desk.refused(&lead).contains("without an end"));
    let said = desk.refused(&[&lead[..], &["--for", "1 month"]].concat());
    assert!(said.contains("months and years differ"), "{said}");
    let said = desk.refused(&[&lead[..], &["--for", "1h", "-o", "grant"]].concat());
    assert!(said.contains("it is there already"), "{said}");
    assert_eq!(desk.text("grant"), grant);
}

/// Nothing that a document says can steer a terminal.
#[test]
fn names_and_purposes_are_only_text() {
    let (_temp, desk) = desk();
    desk.file("a\x1b[2J.cedar", "// policy\n");
    let words = [
        "issue",
        "--key",
        "boss.pem",
        "--policy",
        "a\x1b[2J.cedar",
        "--for",
        "1h",
        "-o",
        "g",
    ];
    desk.well(&[&words[..], &["--purpose", "line\n\x1b]0;title\x07\u{202e}"]].concat());
    let output = desk.run(&["inspect", "g"]);
    let text = String::from_utf8(output.stdout).expect("text");
    let raw = text
        .chars()
        .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
    assert_eq!(raw, None, "{text}");
    assert!(text.contains("purpose   line\\x0a\\x1b]0;title"), "{text}");
}

const OTHERS: &str = r#"
import json, sys
from google.protobuf import json_format
from in_toto_attestation.v1 import statement, statement_pb2
from securesystemslib import dsse, signer
for line in open(sys.argv[1]):
    envelope = dsse.Envelope.from_dict(json.loads(line))
    keyid, = envelope.signatures
    value = {"public": keyid.removeprefix("ed25519:")}
    key = signer.SSlibKey(keyid, "ed25519", "ed25519", value)
    envelope.verify([key], 1)
    body = json_format.Parse(envelope.payload, statement_pb2.Statement())
    statement.Statement.copy_from_pb(body).validate()
    print(body.predicate_type, body.predicate["issuer"] == keyid, body.subject[0].name, body.subject[0].digest["sha256"])
"#;

/// securesystemslib and in-toto-attestation, from PyPI.
#[test]
fn other_tools_read_grants_and_check_them() {
    let (_temp, desk) = desk();
    issue(&desk, "grant", &[]);
    desk.well(&["narrow", "grant", "--key", "lead.pem", "-o", "child"]);
    let read = |name: &str| {
        let output = Command::new(python())
            .args(["-c", OTHERS])
            .arg(desk.path(name))
            .output();
        output.expect("Python runs")
    };
    let output = read("child");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let digest = Command::new("sha256sum")
        .arg(desk.path("p.cedar"))
        .output()
        .expect("it runs");
    let digest = String::from_utf8_lossy(&digest.stdout)[..64].to_owned();
    let line = format!("urn:lineage:grant:v1 True p.cedar {digest}\n");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        line.repeat(2),
        "{stderr}"
    );
    // They notice what we would notice.
    let text = desk.text("child");
    let sig = text.find("\"sig\":\"").expect("a signature") + 7;
    let other = if text[sig..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    desk.file(
        "forged",
        format!("{}{other}{}", &text[..sig], &text[sig + 1..]),
    );
    assert!(!read("forged").status.success());
    assert!(
        desk.refused(&["inspect", "forged"])
            .contains("no signature is of that key")
    );
}
