//! The evidence in the engines that people read it with: DuckDB, Spark, ClickHouse, polars and pandas.
//!
//! `check.py` compares every record an engine reads, what the views in `sql/` say and what the examples beside them give with
//! what `truth.py` works out from `lineage ls --ndjson`. `cargo xtask test` installs the engines.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use lineage_tests::evidence::Verdict;
use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::Recorder;
use lineage_tests::wait;

/// Names of files that a query could stumble over, a file written twice, a fork by a thread, a connection, and what fails.
const WORK: &str = r#"
cd "$1"
printf one > $'new\nline'; printf three > $'quo"te\'s'; printf four > 'back\slash'; printf ten > $'na\xc3\xafve'
cat $'new\nline' $'quo"te\'s' 'back\slash' $'na\xc3\xafve' > $'\xff\xfe raw'
sh -c 'tr a-z A-Z < "$1" | sort > upper' - $'\xff\xfe raw'
(cat upper > again; cat $'no\xff\nname')
echo one > twice; echo two >> twice
./no-such-program
python3 - <<END
import mmap, os, socket, threading
with open("twice", "a") as file:
    try:
        mmap.mmap(file.fileno(), 1, prot=mmap.PROT_READ | mmap.PROT_EXEC)
    except PermissionError:
        pass
thread = threading.Thread(target=lambda: os.fork() or os._exit(0))
thread.start()
thread.join()
os.wait()
server = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    client = socket.create_connection(server.getsockname())
    client.sendall(b"hello")
    os._exit(len(client.recv(10)))
end, _ = server.accept()
end.sendall(end.recv(10))
os.wait()
END
true
"#;

/// What there is to check: the evidence of two hosts in `run1`, what `lineage ls` says of it in `ndjson`, and the views. Then the
/// records of the first host are there once more as another's, so that what is not taken by host is wrong. It stays, to be looked at.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("consumers");
    let _ = fs::remove_dir_all(&place);
    let evidence = place.join("run1");
    fs::create_dir_all(&evidence).expect("writable");
    for recorder in [twice(), governed()] {
        copy(&recorder.path("evidence/."), &evidence);
    }
    let printed = File::create(place.join("ndjson")).expect("writable");
    let mut list = Command::new(&*LINEAGE);
    list.arg("ls").arg(&evidence).arg("--ndjson");
    let listed = list.stdout(printed).status();
    assert!(listed.expect("the lineage binary runs").success());
    let hosts = fs::read_dir(&evidence).expect("readable");
    let first = hosts.map(|host| host.expect("readable").path()).min();
    let first = first.expect("two hosts");
    let twin = format!("host={}", "f".repeat(32));
    copy(&first, &evidence.join(twin));
    let mut index = Command::new(&*LINEAGE);
    index.current_dir(&place).env("XDG_CACHE_HOME", &place);
    let indexed = index.args(["index", "run1", "-o", "tables"]).status();
    assert!(indexed.expect("the lineage binary runs").success());
    for folder in ["sql", "docs"] {
        symlink(repository().join(folder), place.join(folder)).expect("writable");
    }
    place
});

/// A host on which was recorded twice.
fn twice() -> Recorder {
    let recorder = Recorder::new();
    let work = recorder.path("work");
    fs::create_dir(&work).expect("writable");
    for _ in 0..2 {
        let words = ["/bin/bash", "-c", WORK, "-"].map(OsStr::new);
        record(&recorder, &[], &[&words[..], &[work.as_os_str()]].concat());
    }
    assert_eq!(recorder.evidence().verify().verdict, Verdict::Verified);
    recorder
}

/// A host on which something was denied, the recorder was killed, and then more happened than there was room for.
fn governed() -> Recorder {
    let rules = r#"@id("all") permit (principal, action, resource);
        @id("secret") forbid (principal, action, resource is File) when { resource.path == "ROOT/secret" };"#;
    let recorder = Recorder::new().policy(rules, "enforce");
    let secret = recorder.file("secret", "").display().to_string();
    let words = ["/bin/bash", "-c", "cat \"$1\"; true", "-", &secret].map(OsStr::new);
    record(&recorder, &[], &words);
    crash(&recorder);
    let open = recorder.file("open", "").display().to_string();
    let script = format!("repeat 5000 [ open @f {open} O_RDONLY close @f ]");
    let script = format!("fork @b [ {script} ] {script} wait @b");
    let mut words = vec![ACTOR.as_os_str()];
    words.extend(script.split_whitespace().map(OsStr::new));
    record(&recorder, &["--bulk-ring", "4096"], &words);
    let verdict = recorder.evidence().verify().verdict;
    assert_eq!(verdict, Verdict::VerifiedWithLoss);
    recorder
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(copied.expect("cp runs").success());
}

/// Leaves the log as a recorder does that is killed.
fn crash(recorder: &Recorder) {
    let mut command = recorder.command();
    command.args(["--append", "--"]).arg(&*ACTOR);
    command.args(["print", "ready", "read", "0", "1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the lineage binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    wait::line(&mut lines, "ready", |line| line == "ready");
    child.kill().expect("our own child");
    child.wait().expect("our own child");
}

/// Records a command that must succeed, in a log that goes on.
fn record(recorder: &Recorder, options: &[&str], words: &[&OsStr]) {
    let mut command = recorder.command();
    command.arg("--append").args(options).arg("--").args(words);
    let output = command.stdin(Stdio::null()).output();
    let output = output.expect("the lineage binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Has an engine read it all, in the Python environment that `cargo xtask test` prepares.
fn check(engine: &str) {
    let python = repository().join("target/consumers/bin/python");
    let missing = "target/consumers is missing; `cargo xtask test` prepares it";
    assert!(python.exists(), "{missing}");
    let mut check = Command::new(python);
    check
        .env("LINEAGE_BIN", &*LINEAGE)
        .arg("-B")
        .arg(repository().join("tests/consumers/check.py"));
    let output = check.args([engine, "ndjson"]).current_dir(&*PLACE);
    let output = output.output().expect("Python runs");
    let found = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{found}\n{said}");
    println!("{found}");
}

#[test]
fn duckdb() {
    check("duckdb");
}

#[test]
fn spark() {
    check("spark");
}

#[test]
fn clickhouse() {
    check("clickhouse");
}

#[test]
fn polars() {
    check("polars");
}

#[test]
fn pandas() {
    check("pandas");
}
