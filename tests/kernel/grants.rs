//! What is recorded under a grant: bound to it, held to it, and over when it is over.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::wait;
use serde_json::{Value, json};

/// A recorder, with the keys of two people and a policy: below `open/` everything is allowed, below `closed/` nothing.
struct Office {
    recorder: Recorder,
}

impl Office {
    fn new() -> Self {
        let recorder = Recorder::new();
        for directory in ["open", "closed", "revoked"] {
            fs::create_dir(recorder.path(directory)).expect("writable");
        }
        let office = Self { recorder };
        office.file("open/file", "a");
        office.file("closed/file", "b");
        for name in ["boss", "lead", "stranger"] {
            let public = office.well(&["grant", "key", &format!("{name}.pem")]);
            office.file(&format!("{name}.pub"), public);
        }
        office.file("p.cedar", office.policy(""));
        office
    }

    /// What the policy says, and more.
    fn policy(&self, more: &str) -> String {
        let root = self.root();
        format!(
            r#"
            @id("run") permit (principal, action in [Action::"exec", Action::"network"], resource);
            @id("read") permit (principal, action == Action::"read", resource is File);
            @id("open") permit (principal, action, resource is File) when {{ resource.path like "{root}/open/*" }};
            @id("closed") forbid (principal, action, resource is File) when {{ resource.path like "{root}/closed/*" }};
            {more}
            "#
        )
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) {
        let _path = self.recorder.file(name, contents);
    }

    fn root(&self) -> String {
        let root = self.recorder.path("").canonicalize().expect("it is there");
        root.display().to_string().trim_end_matches('/').to_owned()
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(&*LINEAGE);
        command.args(words).current_dir(self.recorder.path(""));
        command.output().expect("the lineage binary runs")
    }

    fn well(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The boss grants something, with these options besides.
    fn issue(&self, name: &str, more: &[&str]) {
        let words = [
            "grant",
            "issue",
            "--key",
            "boss.pem",
            "--purpose",
            "Triage",
            "--policy",
            "p.cedar",
        ];
        let words = [&words[..], &["-o", name], more].concat();
        self.well(&words);
    }

    /// The recorder with the grant of this name.
    fn bound(mut self, grant: &str) -> Self {
        let path = |name: &str| self.recorder.path(name).display().to_string();
        let options = [
            "--grant".to_owned(),
            path(grant),
            "--trust".to_owned(),
            path("boss.pub"),
            "--policy".to_owned(),
            path("p.cedar"),
            "--revocations".to_owned(),
            path("revoked"),
        ];
        for option in options {
            self.recorder = self.recorder.option(option);
        }
        self
    }

    /// Records a script in which `ROOT` is the directory.
    fn script(self, script: &str) -> Recorded {
        let script = script.replace("ROOT", &self.root());
        self.recorder.script(&script)
    }

    /// Starts that.
    fn start(&self, script: &str) -> Child {
        self.recorder.start(&script.replace("ROOT", &self.root()))
    }

    fn finish(self, child: Child) -> Recorded {
        let output = child.wait_with_output().expect("our own child");
        self.recorder.finish(output)
    }

    fn waits_for(&self, name: &str) {
        let path = self.recorder.path(name);
        wait::until(name, || path.exists().then_some(()));
    }
}

/// How the lineages were governed, for somebody who trusts the boss.
fn continuity(run: &Recorded) -> Vec<Value> {
    let mut command = Command::new(&*LINEAGE);
    command
        .args(["verify", "--json"])
        .arg(&run.evidence.directory);
    command.args(["--trust", &run.evidence.trust()]);
    command.arg("--trust").arg(run.recorder.path("boss.pub"));
    let output = command.output().expect("the lineage binary runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let told = report["hosts"][0]["governance"].as_array();
    told.expect("a list").clone()
}

fn breaks(told: &Value) -> Vec<String> {
    let breaks = told["breaks"].as_array().expect("a list");
    let why = breaks
        .iter()
        .map(|one| one["why"].as_str().expect("text").to_owned());
    // The environment of a machine changes by itself.
    why.filter(|why| !why.contains("environment changed"))
        .collect()
}

fn states(told: &Value) -> Vec<&str> {
    let intervals = told["intervals"].as_array().expect("a list");
    intervals
        .iter()
        .map(|one| one["state"].as_str().expect("text"))
        .collect()
}

/// The documents of the contexts that are named in records, by their digest.
fn context(run: &Recorded, digest: &str) -> Value {
    serde_json::from_slice(&run.evidence.artifact(digest)).expect("JSON")
}

#[test]
fn a_lineage_is_governed_by_its_grant_without_a_break() {
    let office = Office::new();
    office.issue("g.json", &["--for", "1h"]);
    let run = office
        .bound("g.json")
        .script("open @a ROOT/open/file O_RDWR");
    assert_eq!(run.output.status.code(), Some(0));
    let start = run.rows.only("lineage.start", &json!({}));
    let document = context(&run, start.text("context"));
    assert_eq!(document["enforcement"], "enforce");
    let intent = document["intent"].as_str().expect("a digest");
    assert_eq!(run.evidence.artifact(intent), b"Triage");
    let grant = document["grants"][0].as_str().expect("a digest");
    let envelope = run.evidence.artifact(grant);
    let issued = fs::read(run.recorder.path("g.json")).expect("it is there");
    assert_eq!(envelope.trim_ascii_end(), issued.trim_ascii_end());
    let told = continuity(&run);
    assert_eq!(breaks(&told[0]), [] as [&str; 0]);
    assert_eq!(states(&told[0]), ["governed"]);
    assert_eq!(told[0]["intervals"][0]["purpose"], "Triage");
    let allowed = &told[0]["intervals"][0]["decisions"]["allowed"];
    assert!(allowed.as_u64() >= Some(2), "{allowed}");
}

#[test]
fn what_does_not_authorise_starts_nothing() {
    let far = [
        "--not-before",
        "2001-01-01T00:00:00Z",
        "--not-after",
        "2001-01-02T00:00:00Z",
    ];
    let hour = ["--for", "1h"];
    let cases: [(&[&str], &str, &str); 6] = [
        (&far, "", "ended at 2001-01-02"),
        (
            &[&hour[..], &["--uid", "4242"]].concat(),
            "",
            "its user is none",
        ),
        (
            &[&hour[..], &["--executable", "/bin/other"]].concat(),
            "",
            "its program is none",
        ),
        (
            &[&hour[..], &["--cgroup", "/no/such"]].concat(),
            "",
            "its control group is none",
        ),
        (&hour, "other policy", "the grant names the policy"),
        (&hour, "other issuer", "is not trusted"),
    ];
    for (options, change, why) in cases {
        let office = Office::new();
        office.issue("g.json", options);
        match change {
            "other policy" => {
                office.file("p.cedar", office.policy("// more"));
            }
            "other issuer" => {
                fs::copy(
                    office.recorder.path("lead.pub"),
                    office.recorder.path("boss.pub"),
                )
                .expect("writable");
            }
            _ => {}
        }
        let office = office.bound("g.json");
        let mark = office.recorder.path("open/mark");
        let mut command = office.recorder.command();
        command
            .arg("--")
            .arg(&*ACTOR)
            .arg("open")
            .arg("@a")
            .arg(&mark)
            .arg("O_WRONLY|O_CREAT");
        let output = command.output().expect("the lineage binary runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{why}: {stderr}");
        assert!(stderr.contains(why), "{why}: {stderr}");
        assert!(!mark.exists(), "{why}");
        assert!(!office.recorder.evidence().directory.exists(), "{why}");
    }
}

#[test]
fn a_grant_for_a_program_takes_no_other() {
    let office = Office::new();
    let digest = blake3(&ACTOR);
    office.issue(
        "g.json",
        &["--for", "1h", "--executable", &digest, "--launch-only"],
    );
    let run = office.bound("g.json").script("exit 0");
    let start = run.rows.only("lineage.start", &json!({}));
    let bound = &start.get("detail")["bound"];
    assert_eq!(bound["blake3"], digest.trim_start_matches("blake3:"));
    assert_eq!(bound["launched"], true);
}

fn blake3(path: &Path) -> String {
    let bytes = fs::read(path).expect("it is there");
    format!("blake3:{}", ::blake3::hash(&bytes).to_hex())
}

#[test]
fn a_grant_that_ends_stops_authorising_what_runs() {
    let office = Office::new();
    office.issue("g.json", &["--for", "6s"]);
    let office = office.bound("g.json");
    // Seconds are whole, and starting takes some.
    let run = office.script(
        "open @a ROOT/open/file O_RDWR close @a open @b ROOT/open/began O_WRONLY|O_CREAT \
         until ROOT/open/never [ open @c ROOT/open/file O_RDWR close @c ]",
    );
    assert_eq!(run.output.status.code(), Some(128 + 9));
    let denied = run.rows.only("file.open", &json!({ "verdict": "deny" }));
    denied.expect(&json!({ "reason": "over", "effect": "killed-after-effect", "rule": null }));
    run.rows.none("file.open", &json!({ "reason": "no-entry" }));
    let told = continuity(&run);
    let breaks = breaks(&told[0]);
    // The recorder may have ended with its command before it looked.
    for why in &breaks {
        assert!(why.starts_with("expired: "), "{breaks:?}");
    }
}

#[test]
fn a_grant_that_is_revoked_stops_authorising_what_runs() {
    let office = Office::new();
    office.issue("g.json", &["--for", "1h"]);
    let office = office.bound("g.json");
    let child = office.start(
        "open @b ROOT/open/began O_WRONLY|O_CREAT fork @p [ until ROOT/open/never [ open @c ROOT/open/file O_RDWR close @c ] ] pause",
    );
    office.waits_for("open/began");
    office.well(
        &[
            "grant",
            "revoke",
            "g.json",
            "--key",
            "stranger.pem",
            "-o",
            "no.json",
        ]
        .map(|word| {
            // A stranger cannot even make one.
            if word == "stranger.pem" {
                "boss.pem"
            } else {
                word
            }
        }),
    );
    fs::rename(
        office.recorder.path("no.json"),
        office.recorder.path("revoked/one.json"),
    )
    .expect("writable");
    wait::until("a denial", || {
        let rows = office.recorder.evidence().so_far()?;
        let denied = rows.all("file.open", &json!({ "reason": "over" }));
        (!denied.is_empty()).then_some(())
    });
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .expect("it runs");
    let run = office.finish(child);
    let change = run.rows.all("context.change", &json!({}));
    let change = change
        .iter()
        .find(|row| row.get("detail")["authority"] == "revoked");
    let change = change.expect("a record of it");
    let document = context(&run, change.text("context"));
    assert!(
        document["lapsed"]
            .as_str()
            .is_some_and(|why| why.contains("was revoked by")),
        "{document}"
    );
    let revocation = document["revocation"].as_str().expect("a digest");
    assert!(!run.evidence.artifact(revocation).is_empty());
    let told = continuity(&run);
    assert_eq!(states(&told[0]), ["governed", "lapsed"]);
    assert!(breaks(&told[0])[0].starts_with("revoked: "), "{told:?}");
}

#[test]
fn another_policy_takes_the_place_of_one_from_one_moment_to_the_next() {
    let office = Office::new();
    let path = |name: &str| office.recorder.path(name);
    let policy = path("p.cedar").display().to_string();
    let office = Office {
        recorder: office
            .recorder
            .option("--policy")
            .option(&policy)
            .option("--mode")
            .option("audit"),
    };
    // A storm of processes, each of which opens two files that the policies treat alike: both or none.
    office.file("open/other", "c");
    let child = office.start(
        "open @b ROOT/open/began O_WRONLY|O_CREAT until ROOT/open/end [ fork @p [ \
         open @c ROOT/open/file O_RDONLY open @d ROOT/open/other O_RDONLY ] wait @p ]",
    );
    office.waits_for("open/began");
    let evidence = office.recorder.path("evidence").display().to_string();
    let root = office.root();
    for generation in 2..6 {
        let forbid = format!(
            r#"@id("shut") forbid (principal, action == Action::"read", resource is File)
            when {{ resource.path like "{root}/open/*" }};"#
        );
        let more = if generation % 2 == 0 { &forbid } else { "" };
        office.file("p.cedar", office.policy(more));
        let said = office.well(&["reload", &evidence]);
        assert_eq!(said, format!("reloaded: generation {generation}\n"));
    }
    office.file("open/end", "");
    let run = office.finish(child);
    let mut generations = std::collections::BTreeSet::new();
    for row in run.rows.all(
        "file.open",
        &json!({ "judged": format!("read {root}/open/file") }),
    ) {
        let generation = row.int("table_generation");
        generations.insert(generation);
        let expected = if generation % 2 == 0 {
            "p.cedar:shut"
        } else {
            "p.cedar:read"
        };
        // Every decision is of one generation whole, which the verifier has found as well.
        let rule = row.text("rule");
        assert!(
            rule == expected || (generation % 2 == 1 && rule == "p.cedar:open"),
            "{rule} {generation}"
        );
    }
    assert!(generations.len() > 2, "{generations:?}");
    let told = continuity(&run);
    assert_eq!(states(&told[0])[0], "unsigned");
    assert_eq!(
        breaks(&told[0])
            .iter()
            .filter(|why| why.contains("no grant names it"))
            .count(),
        4
    );
}

#[test]
fn a_sub_agent_has_a_lineage_of_its_own_that_it_cannot_leave() {
    let office = Office::new();
    office.issue("g.json", &["--for", "1h", "--narrowed-by", "lead.pub"]);
    office.well(&[
        "grant",
        "narrow",
        "g.json",
        "--key",
        "lead.pem",
        "--purpose",
        "Read",
        "--for",
        "10m",
        "-o",
        "child.json",
    ]);
    let lineage = LINEAGE.display().to_string();
    let actor = ACTOR.display().to_string();
    let office = office.bound("g.json");
    // In it: a double fork, a session of its own, another parent.
    let script = format!(
        "open @a ROOT/open/file O_RDWR \
         fork @p [ exec {lineage} lineage exec --grant ROOT/child.json -- {actor} \
             open @b ROOT/open/below O_WRONLY|O_CREAT \
             fork @c [ session fork @d [ open @e ROOT/open/deep O_WRONLY|O_CREAT ] wait @d ] wait @c ] \
         wait @p open @f ROOT/open/after O_WRONLY|O_CREAT"
    );
    let run = office.script(&script);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    let root = fs::canonicalize(run.recorder.path("")).expect("it is there");
    let lineage_of = |name: &str| {
        let path = root.join(name).display().to_string();
        run.rows
            .only("file.open", &json!({ "path": path }))
            .text("lineage")
            .to_owned()
    };
    let above = lineage_of("open/after");
    let below = lineage_of("open/below");
    assert_ne!(above, below);
    assert_eq!(lineage_of("open/deep"), below);
    let start = run.rows.only("lineage.start", &json!({ "lineage": below }));
    let cause = run.rows.cause(start);
    assert_eq!(cause.text("lineage"), above);
    assert_eq!(cause.text("kind"), "process.exec");
    let document = context(&run, start.text("context"));
    assert_eq!(document["reason"], "delegation");
    assert_eq!(document["grants"].as_array().map(Vec::len), Some(2));
    let told = continuity(&run);
    for one in &told {
        assert_eq!(breaks(one), [] as [&str; 0]);
        assert_eq!(states(one), ["governed"]);
    }
    assert_eq!(told[1]["intervals"][0]["purpose"], "Read");
}

#[test]
fn a_grant_that_is_wider_or_by_somebody_else_runs_nothing() {
    let office = Office::new();
    office.issue("g.json", &["--for", "1h", "--narrowed-by", "lead.pub"]);
    office.issue("other.json", &["--for", "2h", "--narrowed-by", "lead.pub"]);
    let narrow = |from: &str, key: &str, to: &str| {
        office.run(&[
            "grant",
            "narrow",
            from,
            "--key",
            key,
            "--purpose",
            "Read",
            "--for",
            "10m",
            "-o",
            to,
        ])
    };
    assert!(narrow("g.json", "lead.pem", "child.json").status.success());
    assert!(
        narrow("other.json", "lead.pem", "foreign.json")
            .status
            .success()
    );
    let lineage = LINEAGE.display().to_string();
    let actor = ACTOR.display().to_string();
    // Of its own lineage; deeper than allowed; of another chain; changed on the way.
    let child = fs::read_to_string(office.recorder.path("child.json")).expect("text");
    let mut lines: Vec<&str> = child.lines().collect();
    let last = lines
        .pop()
        .expect("a line")
        .replace("\"sig\":\"", "\"sig\":\"A");
    office.file("forged.json", format!("{}\n{last}\n", lines.join("\n")));
    let office = office.bound("g.json");
    let mut script = String::new();
    for (at, name) in ["g.json", "foreign.json", "forged.json", "none.json"]
        .iter()
        .enumerate()
    {
        script += &format!(
            "fork @p{at} [ exec {lineage} lineage exec --grant ROOT/{name} -- {actor} \
             open @b ROOT/open/ran O_WRONLY|O_CREAT ] status @s @p{at} print @s "
        );
    }
    let run = office.script(&script);
    let expected = (125 << 8).to_string();
    let said = run.stdout();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [&expected[..]; 4],
        "{}",
        run.stderr()
    );
    assert!(!run.recorder.path("open/ran").exists());
    assert_eq!(run.rows.all("lineage.start", &json!({})).len(), 1);
    let stderr = run.stderr();
    assert!(
        stderr.contains("does not narrow the one that governs it"),
        "{stderr}"
    );
}

#[test]
fn an_attached_process_is_governed_from_then_on() {
    let office = Office::new();
    office.issue("g.json", &["--for", "1h"]);
    let office = office.bound("g.json");
    let go = office.recorder.path("open/go");
    let script = format!(
        "until {} [ ] open @a {}/closed/file O_RDONLY pause",
        go.display(),
        office.root()
    );
    let mut actor = Command::new(&*ACTOR)
        .args(script.split_whitespace())
        .stdin(Stdio::null())
        .spawn()
        .expect("the actor runs");
    let attached = office.recorder.attach(&[actor.id()]);
    fs::write(&go, "").expect("writable");
    let status = actor.wait().expect("our own child");
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9)
    );
    let output = attached.output();
    let run = office.recorder.finish(output);
    let told = continuity(&run);
    assert!(
        breaks(&told[0])[0].contains("attached while it ran"),
        "{told:?}"
    );
}

#[test]
fn a_budget_of_programs_ends_with_the_last() {
    let office = Office::new();
    office.issue("g.json", &["--for", "1h", "--max-execs", "3"]);
    let actor = ACTOR.display().to_string();
    let mut script = String::new();
    for at in 0..3 {
        script += &format!("fork @p{at} [ exec {actor} actor print ran ; ] status @s @p{at} ");
    }
    // The first one is the actor itself.
    let run = office.bound("g.json").script(&script);
    assert_eq!(run.stdout(), "ran\nran\n", "{}", run.stderr());
    let denied = run.rows.only("process.exec", &json!({ "verdict": "deny" }));
    denied.expect(&json!({
        "reason": "budget", "effect": "killed-before-run", "rule": null, "grant_level": 0,
    }));
    assert_eq!(breaks(&continuity(&run)[0]), [] as [&str; 0]);
}

#[test]
fn a_budget_is_spent_by_all_that_are_bound_to_the_grant() {
    let office = Office::new();
    let more = [
        "--for",
        "1h",
        "--max-connections",
        "2",
        "--narrowed-by",
        "lead.pub",
    ];
    office.issue("g.json", &more);
    office.well(&[
        "grant",
        "narrow",
        "g.json",
        "--key",
        "lead.pem",
        "--purpose",
        "Less",
        "-o",
        "child.json",
    ]);
    let lineage = LINEAGE.display().to_string();
    let actor = ACTOR.display().to_string();
    let run = office.bound("g.json").script(&format!(
        "fork @p [ exec {lineage} lineage exec --grant ROOT/child.json -- {actor} \
             socket @b inet stream fails ECONNREFUSED connect @b 127.0.0.1:9 ] wait @p \
         socket @a inet stream fails ECONNREFUSED connect @a 127.0.0.1:9 \
         socket @c inet stream fails EPERM connect @c 127.0.0.1:9"
    ));
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    let denied = run.rows.only("net.connect", &json!({ "verdict": "deny" }));
    denied.expect(&json!({
        "reason": "budget", "effect": "prevented", "judged": "connect 127.0.0.1:9/tcp",
    }));
}

#[test]
fn a_budget_of_bytes_ends_who_sends_more() {
    let office = Office::new();
    office.issue("g.json", &["--for", "1h", "--max-bytes-sent", "10"]);
    let run = office.bound("g.json").script(
        "socket @l inet stream bind @l 127.0.0.1:0 listen @l \
         socket @a inet stream connect @a @l accept @b @l \
         socketpair @x @y stream write @x 100 \
         write @a 4 send @a 6 print whole send @a 1 print more",
    );
    assert_eq!(run.stdout(), "whole\n", "{}", run.stderr());
    assert_eq!(run.output.status.code(), Some(128 + 9));
    let denied = run.rows.only("net.send", &json!({ "verdict": "deny" }));
    denied.expect(&json!({
        "reason": "budget", "effect": "killed-after-effect", "judged": "send", "rule": null,
    }));
}
