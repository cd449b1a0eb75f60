//! What is recorded under a grant: bound to it, held to it, and over when it is over.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lineage_agent::authority::chain::Chain;
use lineage_agent::authority::revocation::Revocation;
use lineage_agent::authority::statement::{self, Subject};
use lineage_agent::authority::time::Time;
use lineage_agent::evidence::keys::IssuerKey;
use lineage_tests::desk::Desk;
use lineage_tests::governed::{RULES, furnished};
use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::{Row, Rows};
use lineage_tests::wait;
use rustix::fs::inotify;
use serde_json::{Value, json};

/// What the policy of the office says: the usual rules, and every program and connection.
fn rules(more: &str) -> String {
    let rest = r#"@id("rest") permit (principal, action in [Action::"exec", Action::"network"], resource);"#;
    format!("{RULES}{rest}{more}")
}

/// A recorder, and in its directory a desk with a policy and a place for revocations.
struct Office {
    recorder: Recorder,
    desk: Desk,
}

impl Office {
    fn new() -> Self {
        let recorder = furnished();
        fs::create_dir(recorder.path("revoked")).expect("writable");
        let desk = Desk::new(&recorder.path(""));
        desk.file("p.cedar", recorder.placed(&rules("")));
        Self { recorder, desk }
    }

    /// An office in which this recording is authorised by a grant with these options besides.
    fn granted(more: &[&str]) -> Self {
        let office = Self::new();
        office.desk.issue("g.json", more);
        office.bound("g.json")
    }

    /// The recorder with the grant of this name.
    fn bound(self, grant: &str) -> Self {
        let Self { recorder, desk } = self;
        let mut recorder = recorder.governed_by(desk.path("p.cedar"), "enforce");
        for (option, name) in [
            ("--grant", grant),
            ("--trust", "boss.pub"),
            ("--revocations", "revoked"),
        ] {
            recorder = recorder.option(option).option(desk.path(name));
        }
        Self { recorder, desk }
    }

    /// Records a script in which `ROOT` is the directory.
    fn script(self, script: &str) -> Recorded {
        let script = self.recorder.placed(script);
        self.recorder.script(&script)
    }

    /// Starts that.
    fn start(&self, script: &str) -> Child {
        self.recorder.start(&self.recorder.placed(script))
    }

    fn finish(self, child: Child) -> Recorded {
        let output = child.wait_with_output().expect("our own child");
        self.recorder.finish(output)
    }

    fn waits_for(&self, name: &str) {
        let path = self.recorder.path(name);
        wait::until(name, || path.exists().then_some(()));
    }

    /// Waits for a record of this kind with these values.
    fn waits_for_record(&self, kind: &str, values: &Value) {
        let evidence = self.recorder.evidence();
        wait::until(kind, || {
            let rows = evidence.so_far()?;
            (!rows.all(kind, values).is_empty()).then_some(())
        });
    }

    /// Waits until something else authorises a lineage, or nothing does.
    fn waits_for_change(&self) {
        let evidence = self.recorder.evidence();
        wait::until("a change of what authorises", || {
            let rows = evidence.so_far()?;
            (!changes(&rows).is_empty()).then_some(())
        });
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
    let office = Office::granted(&["--for", "1h"]);
    let run = office.script("open @a ROOT/open/file O_RDWR");
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
            "its user is 0, which is none",
        ),
        (
            &[&hour[..], &["--executable", "/bin/other"]].concat(),
            "",
            "its program is /",
        ),
        (
            &[&hour[..], &["--cgroup", "/no/such"]].concat(),
            "",
            "its control group is /",
        ),
        (&hour, "other policy", "the grant names the policy"),
        (&hour, "other issuer", "is not trusted"),
    ];
    for (options, change, why) in cases {
        let office = Office::new();
        office.desk.issue("g.json", options);
        match change {
            "other policy" => {
                let other = office.recorder.placed(&rules("// more"));
                office.desk.file("p.cedar", other);
            }
            "other issuer" => {
                office.desk.file("boss.pub", office.desk.text("lead.pub"));
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
    office.desk.issue(
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

/// The grant `g.json`.
fn chain(desk: &Desk) -> Chain {
    Chain::parse(desk.text("g.json").as_bytes()).expect("a grant")
}

/// Records that tell that something else authorises a lineage, or nothing does.
fn changes(rows: &Rows) -> Vec<&Row> {
    let changes = rows.all("context.change", &json!({})).into_iter();
    changes
        .filter(|row| !row.get("detail")["authority"].is_null())
        .collect()
}

/// How long a grant is given whose end is waited for, which must be long enough to load the probes.
const SHORT: [&str; 2] = ["--for", "30s"];

#[test]
fn a_grant_that_ends_stops_authorising_what_runs() {
    let office = Office::granted(&SHORT);
    // It reads until its input ends, which is when the test waits for it.
    let child = office.start(
        "open @a ROOT/open/began O_WRONLY|O_CREAT read 0 1 open @b ROOT/open/file O_RDWR print reached",
    );
    office.waits_for("open/began");
    office.waits_for_change();
    let run = office.finish(child);
    assert_stopped(&run);
    assert_expired(&run);
}

/// The recorder looks for it only every second, and once more at the end.
#[test]
fn a_grant_that_ends_just_before_the_command_breaks_its_lineage() {
    let office = Office::granted(&SHORT);
    let child = office.start("open @a ROOT/open/began O_WRONLY|O_CREAT read 0 1");
    office.waits_for("open/began");
    let end = chain(&office.desk).last().predicate.not_after.seconds();
    let end = UNIX_EPOCH + Duration::from_secs(end.unsigned_abs());
    wait::until("the end of the grant", || {
        (SystemTime::now() >= end).then_some(())
    });
    let run = office.finish(child);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    run.rows.none("file.open", &json!({ "verdict": "deny" }));
    assert_expired(&run);
}

/// That the command was ended at what it did when nothing was authorised any more, and only then.
fn assert_stopped(run: &Recorded) {
    assert_eq!(run.stdout(), "");
    assert_eq!(run.output.status.code(), Some(128 + 9));
    let denied = run.rows.only("file.open", &json!({ "verdict": "deny" }));
    denied.expect(&json!({ "reason": "over", "effect": "killed-after-effect", "rule": null }));
}

/// That the grant ended, and nothing else, is what breaks the lineage.
fn assert_expired(run: &Recorded) {
    let told = &continuity(run)[0];
    assert_eq!(told["unbroken"], false, "{told}");
    assert_eq!(states(told), ["governed", "lapsed"], "{told}");
    let breaks = breaks(told);
    assert!(
        matches!(&breaks[..], [why] if why.starts_with("expired: ")),
        "{breaks:?}"
    );
}

/// A revocation of the grant `g.json` that the stranger signed, which no command makes.
fn by_a_stranger(desk: &Desk) -> String {
    let words = ["revoke", "g.json", "--key", "stranger.pem"];
    assert!(desk.refused(&words).contains("only who issued it"));
    let key = IssuerKey::open(&desk.path("stranger.pem")).expect("a key");
    let revocation = Revocation {
        issuer: key.public(),
        revoked_at: Time::from_seconds(1).expect("a time"),
        reason: String::new(),
    };
    let grant = Subject::new(String::new(), &chain(desk).last().envelope.payload);
    statement::sign(vec![grant], revocation, &key)
}

/// Waits until all that is in a directory was read, and what comes of that was done: what looks there every now and then
/// has opened it again.
fn wait_for_looks(directory: &Path) {
    let watched = inotify::init(inotify::CreateFlags::NONBLOCK).expect("inotify(7)");
    inotify::add_watch(&watched, directory, inotify::WatchFlags::OPEN).expect("a directory");
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut opened = inotify::Reader::new(&watched, &mut room);
    for what in ["a look", "the next look"] {
        wait::until(what, || {
            let flags = opened.next().ok()?.events();
            flags.contains(inotify::ReadFlags::ISDIR).then_some(())
        });
    }
}

/// Puts a revocation where it is looked for, whole at once.
fn revoke(desk: &Desk, name: &str) {
    let place = desk.path("revoked").join(name);
    fs::rename(desk.path(name), place).expect("writable");
}

#[test]
fn a_grant_that_is_revoked_stops_authorising_what_runs() {
    let office = Office::granted(&["--for", "1h"]);
    let mut child = office.start(
        "open @a ROOT/open/began O_WRONLY|O_CREAT read 0 1 open @b ROOT/open/went O_WRONLY|O_CREAT \
         read 0 1 open @c ROOT/open/file O_RDWR print reached",
    );
    office.waits_for("open/began");
    let stranger = by_a_stranger(&office.desk);
    office.desk.file("stranger.json", stranger);
    revoke(&office.desk, "stranger.json");
    wait_for_looks(&office.desk.path("revoked"));
    let input = child.stdin.as_mut().expect("piped");
    input.write_all(b"x").expect("it reads");
    office.waits_for("open/went");
    let words = ["revoke", "g.json", "--key", "boss.pem", "-o", "boss.json"];
    office.desk.well(&words);
    revoke(&office.desk, "boss.json");
    office.waits_for_change();
    let run = office.finish(child);
    assert_stopped(&run);
    let went = json!({ "path": run.recorder.placed("ROOT/open/went") });
    let went = run.rows.only("file.open", &went);
    went.expect(&json!({ "verdict": "allow" }));
    let changes = changes(&run.rows);
    let [change] = &changes[..] else {
        panic!("not one change: {changes:?}");
    };
    assert_eq!(change.get("detail")["authority"], "revoked");
    assert!(change.int("seq") > went.int("seq"));
    let document = context(&run, change.text("context"));
    let why = document["lapsed"].as_str().expect("a reason");
    assert!(why.contains("was revoked by"), "{document}");
    let revocation = document["revocation"].as_str().expect("a digest");
    let kept = run.evidence.artifact(revocation);
    let boss = fs::read(run.recorder.path("revoked/boss.json")).expect("it is there");
    assert_eq!(kept.trim_ascii_end(), boss.trim_ascii_end());
    let told = continuity(&run);
    assert_eq!(states(&told[0]), ["governed", "lapsed"]);
    assert!(breaks(&told[0])[0].starts_with("revoked: "), "{told:?}");
}

/// The policies that take each other's place, and with which of them it ends.
const LAST: i64 = 5;

#[test]
fn another_policy_takes_the_place_of_one_from_one_moment_to_the_next() {
    let office = Office::new();
    let policy = office.desk.path("p.cedar");
    let recorder = office.recorder.governed_by(policy, "audit");
    let office = Office { recorder, ..office };
    // A storm of processes, each of which opens two files that the policies treat alike: both or none.
    office.desk.file("open/other", "c");
    let child = office.start(
        "until ROOT/open/end [ fork @p [ \
         open @c ROOT/open/file O_RDONLY open @d ROOT/open/other O_RDONLY ] wait @p ]",
    );
    let judged = office.recorder.placed("read ROOT/open/file");
    let decided_by = |generation: i64| json!({ "judged": judged, "table_generation": generation });
    office.waits_for_record("file.open", &decided_by(1));
    for generation in 2..=LAST {
        let forbid = r#"@id("shut") forbid (principal, action == Action::"read", resource is File)
            when { resource.path like "ROOT/open/*" };"#;
        let more = if generation % 2 == 0 { forbid } else { "" };
        let policy = office.recorder.placed(&rules(more));
        office.desk.file("p.cedar", policy);
        let said = office.recorder.reload().stdout;
        let expected = format!("reloaded: generation {generation}\n");
        assert_eq!(String::from_utf8_lossy(&said), expected);
        office.waits_for_record("file.open", &decided_by(generation));
    }
    office.desk.file("open/end", "");
    let run = office.finish(child);
    let mut generations = BTreeSet::new();
    for row in run.rows.all("file.open", &json!({ "judged": judged })) {
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
    assert_eq!(generations, (1..=LAST).collect());
    let told = continuity(&run);
    assert_eq!(states(&told[0])[0], "unsigned");
    assert_eq!(
        breaks(&told[0])
            .iter()
            .filter(|why| why.contains("no grant names it"))
            .count(),
        LAST as usize - 1
    );
}

#[test]
fn a_sub_agent_has_a_lineage_of_its_own_that_it_cannot_leave() {
    let office = Office::new();
    office
        .desk
        .issue("g.json", &["--for", "1h", "--narrowed-by", "lead.pub"]);
    office
        .desk
        .narrow("g.json", "child.json", &["--for", "10m"]);
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
    let root = run.recorder.root();
    let lineage_of = |name: &str| {
        let path = format!("{root}/{name}");
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

/// Neither what is recorded nor what was given a lineage of its own.
#[test]
fn what_is_recorded_does_not_choose_what_governs_it() {
    let office = Office::new();
    let more = ["--for", "1h", "--narrowed-by", "lead.pub"];
    office.desk.issue("g.json", &more);
    office.desk.narrow("g.json", "child.json", &[]);
    let lineage = LINEAGE.display();
    let ask = format!("{lineage} reload ROOT/evidence");
    let run = office.bound("g.json").script(&format!(
        "fork @p [ exec {lineage} {ask} ] status @s @p print @s \
         fork @q [ exec {lineage} lineage exec --grant ROOT/child.json -- {ask} ] status @t @q print @t"
    ));
    let refused = (2 << 8).to_string();
    let stderr = run.stderr();
    let said = run.stdout();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [&refused[..]; 2],
        "{stderr}"
    );
    let why = "what is recorded cannot choose what governs it";
    assert_eq!(stderr.matches(why).count(), 2, "{stderr}");
    assert_eq!(run.rows.all("lineage.start", &json!({})).len(), 2);
    assert_eq!(changes(&run.rows), [] as [&Row; 0]);
}

#[test]
fn a_grant_that_is_wider_or_by_somebody_else_runs_nothing() {
    let office = Office::new();
    office
        .desk
        .issue("g.json", &["--for", "1h", "--narrowed-by", "lead.pub"]);
    office
        .desk
        .issue("other.json", &["--for", "2h", "--narrowed-by", "lead.pub"]);
    for (from, to) in [("g.json", "child.json"), ("other.json", "foreign.json")] {
        office.desk.narrow(from, to, &["--for", "10m"]);
    }
    let lineage = LINEAGE.display().to_string();
    let actor = ACTOR.display().to_string();
    // Of its own lineage; deeper than allowed; of another chain; changed on the way.
    let child = office.desk.text("child.json");
    let mut lines: Vec<&str> = child.lines().collect();
    let last = lines
        .pop()
        .expect("a line")
        .replace("\"sig\":\"", "\"sig\":\"A");
    office
        .desk
        .file("forged.json", format!("{}\n{last}\n", lines.join("\n")));
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
    let office = Office::granted(&["--for", "1h"]);
    let go = office.recorder.path("open/go");
    let script = format!(
        "until {} [ ] open @a {}/closed/file O_RDONLY pause",
        go.display(),
        office.recorder.root()
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
    office
        .desk
        .issue("g.json", &["--for", "1h", "--max-execs", "3"]);
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
    office.desk.issue("g.json", &more);
    office.desk.narrow("g.json", "child.json", &[]);
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
    let office = Office::granted(&["--for", "1h", "--max-bytes-sent", "10"]);
    let run = office.script(
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
