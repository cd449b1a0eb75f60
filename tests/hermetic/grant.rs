//! `lineage grant`, as people use it, and what other tools make of its documents.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use lineage_tests::programs::{LINEAGE, python};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with the keys of two people and two policies.
struct Desk {
    temp: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            temp: tempfile::tempdir().expect("a temporary directory"),
        };
        for name in ["boss", "lead"] {
            let public = desk.well(&["key", &format!("{name}.pem")]);
            fs::write(desk.path(&format!("{name}.pub")), public).expect("writable");
        }
        fs::write(
            desk.path("read.cedar"),
            "permit (principal, action, resource);\n",
        )
        .expect("writable");
        fs::write(desk.path("more.cedar"), "// more\n").expect("writable");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("it is there")
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(&*LINEAGE);
        command.arg("grant").args(words).current_dir(&self.temp);
        command.output().expect("the lineage binary runs")
    }

    /// What a command prints that must work.
    fn well(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What a command complains about that must not.
    fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert_eq!(output.stdout, b"", "{words:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// The boss grants something that the lead may give on.
    fn issue(&self, name: &str, more: &[&str]) {
        let words = [
            "issue",
            "--key",
            "boss.pem",
            "--purpose",
            "Triage",
            "--policy",
            "read.cedar",
            "--for",
            "1h",
            "--narrowed-by",
            "lead.pub",
            "-o",
            name,
        ];
        self.well(&[&words, more].concat());
    }

    /// What `inspect --json` says, and how it ends.
    fn inspect(&self, words: &[&str]) -> (Value, Option<i32>) {
        let output = self.run(&[&["inspect", "--json"], words].concat());
        let document = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (document, output.status.code())
    }
}

#[test]
fn a_grant_is_issued_narrowed_and_taken_back() {
    let desk = Desk::new();
    desk.issue(
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
    assert_eq!(grants[1]["policies"][0]["name"], "read.cedar");

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
    let desk = Desk::new();
    desk.issue("grant", &["--not-before", "2026-01-01T00:00:00Z"]);
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
    let desk = Desk::new();
    desk.issue("grant", &["--cgroup", "/agents", "--max-connections", "5"]);
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
    let desk = Desk::new();
    desk.issue("grant", &[]);
    let grant = desk.text("grant");
    let broken = |text: &str, expected: &str| {
        fs::write(desk.path("broken"), text).expect("writable");
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
    fs::write(desk.path(boss.trim()), desk.text("lead.pub")).expect("writable");
    assert_eq!(desk.inspect(&["grant", "--trust", boss.trim()]).1, Some(0));
    assert_eq!(desk.inspect(&["grant", "--trust", "lead.pub"]).1, Some(1));
    // A key that others can read, one that is none, and a file that is there.
    let said = desk.refused(&["inspect", "grant", "--trust", "read.cedar"]);
    assert!(said.contains("not a public key"), "{said}");
    fs::set_permissions(desk.path("boss.pem"), fs::Permissions::from_mode(0o644)).expect("ours");
    let words = [
        "issue",
        "--key",
        "boss.pem",
        "--purpose",
        "x",
        "--policy",
        "read.cedar",
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
        "read.cedar",
    ];
    assert!(desk.refused(&lead).contains("without an end"));
    let said = desk.refused(&[&lead[..], &["--for", "1 month"]].concat());
    assert!(said.contains("months and years differ"), "{said}");
    let said = desk.refused(&[&lead[..], &["--for", "1h", "-o", "grant"]].concat());
    assert!(said.contains("grant: File exists"), "{said}");
    assert_eq!(desk.text("grant"), grant);
}

/// Nothing that a document says can steer a terminal.
#[test]
fn names_and_purposes_are_only_text() {
    let desk = Desk::new();
    fs::write(desk.path("a\x1b[2J.cedar"), "// policy\n").expect("writable");
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
    let desk = Desk::new();
    desk.issue("grant", &[]);
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
        .arg(desk.path("read.cedar"))
        .output()
        .expect("it runs");
    let digest = String::from_utf8_lossy(&digest.stdout)[..64].to_owned();
    let line = format!("urn:lineage:grant:v1 True read.cedar {digest}\n");
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
    fs::write(
        desk.path("forged"),
        format!("{}{other}{}", &text[..sig], &text[sig + 1..]),
    )
    .expect("writable");
    assert!(!read("forged").status.success());
    assert!(
        desk.refused(&["inspect", "forged"])
            .contains("no signature is of that key")
    );
}
