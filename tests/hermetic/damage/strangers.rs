//! What does not belong there, and what is not there yet: both verifiers say the same of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lineage_agent::verify::{Code, Verdict};
use lineage_tests::programs::{LINEAGE, lineage_for_everybody};
use rustix::fs::{FileType, Mode, mknodat};

use super::sample::{Copy, SEALED};
use super::{assert_found, codes};

/// Beside the hosts and in their folders: a query over `*` or `**` would read it.
#[test]
fn parquet_is_foreign_wherever_it_lies() {
    for file in [
        "../extra.parquet",
        "../backup/events/date=2026-11-24/0000000000.PARQUET",
        "extra.parquet",
        "extra/events/0000000000.parquet",
        "artifacts/extra.parquet",
        "manifests/extra.parquet",
        "spool/extra.parquet",
    ] {
        let copy = SEALED.copy();
        let path = copy.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(copy.segment(1), path).unwrap();
        assert_found(&copy, Verdict::Tampered, Code::FileForeign, file);
    }
    // Folders of notes are none.
    let copy = SEALED.copy();
    fs::create_dir(copy.temp.path().join("notes")).unwrap();
    fs::write(copy.temp.path().join("notes/todo"), "x").unwrap();
    assert_found(&copy, Verdict::Verified, Code::FileUnknown, "notes");
}

/// What a query may follow and a verifier does not.
#[test]
fn links_and_special_files_are_foreign_where_queries_look() {
    type Make = fn(&Copy, &Path);
    let elsewhere: Make = |copy, path| symlink(copy.path("artifacts"), path).unwrap();
    let file: Make = |copy, path| symlink(copy.segment(1), path).unwrap();
    let pipe: Make = |_, path| {
        let mode = Mode::from_raw_mode(0o600);
        mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0).unwrap();
    };
    for (name, make) in [
        ("events/date=2026-11-25", elsewhere),
        ("events/date=2026-11-24/more", file),
        ("events/more", pipe),
        ("../elsewhere", elsewhere),
        ("../host=00000000000000000000000000000000", elsewhere),
    ] {
        let copy = SEALED.copy();
        make(&copy, &copy.path(name));
        assert_found(&copy, Verdict::Tampered, Code::FileForeign, name);
    }
}

#[test]
fn folders_without_end_are_not_entered() {
    for below in ["events", "..", "../host=x"] {
        let copy = SEALED.copy();
        let mut path = copy.path(below);
        fs::create_dir_all(&path).unwrap();
        // As deep as one path can name.
        path.extend(std::iter::repeat_n("d", 1500));
        fs::create_dir_all(path).unwrap();
        assert_found(&copy, Verdict::Tampered, Code::FileForeign, below);
    }
}

/// The format calls a link or special file an absent one, and nothing asks for this artifact.
#[test]
fn an_artifact_nobody_names_may_be_absent() {
    let copy = SEALED.copy();
    let name = format!("artifacts/{}", "0".repeat(64));
    symlink("/dev/zero", copy.path(&name)).unwrap();
    assert_found(&copy, Verdict::Verified, Code::FileUnknown, "a link");
}

#[test]
fn a_checkpoint_over_the_limit_cannot_be_judged() {
    for bytes in [70_000, 1 << 20] {
        let copy = SEALED.copy();
        copy.edit("log/checkpoint", |note| {
            let line = format!("\u{2014} witness {}\n", "A".repeat(88));
            note.extend(line.repeat(bytes / line.len()).into_bytes());
        });
        assert_found(&copy, Verdict::Unverifiable, Code::Unreadable, "too large");
    }
}

/// What a recorder leaves that is killed before its first record.
#[test]
fn nothing_recorded_is_not_something_missing() {
    let empty: [fn(&Copy); 2] = [
        |copy| fs::remove_dir_all(&copy.dir).unwrap(),
        |copy| {
            for folder in ["events", "manifests", "blocks", "log", "spool"] {
                let _ = fs::remove_dir_all(copy.path(folder));
            }
        },
    ];
    for make in empty {
        let copy = SEALED.copy();
        make(&copy);
        fs::create_dir_all(copy.path("spool")).unwrap();
        let report = assert_found(&copy, Verdict::Unverifiable, Code::NothingRecorded, "empty");
        assert_eq!(codes(&report), [Code::NothingRecorded]);
        assert!(!report.text().contains("that was signed is not there"));
    }
}

fn run(command: &str, copy: &Copy, configure: impl FnOnce(&mut Command) -> &mut Command) -> Output {
    let mut run = Command::new(LINEAGE.as_path());
    run.arg(command).arg(copy.temp.path());
    if command == "verify" {
        run.args(["--trust", &copy.trust]);
    }
    run.stdout(Stdio::piped()).stderr(Stdio::piped());
    configure(&mut run);
    run.spawn().unwrap().wait_with_output().unwrap()
}

/// Listing shows what is there, and says what is not.
#[test]
fn a_missing_part_is_said_by_those_who_only_list() {
    type Remove = fn(&Copy);
    let cases: [(&str, Remove); 3] = [
        ("the Parquet file of segment 1", |copy| {
            fs::remove_file(copy.segment(1)).unwrap();
        }),
        ("segment 1", |copy| {
            fs::remove_file(copy.path("manifests/0000000001")).unwrap();
        }),
        ("segments 0 to 1", |copy| {
            fs::remove_file(copy.path("manifests/0000000000")).unwrap();
            fs::remove_file(copy.path("manifests/0000000001")).unwrap();
        }),
    ];
    for (missing, remove) in cases {
        for command in ["ls", "tree"] {
            let copy = SEALED.copy();
            let whole = run(command, &copy, |run| run);
            assert!(whole.status.success() && whole.stderr.is_empty());
            remove(&copy);
            let output = run(command, &copy, |run| run);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{command}: {said}");
            assert!(said.contains(missing), "{command}: {said}");
            assert!(!output.stdout.is_empty(), "{command} of {missing}");
        }
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_and_one_half_read_is_none() {
    let copy = SEALED.copy();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = run("verify", &copy, |run| run.stdout(full));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("lineage: cannot write to standard output: No space left"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(2));

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = run("verify", &copy, |run| run.stdout(writer));
    assert_eq!(output.status.code(), Some(0), "the verdict's status");
    assert!(output.stderr.is_empty());
}

#[test]
fn any_number_of_threads_may_be_asked_for() {
    let copy = SEALED.copy();
    let output = run("verify", &copy, |run| {
        run.args(["--threads", "18446744073709551615"])
    });
    assert!(output.status.success(), "{output:?}");
}

/// A reviewer without the right to look into a host's directory has found nothing out about it.
#[test]
fn what_a_user_may_not_read_is_no_tampering() {
    const NOBODY: u32 = 65_534;
    let copy = SEALED.copy();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(copy.temp.path());
    let (_directory, program) = lineage_for_everybody();
    let output = Command::new(program)
        .args(["verify", "--json", "--trust", &copy.trust])
        .arg(copy.temp.path())
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("\"UNVERIFIABLE\"") && said.contains("unreadable"),
        "{said}"
    );
}
