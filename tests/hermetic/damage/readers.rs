//! Files whose rows are the signed ones to one reader and others to another: what a footer says beside
//! them decides which rows, columns and values an engine shows.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lineage_agent::verify::{Code, Options, Report, Trust, Verdict};

use super::sample::{Copy, SEALED};
use super::{assert_says, verify, verify_alone};

/// Writes the first segment anew, with what the case falsifies.
fn falsified(case: &str, many: u32) -> Copy {
    let copy = SEALED.copy();
    let (path, aside) = (copy.segment(0), copy.temp.path().join("aside"));
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/hermetic/damage/footers.py");
    let output = Command::new(lineage_tests::programs::python())
        .arg(program)
        .arg(case)
        .args([&path, &aside])
        .arg(many.to_string())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {errors}");
    std::fs::rename(aside, path).unwrap();
    copy
}

fn assert_case(
    case: &str,
    verdict: Verdict,
    code: Code,
    ask: fn(&std::path::Path, &str) -> Report,
) {
    let copy = falsified(case, 0);
    let report = ask(copy.temp.path(), &copy.trust);
    assert_says(&report, verdict, code, case);
}

#[test]
fn what_is_true_is_verified() {
    for case in ["unchanged", "true-statistics"] {
        assert_case(case, Verdict::Verified, Code::ReEncoded, verify);
    }
}

/// Of these the independent verifier knows as well.
#[test]
fn what_only_some_readers_see_is_tampering() {
    for case in [
        "dictionary-behind",
        "dictionary-of-another",
        "file-path",
        "names-exchanged",
        "columns-reversed",
        "group-rows",
        "all-rows",
        "values",
        "nulls",
        "bounds",
        "bounds-one",
        "bounds-number",
        "distinct",
        "arrow-schema",
    ] {
        // pyarrow cannot read some of them, or reads other rows: either way they are not verified.
        let copy = falsified(case, 0);
        let report = verify(copy.temp.path(), &copy.trust);
        assert_says(&report, Verdict::Tampered, Code::ReadersDisagree, case);
    }
}

/// Of these, pyarrow does not tell.
#[test]
fn what_engines_go_by_is_true() {
    for case in [
        "offset-index",
        "pages-behind",
        "field-id",
        "file-rows",
        "group-place",
        "sorted",
        "bounds-wide",
        "levels",
        "text-bytes",
        "encodings",
        "page-counts",
        "bloom",
    ] {
        assert_case(case, Verdict::Tampered, Code::ReadersDisagree, verify_alone);
    }
}

#[test]
fn columns_are_what_the_format_says() {
    for case in ["json", "not-utc", "unsigned"] {
        assert_case(
            case,
            Verdict::Tampered,
            Code::SegmentUnreadable,
            verify_alone,
        );
    }
    let copy = falsified("required", 0);
    let report = verify(copy.temp.path(), &copy.trust);
    assert_eq!(report.verdict, Verdict::Tampered, "{}", report.text());
}

#[test]
fn what_nobody_can_judge_is_not_verified() {
    for case in ["key-value", "unknown-field", "index-page"] {
        assert_case(case, Verdict::Unverifiable, Code::Unreadable, verify_alone);
    }
}

/// The verifier and the commands that read without verifying, in little memory and time.
#[test]
fn a_footer_cannot_cost_more_than_it_weighs() {
    const MEMORY_KB: &str = "400000";
    for (case, many) in [
        ("nested", 200_000),
        ("children", 0),
        ("many-columns", 900_000),
        ("many-key-values", 500_000),
        ("many-groups", 130),
        ("many-groups", 3000),
        ("empty-groups", 1000),
        ("empty-groups", 20_000),
    ] {
        let copy = falsified(case, many);
        for command in ["verify", "ls", "tree"] {
            let start = Instant::now();
            let mut shell = Command::new("sh");
            shell
                .args(["-c", r#"ulimit -v "$1"; shift; exec "$@""#, "sh", MEMORY_KB])
                .arg(lineage_tests::programs::LINEAGE.as_path())
                .arg(command)
                .arg(copy.temp.path());
            if command == "verify" {
                shell.args(["--threads", "2", "--trust", &copy.trust]);
            }
            let output = shell.output().unwrap();
            let what = format!(
                "{command} of {case} {many}: {:?} {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(matches!(output.status.code(), Some(1..=3)), "{what}");
            assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        }
    }
}

#[test]
fn only_original_files_can_be_demanded() {
    let options = Options {
        require: vec!["original".parse().unwrap()],
        ..Options::default()
    };
    for (copy, code) in [(SEALED.copy(), 0), (falsified("unchanged", 0), 1)] {
        let trust = Trust::parse(std::slice::from_ref(&copy.trust)).unwrap();
        let report =
            lineage_agent::verify::verify(copy.temp.path(), &trust, &options, &|_, _| ()).unwrap();
        assert_eq!(report.verdict, Verdict::Verified);
        assert_eq!(report.exit_code, code, "{}", report.text());
    }
}
