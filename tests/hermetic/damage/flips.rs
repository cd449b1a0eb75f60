//! Single bits flipped in every region of every file.

use lineage_agent::verify::{Code, Report, Verdict};

use super::sample::{Copy, Host, OPEN, SEALED, SMALL};
use super::{codes, independent, verify_alone};

/// Positions spread over a file: its ends and the middle of equal parts.
fn positions(bytes: usize, parts: usize) -> impl Iterator<Item = usize> {
    let inner = (0..parts).map(move |part| (2 * part + 1) * bytes / (2 * parts));
    [0, bytes - 1].into_iter().chain(inner)
}

/// What no flip may lead to: a good verdict although something that is proven changed.
fn assert_noticed(report: &Report, file: &str, what: &str) {
    let text = report.text();
    match report.verdict {
        Verdict::Tampered | Verdict::Incomplete | Verdict::Unverifiable => {}
        // Bytes of a Parquet file that carry no record, seen by the file's digest.
        Verdict::Verified if file.starts_with("events/") => {
            assert!(codes(report).contains(&Code::ReEncoded), "{what}:\n{text}");
        }
        // What follows the last commit that is whole counts as not proven.
        Verdict::Verified if file.starts_with("spool/") => {
            assert!(codes(report).contains(&Code::Unsealed), "{what}:\n{text}");
        }
        verdict => panic!("{what}: {verdict}\n{text}"),
    }
}

fn flip(copy: &Copy, file: &str, at: usize, bit: u8) {
    copy.edit(file, |bytes| bytes[at] ^= 1 << bit);
}

/// What both verifiers say. Parquet libraries differ in what they refuse among the bytes that carry
/// no record; anything else both must see alike.
fn verify_both(copy: &Copy) -> Report {
    let report = verify_alone(copy.temp.path(), &copy.trust);
    let other = independent::verify(copy.temp.path(), &copy.trust);
    let reader = [
        Code::ReEncoded,
        Code::SegmentUnreadable,
        Code::ReadersDisagree,
        Code::Unreadable,
    ];
    let by_reader = codes(&report).iter().any(|code| reader.contains(code));
    let agree = report.verdict.as_str() == other.verdict || by_reader;
    assert!(agree, "{}\n{:#}", report.text(), other.findings);
    report
}

fn flip_everywhere(host: &Host, parts: usize) {
    let copy = host.copy();
    for file in copy.files() {
        let bytes = std::fs::metadata(copy.path(&file)).unwrap().len();
        for (step, at) in positions(usize::try_from(bytes).unwrap(), parts).enumerate() {
            let bit = u8::try_from(step % 8).unwrap();
            flip(&copy, &file, at, bit);
            let report = verify_both(&copy);
            assert_noticed(&report, &file, &format!("{file}: bit {bit} of byte {at}"));
            flip(&copy, &file, at, bit);
        }
    }
}

#[test]
fn both_verifiers_notice_a_bit_in_every_region_of_sealed_evidence() {
    flip_everywhere(&SEALED, 5);
}

#[test]
fn both_verifiers_notice_a_bit_in_every_region_of_open_evidence() {
    flip_everywhere(&OPEN, 9);
}

/// Every byte of what is signed or hashed, one bit each; of what is covered by one digest, some.
#[test]
fn every_byte_of_documents_and_hashes_counts() {
    let copy = SMALL.copy();
    for file in copy
        .files()
        .into_iter()
        .filter(|file| !file.starts_with("events/"))
    {
        let bytes = std::fs::metadata(copy.path(&file)).unwrap().len();
        let step = if file.starts_with("artifacts/") || file.starts_with("manifests/") {
            9
        } else {
            1
        };
        for at in (0..usize::try_from(bytes).unwrap()).step_by(step) {
            let bit = u8::try_from(at * 5 % 8).unwrap();
            flip(&copy, &file, at, bit);
            let report = verify_alone(copy.temp.path(), &copy.trust);
            assert_eq!(
                report.verdict,
                Verdict::Tampered,
                "{file}: bit {bit} of byte {at}\n{}",
                report.text()
            );
            flip(&copy, &file, at, bit);
        }
    }
}
