//! What is found at attach: everything a process is and has, compared with procfs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use lineage_agent::names::OpenFlags;
use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::{Row, Rows};
use lineage_tests::wait;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

/// A process that was there before anything was recorded, and goes on when it is told.
pub(crate) struct Found {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Found {
    /// Starts the actor with this script, which must print `ready` and then read from its input.
    pub(crate) fn start(command: &mut Command, script: &str) -> Self {
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

    /// Its open descriptors, by number; of a thread with its own the thread's.
    fn descriptors(&self, task: &str) -> BTreeMap<i64, Descriptor> {
        let directory = format!("/proc/{}{task}/fd", self.pid());
        let entries = fs::read_dir(&directory).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let numbers = names.map(|name| name.to_str().expect("text").parse().expect("a number"));
        numbers
            .map(|fd: i64| (fd, self.descriptor(task, fd)))
            .collect()
    }

    fn descriptor(&self, task: &str, fd: i64) -> Descriptor {
        let path = format!("/proc/{}{task}/fd/{fd}", self.pid());
        let info = self.procfs(&format!("{}/fdinfo/{fd}", task.trim_start_matches('/')));
        let field = |label: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(label));
            line.expect("a line").trim()
        };
        let link = fs::read_link(&path).expect("a link");
        let data = fs::metadata(&path).expect("a file");
        Descriptor {
            link: link.to_str().expect("text").to_owned(),
            position: field("pos:").parse().expect("a number"),
            flags: OpenFlags::of_host(u32::from_str_radix(field("flags:"), 8).expect("octal")).0,
            dev: data.dev(),
            ino: data.ino(),
            mode: data.mode(),
            size: data.size(),
        }
    }

    /// Attaches, looks at it, lets it go on to its end.
    pub(crate) fn record<T>(
        mut self,
        recorder: Recorder,
        look: impl FnOnce(&Self) -> T,
    ) -> (Recorded, T) {
        let attached = recorder.attach(&[self.pid()]);
        let looked = look(&self);
        self.go_on();
        (recorder.finish(attached.output()), looked)
    }

    /// Lets it go on to its end.
    fn go_on(&mut self) {
        let mut input = self.child.stdin.take().expect("piped");
        input.write_all(b"g").expect("it reads");
        let status = wait::exit("the actor", &mut self.child);
        assert!(status.success(), "{status}");
        self.lines.read_line(&mut String::new()).expect("text");
    }
}

/// What procfs says of a descriptor.
#[derive(Debug)]
struct Descriptor {
    link: String,
    position: i64,
    flags: i64,
    dev: u64,
    ino: u64,
    mode: u32,
    size: u64,
}

impl Descriptor {
    fn expect(&self, row: &Row) {
        let path = self.link.strip_suffix(" (deleted)").unwrap_or(&self.link);
        let notes = (path != self.link).then_some("unlinked");
        row.expect(&json!({
            "path": path, "offset": self.position, "flags": self.flags, "dev": self.dev,
            "ino": self.ino, "mode": self.mode, "size": self.size, "notes": notes,
            "origin": "snapshot", "result": null,
        }));
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

#[test]
fn open_files_are_those_of_procfs_with_their_positions() {
    let recorder = Recorder::new();
    let read = recorder.file("read", "0123456789").display().to_string();
    let log = recorder.path("log").display().to_string();
    let gone = recorder.file("gone", "0123456789").display().to_string();
    let directory = recorder.path("").display().to_string();
    let found = Found::start(
        &mut actor(),
        &format!(
            "open @a {read} O_RDONLY read @a 3 dup @b @a open @l {log} O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC \
             write @l 5 open @g {gone} O_RDWR read @g 10 unlink {gone} memfd @m name write @m 7 \
             open @n /dev/null O_RDWR open @d {directory} O_RDONLY|O_DIRECTORY pipe @r @w cloexec @r \
             fork @c [ read @r 4 ] print ready read 0 1 write @w 4 wait @c read @b 2 dup2 @b @n close @l \
             close-range @d @d exit 0"
        ),
    );
    let pid = found.pid();
    let (run, expected) = found.record(recorder, |found| {
        let children = found.procfs(&format!("task/{}/children", found.pid()));
        (found.descriptors(""), children.trim().to_owned())
    });
    let (expected, child) = expected;
    let rows = run.rows.all("file.snapshot", &json!({ "pid": pid }));
    assert_eq!(rows.len(), expected.len(), "{rows:#?} {expected:#?}");
    let by_fd: BTreeMap<i64, &Row> = rows.iter().map(|row| (row.int("fd"), *row)).collect();
    let snapshot = run.rows.only("process.snapshot", &json!({ "pid": pid }));
    for (fd, descriptor) in &expected {
        descriptor.expect(by_fd[fd]);
        by_fd[fd].expect(&json!({
            "cause": snapshot.int("seq"), "process_uid": snapshot.text("process_uid"),
            "exec": 0, "comm": "actor", "tid": null,
        }));
    }
    // What was found is known when it is used and closed.
    run.rows.none("file.inherit", &json!({}));
    let closed = |path: &str, by: &str| {
        let close = json!({ "path": path, "closed_by": by, "pid": pid });
        let close = run.rows.only("file.close", &close);
        assert_eq!(
            by_fd[&close.int("fd")].int("seq"),
            close.int("opened"),
            "{close:?}"
        );
        (close.int("bytes_read"), close.int("bytes_written"))
    };
    assert_eq!(closed("/dev/null", "replace"), (0, 0));
    assert_eq!(closed(&log, "close"), (0, 0));
    assert_eq!(
        closed(directory.trim_end_matches('/'), "close_range"),
        (0, 0)
    );
    assert_eq!(closed(&read, "exit"), (2, 0));
    both_ends_of_the_pipe(
        &run.rows,
        &expected,
        pid.into(),
        child.parse().expect("a number"),
    );
}

/// Both ends of the pipe in both processes are one, and so is what went through it.
fn both_ends_of_the_pipe(
    rows: &Rows,
    expected: &BTreeMap<i64, Descriptor>,
    parent: i64,
    child: i64,
) {
    let ends = expected
        .values()
        .filter(|descriptor| descriptor.link.starts_with("pipe:"));
    let mut ends: Vec<_> = ends.collect();
    ends.sort_by_key(|end| end.ino);
    let pipe = ends.windows(2).find(|pair| pair[0].ino == pair[1].ino);
    let pipe = pipe.expect("both ends of a pipe")[0];
    let ends = json!({ "dev": pipe.dev, "ino": pipe.ino });
    let ends: HashSet<(i64, i64)> = rows
        .all("file.snapshot", &ends)
        .iter()
        .map(|row| (row.int("pid"), row.int("flags") & 1))
        .collect();
    let all = [parent, child]
        .into_iter()
        .flat_map(|pid| [(pid, 0), (pid, 1)]);
    assert_eq!(ends, all.collect());
    for (pid, read, written) in [(parent, 0, 4), (child, 4, 0)] {
        let close = json!({ "pid": pid, "ino": pipe.ino, "closed_by": "exit" });
        rows.only("file.close", &close)
            .expect(&json!({ "bytes_read": read, "bytes_written": written }));
    }
}

/// A process with a FIFO that this one has open too, a pipe to two children, and one nobody else has; it
/// and these, ascending.
fn with_pipes(recorder: Recorder, fifo: &Path) -> (Recorded, Vec<i64>) {
    mknodat(CWD, fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("root may");
    let held = fs::File::options().read(true).write(true).open(fifo);
    let held = held.expect("our own");
    let child = "close @w write @b 1 close @b read @r 1";
    let found = Found::start(
        actor().stderr(Stdio::null()),
        &format!(
            "open @f {} O_WRONLY pipe @r @w pipe @a @b fork @c [ {child} ] read @a 1 \
             fork @d [ {child} ] read @a 1 close @r close @b pipe @x @y close @y print ready read 0 1 \
             write @w 2 wait @c wait @d exit 0",
            fifo.display()
        ),
    );
    let (run, mut children) = found.record(recorder, |found| {
        let children = found.procfs(&format!("task/{}/children", found.pid()));
        let pids = children.split_whitespace();
        pids.map(|pid| pid.parse::<i64>().expect("a number"))
            .collect::<Vec<_>>()
    });
    drop(held);
    children.sort_unstable();
    (run, children)
}

#[test]
fn who_holds_the_other_end_of_a_pipe_is_found_recorded_or_not() {
    let recorder = Recorder::new();
    let fifo = recorder.path("fifo");
    let (run, children) = with_pipes(recorder, &fifo);
    let (me, first) = (i64::from(std::process::id()), children[0]);
    let root = run.rows.only("process.snapshot", &json!({ "ppid": me }));
    let snapshot = |pid: i64, path: &str, access: i64| -> Vec<&Row> {
        let rows = run.rows.all("file.snapshot", &json!({ "pid": pid }));
        rows.into_iter()
            .filter(|row| row.text("path").starts_with(path) && row.int("flags") & 3 == access)
            .collect()
    };
    let pid = root.int("pid");
    // Of the test's own process there is nothing else in the evidence.
    for (path, access) in [
        ("pipe:", 0),
        ("pipe:", 1),
        (fifo.to_str().expect("text"), 1),
    ] {
        let row = snapshot(pid, path, access)[0];
        row.expect(&json!({ "peer_pid": me, "peer_uid": null, "origin": "snapshot" }));
    }
    let uid = |pid: i64| {
        let snapshot = run.rows.only("process.snapshot", &json!({ "pid": pid }));
        snapshot.text("process_uid")
    };
    // It may have been given pipes that are nothing to this test.
    let ends = |row: &Row| {
        let ends = json!({ "ino": row.int("ino") });
        let ends = run.rows.all("file.snapshot", &ends).into_iter();
        ends.map(|row| (row.int("pid"), row.int("flags") & 3))
            .collect::<HashSet<_>>()
    };
    let expected = children.iter().map(|child| (*child, 0)).chain([(pid, 1)]);
    let expected: HashSet<_> = expected.collect();
    let mut writing = snapshot(pid, "pipe:", 1).into_iter();
    let to_children = writing.find(|row| ends(row) == expected);
    let to_children = to_children.expect("the pipe to its children");
    to_children.expect(&json!({ "peer_pid": first, "peer_uid": uid(first) }));
    assert_eq!(detail(to_children)["holders"], json!(children));
    for child in &children {
        let ends = json!({ "pid": child, "ino": to_children.int("ino") });
        let read = run.rows.only("file.snapshot", &ends);
        read.expect(&json!({ "peer_pid": pid, "peer_uid": uid(pid) }));
        assert_eq!(detail(read).get("holders"), None);
    }
    let mut reading = snapshot(pid, "pipe:", 0).into_iter();
    let unheld = reading.find(|row| ends(row).len() == 1);
    let unheld = unheld.expect("the one whose other end it has closed");
    unheld.expect(&json!({ "peer_pid": null }));
    assert_eq!(detail(unheld).get("holders"), None);
    let listed = Command::new(&*LINEAGE)
        .arg("ls")
        .arg(&run.evidence.directory)
        .output();
    let listed = String::from_utf8(listed.expect("it runs").stdout).expect("text");
    assert!(listed.contains(&format!("with process {me}")), "{listed}");
}

#[test]
fn sockets_are_found_with_both_ends() {
    let recorder = Recorder::new();
    let path = recorder.path("socket").display().to_string();
    let found = Found::start(
        &mut actor(),
        &format!(
            "socketpair @a @b dgram socket @l inet stream bind @l 127.0.0.1:0 listen @l \
             socket @c inet stream connect @c @l accept @s @l \
             socket @ul unix stream bind @ul unix:{path} listen @ul socket @uc unix stream \
             connect @uc unix:{path} accept @us @ul socket @n inet dgram \
             print ready read 0 1 send @c 5 recv @s 5 close @c close @us exit 0"
        ),
    );
    let pid = found.pid();
    let (run, expected) = found.record(recorder, |found| {
        let all = found.descriptors("").into_iter();
        let sockets = all.filter(|(_, descriptor)| descriptor.link.starts_with("socket:"));
        sockets
            .map(|(fd, descriptor)| (fd, descriptor.ino))
            .collect::<Vec<_>>()
    });
    let rows = run.rows.all("net.snapshot", &json!({ "pid": pid }));
    let found: Vec<(i64, u64)> = rows
        .iter()
        .map(|row| (row.int("fd"), row.int("ino").cast_unsigned()))
        .collect();
    assert_eq!(found, expected);
    let [a, b, listening, client, server, named, from, to, unused] = rows.as_slice() else {
        panic!("{rows:#?}")
    };
    for (one, other, transport) in [(a, b, "unix-dgram"), (from, to, "unix-stream")] {
        for (one, other) in [(one, other), (other, one)] {
            one.expect(&json!({
                "transport": transport, "peer_ino": other.int("ino"), "peer_pid": pid,
            }));
        }
    }
    from.expect(&json!({ "peer_addr": path, "local_addr": null }));
    to.expect(&json!({ "local_addr": path, "peer_addr": null }));
    named.expect(&json!({ "local_addr": path, "peer_ino": null }));
    let port = listening.int("local_port");
    listening.expect(&json!({ "local_addr": "127.0.0.1", "peer_addr": null, "peer_port": null }));
    client.expect(&json!({ "peer_addr": "127.0.0.1", "peer_port": port, "peer_ino": null }));
    server.expect(&json!({ "local_port": port, "peer_port": client.int("local_port") }));
    unused.expect(&json!({ "transport": "udp", "local_port": null }));
    run.rows.none("net.inherit", &json!({}));
    for (opened, read, written) in [(client, 0, 5), (server, 5, 0), (to, 0, 0)] {
        run.rows
            .only("net.close", &json!({ "opened": opened.int("seq") }))
            .expect(&json!({ "bytes_read": read, "bytes_written": written }));
    }
}

#[test]
fn a_thread_with_its_own_descriptors_is_told_apart() {
    let recorder = Recorder::new();
    let [one, two] = ["one", "two"].map(|name| recorder.file(name, "x").display().to_string());
    let found = Found::start(
        &mut actor(),
        &format!(
            "pipe @r @w thread @t [ unshare CLONE_FILES close @w open @f {two} O_RDONLY print ready read @r 1 ] \
             thread @s [ read @r 1 ] open @f {one} O_RDONLY read 0 1 write @w 2 join @t join @s exit 0"
        ),
    );
    let pid = found.pid();
    wait::until("the file", || {
        let all = found.descriptors("");
        all.values()
            .any(|descriptor| descriptor.link == one)
            .then_some(())
    });
    let (run, (process, thread, tid)) = found.record(recorder, |found| {
        let tasks = fs::read_dir(format!("/proc/{}/task", found.pid())).expect("a directory");
        let tids = tasks.map(|task| task.expect("an entry").file_name());
        let mut tids: Vec<i64> = tids
            .map(|tid| tid.to_str().expect("text").parse().expect("a number"))
            .collect();
        tids.sort_unstable();
        let tid = tids[1];
        (
            found.descriptors(""),
            found.descriptors(&format!("/task/{tid}")),
            tid,
        )
    });
    for (tid, expected) in [(Value::Null, process), (json!(tid), thread)] {
        let rows = run
            .rows
            .all("file.snapshot", &json!({ "pid": pid, "tid": tid }));
        assert_eq!(rows.len(), expected.len(), "{rows:#?}");
        for row in rows {
            expected[&row.int("fd")].expect(row);
        }
    }
}

#[test]
fn mapped_files_are_those_of_procfs() {
    let recorder = Recorder::new();
    let model = recorder.file("model", [1; 70_000]).display().to_string();
    let library = recorder.file("library", [2; 9000]).display().to_string();
    let found = Found::start(
        &mut actor(),
        &format!(
            "open @m {model} O_RDONLY map @m 4096 0 PROT_READ MAP_PRIVATE map @m 4096 65536 PROT_READ MAP_PRIVATE \
             close @m open @l {library} O_RDONLY map @l 4096 4096 PROT_READ|PROT_EXEC MAP_PRIVATE close @l \
             unlink {library} memfd @s shared write @s 10 map @s 4096 0 PROT_READ|PROT_WRITE MAP_SHARED \
             print ready read 0 1 exit 0"
        ),
    );
    let pid = found.pid();
    let (run, maps) = found.record(recorder, |found| found.procfs("maps"));
    // Start, end, protection, offset, inode and path of each mapping of a file.
    let mut expected: Vec<Vec<&str>> = maps
        .lines()
        .map(|line| line.splitn(6, ' ').map(str::trim).collect())
        .filter(|words: &Vec<&str>| words[5].starts_with('/'))
        .collect();
    // Of what is only read, the first.
    let matters = |words: &[&str]| words[1].contains('x') || words[1].ends_with('s');
    let important: HashSet<&str> = expected
        .iter()
        .filter(|words| matters(words))
        .map(|words| words[4])
        .collect();
    let mut seen = HashSet::new();
    expected
        .retain(|words| matters(words) || (!important.contains(words[4]) && seen.insert(words[4])));
    // The program, the library, the shared memory and the model; linked dynamically, some more.
    assert!(expected.len() >= 4, "{maps}");
    let rows = run.rows.all("file.map", &json!({ "pid": pid }));
    assert_eq!(rows.len(), expected.len(), "{rows:#?} {maps}");
    for words in expected {
        let (start, end) = words[0].split_once('-').expect("two addresses");
        let address = |hex| format!("{:#x}", u64::from_str_radix(hex, 16).expect("hexadecimal"));
        let detail = json!({ "start": address(start), "end": address(end) });
        let row = run
            .rows
            .only("file.map", &json!({ "pid": pid, "detail": detail }));
        let path = words[5].strip_suffix(" (deleted)").unwrap_or(words[5]);
        row.expect(&json!({
            "path": path, "protection": words[1], "origin": "snapshot",
            "offset": i64::from_str_radix(words[2], 16).expect("hex"),
            "ino": words[4].parse::<i64>().expect("a number"),
            "notes": (path != words[5]).then_some("unlinked"),
        }));
    }
}

#[test]
fn a_file_mapped_from_a_layer_is_the_one_the_process_sees() {
    let recorder = Recorder::new();
    let directory = |name: &str| {
        let path = recorder.path(name);
        fs::create_dir(&path).expect("a directory");
        path.display().to_string()
    };
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(directory);
    let _ = recorder.file("lower/library", [3; 5000]);
    let found = Found::start(
        &mut actor(),
        &format!(
            "unshare CLONE_NEWNS call @o mount =overlay ={merged} =overlay 0 \
             =lowerdir={lower},upperdir={upper},workdir={work} ; open @l {merged}/library O_RDONLY \
             map @l 4096 0 PROT_READ|PROT_EXEC MAP_PRIVATE print @o print ready read 0 1 exit 0"
        ),
    );
    let (run, maps) = found.record(recorder, |found| found.procfs("maps"));
    let path = format!("{merged}/library");
    let map = run.rows.only("file.map", &json!({ "path": path }));
    // The process has it in a mount namespace of its own.
    map.expect(&json!({ "notes": "not-on-host" }));
    let open = run.rows.only("file.snapshot", &json!({ "path": path }));
    assert!(maps.contains(&path), "{maps}");
    for field in ["dev", "ino", "size", "mtime_ns"] {
        assert_eq!(map.get(field), open.get(field), "{field}: {map:?} {open:?}");
    }
}

#[test]
fn what_was_open_before_has_its_digest() {
    let recorder = Recorder::new();
    let model = recorder.file("model.gguf", "weights").display().to_string();
    let script = format!("open @m {model} O_RDONLY print ready read 0 1 read @m 7 exit 0");
    let (run, ()) = Found::start(&mut actor(), &script).record(recorder, |_| ());
    let snapshot = run.rows.only("file.snapshot", &json!({ "path": model }));
    run.rows.none("file.inherit", &json!({ "path": model }));
    run.rows
        .only("file.digest", &json!({ "path": model }))
        .expect(&json!({
            "cause": snapshot.int("seq"), "blake3": blake3::hash(b"weights").to_hex().as_str(),
        }));
}

/// Open files a process of these tests may have.
pub(crate) fn descriptors_max() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).expect("allowed");
    limit.maximum.unwrap_or(1 << 20)
}

#[test]
fn a_hundred_thousand_descriptors_are_all_recorded_in_little_memory() {
    const ALL: u64 = 100_000;
    const RSS_BYTES_MAX: u64 = 160 << 20;
    let recorder = Recorder::new();
    let file = recorder.file("file", "0123456789").display().to_string();
    let each = ALL.min(descriptors_max() - 300);
    let processes = ALL.div_ceil(each);
    let found = Found::start(
        &mut actor(),
        &format!(
            "open @f {file} O_RDONLY pipe @r @w repeat {each} [ dup @d @f ] \
             repeat {} [ fork @c [ read @r 1 close-range @f 2000000 exit 0 ] ] \
             print ready read 0 1 write @w {processes} close-range @f 2000000 repeat {} [ wait -1 ] exit 0",
            processes - 1,
            processes - 1
        ),
    );
    let expected = found.descriptors("");
    let attached = recorder.attach(&[found.pid()]);
    let (pid, peak) = (found.pid(), attached.peak_rss_bytes());
    let mut found = found;
    found.go_on();
    let run = recorder.finish(attached.output());

    let opened = run.rows.all("file.snapshot", &json!({ "path": file }));
    let all = u64::try_from(opened.len()).expect("not that many");
    assert_eq!(all, processes * (each + 1));
    let fds: Vec<i64> = opened
        .iter()
        .filter(|row| row.get("pid") == pid)
        .map(|row| row.int("fd"))
        .collect();
    let of_file = expected
        .iter()
        .filter(|(_, descriptor)| descriptor.link == file);
    assert_eq!(fds, of_file.map(|(fd, _)| *fd).collect::<Vec<_>>());
    // Each was closed once, by one call for all.
    let closed = run.rows.all(
        "file.close",
        &json!({ "path": file, "closed_by": "close_range" }),
    );
    let closed: HashSet<i64> = closed.iter().map(|row| row.int("opened")).collect();
    assert_eq!(closed, opened.iter().map(|row| row.int("seq")).collect());
    assert!(peak < RSS_BYTES_MAX, "{peak} bytes");
}

#[test]
fn what_changes_while_it_is_looked_at_is_told_once() {
    // Enough for a recorder that was built for debugging.
    let recorder = Recorder::new().option("--bulk-ring=134217728");
    let file = recorder.file("file", "0123456789").display().to_string();
    let stop = recorder.path("stop");
    let churn = format!(
        "open @a {file} O_RDONLY read @a 1 dup @b @a dup2 @b @a read @b 1 close @b pipe @r @w write @w 1 \
         read @r 1 dup2 @r @a close @r close @w close @a socketpair @x @y stream send @x 1 recv @y 1 \
         close @x close-range @y @y"
    );
    let again = format!("until {} [ {churn} ]", stop.display());
    // Two threads in one process, one in another.
    let script =
        format!("fork @c [ {again} ] thread @t [ {again} ] print ready {again} join @t wait @c");
    let mut found = Found::start(&mut actor(), &format!("{script} read 0 1 exit 0"));
    let attached = recorder.attach(&[found.pid()]);
    fs::write(&stop, "").expect("writable");
    found.go_on();
    let run = recorder.finish(attached.output());
    assert_eq!(run.rows.all("process.snapshot", &json!({})).len(), 2);
    told_once(&run.rows);
}

/// Nothing is closed twice; and what is closed as what was found is what has been at that number since.
fn told_once(rows: &Rows) {
    let mut closed = HashSet::new();
    let mut touched: HashMap<(i64, i64), &Row> = HashMap::new();
    for row in &rows.0 {
        let kind = row.text("kind");
        let Some(fd) = row.get("fd").as_i64() else {
            continue;
        };
        let used = ["file.read", "file.write", "net.send", "net.receive"].contains(&kind);
        if kind.ends_with(".snapshot") || used {
            continue;
        }
        let at = (row.int("pid"), fd);
        if let Some(opened) = row.get("opened").as_i64() {
            assert!(closed.insert(opened), "{row:?}");
            let opened = rows.at(opened);
            let since = touched
                .get(&at)
                .filter(|last| last.int("time_ns") > opened.int("time_ns"));
            if opened.text("kind").ends_with(".snapshot") {
                assert!(since.is_none(), "{opened:?}\n{since:?}\n{row:?}");
            }
            assert!(
                opened.int("time_ns") <= row.int("time_ns"),
                "{opened:?}\n{row:?}"
            );
        }
        touched.insert(at, row);
    }
}
