//! Witnesses: cosignatures by keys the user trusts.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use lineage_agent::evidence::note::{Algorithm, VerifierKey};
use lineage_agent::verify::{Code, Options, Report, Requirement, Trust, Verdict, verify};

use super::sample::{Copy, SEALED};
use super::{assert_clean, assert_says};

pub(crate) fn witness(number: u8) -> (SigningKey, VerifierKey) {
    let key = SigningKey::from_bytes(&[number; 32]);
    let verifier = VerifierKey {
        name: format!("witness.example/{number}"),
        algorithm: Algorithm::Cosignature,
        key: key.verifying_key().to_bytes(),
    };
    (key, verifier)
}

/// A cosignature line over the newest checkpoint (C2SP tlog-cosignature).
pub(crate) fn cosignature(copy: &Copy, number: u8, time: u64) -> String {
    let note = fs::read_to_string(copy.path("log/checkpoint")).unwrap();
    let text = &note[..=note.find("\n\n").unwrap()];
    let (key, verifier) = witness(number);
    let signature = key.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes());
    let blob = [
        &verifier.id()[..],
        &time.to_be_bytes(),
        &signature.to_bytes(),
    ]
    .concat();
    format!("\u{2014} {} {}\n", verifier.name, BASE64.encode(blob))
}

fn check(copy: &Copy, witnesses: &[u8]) -> Report {
    let mut trust = Trust::parse(&[SEALED.root()]).unwrap();
    for number in witnesses {
        trust.add_witness(&witness(*number).1.to_string()).unwrap();
    }
    let options = Options {
        require: vec![Requirement::Witnessed],
        ..Options::default()
    };
    verify(copy.temp.path(), &trust, &options, &|_, _| ()).unwrap()
}

#[test]
fn a_cosignature_counts_wherever_it_stands() {
    let copy = SEALED.copy();
    let line = cosignature(&copy, 50, 1_795_600_000);
    copy.edit("log/checkpoint", |bytes| bytes.extend(line.as_bytes()));
    let report = check(&copy, &[50, 51]);
    assert_clean(&report);
    assert_eq!((report.exit_code, report.hosts[0].cosignatures), (0, 1));
    // Not the user's witness.
    assert_eq!(check(&copy, &[51]).exit_code, 1);

    let copy = SEALED.copy();
    let lines = cosignature(&copy, 50, 1) + &cosignature(&copy, 51, 2);
    fs::create_dir(copy.path("log/cosignatures")).unwrap();
    fs::write(copy.path("log/cosignatures/4"), lines).unwrap();
    let report = check(&copy, &[50, 51]);
    assert_clean(&report);
    assert_eq!((report.exit_code, report.hosts[0].cosignatures), (0, 2));
}

#[test]
fn a_cosignature_that_does_not_verify_is_tampered_with() {
    let copy = SEALED.copy();
    let line = cosignature(&copy, 50, 1);
    let other = SEALED.copy();
    fs::copy(
        other.path("log/checkpoints/3"),
        other.path("log/checkpoint"),
    )
    .unwrap();
    for line in [
        line.replacen(&line[40..44], "AAAA", 1),
        cosignature(&other, 50, 1),
    ] {
        let copy = SEALED.copy();
        copy.edit("log/checkpoint", |bytes| bytes.extend(line.as_bytes()));
        assert_says(
            &check(&copy, &[50]),
            Verdict::Tampered,
            Code::SignatureBad,
            &line,
        );
    }
}

#[test]
fn a_host_key_is_no_witness() {
    let mut trust = Trust::default();
    assert!(trust.add_witness(&SEALED.key()).is_err());
}
