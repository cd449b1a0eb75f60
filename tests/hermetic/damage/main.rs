//! Damaged evidence: every kind of damage gets the verdict and the finding it deserves, from both
//! verifiers.

mod independent;
mod sample;

use std::path::Path;

use lineage_agent::verify::{self, Code, Options, Report, Trust, Verdict};
use sample::{Copy, OPEN, SEALED};

/// What both verifiers say; they must agree.
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

/// Asserts verdict and a finding of a damaged copy.
fn assert_found(copy: &Copy, verdict: Verdict, code: Code) -> Report {
    let report = verify(copy.temp.path(), &copy.trust);
    let text = report.text();
    assert_eq!(report.verdict, verdict, "{text}");
    assert!(
        codes(&report).contains(&code),
        "no {}:\n{text}",
        code.as_str()
    );
    report
}

#[test]
fn undamaged_evidence_is_verified() {
    for trust in [SEALED.root(), SEALED.key()] {
        let report = verify(&SEALED.evidence(), &trust);
        assert_eq!(report.verdict, Verdict::Verified, "{}", report.text());
        assert!(report.findings.is_empty(), "{}", report.text());
        assert_eq!(report.hosts[0].records, 2840);
        println!("{}", report.text());
    }
}

#[test]
fn unsealed_evidence_is_verified_up_to_its_last_commit() {
    let report = verify(&OPEN.evidence(), &OPEN.root());
    assert_eq!(report.verdict, Verdict::Verified, "{}", report.text());
    println!("{}", report.text());
}
