//! What is found at attach: everything a process is and holds, compared with procfs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use lineage_tests::wait;
use serde_json::{Value, json};

/// A process that was there before anything was recorded, and goes on when it is told.
struct Found {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Found {
    /// Starts the actor with this script, which must print `ready` and then read from its input.
    fn start(command: &mut Command, script: &str) -> Self {
        command.args(script.split_whitespace());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the actor runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        wait::line(&mut lines, "ready", |line| line == "ready");
        Self { child, lines }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A file of its directory in procfs.
    fn procfs(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.pid());
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What follows a label in `status`.
    fn status(&self, label: &str) -> String {
        let status = self.procfs("status");
        let line = status.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label}"))
            .trim()
            .to_owned()
    }

    /// Inode number of a namespace.
    fn namespace(&self, name: &str) -> i64 {
        let link = fs::read_link(format!("/proc/{}/ns/{name}", self.pid())).expect("a link");
        let text = link.to_str().expect("text");
        let number = text.split(['[', ']']).nth(1).expect("brackets");
        number.parse().expect("a number")
    }

    /// Attaches, looks at it, lets it go on to its end.
    fn record<T>(mut self, recorder: Recorder, look: impl FnOnce(&Self) -> T) -> (Recorded, T) {
        let attached = recorder.attach(&[self.pid()]);
        let looked = look(&self);
        let mut input = self.child.stdin.take().expect("piped");
        input.write_all(b"g").expect("it reads");
        let status = wait::exit("the actor", &mut self.child);
        assert!(status.success(), "{status}");
        self.lines.read_line(&mut String::new()).expect("text");
        (recorder.finish(attached.output()), looked)
    }
}

/// The actor, ready for a script.
fn actor() -> Command {
    Command::new(&*ACTOR)
}

fn detail(row: &Row) -> &Value {
    row.get("detail")
}

#[test]
fn credentials_and_namespaces_are_those_of_procfs() {
    let found = Found::start(
        &mut actor(),
        "unshare CLONE_NEWNS|CLONE_NEWUTS|CLONE_NEWIPC setgid 7 setuid 5 print ready read 0 1",
    );
    let pid = found.pid();
    let (run, expected) = found.record(Recorder::new(), |found| {
        let hex = |label: &str| i64::from_str_radix(&found.status(label), 16).expect("hex");
        let [uts, ipc, cgroup, time] =
            ["uts", "ipc", "cgroup", "time"].map(|name| found.namespace(name));
        let fields = json!({
            "uid": 5, "euid": 5, "gid": 7, "egid": 7,
            "caps_effective": hex("CapEff:"), "caps_permitted": hex("CapPrm:"),
            "mnt_ns": found.namespace("mnt"), "net_ns": found.namespace("net"),
            "pid_ns": found.namespace("pid"), "user_ns": found.namespace("user"),
        });
        let detail = json!({
            "suid": 5, "fsuid": 5, "sgid": 7, "fsgid": 7,
            "uts_ns": uts, "ipc_ns": ipc, "cgroup_ns": cgroup, "time_ns": time,
            "caps_bounding": found.status("CapBnd:"), "caps_ambient": found.status("CapAmb:"),
            "caps_inheritable": found.status("CapInh:"), "no_new_privs": false,
            "threads": 1,
        });
        (fields, detail)
    });
    let row = run.rows.only("process.snapshot", &json!({ "pid": pid }));
    row.expect(&expected.0);
    for (name, value) in expected.1.as_object().expect("an object") {
        assert_eq!(&detail(row)[name], value, "{name} of {row:?}");
    }
    assert_ne!(detail(row)["uts_ns"], json!(own_namespace("uts")));
}

fn own_namespace(name: &str) -> i64 {
    let link = fs::read_link(format!("/proc/self/ns/{name}")).expect("a link");
    let text = link.to_str().expect("text").to_owned();
    text.split(['[', ']'])
        .nth(1)
        .expect("brackets")
        .parse()
        .expect("a number")
}

/// The environment in the record of a process found with this one.
fn environment(recorder: Recorder) -> (Value, String) {
    let mut command = actor();
    command.env_clear();
    command.envs([
        ("HOME", "/root"),
        ("MY_TOKEN", "0wl"),
        ("URL", "http://a:secr1t@h/"),
    ]);
    command.env("TEXT", "a \"b\"\n\u{1b}[31m");
    let found = Found::start(&mut command, "print ready read 0 1");
    let pid = found.pid();
    let (run, ()) = found.record(recorder, |_| ());
    let row = run.rows.only("process.snapshot", &json!({ "pid": pid }));
    (detail(row).clone(), format!("{row:?}"))
}

#[test]
fn of_the_environment_only_names_are_recorded() {
    let (detail, row) = environment(Recorder::new());
    assert_eq!(
        detail["environment"],
        json!(["HOME", "MY_TOKEN", "TEXT", "URL"])
    );
    assert!(!row.contains("0wl") && !row.contains("/root"), "{row}");
}

#[test]
fn values_are_recorded_when_asked_for_without_secrets() {
    let (detail, row) = environment(Recorder::new().option("--environment=values"));
    let shown = json!([
        "HOME=/root",
        "MY_TOKEN",
        "TEXT=a \"b\"\\x0a\\x1b[31m",
        "URL"
    ]);
    assert_eq!(detail["environment"], shown);
    assert_eq!(detail["environment_redacted"], json!(["MY_TOKEN", "URL"]));
    assert!(!row.contains("0wl") && !row.contains("secr1t"), "{row}");
    let (detail, _) = environment(Recorder::new().option("--environment=none"));
    assert_eq!(detail.get("environment"), None);
}
