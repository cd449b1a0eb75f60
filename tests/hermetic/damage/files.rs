//! Files removed, replaced, cut, exchanged and added.

use std::fs;
use std::path::Path;

use lineage_agent::verify::{Code, Verdict};
use rustix::fs::{FileType, Mode, mknodat};

use super::sample::{Copy, SEALED};
use super::{assert_clean, assert_found, assert_says, codes, verify};

/// Files the evidence can do without: tiles of smaller sizes.
fn is_needed(file: &str) -> bool {
    !file.starts_with("log/tile/") || file == "log/tile/0/000.p/4"
}

/// What it is called when the contents of a file are not right.
fn spoiled(file: &str) -> &'static [Code] {
    match file.split('/').next().unwrap() {
        "events" => &[
            Code::SegmentUnreadable,
            Code::RowsChanged,
            Code::RowsMissing,
            Code::RowsAdded,
            Code::ColumnForeign,
        ],
        "manifests" => &[Code::LogRoot],
        "blocks" => &[Code::BlocksBad],
        "epochs" if file == "epochs/enrolment" => &[Code::EnrolmentBad],
        "epochs" => &[Code::EpochKeyBad],
        "artifacts" => &[Code::ArtifactBad],
        _ if file.starts_with("log/tile") => &[Code::TileBad],
        _ => &[Code::CheckpointBad, Code::SignatureBad],
    }
}

#[test]
fn a_file_that_is_gone_is_missing_not_tampered_with() {
    for file in SEALED.copy().files() {
        let copy = SEALED.copy();
        fs::remove_file(copy.path(&file)).unwrap();
        if is_needed(&file) {
            assert_found(&copy, Verdict::Incomplete, Code::FileMissing, &file);
        } else {
            assert_clean(&verify(copy.temp.path(), &copy.trust));
        }
    }
}

#[test]
fn whatever_stands_in_place_of_a_file_is_not_read() {
    type Replace = (&'static str, fn(&Path));
    let replace: [Replace; 4] = [
        ("link", |path| {
            let outside = path.with_extension("moved");
            fs::rename(path, &outside).unwrap();
            let kept = tempfile::tempdir().unwrap().keep().join("file");
            fs::rename(&outside, &kept).unwrap();
            std::os::unix::fs::symlink(kept, path).unwrap();
        }),
        ("pipe", |path| special(path, FileType::Fifo)),
        ("socket", |path| special(path, FileType::Socket)),
        ("directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for file in SEALED.copy().files().iter().filter(|file| is_needed(file)) {
        for (what, replace) in replace {
            let copy = SEALED.copy();
            replace(&copy.path(file));
            assert_found(
                &copy,
                Verdict::Incomplete,
                Code::FileMissing,
                &format!("{file}: {what}"),
            );
        }
    }
}

fn special(path: &Path, file_type: FileType) {
    fs::remove_file(path).unwrap();
    mknodat(
        rustix::fs::CWD,
        path,
        file_type,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
}

#[test]
fn a_directory_that_is_a_link_is_not_entered() {
    for folder in ["events", "manifests", "log", "epochs", "log/tile"] {
        let copy = SEALED.copy();
        let kept = tempfile::tempdir().unwrap().keep().join("folder");
        // Across file systems a rename could fail: both are temporary directories.
        fs::rename(copy.path(folder), &kept).unwrap();
        std::os::unix::fs::symlink(kept, copy.path(folder)).unwrap();
        let report = assert_found(&copy, Verdict::Incomplete, Code::FileMissing, folder);
        let proven = match folder {
            "log/tile" => 4,
            "events" => 1, // the empty one
            _ => 0,
        };
        assert_eq!(report.hosts[0].segments_valid, proven, "{folder}");
    }
}

#[test]
fn a_cut_file_is_tampered_with() {
    for file in SEALED.copy().files() {
        for keep in [0, 1, 2, 3] {
            let copy = SEALED.copy();
            copy.edit(&file, |bytes| bytes.truncate(bytes.len() * keep / 4));
            let report = verify(copy.temp.path(), &copy.trust);
            let text = report.text();
            assert_eq!(
                report.verdict,
                Verdict::Tampered,
                "{file} {keep}/4:\n{text}"
            );
            let found = codes(&report)
                .iter()
                .any(|code| spoiled(&file).contains(code));
            assert!(found, "{file} {keep}/4:\n{text}");
        }
    }
}

#[test]
fn exchanged_files_are_tampered_with() {
    let swap = |copy: &Copy, one: &Path, other: &Path| {
        let aside = copy.path("aside");
        fs::rename(one, &aside).unwrap();
        fs::rename(other, one).unwrap();
        fs::rename(aside, other).unwrap();
    };
    for (one, other, code) in [
        (
            "manifests/0000000000",
            "manifests/0000000001",
            Code::ManifestBad,
        ),
        (
            "log/checkpoints/1",
            "log/checkpoints/3",
            Code::CheckpointBad,
        ),
        ("log/checkpoint", "log/checkpoints/3", Code::CheckpointBad),
        ("epochs/000000", "epochs/000001", Code::EpochKeyBad),
        (
            "manifests/0000000001",
            "log/checkpoints/1",
            Code::ManifestBad,
        ),
        ("log/tile/0/000.p/4", "epochs/000000", Code::TileBad),
    ] {
        let copy = SEALED.copy();
        swap(&copy, &copy.path(one), &copy.path(other));
        assert_found(
            &copy,
            Verdict::Tampered,
            code,
            &format!("{one} and {other}"),
        );
    }
    let copy = SEALED.copy();
    swap(&copy, &copy.segment(0), &copy.segment(1));
    let report = assert_found(
        &copy,
        Verdict::Tampered,
        Code::RowsMissing,
        "segments 0 and 1",
    );
    assert!(codes(&report).contains(&Code::RowsAdded));
    let copy = SEALED.copy();
    let artifacts: Vec<_> = copy
        .files()
        .into_iter()
        .filter(|file| file.starts_with("artifacts/"))
        .collect();
    swap(&copy, &copy.path(&artifacts[0]), &copy.path(&artifacts[1]));
    assert_found(&copy, Verdict::Tampered, Code::ArtifactBad, "artifacts");
}

#[test]
fn a_segment_in_the_wrong_folder_is_foreign_there() {
    let copy = SEALED.copy();
    let there = copy.path("events/date=2020-01-01");
    fs::create_dir(&there).unwrap();
    fs::rename(copy.segment(1), there.join("0000000001.parquet")).unwrap();
    assert_found(&copy, Verdict::Tampered, Code::FileForeign, "another date");
}

/// What a query over `host=*/events/**` would read must be signed.
#[test]
fn added_files_are_foreign_where_queries_look() {
    for file in [
        "events/date=2020-01-01/0000000099.parquet",
        "events/extra.parquet",
        "events/date=2020-01-01/notes",
    ] {
        let copy = SEALED.copy();
        fs::create_dir_all(copy.path(file).parent().unwrap()).unwrap();
        fs::copy(copy.segment(1), copy.path(file)).unwrap();
        assert_found(&copy, Verdict::Tampered, Code::FileForeign, file);
    }
    let copy = SEALED.copy();
    fs::create_dir_all(copy.temp.path().join("host=forged/events")).unwrap();
    assert_found(
        &copy,
        Verdict::Tampered,
        Code::FileForeign,
        "a host that is none",
    );
}

#[test]
fn added_files_elsewhere_are_noted() {
    for file in [
        "notes.txt",
        "log/notes",
        "epochs/notes",
        "artifacts/notes",
        "manifests/notes",
        "spool/notes",
    ] {
        let copy = SEALED.copy();
        fs::write(copy.path(file), "\u{1b}[31m").unwrap();
        assert_found(&copy, Verdict::Verified, Code::FileUnknown, file);
    }
    let copy = SEALED.copy();
    fs::write(copy.temp.path().join("README\u{1b}[31m"), "").unwrap();
    let report = verify(copy.temp.path(), &copy.trust);
    assert_says(
        &report,
        Verdict::Verified,
        Code::FileUnknown,
        "beside the hosts",
    );
    assert!(!report.text().contains('\u{1b}'));
    assert!(!serde_json::to_string(&report).unwrap().contains('\u{1b}'));
}

#[test]
fn two_adjacent_segments_removed_are_missed_and_the_rest_is_still_proven() {
    let copy = SEALED.copy();
    for segment in [1, 2] {
        let _ = fs::remove_file(copy.path(&format!("manifests/{segment:010}")));
        let _ = fs::remove_file(copy.path(&format!("log/checkpoints/{}", segment + 1)));
    }
    fs::remove_file(copy.segment(1)).unwrap();
    let report = assert_found(
        &copy,
        Verdict::Incomplete,
        Code::FileMissing,
        "1 and 2 removed",
    );
    assert_eq!(report.hosts[0].segments_valid, 2);
    assert_eq!(
        report.hosts[0].checkpoints_valid, 2,
        "the tiles stand in for the manifests"
    );
    // Closing the gap by giving the later ones their numbers does not help.
    fs::rename(
        copy.path("manifests/0000000003"),
        copy.path("manifests/0000000001"),
    )
    .unwrap();
    fs::copy(copy.path("log/checkpoint"), copy.path("log/checkpoints/2")).unwrap();
    assert_found(
        &copy,
        Verdict::Tampered,
        Code::ManifestBad,
        "3 renamed to 1",
    );
}
