//! `lineage ls` and `lineage tree` over a small story, on a screen and in a pipe.
//!
//! The story, `tests/golden/story.ndjson`, is what `lineage ls --ndjson` prints for it: a recorded
//! run of a small agent with everything a reviewer may meet added. It is written as evidence with
//! fixed keys and clocks, so the outputs are always the same.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

use lineage_agent::clock::{Clock, Now};
use lineage_agent::evidence::counters::Counters;
use lineage_agent::evidence::keys::{Keys, Plan, Secrets};
use lineage_agent::evidence::manifest::Reason;
use lineage_agent::evidence::schema::{FIELDS, FieldType, Record, Value};
use lineage_agent::evidence::writer::{Identity, Options, Writer};
use lineage_tests::programs::{LINEAGE, lineage_for_everybody};
use lineage_tests::terminal::Terminal;
use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;

use crate::golden;

pub(crate) const STORY: &str = include_str!("../golden/story.ndjson");

/// When the story begins, in seconds.
const BEGIN: i64 = 1_795_507_200;

/// The evidence of the story, made once.
pub(crate) static EVIDENCE: LazyLock<TempDir> = LazyLock::new(|| {
    let temp = tempfile::tempdir().expect("a temporary directory");
    write_story(temp.path(), STORY);
    temp
});

/// A clock that stands still.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Now {
        Now {
            boot_ns: 1_000_000_000_000,
            wall_ns: BEGIN * 1_000_000_000,
        }
    }
}

/// Writes evidence of these records, and the keys that signed it, into a directory.
/// Writes a story as evidence, `evidence` in the directory, with `keys` beside it.
pub(crate) fn write_story(directory: &Path, story: &str) {
    // One long epoch: the story goes on the next day.
    let plan = Plan {
        start: BEGIN.unsigned_abs() - 3600,
        seconds: 10 * 86_400,
        count: 2,
    };
    let secrets = Secrets {
        host: [7; 32].into(),
        seed: [8; 32].into(),
    };
    let keys = Keys::create(&directory.join("keys"), plan, &secrets).expect("keys");
    let identity = Identity {
        hostname: b"golden".to_vec(),
        boot: "0b1a7b5e-6c6c-4a2e-9d2b-0d6c2c3f9f55".to_owned(),
        agent: [1; 32],
        probes: [2; 32],
    };
    let options = Options {
        log_id: Some([3; 16]),
        ..Options::default()
    };
    let mut writer = Writer::create_with(
        &directory.join("evidence"),
        identity,
        &Arc::new(keys),
        Box::new(Stopped),
        &options,
    )
    .expect("a writer");
    // The context of each lineage now.
    let mut contexts: HashMap<String, String> = HashMap::new();
    for line in story.lines() {
        let Ok(Json::Object(mut fields)) = serde_json::from_str(line) else {
            panic!("not an object: {line}")
        };
        if fields.contains_key("context") {
            let lineage = fields["lineage"].as_str().expect("a name").to_owned();
            if ["lineage.start", "context.change"]
                .map(Json::from)
                .contains(&fields["kind"])
            {
                let previous = contexts.get(&lineage);
                let document = json!({ "lineage": lineage, "previous": previous }).to_string();
                let context = writer.artifact(document.as_bytes()).expect("an artifact");
                contexts.insert(lineage.clone(), context);
            }
            fields.insert("context".to_owned(), contexts[&lineage].clone().into());
        }
        let texts = texts(&fields);
        writer
            .append(&record(&fields, &texts))
            .expect("a record that fits");
    }
    writer.commit(&Counters::default()).expect("a commit");
    writer.close(Reason::Shutdown).expect("an end");
}

/// The texts of the columns, which records borrow.
fn texts(fields: &Map<String, Json>) -> Vec<(u16, String)> {
    let texts = FIELDS
        .iter()
        .filter(|field| field.field_type == FieldType::Text);
    texts
        .filter_map(|field| {
            let text = match fields.get(field.name)? {
                Json::String(text) => text.clone(),
                document => document.to_string(),
            };
            Some((field.id, text))
        })
        .collect()
}

fn record<'a>(fields: &Map<String, Json>, texts: &'a [(u16, String)]) -> Record<'a> {
    let mut record = Record::default();
    for (id, text) in texts {
        assert!(record.set(*id, Value::Text(text)));
    }
    for field in FIELDS {
        let Some(value) = fields.get(field.name) else {
            continue;
        };
        let set = match field.field_type {
            FieldType::U64 => record.set(field.id, Value::U64(value.as_u64().expect("a number"))),
            FieldType::I64 => record.set(field.id, Value::I64(value.as_i64().expect("a number"))),
            FieldType::Micros | FieldType::Text => true,
        };
        assert!(set, "{}", field.name);
    }
    record.time = record.time_ns.map(|time| time.div_euclid(1000));
    record
}

pub(crate) fn lineage(command: &str, arguments: &[&str]) -> Command {
    let mut lineage = Command::new(&*LINEAGE);
    lineage
        .arg(command)
        .arg(EVIDENCE.path().join("evidence"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm");
    lineage
}

/// What a command prints into a pipe.
pub(crate) fn piped(command: &str, arguments: &[&str]) -> String {
    let output = lineage(command, arguments).output().expect("lineage runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a command shows on a terminal of so many columns.
pub(crate) fn shown(columns: u16, command: &str, arguments: &[&str]) -> String {
    Terminal::all_of(lineage(command, arguments), columns)
}

pub(crate) fn check(name: &str, output: &str) {
    golden::check(&format!("tests/golden/{name}"), output);
}

#[test]
fn ndjson_is_the_story_itself() {
    golden::check("tests/golden/story.ndjson", &piped("ls", &["--ndjson"]));
}

/// What is proposed from it, whatever the directory is called; twice the same.
#[test]
fn a_policy_is_learned_from_the_story() {
    let learn = |options: &[&str]| {
        let mut lineage = Command::new(&*LINEAGE);
        lineage.args(["policy", "learn"]).args(options);
        lineage.arg("evidence").current_dir(EVIDENCE.path());
        let output = lineage.output().expect("lineage runs");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let text = learn(&[]);
    check("learned.cedar", &text);
    assert_eq!(learn(&[]), text);
    let document: Json = serde_json::from_str(&learn(&["--json"])).expect("JSON");
    assert_eq!(document["policy"], text);
    assert_eq!(document["verified"], false);
    let none: Json = serde_json::from_str(&learn(&["--json", "--lineage", "x"])).expect("JSON");
    assert_eq!(
        (
            &none["records_used"],
            none["rules"].as_array().map(Vec::len)
        ),
        (&Json::from(0), Some(0))
    );
}

#[test]
fn a_learned_policy_says_which_names_look_made_up() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let story = STORY
        .replace("/srv/agent/page.html", "/tmp/tmp8x2kq1zw")
        .replace("/srv/agent/notes.txt", "/tmp/tmpq3v8n1xk.txt");
    write_story(temp.path(), &story);
    let mut lineage = Command::new(&*LINEAGE);
    lineage.args(["policy", "learn"]);
    lineage.arg(temp.path().join("evidence"));
    let output = lineage.output().expect("lineage runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let said = "// Looks made up: /tmp/tmp8x2kq1zw and 1 other there. Such a name differs the next time: \
                a rule for it names the directory, /tmp/*.\n";
    assert!(text.contains(said), "{text}");
}

/// A page is written once, and twice the same.
#[test]
fn a_report_is_made_of_the_story() {
    let pages = tempfile::tempdir().expect("a temporary directory");
    let report = |name: &str, more: &[&str]| {
        let mut lineage = lineage("report", &["--html", "-o"]);
        lineage.arg(pages.path().join(name)).args(more);
        lineage.output().expect("lineage runs")
    };
    let read = |name: &str| std::fs::read_to_string(pages.path().join(name)).expect("a page");
    assert!(report("one", &[]).status.success());
    assert!(report("two", &[]).status.success());
    let page = read("one");
    assert!(page == read("two") && page.contains("\"verification\":null"));
    let again = report("one", &["--trust", "root:00"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there already"));
    let trust = format!("root:{}", "0".repeat(64));
    assert!(
        report("one", &["--force", "--trust", &trust])
            .status
            .success()
    );
    assert!(read("one").contains("\"verdict\":\"UNVERIFIABLE\""));
    assert_eq!(
        std::fs::read_dir(pages.path()).expect("readable").count(),
        2
    );
}

#[test]
fn ls_into_a_pipe_shows_everything() {
    check("ls.txt", &piped("ls", &[]));
}

#[test]
fn ls_fits_its_terminal() {
    for columns in [80, 120] {
        let output = shown(columns, "ls", &["--color=never"]);
        check(&format!("ls-{columns}.txt"), &output);
    }
}

#[test]
fn ls_in_colours() {
    let output = shown(
        100,
        "ls",
        &["--limit", "12", "-k", "exec,open,connect,exit,loss"],
    );
    check("ls-colours.txt", &output);
}

#[test]
fn tree_in_a_pipe_and_on_terminals() {
    check("tree.txt", &piped("tree", &[]));
    check("tree-80.txt", &shown(80, "tree", &["--color=never"]));
    check(
        "tree-colours.txt",
        &shown(100, "tree", &["--pid", "4716,4730"]),
    );
    check("tree-all.txt", &piped("tree", &["--all"]));
}

#[test]
fn tree_as_json_has_every_process_after_its_parent() {
    let tree: Json = serde_json::from_str(&piped("tree", &["--json"])).expect("JSON");
    let processes = tree["processes"].as_array().expect("a list");
    let started = STORY.matches("\"child_uid\"").count();
    assert_eq!(processes.len(), 1 + started);
    for (index, process) in processes.iter().enumerate() {
        let parent = &process["parent_uid"];
        let before = &processes[..index];
        assert!(parent.is_null() || before.iter().any(|other| other["process_uid"] == *parent));
    }
    assert_eq!(tree["lost_frames"], 40);
}

#[test]
fn filters_choose_records() {
    let lines = |arguments: &[&str]| {
        let mut all = vec!["--ndjson"];
        all.extend(arguments);
        piped("ls", &all).lines().count()
    };
    let story = |part: &str| STORY.lines().filter(|line| line.contains(part)).count();
    assert_eq!(
        lines(&["-k", "process.exec"]),
        story("\"kind\":\"process.exec\"")
    );
    assert_eq!(lines(&["-k", "net"]), story("\"kind\":\"net."));
    assert_eq!(
        lines(&["--failed"]),
        story("\"result\":-") - story("\"result\":-115")
    );
    assert_eq!(lines(&["--limit", "3"]), 3);
    assert_eq!(lines(&["--limit", "0"]), 0);
    assert_eq!(lines(&["--peer", "[::1]:*"]), 2);
    assert_eq!(lines(&["--path", "*/summary.txt", "-p", "4717"]), 2);
    assert_eq!(lines(&["--lineage", "2dedc184"]), story("\"lineage\":"));
    // Two days: 135 records on the first one, 3 on the second.
    for (arguments, expected) in [
        (&["--since", "@130"][..], 8),
        (&["--since", "@5", "--until", "@6"], 2),
        (&["--until", "2026-11-24"], 135),
        (&["--since", "2026-11-25"], 3),
        (&["--since", "2026-11-25T10:00+02:00"], 3),
        (&["--since", "1h"], 3),
        (&["--since", "2d"], 138),
        (&["--since", "08:00:00.094"], 2),
        (&["--until", "07:59"], 135),
        (&["--until", "2026-11-24 08:00:00.000"], 2),
        (&["--since", "2026-11-24T08:00:00.012Z", "-k", "fork"], 13),
        (&["--since", "2027-01-01"], 0),
    ] {
        assert_eq!(lines(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn people_are_told_that_nothing_matches() {
    for (arguments, word, machine) in [
        (&["ls", "--path", "/no/such/file"][..], "record", "--ndjson"),
        (&["tree", "--pid", "99999"], "process", "--json"),
    ] {
        let output = lineage(arguments[0], &arguments[1..]).output();
        let output = output.expect("lineage runs");
        assert!(output.status.success(), "{arguments:?}");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.lines().all(|line| line.contains("lost")), "{shown}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, format!("lineage: there is no such {word}\n"));
        // Programs see it for themselves; this fails if anything is said.
        let mut arguments = arguments.to_vec();
        arguments.push(machine);
        piped(arguments[0], &arguments[1..]);
    }
}

/// What to pin.
fn root() -> String {
    let root = Command::new(&*LINEAGE)
        .args(["key", "root", "--keys"])
        .arg(EVIDENCE.path().join("keys"))
        .output()
        .expect("lineage runs");
    String::from_utf8(root.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

#[test]
fn verify_for_people() {
    check("verify.txt", &piped("verify", &["--trust", &root()]));
    // Without how far it is, which only a screen has.
    let mut quiet = Command::new("sh");
    quiet.args(["-c", "exec \"$@\" 2>/dev/null", "sh"]);
    quiet.arg(&*LINEAGE).arg("verify");
    quiet.arg(EVIDENCE.path().join("evidence"));
    quiet.args(["--trust", &root()]);
    let shown = Terminal::all_of(quiet, 80);
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    check("verify-80.txt", &shown);
}

/// A proof is made once, says the same wherever it goes, and tells people and programs what it proves.
#[test]
fn an_event_is_proven_to_somebody_who_has_nothing_else() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let path = temp.path().join("74.proof");
    let path = path.to_str().expect("UTF-8");
    assert_eq!(piped("prove", &["74", "--data", "-o", path]), "");
    let made = std::fs::read_to_string(path).expect("a proof");
    assert_eq!(piped("prove", &["74", "--data"]), made);
    let again = lineage("prove", &["74", "-o", path])
        .output()
        .expect("lineage runs");
    assert_eq!(again.status.code(), Some(2), "a proof is not replaced");

    let verify = |arguments: &[&str]| {
        let mut lineage = Command::new(&*LINEAGE);
        let output = lineage.arg("verify-proof").args(arguments).output();
        let output = output.expect("lineage runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        (output.status.code(), text)
    };
    let trust = root();
    let (status, text) = verify(&[path, "--trust", &trust]);
    check("verify-proof.txt", &text);
    assert_eq!(status, Some(0));
    let mut screen = Command::new(&*LINEAGE);
    screen.args(["verify-proof", path, "--trust", &trust]);
    screen.env_remove("NO_COLOR").env("TERM", "xterm");
    check("verify-proof-80.txt", &Terminal::all_of(screen, 80));
    let (_, json) = verify(&[path, "--trust", &trust, "--json"]);
    let report: Json = serde_json::from_str(&json).expect("JSON");
    let proven = &report["proven"];
    assert_eq!(
        (&report["verdict"], &proven["record"]["seq"]),
        (&"VERIFIED".into(), &74.into())
    );

    let another = format!("root:{}", "ab".repeat(32));
    assert_eq!(verify(&[path, "--trust", &another]).0, Some(3));
    assert_eq!(
        verify(&[path, "--trust", &trust, "--require", "witnessed"]).0,
        Some(1)
    );
    assert_eq!(
        verify(&[path, "--trust", &trust, "--require", "no-loss"]).0,
        Some(2)
    );
    std::fs::write(path, made.replace("event 74", "event 73")).expect("written");
    let (status, text) = verify(&[path, "--trust", &trust]);
    assert_eq!(status, Some(3), "{text}");
    assert!(!text.contains("connect"), "{text}");
}

#[test]
fn nothing_shown_can_be_obeyed_by_a_terminal() {
    for output in [
        piped("ls", &[]),
        piped("tree", &["--all"]),
        piped("ls", &["--ndjson"]),
        piped("show", &["122"]),
        piped("show", &["122", "--json"]),
        piped("timeline", &["--all"]),
        piped("timeline", &["--json"]),
    ] {
        let bad = output.chars().find(|character| {
            *character != '\n' && lineage_agent::evidence::escape::is_hidden(*character)
        });
        assert_eq!(bad, None);
    }
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    for arguments in [&["ls", "--ndjson"][..], &["ls"], &["tree", "--all"]] {
        let mut command = lineage(arguments[0], &arguments[1..]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("lineage runs");
        let mut line = String::new();
        let mut out = BufReader::with_capacity(1, child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        drop(out);
        let mut said = String::new();
        let mut errors = child.stderr.take().expect("piped");
        errors.read_to_string(&mut said).expect("text");
        assert_eq!(said, "");
        assert!(child.wait().expect("an end").success(), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_written_is_told_once_and_in_words() {
    let keys = EVIDENCE.path().join("keys");
    let full = std::fs::File::options().write(true).open("/dev/full");
    let output = Command::new(&*LINEAGE)
        .args(["key", "root", "--keys"])
        .arg(&keys)
        .stdout(full.expect("every Linux has it"))
        .output()
        .expect("lineage runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said,
        "lineage: cannot write to standard output: No space left on device (os error 28)\n"
    );
}

#[test]
fn keys_that_may_not_be_read_are_not_called_missing() {
    const NOBODY: u32 = 65_534;
    let (place, program) = lineage_for_everybody();
    let keys = place.path().join("private/keys");
    let mut new = Command::new(&program);
    new.args(["key", "new", "--epochs", "2", "--keys"])
        .arg(&keys);
    assert!(new.output().expect("lineage runs").status.success());
    for task in ["root", "show", "advance"] {
        let mut command = Command::new(&program);
        command.args(["key", task, "--keys"]).arg(&keys);
        let output = command.uid(NOBODY).gid(NOBODY).output();
        let output = output.expect("lineage runs");
        assert_eq!(output.status.code(), Some(2), "{task}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("permission denied (run as root)"), "{said}");
        assert!(!said.contains("key new"), "{said}");
    }
}

/// What is said of a command line that makes no sense.
fn complaint(arguments: &[&str]) -> String {
    let output = Command::new(&*LINEAGE)
        .args(arguments)
        .output()
        .expect("lineage runs");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn mistakes_are_explained_in_one_line() {
    let evidence = EVIDENCE.path().join("evidence");
    let evidence = evidence.to_str().expect("UTF-8");
    assert!(complaint(&["ls", "/nonexistent"]).contains("/nonexistent: No such file or directory"));
    assert!(complaint(&["tree", "/var/empty"]).starts_with("lineage: cannot"));
    let said = complaint(&["key", "show", "--keys", "/nonexistent"]);
    assert!(
        said.contains("no key at /nonexistent: `lineage key new`"),
        "{said}"
    );
    for (arguments, expected) in [
        (
            ["verify", evidence, "--threads", "many"],
            "a whole number, 1 or more",
        ),
        (
            ["verify", evidence, "--threads", "0"],
            "a whole number, 1 or more",
        ),
        (["record", "-p", "abc", "true"], "a whole number, 1 or more"),
        (["record", "-q", "-o", "run1"], "or -p PID"),
        (
            ["record", "--until-exit", "-p", "1"],
            "about the end of a command",
        ),
        (["record", "--require-tier", "lsm", "true"], "--policy"),
        (
            ["ls", evidence, "--limit", "few"],
            "a whole number, 0 or more",
        ),
        (
            ["ls", evidence, "--since", "yesterday"],
            "cannot understand --since: expected a time such as",
        ),
        (
            ["timeline", evidence, "--per", "0s"],
            "cannot understand --per: expected a span",
        ),
        (
            ["tree", evidence, "--depth", "99999999999999999999"],
            "too large",
        ),
    ] {
        let said = complaint(&arguments);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn what_to_choose_by_is_explained() {
    let evidence = EVIDENCE.path().join("evidence");
    let evidence = evidence.to_str().expect("UTF-8");
    for (kind, expected) in [
        ("file.opened", "did you mean file.open?"),
        ("network", "did you mean one of net.bind, net.connect,"),
    ] {
        let said = complaint(&["ls", evidence, "--kind", kind]);
        assert!(said.contains(kind) && said.contains(expected), "{said}");
        assert!(!said.contains("process.exec"), "{said}");
    }
    for command in [&["ls"][..], &["policy", "learn"]] {
        let said = complaint(&[command, &[evidence, "--lineage", ""]].concat());
        assert!(said.contains("expected the id of a lineage"), "{said}");
    }
}

#[test]
fn causes_and_effects_of_the_story() {
    check("why.txt", &piped("why", &["60"]));
    check("why-80.txt", &shown(80, "why", &["60"]));
    check("impact.txt", &piped("impact", &["47"]));
    check("impact-80.txt", &shown(80, "impact", &["47"]));
}

#[test]
fn an_event_that_is_not_there_is_said_to_be_missing() {
    let refused = |words: &[&str]| {
        let output = lineage("why", words).output().expect("lineage runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let unknown = refused(&["99999"]);
    assert!(unknown.contains("its records here end at"), "{unknown}");
    let host = refused(&["ffff:3"]);
    assert!(host.contains("whose id begins with ffff"), "{host}");
    for odd in [
        "",
        "x",
        "-7",
        "3:",
        ":3",
        "1e3",
        "\x1b[2J",
        "18446744073709551616",
    ] {
        let said = refused(&["--", odd]);
        assert!(said.contains("expected the number"), "{said}");
        assert!(!said.contains('\x1b'), "{said:?}");
    }
}
