//! Real programs that nobody here wrote: recorded and compared with strace in the same run; and a browser, which
//! opens what `lineage report` makes, and what `lineage export` makes for Perfetto.
//!
//! These need the package registries, and programs that a machine may lack: `cargo xtask programs`
//! installs these and runs them. What is missing fails with its name.

mod browser;
mod perfetto;
mod report;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lineage_tests::oracle::together;
use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::json;

/// Runs a shell script in an empty directory under both, and compares.
fn shell(recorder: Recorder, script: &str, allowed: &[(&str, &str)]) -> Recorded {
    let work = recorder.path("work");
    fs::create_dir_all(&work).expect("writable");
    together::compare(
        recorder,
        ["/bin/bash", "-e", "-c", script],
        |command| {
            command
                .current_dir(&work)
                .env("HOME", &work)
                .env("PATH", path());
        },
        allowed,
    )
}

/// Where programs are found: not through wrappers that choose a version.
fn path() -> String {
    let python = asked(
        "python3",
        &["-c", "import sys; print(sys.base_prefix + '/bin')"],
    );
    format!("{python}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
}

/// What a program says about this machine.
fn asked(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

fn write(recorder: &Recorder, name: &str, text: &str) -> PathBuf {
    fs::create_dir_all(recorder.path("work")).expect("writable");
    recorder.file(&format!("work/{name}"), text)
}

/// BLAKE3's implementation in C, with its own Makefile, as Cargo has it.
fn c_program() -> PathBuf {
    let host = asked("rustc", &["--print", "host-tuple"]);
    let only = ["--offline", "--filter-platform", &host];
    let metadata = asked(
        "cargo",
        &[&["metadata", "--format-version", "1"], &only[..]].concat(),
    );
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let blake3 = packages.iter().find(|package| package["name"] == "blake3");
    let manifest = blake3.and_then(|package| package["manifest_path"].as_str());
    let manifest = Path::new(manifest.expect("the workspace uses blake3"));
    manifest.parent().expect("in a directory").join("c")
}

#[test]
fn git_clone_and_build_of_a_c_program() {
    let recorder = Recorder::new();
    let origin = recorder.path("origin");
    let made = Command::new("/bin/bash")
        .args([
            "-ec",
            "cp -rL \"$1\" \"$2\"; cd \"$2\"; git init -q; git add -A; git commit -qm x",
            "-",
        ])
        .args([c_program().as_os_str(), origin.as_os_str()])
        .envs([
            ("GIT_AUTHOR_NAME", "A"),
            ("GIT_AUTHOR_EMAIL", "a@example.invalid"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "A"),
            ("GIT_COMMITTER_EMAIL", "a@example.invalid"),
        ])
        .status();
    assert!(made.expect("bash").success());
    let script = format!(
        "git clone -q file://{} clone; cd clone; make -s -f Makefile.testing -j2 all 'CC=gcc -DBLAKE3_TESTING'; \
         echo hello > text; ./blake3 < text",
        origin.display()
    );
    let run = shell(recorder, &script, &[]);
    let built = run.rows.all(
        "process.exec",
        &json!({ "result": 0, "filename": "./blake3" }),
    );
    assert_eq!(built.len(), 1);
    assert!(run.rows.all("file.rename", &json!({ "result": 0 })).len() > 3);
}

#[test]
fn pip_install_into_a_venv() {
    let script = "python3 -m venv venv; venv/bin/pip install --quiet --no-cache-dir requests; \
                  venv/bin/python -c 'import requests; print(requests.__version__)'";
    let run = shell(Recorder::new(), script, &[]);
    assert!(
        !run.rows
            .all("net.connect", &json!({ "transport": "tcp" }))
            .is_empty()
    );
}

#[test]
fn npm_install() {
    let recorder = Recorder::new();
    write(
        &recorder,
        "package.json",
        r#"{ "name": "x", "version": "1.0.0", "private": true }"#,
    );
    let script = "npm install --no-audit --no-fund --loglevel=error yargs; \
                  node -e 'console.log(require(\"yargs/package.json\").version)'";
    let run = shell(recorder, script, &[]);
    assert!(
        !run.rows
            .all("net.connect", &json!({ "transport": "tcp" }))
            .is_empty()
    );
}

#[test]
fn python_multiprocessing() {
    let recorder = Recorder::new();
    let script = write(&recorder, "pool.py", include_str!("pool.py"));
    let run = shell(recorder, &format!("python3 {}", script.display()), &[]);
    assert!(run.rows.all("process.fork", &json!({})).len() > 5);
}

#[test]
fn node_worker_threads() {
    let recorder = Recorder::new();
    let script = write(&recorder, "workers.js", include_str!("workers.js"));
    let run = shell(recorder, &format!("node {}", script.display()), &[]);
    assert!(run.rows.all("thread.start", &json!({})).len() > 4);
    // The compiler of JavaScript makes what it writes executable.
    assert!(!run.rows.all("process.execmem", &json!({})).is_empty());
}

#[test]
fn process_substitution() {
    let script = "seq 1 500 > numbers; \
                  paste <(sort -r numbers) <(shuf numbers | sort -n | tee >(wc -l > count)) | awk '{ s += $1 * $2 } END { print s }' > sum; \
                  diff <(cut -c1 numbers) <(cut -c1 numbers | tac | tac) && comm -3 <(sort numbers) <(sort -u numbers) > same";
    let run = shell(Recorder::new(), script, &[]);
    assert!(run.rows.all("process.exec", &json!({ "result": 0 })).len() > 12);
}

#[test]
fn a_container_of_busybox() {
    let recorder = Recorder::new();
    let root = recorder.path("root");
    for directory in ["bin", "proc", "tmp"] {
        fs::create_dir_all(root.join(directory)).expect("writable");
    }
    fs::copy("/usr/bin/busybox", root.join("bin/busybox"))
        .or_else(|_| fs::copy("/bin/busybox", root.join("bin/busybox")))
        .expect("busybox is installed (package busybox-static)");
    let inside = "/bin/busybox mount -t proc proc /proc; /bin/busybox --install -s /bin; cd /tmp; \
                  echo inside > a; cat a | sort > b; mv b c; ln -s c d; ls -l / > listing; hostname box; \
                  mkdir -p e/f; rm -r e; umount /proc";
    let script = format!(
        "unshare --mount --uts --ipc --net --pid --fork chroot {} /bin/busybox sh -e -c '{inside}'",
        root.display()
    );
    let run = shell(recorder, &script, INSIDE);
    let entered = run.rows.only("process.chroot", &json!({ "result": 0 }));
    assert_eq!(entered.bytes("path"), root.as_os_str().as_encoded_bytes());
}

/// Right, because only the container has this file system: there is no path on the host. strace shows the
/// path in the container's copy of the host's mounts.
const INSIDE: &[(&str, &str)] = &[
    ("\"/proc/PID/mounts\", 3", "as the container sees it"),
    ("/proc/1/mounts\", 3", "as strace shows it"),
];

#[test]
fn every_program_is_there() {
    for program in [
        "git", "make", "cc", "python3", "node", "npm", "unshare", "strace", "chromium",
    ] {
        let found = path()
            .split(':')
            .any(|directory| Path::new(directory).join(OsStr::new(program)).exists());
        assert!(found, "{program} is not installed");
    }
}
