//! Damaged evidence: every kind of damage gets the verdict and the finding it deserves, from both
//! verifiers.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, too"
)]

mod authority;
mod crash;
mod files;
mod flips;
mod forge;

mod history;
mod hostile;
mod independent;
mod live;
mod loss;
mod proof;
mod readers;
mod rows;
mod sample;
mod spool;
mod strangers;

mod trust;
mod witness;

use std::path::Path;

use lineage_agent::verify::{self, Code, Options, Report, Trust, Verdict};
use sample::Copy;

/// What both verifiers say; they must agree.
#[track_caller]
fn verify(evidence: &Path, trust: &str) -> Report {
    let report = verify_alone(evidence, trust);
    let other = independent::verify(evidence, trust);
    assert_eq!(
        report.verdict.as_str(),
        other.verdict,
        "the verifiers disagree:\n{}\n{:#}",
        report.text(),
        other.findings
    );
    report
}

/// What `lineage verify` says.
fn verify_alone(evidence: &Path, trust: &str) -> Report {
    let trust = Trust::parse(&[trust.to_owned()]).unwrap();
    verify::verify(evidence, &trust, &Options::default(), &|_, _| ()).unwrap()
}

fn codes(report: &Report) -> Vec<Code> {
    report.findings.iter().map(|finding| finding.code).collect()
}

/// Asserts what both verifiers say of a damaged copy.
#[track_caller]
fn assert_found(copy: &Copy, verdict: Verdict, code: Code, what: &str) -> Report {
    let report = verify(copy.temp.path(), &copy.trust);
    assert_says(&report, verdict, code, what);
    report
}

/// Asserts verdict and one finding.
#[track_caller]
fn assert_says(report: &Report, verdict: Verdict, code: Code, what: &str) {
    let text = report.text();
    assert_eq!(report.verdict, verdict, "{what}:\n{text}");
    assert!(
        codes(report).contains(&code),
        "{what}: no {}:\n{text}",
        code.as_str()
    );
}

/// Asserts that nothing at all is found.
#[track_caller]
fn assert_clean(report: &Report) {
    assert_eq!(report.verdict, Verdict::Verified, "{}", report.text());
    assert!(report.findings.is_empty(), "{}", report.text());
}
