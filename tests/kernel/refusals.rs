//! What cannot work is refused in one sentence, with a status of its own and nothing half-written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use lineage_tests::evidence::Verdict;
use lineage_tests::programs::{ACTOR, LINEAGE, lineage_for_everybody};
use lineage_tests::recorder::Recorder;

/// Fails unless the output is a refusal: one line that has these words, and this status.
pub(crate) fn assert_refused(output: &Output, status: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    let [line] = lines.as_slice() else {
        panic!("not one sentence: {stderr}")
    };
    assert!(line.starts_with("lineage: cannot "), "{line}");
    for word in words {
        assert!(line.contains(word), "no {word:?} in: {line}");
    }
    assert!(output.stdout.is_empty(), "{output:?}");
}

/// A recording into where there can be no directory.
pub(crate) fn into_nowhere(recorder: &Recorder) -> Command {
    let mut command = Command::new(&*LINEAGE);
    command
        .args(["record", "-o", "/proc/evidence", "--keys"])
        .arg(recorder.path("keys"));
    command
}

/// Runs the actor under the recorder; it would create `proof`.
pub(crate) fn attempt(recorder: &Recorder, command: &mut Command) -> Output {
    let proof = recorder.path("proof");
    command.arg("--").arg(&*ACTOR).arg("mkdir").arg(&proof);
    let output = command.output().expect("the lineage binary runs");
    assert!(!proof.exists(), "the command ran all the same");
    output
}

/// Fails if there is anything in the directory, or the directory itself is new.
fn assert_nothing_written(directory: &Path) {
    let entries = fs::read_dir(directory).map_or(0, Iterator::count);
    assert_eq!(entries, 0, "{} has entries", directory.display());
}

#[test]
fn without_root() {
    let recorder = Recorder::without_keys();
    fs::set_permissions(recorder.path(""), fs::Permissions::from_mode(0o777)).expect("ours");
    let (_directory, program) = lineage_for_everybody();
    let mut command = Command::new(program);
    command.args(recorder.command().get_args());
    let output = attempt(&recorder, command.uid(65534).gid(65534));
    assert_refused(&output, 125, &["root"]);
    assert!(!recorder.path("evidence").exists());
    assert!(!recorder.path("keys").exists());
}

#[test]
fn no_such_process() {
    let recorder = Recorder::new();
    // Above the largest process id there can be.
    let output = recorder
        .command()
        .args(["-p", "4194305"])
        .output()
        .expect("the binary runs");
    assert_refused(&output, 125, &["4194305", "no such process"]);
    assert!(!recorder.path("evidence").exists());
}

#[test]
fn no_such_command() {
    let recorder = Recorder::new();
    let mut command = recorder.command();
    let output = command
        .args(["--", "no-such-command"])
        .output()
        .expect("the binary runs");
    assert_refused(&output, 127, &["no-such-command", "not found"]);
    assert!(!recorder.path("evidence").exists());
}

#[test]
fn a_command_that_is_no_program() {
    let recorder = Recorder::new();
    let file = recorder.file("file", "");
    let output = recorder
        .command()
        .arg("--")
        .arg(&file)
        .output()
        .expect("the binary runs");
    assert_refused(&output, 126, &["file", "permission denied"]);
    assert!(!recorder.path("evidence").exists());
}

#[test]
fn a_directory_that_is_not_empty() {
    let recorder = Recorder::new();
    fs::create_dir(recorder.path("evidence")).expect("writable");
    let other = recorder.file("evidence/other", "precious");
    let output = attempt(&recorder, &mut recorder.command());
    assert_refused(&output, 125, &["evidence", "not empty"]);
    assert_eq!(fs::read(other).expect("it is there"), b"precious");
    assert_eq!(
        fs::read_dir(recorder.path("evidence"))
            .expect("it is there")
            .count(),
        1
    );
}

#[test]
fn a_file_in_the_way() {
    let recorder = Recorder::new();
    let file = recorder.file("evidence", "precious");
    let output = attempt(&recorder, &mut recorder.command());
    assert_refused(&output, 125, &["evidence", "Not a directory"]);
    assert_eq!(fs::read(file).expect("it is there"), b"precious");
}

#[test]
fn a_directory_that_cannot_be_made() {
    let recorder = Recorder::new();
    let output = attempt(&recorder, &mut into_nowhere(&recorder));
    assert_refused(&output, 125, &["/proc/evidence"]);
}

#[test]
fn keys_are_made_on_first_use_and_their_root_is_told() {
    let run = Recorder::without_keys().script("exit 0");
    assert!(
        run.stderr().contains(&run.evidence.trust()),
        "{}",
        run.stderr()
    );
}

#[test]
fn new_keys_are_told_whatever_else_is_not() {
    let run = Recorder::without_keys().option("-q").script("exit 0");
    let said = run.stderr();
    assert!(said.contains(&run.evidence.trust()), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let run = Recorder::without_keys().option("--json").script("exit 0");
    let summary: serde_json::Value =
        serde_json::from_str(&run.stderr()).expect("one JSON object and nothing else");
    let warning = summary["warnings"][0].as_str().expect("a sentence");
    assert!(warning.contains(&run.evidence.trust()), "{warning}");
    assert_eq!(Recorder::new().option("-q").script("exit 0").stderr(), "");
}

#[test]
fn keys_that_others_can_read() {
    let recorder = Recorder::new().script("exit 0").recorder;
    fs::remove_dir_all(recorder.path("evidence")).expect("our own");
    let keys = recorder.path("keys");
    for (path, mode, good) in [
        (keys.clone(), 0o755, 0o700),
        (keys.join("host.key"), 0o644, 0o600),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
        let output = attempt(&recorder, &mut recorder.command());
        assert_refused(&output, 125, &[path.to_str().expect("UTF-8")]);
        assert!(!recorder.path("evidence").exists());
        fs::set_permissions(&path, fs::Permissions::from_mode(good)).expect("ours");
    }
}

/// A small file system in memory at a path, gone at the end.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(path: &'a Path, options: &str) -> Self {
        fs::create_dir(path).expect("writable");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "small"])
            .arg(path)
            .status();
        assert!(
            status.expect("mount runs").success(),
            "cannot mount {options}"
        );
        Self(path)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // Lazily: a failing test may have left a process inside.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_file_system_that_is_read_only() {
    let recorder = Recorder::new();
    let path = recorder.path("evidence");
    let _small = Small::mount(&path, "ro,size=1m");
    let output = attempt(&recorder, &mut recorder.command());
    assert_refused(&output, 125, &["evidence", "Read-only"]);
    assert_nothing_written(&path);
}

#[test]
fn a_disk_that_is_full_from_the_beginning() {
    let recorder = Recorder::new();
    let path = recorder.path("evidence");
    let _small = Small::mount(&path, "size=8k");
    let output = attempt(&recorder, &mut recorder.command());
    assert_refused(&output, 125, &["evidence", "space"]);
    assert_nothing_written(&path);
}

#[test]
fn a_disk_that_is_full_when_the_context_changes() {
    let recorder = Recorder::new();
    let path = recorder.path("evidence");
    let _small = Small::mount(&path, "size=6m");
    let mut child = recorder.start("write 1 1 read 0 1 exit 0");
    let out = child.stdout.as_mut().expect("piped");
    std::io::Read::read_exact(out, &mut [0]).expect("the actor writes");
    let filler = vec![0; 8 << 20];
    std::fs::write(path.join("filler"), filler).expect_err("more than there is room for");
    let place = recorder.path("change");
    let _change = Small::mount(&place, "size=8k");
    let output = child.wait_with_output().expect("our own child");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(stderr.contains("space"), "{stderr}");
    let report = recorder.evidence().verify();
    assert_eq!(report.verdict, Verdict::VerifiedWithLoss, "{report:?}");
}

#[test]
fn a_disk_that_fills_up_on_the_way() {
    let recorder = Recorder::new();
    let path = recorder.path("evidence");
    let _small = Small::mount(&path, "size=6m");
    let file = recorder.file("file", "").display().to_string();
    let script = format!("repeat 100000 [ open @f {file} O_RDONLY close @f ] exit 0");
    let actor = ACTOR.to_str().expect("UTF-8");
    let words = std::iter::once(actor).chain(script.split_whitespace());
    let output = recorder
        .command()
        .arg("--")
        .args(words)
        .output()
        .expect("the binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(stderr.contains("space"), "{stderr}");
    assert!(
        stderr.contains("goes on unrecorded, `lineage seal "),
        "{stderr}"
    );
    let report = recorder.evidence().verify();
    let honest = [Verdict::VerifiedWithLoss, Verdict::Incomplete];
    assert!(honest.contains(&report.verdict), "{report:?}");
}

#[test]
fn leaving_out_what_others_depend_on() {
    for (kind, words) in [
        (
            "file.read",
            "leave out file.read: not a kind that can be left out",
        ),
        (
            "file.rmdir",
            "leave out file.rmdir: not without file.unlink",
        ),
    ] {
        let recorder = Recorder::new().option(format!("--leave-out={kind}"));
        let output = attempt(&recorder, &mut recorder.command());
        assert_refused(&output, 125, &[words]);
        assert_nothing_written(&recorder.path("evidence"));
    }
}
