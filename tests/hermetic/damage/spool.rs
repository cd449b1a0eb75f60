//! Unsealed records: what is committed is proven, what follows is not, and nothing is made up.

use lineage_agent::verify::{Code, Report, Verdict};

use super::sample::{Copy, OPEN};
use super::{assert_found, assert_says, codes, verify};

const SPOOL: &str = "spool/0000000001.spool";

/// Where each frame begins, with its type, and where the last ends.
fn frames(bytes: &[u8]) -> Vec<(usize, u8)> {
    let (mut frames, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        frames.push((at, bytes[at + 4]));
        let (len, _) = bytes[at..].split_first_chunk().unwrap();
        at += 9 + u32::from_le_bytes(*len) as usize;
    }
    frames.push((at, 0));
    frames
}

fn damaged(edit: impl FnOnce(&mut Vec<u8>)) -> Copy {
    let copy = OPEN.copy();
    copy.edit(SPOOL, edit);
    copy
}

fn counts(report: &Report) -> (u64, u64) {
    (report.hosts[0].committed, report.hosts[0].uncommitted)
}

#[test]
fn records_up_to_the_last_commit_are_proven() {
    let report = verify(&OPEN.evidence(), &OPEN.root());
    assert_says(&report, Verdict::Verified, Code::Unsealed, "killed");
    assert_says(&report, Verdict::Verified, Code::LogOpen, "killed");
    assert_eq!(report.hosts[0].records, 30);
    assert_eq!(report.hosts[0].committed, 30);
}

#[test]
fn cut_at_any_frame_it_is_what_a_crash_leaves() {
    let bytes = std::fs::read(OPEN.copy().path(SPOOL)).unwrap();
    let mut committed = 0;
    let mut records = 0;
    for (at, kind) in frames(&bytes) {
        for torn in [0, 3] {
            let copy = damaged(|bytes| bytes.truncate(at + torn));
            let report = verify(copy.temp.path(), &copy.trust);
            if at == 0 {
                assert_says(
                    &report,
                    Verdict::Incomplete,
                    Code::SpoolMissing,
                    "no header",
                );
                continue;
            }
            assert_eq!(report.verdict, Verdict::Verified, "{}", report.text());
            let expected = (committed, records - committed);
            assert_eq!(counts(&report), expected, "{at} {torn}\n{}", report.text());
        }
        match kind {
            2 => records += 1,
            3 => committed = records,
            _ => {}
        }
    }
    assert_eq!((committed, records), (30, 30));
}

#[test]
fn damage_before_a_commit_is_no_crash() {
    let bytes = std::fs::read(OPEN.copy().path(SPOOL)).unwrap();
    let frames = frames(&bytes);
    let last_commit = frames.iter().rposition(|(_, kind)| *kind == 3).unwrap();
    for (index, (at, kind)) in frames[..last_commit].iter().enumerate().step_by(3) {
        let middle = (at + frames[index + 1].0) / 2;
        for (what, byte) in [
            ("length", *at),
            ("type", at + 4),
            ("payload", middle),
            ("check", frames[index + 1].0 - 1),
        ] {
            let copy = damaged(|bytes| bytes[byte] ^= 1);
            assert_found(
                &copy,
                Verdict::Tampered,
                Code::SpoolBad,
                &format!("{what} of frame {index}, type {kind}"),
            );
        }
    }
}

#[test]
fn frames_removed_repeated_and_exchanged_are_noticed() {
    let bytes = std::fs::read(OPEN.copy().path(SPOOL)).unwrap();
    let frames = frames(&bytes);
    let range = |index: usize| frames[index].0..frames[index + 1].0;
    let copy = damaged(|bytes| drop(bytes.drain(range(5))));
    assert_found(&copy, Verdict::Tampered, Code::SpoolBad, "a record removed");
    let copy = damaged(|bytes| {
        let again = bytes[range(5)].to_vec();
        drop(bytes.splice(range(5).start..range(5).start, again));
    });
    assert_found(
        &copy,
        Verdict::Tampered,
        Code::SpoolBad,
        "a record repeated",
    );
    let copy = damaged(|bytes| bytes[range(5).start..range(6).end].rotate_left(range(5).len()));
    assert_found(
        &copy,
        Verdict::Tampered,
        Code::SpoolBad,
        "records exchanged",
    );
    let copy = damaged(|bytes| drop(bytes.drain(range(0))));
    assert_found(&copy, Verdict::Tampered, Code::SpoolBad, "no header");
    let copy = damaged(|bytes| {
        let header = bytes[range(0)].to_vec();
        bytes.extend(header);
    });
    assert_found(&copy, Verdict::Tampered, Code::SpoolBad, "a second header");
}

/// A record whose frame is made up proves nothing: it counts as uncommitted.
#[test]
fn records_made_up_after_the_last_commit_are_not_proven() {
    let copy = damaged(|bytes| {
        let frames = frames(bytes);
        let record = bytes[frames[1].0..frames[2].0].to_vec();
        bytes.extend(record);
    });
    let report = assert_found(&copy, Verdict::Verified, Code::Unsealed, "made up");
    assert_eq!(counts(&report), (30, 1));
}

#[test]
fn a_spool_that_is_gone_is_missed() {
    let copy = OPEN.copy();
    std::fs::remove_file(copy.path(SPOOL)).unwrap();
    assert_found(&copy, Verdict::Incomplete, Code::SpoolMissing, "removed");
}

/// A Parquet file for a segment that is still being written is nobody's.
#[test]
fn a_segment_file_without_its_seal_is_foreign() {
    let copy = OPEN.copy();
    let there = copy.segment(0);
    std::fs::copy(&there, there.with_file_name("0000000001.parquet")).unwrap();
    assert_found(
        &copy,
        Verdict::Tampered,
        Code::FileForeign,
        "not sealed yet",
    );
}

#[test]
fn the_spool_of_another_segment_or_log_does_not_pass() {
    let copy = OPEN.copy();
    std::fs::rename(copy.path(SPOOL), copy.path("spool/0000000002.spool")).unwrap();
    let report = verify(copy.temp.path(), &copy.trust);
    assert_says(&report, Verdict::Incomplete, Code::SpoolMissing, "renamed");
    let copy = OPEN.copy();
    std::fs::copy(copy.path(SPOOL), copy.path("spool/0000000002.spool")).unwrap();
    let report = verify(copy.temp.path(), &copy.trust);
    assert_eq!(report.verdict, Verdict::Tampered, "{}", report.text());
    assert!(codes(&report).contains(&Code::SpoolBad));
}
