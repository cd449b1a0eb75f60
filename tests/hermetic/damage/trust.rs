//! What is trusted, what is required, and what there is to verify at all.

use lineage_agent::evidence::keys::{Keys, Plan, Secrets};
use lineage_agent::verify::{
    Code, Options, Pin, Requirement, Trust, Verdict, verify as verify_with,
};

use super::sample::{Host, OPEN, RECORDS, SEALED};
use super::{assert_clean, assert_says, codes, verify};

#[test]
fn undamaged_evidence_is_verified_under_either_pin() {
    for (trust, pin) in [
        (SEALED.root(), Pin::EpochRoot),
        (SEALED.key(), Pin::HostKey),
    ] {
        let report = verify(&SEALED.evidence(), &trust);
        assert_clean(&report);
        let host = &report.hosts[0];
        assert_eq!(host.pin, pin);
        assert_eq!(
            (host.segments, host.segments_valid, host.checkpoints_valid),
            (4, 4, 4)
        );
        assert_eq!(host.records, RECORDS.iter().sum::<u64>());
        assert_eq!(host.epochs, Some([0, 2]));
        assert!(host.complete);
    }
}

#[test]
fn the_key_of_another_host_proves_nothing() {
    for trust in [OPEN.root(), OPEN.key()] {
        let report = verify(&SEALED.evidence(), &trust);
        assert_says(
            &report,
            Verdict::Unverifiable,
            Code::NoTrust,
            "another host",
        );
        assert_eq!(report.exit_code, 3);
    }
}

#[test]
fn nothing_is_never_verified() {
    let empty = tempfile::tempdir().unwrap();
    let report = verify(empty.path(), &SEALED.root());
    assert_eq!(
        (report.verdict, report.exit_code),
        (Verdict::NothingVerified, 3)
    );
    assert_eq!(codes(&report), [Code::NoHost]);
    // Above and below the evidence.
    let above = tempfile::tempdir().unwrap();
    let copy = SEALED.copy();
    std::fs::rename(copy.temp.path(), above.path().join("run")).unwrap();
    let run = above.path().join("run");
    for wrong in [
        above.path().to_owned(),
        run.join(copy.dir.file_name().unwrap()),
    ] {
        let report = verify(&wrong, &SEALED.root());
        assert_eq!(
            (report.verdict, report.exit_code),
            (Verdict::NothingVerified, 3)
        );
        assert_eq!(codes(&report), [Code::NoHost]);
        assert!(report.text().contains("the directory above or below?"));
        let independent = super::independent::verify(&wrong, &SEALED.root());
        assert_eq!(independent.verdict, "NOTHING_VERIFIED");
    }
    // A host that has only begun.
    let host = Host::new(9);
    drop(host.writer());
    let report = verify(&host.evidence(), &host.root());
    assert_says(
        &report,
        Verdict::NothingVerified,
        Code::LogOpen,
        "no record yet",
    );
}

#[test]
fn hosts_lie_side_by_side() {
    let copy = SEALED.copy();
    let other = OPEN.copy();
    let name = other.dir.file_name().unwrap();
    std::fs::rename(&other.dir, copy.temp.path().join(name)).unwrap();
    let pins = [SEALED.root(), OPEN.key()];
    let verify = |pins: &[String]| {
        let trust = Trust::parse(pins).unwrap();
        verify_with(copy.temp.path(), &trust, &Options::default(), &|_, _| ()).unwrap()
    };
    let report = verify(&pins);
    assert_eq!(
        (report.verdict, report.hosts.len()),
        (Verdict::Verified, 2),
        "{}",
        report.text()
    );
    // One host without a pin spoils the verdict.
    assert_says(
        &verify(&pins[..1]),
        Verdict::Unverifiable,
        Code::NoTrust,
        "one pin",
    );
}

#[test]
fn requirements_turn_a_good_verdict_into_exit_1() {
    use Requirement::{NoLoss, Pinned, Sealed, Witnessed};
    let unmet = |host: &Host, trust: String, require: &[Requirement]| {
        let options = Options {
            require: require.to_vec(),
            ..Options::default()
        };
        let trust = Trust::parse(&[trust]).unwrap();
        let report = verify_with(&host.evidence(), &trust, &options, &|_, _| ()).unwrap();
        assert_eq!(report.verdict, Verdict::Verified);
        assert_eq!(report.exit_code, u8::from(!report.unmet.is_empty()));
        report.unmet
    };
    let all = [Sealed, Pinned, Witnessed, NoLoss];
    assert_eq!(unmet(&SEALED, SEALED.root(), &all), [Witnessed]);
    assert_eq!(unmet(&SEALED, SEALED.key(), &all), [Pinned, Witnessed]);
    let open = unmet(&OPEN, OPEN.root(), &all);
    assert_eq!(open, [Sealed, Witnessed, NoLoss]);
    assert_eq!(unmet(&SEALED, SEALED.root(), &[Sealed, Pinned, NoLoss]), []);
}

/// Whoever has the host key can enrol new epoch keys and sign another history: only the pinned
/// root tells.
#[test]
fn a_new_enrolment_by_the_same_host_key_fools_only_the_pinned_host_key() {
    let mut forged = Host::new(1);
    let secrets = Secrets {
        host: [1; 32].into(),
        seed: [99; 32].into(),
    };
    let plan = Plan {
        start: forged.keys.enrolment().start,
        seconds: 3600,
        count: 24,
    };
    let dir = tempfile::tempdir().unwrap();
    forged.keys = Keys::create(&dir.path().join("keys"), plan, &secrets)
        .unwrap()
        .into();
    let mut writer = forged.writer();
    super::sample::append(&mut writer, &forged.clock, &"0".repeat(64));
    writer
        .close(lineage_agent::evidence::manifest::Reason::Shutdown)
        .unwrap();
    assert_eq!(
        codes(&verify(&forged.evidence(), &SEALED.key())),
        [Code::FileMissing, Code::PolicyMissing]
    );
    let report = verify(&forged.evidence(), &SEALED.root());
    assert!(codes(&report).contains(&Code::NoTrust), "{}", report.text());
}
