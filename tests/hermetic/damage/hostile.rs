//! Evidence made to harm the verifier: no panic, no hang, no unbounded memory, and never a good
//! verdict.

use std::fs;
use std::time::{Duration, Instant};

use lineage_agent::verify::{Code, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::sample::{Host, OPEN, SEALED};
use super::{assert_says, codes, verify_alone};

/// Parquet files that are none.
#[test]
fn foreign_bytes_are_refused() {
    let whole = fs::read(SEALED.copy().segment(0)).unwrap();
    let footer = whole.len() - 8;
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("magic only", b"PAR1".to_vec()),
        ("twice the magic", b"PAR1PAR1".to_vec()),
        ("zeros", vec![0; 100_000]),
        ("no data", [b"PAR1", &whole[footer - 4000..]].concat()),
        (
            "text",
            b"PAR1 these are not the records you are looking for PAR1".to_vec(),
        ),
    ];
    for length in [0, 1, u32::MAX, i32::MAX.unsigned_abs(), 1 << 28] {
        let mut bytes = whole.clone();
        bytes[footer..footer + 4].copy_from_slice(&length.to_le_bytes());
        cases.push(("a wrong footer length", bytes));
    }
    for (what, bytes) in cases {
        let copy = SEALED.copy();
        fs::write(copy.segment(0), bytes).unwrap();
        let report = verify_alone(copy.temp.path(), &copy.trust);
        assert_says(&report, Verdict::Tampered, Code::SegmentUnreadable, what);
    }
}

/// A size costs nothing to claim.
#[test]
fn a_log_of_any_claimed_size_is_looked_at_in_time() {
    let copy = SEALED.copy();
    copy.edit("log/checkpoint", |bytes| {
        let note = String::from_utf8(std::mem::take(bytes)).unwrap();
        *bytes = note
            .replacen("\n4\n", "\n9223372036854775807\n", 1)
            .into_bytes();
    });
    fs::copy(
        copy.path("manifests/0000000000"),
        copy.path("manifests/9223372036854775806"),
    )
    .unwrap();
    let start = Instant::now();
    let report = verify_alone(copy.temp.path(), &copy.trust);
    assert!(
        codes(&report).contains(&Code::FileMissing),
        "{}",
        report.text()
    );
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn thousands_of_strange_files_do_not_flood_the_report() {
    let copy = SEALED.copy();
    for number in 0..3000 {
        fs::write(copy.path(&format!("manifests/{:010}", 100 + number)), "x").unwrap();
        fs::write(copy.path(&format!("artifacts/{number:064x}")), "x").unwrap();
    }
    let report = verify_alone(copy.temp.path(), &copy.trust);
    assert_says(&report, Verdict::Tampered, Code::ArtifactBad, "a flood");
    assert!(report.findings.len() < 200);
    assert!(report.more.iter().map(|more| more.count).sum::<usize>() > 5000);
}

/// Bytes changed, put in, taken out and repeated.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, u8),
    Set(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |position: usize| position % bytes.len();
        match *self {
            _ if bytes.is_empty() => {}
            Self::Flip(position, bit) => {
                let at = at(position);
                bytes[at] ^= 1 << (bit % 8);
            }
            Self::Set(position, byte) => {
                let at = at(position);
                bytes[at] = byte;
            }
            Self::Cut(position, length) => {
                let at = at(position);
                let end = (at + length % 64 + 1).min(bytes.len());
                drop(bytes.drain(at..end));
            }
            Self::Repeat(position, length) => {
                let at = at(position);
                let end = (at + length % 64 + 1).min(bytes.len());
                let part = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, part));
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<usize>(), any::<usize>()).prop_map(|(at, length)| Change::Cut(at, length)),
        (any::<usize>(), any::<usize>()).prop_map(|(at, length)| Change::Repeat(at, length)),
    ]
}

/// Any changes to any file: never a panic, never a hang, and a good verdict only for bytes that
/// carry nothing, which is then said.
fn any_change_is_noticed(host: &Host, cases: u32) {
    let copy = host.copy();
    let files = copy.files();
    let changes = (
        any::<prop::sample::Index>(),
        prop::collection::vec(change(), 1..4),
    );
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    // The same cases in every run.
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let test = |(file, changes): (prop::sample::Index, Vec<Change>)| {
        let file = file.get(&files);
        let before = fs::read(copy.path(file)).unwrap();
        copy.edit(file, |bytes| {
            changes.iter().for_each(|change| change.apply(bytes));
        });
        let changed = fs::read(copy.path(file)).unwrap() != before;
        let report = verify_alone(copy.temp.path(), &copy.trust);
        fs::write(copy.path(file), &before).unwrap();
        let said = [Code::ReEncoded, Code::Unsealed];
        let good = report.verdict.exit_code() == 0;
        let excused = !changed || codes(&report).iter().any(|code| said.contains(code));
        // A tile of a smaller size is not needed, but has to be right.
        prop_assert!(!good || excused, "{file}:\n{}", report.text());
        Ok(())
    };
    TestRunner::new_with_rng(config, random)
        .run(&changes, test)
        .unwrap();
}

#[test]
fn any_change_to_sealed_evidence_is_noticed() {
    any_change_is_noticed(&SEALED, 200);
}

#[test]
fn any_change_to_open_evidence_is_noticed() {
    any_change_is_noticed(&OPEN, 200);
}
