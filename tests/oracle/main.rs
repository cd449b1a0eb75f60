//! strace as the oracle: what it shows of a workload is what the evidence must show, and nothing else.
//!
//! Each workload runs twice from the same beginning in the same place, once under `strace -f` and once
//! under `lineage record`. Every recorded call of one must be in the other with the same resolved path or
//! address and the same result; of calls that move bytes, the totals of each file. Which calls are compared
//! how, and which are not and why: `oracle::table`. strace resolves the path of an opened file through
//! procfs, so the two ways of knowing have nothing in common.

mod bytes;
mod odd;
mod system;

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use lineage_tests::oracle::totals::{Whose, added_up};
use lineage_tests::oracle::{calls, report, strace, together};
use lineage_tests::recorder::Recorder;

/// Where the workloads find what they call.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Differences that are right, each with its reason. None is known.
const ALLOWED: &[(&str, &str)] = &[];

/// Runs the workload both ways and compares.
fn compare(program: &str, name: &str, text: &str) {
    let recorder = Recorder::new();
    let script = recorder.file(name, text);
    let work = recorder.path("work");
    let servers = Servers::start(&recorder.path("socket"));
    let words = [
        program,
        script.to_str().expect("UTF-8"),
        &servers.port,
        &servers.path,
    ];

    prepare(&work);
    let traced = strace::run(&recorder.path("traces"), |command| {
        environment(command.args(words), &work);
    });
    fs::remove_dir_all(&work).expect("our own");
    prepare(&work);
    let mut command = recorder.command();
    environment(command.arg("--").args(words), &work);
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("the lineage binary runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let run = recorder.finish(output);

    calls::check_executables(&run.rows);
    let traced = added_up(traced, Whose::All);
    let recorded = added_up(calls::of_rows(&run.rows), Whose::All);
    assert!(traced.len() > 50, "strace saw only {} calls", traced.len());
    report(&traced, &recorded, ALLOWED);
}

/// The same beginning for both runs.
fn prepare(work: &Path) {
    fs::create_dir_all(work.join("directory/below")).expect("writable");
    fs::write(work.join("data"), "north 1200\nsouth 800\n").expect("writable");
    fs::write(work.join("directory/below/file"), "deep").expect("writable");
    std::os::unix::fs::symlink("directory/below", work.join("link")).expect("writable");
}

/// The same surroundings for both runs; threads and housekeeping that would make descriptors and
/// names depend on the moment are off.
fn environment(command: &mut Command, work: &Path) {
    command
        .current_dir(work)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", work)
        .env("LC_ALL", "C");
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONHASHSEED", "0");
    let settings = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "A"),
        ("GIT_AUTHOR_EMAIL", "a@example.invalid"),
        ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z"),
        ("GIT_COMMITTER_NAME", "A"),
        ("GIT_COMMITTER_EMAIL", "a@example.invalid"),
        ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z"),
        ("GIT_CONFIG_COUNT", "4"),
        ("GIT_CONFIG_KEY_0", "maintenance.auto"),
        ("GIT_CONFIG_VALUE_0", "false"),
        ("GIT_CONFIG_KEY_1", "pack.threads"),
        ("GIT_CONFIG_VALUE_1", "1"),
        ("GIT_CONFIG_KEY_2", "core.preloadIndex"),
        ("GIT_CONFIG_VALUE_2", "false"),
        ("GIT_CONFIG_KEY_3", "protocol.file.allow"),
        ("GIT_CONFIG_VALUE_3", "always"),
    ];
    command.envs(settings);
}

/// Servers the workloads connect to, the same for both runs.
struct Servers {
    port: String,
    path: String,
}

impl Servers {
    fn start(path: &Path) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let port = tcp.local_addr().expect("bound").port().to_string();
        let unix = UnixListener::bind(path).expect("writable");
        std::thread::spawn(move || tcp.incoming().for_each(drop));
        std::thread::spawn(move || unix.incoming().for_each(drop));
        Self {
            port,
            path: path.display().to_string(),
        }
    }
}

#[test]
fn shell() {
    compare("/bin/bash", "shell.sh", include_str!("shell.sh"));
}

#[test]
fn plain_shell() {
    compare("/bin/sh", "plain.sh", include_str!("plain.sh"));
}

/// Not a wrapper that chooses a version, which some machines have under this name.
fn interpreter() -> String {
    let asked = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output();
    let python = String::from_utf8(asked.expect("python3 is installed").stdout).expect("text");
    python.trim().to_owned()
}

#[test]
fn python() {
    compare(&interpreter(), "python.py", include_str!("python.py"));
}

/// In one and the same run, because it does many things at once.
#[test]
fn descriptors_of_python() {
    let recorder = Recorder::new();
    let script = recorder.file("descriptors.py", include_str!("descriptors.py"));
    let work = recorder.path("work");
    fs::create_dir(&work).expect("writable");
    let words = [Path::new(&interpreter()).to_path_buf(), script];
    let renamed = "a close has the name that the file had when it was opened";
    let handle = "strace does not tell what a descriptor made of a handle leads to";
    let allowed = [
        ("of a handle", handle),
        ("work/handled\", ", handle),
        ("work/first\", 0, 10): strace 1", renamed),
        ("work/second\", 0, 5): strace 1", renamed),
        ("work/first\", 0, 15): strace 0", renamed),
    ];
    together::compare(
        recorder,
        words,
        |command| environment(command, &work),
        &allowed,
    );
}

#[test]
fn git() {
    compare("/bin/sh", "git.sh", include_str!("git.sh"));
}
