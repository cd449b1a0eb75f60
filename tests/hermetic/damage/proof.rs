//! Proofs of events: what is changed, left out or put in gets the verdict and the finding it deserves, from both verifiers.

use std::fs;
use std::sync::LazyLock;

use lineage_agent::clock::Clock as _;
use lineage_agent::evidence::manifest::Reason;
use lineage_agent::evidence::proof::{Proof, ProofError, Role, make};
use lineage_agent::evidence::reader::Evidence;
use lineage_agent::evidence::schema::Record;
use lineage_agent::evidence::tree::{Hash, Hashing as _, Log, root, shared_proof};
use lineage_agent::verify::{
    Code, Lines, Pin, ProofReport, Requirement, Trust, Verdict, verify_proof,
};

use super::independent;
use super::sample::{BRANCHED, Host, LINEAGE, OPEN, SEALED, SMALL, bare_context};
use super::witness::{cosignature, witness};

/// The proof of an event, with other records.
fn prove(host: &Host, event: u64, data: &[u64]) -> Proof {
    let evidence = Evidence::open(&host.evidence()).unwrap();
    make(&evidence.hosts()[0], event, data).unwrap()
}

/// What `lineage verify-proof` says.
fn check_alone(text: &[u8], trust: &str) -> ProofReport {
    verify_proof(text, &Trust::parse(&[trust.to_owned()]).unwrap(), &[])
}

/// What both verifiers say; they must agree.
#[track_caller]
fn check(text: &[u8], trust: &str) -> ProofReport {
    let report = check_alone(text, trust);
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("proof");
    fs::write(&path, text).unwrap();
    let other = independent::verify(&path, trust);
    assert_eq!(
        report.verdict.as_str(),
        other.verdict,
        "the verifiers disagree:\n{}\n{:#}",
        report.text(&Lines::default(), str::to_owned),
        other.findings
    );
    report
}

#[track_caller]
fn assert_proven(report: &ProofReport, chain: &[u64], data: &[u64]) {
    assert_eq!(
        report.verdict,
        Verdict::Verified,
        "{}",
        report.text(&Lines::default(), str::to_owned)
    );
    assert!(
        report.findings.is_empty(),
        "{}",
        report.text(&Lines::default(), str::to_owned)
    );
    let proven = report.proven.as_ref().unwrap();
    assert_eq!((&proven.chain[..], &proven.data[..]), (chain, data));
}

#[track_caller]
fn assert_refused(report: &ProofReport, verdict: Verdict, code: Code, what: &str) {
    let text = report.text(&Lines::default(), str::to_owned);
    assert_eq!(report.verdict, verdict, "{what}:\n{text}");
    let found = report.findings.iter().any(|finding| finding.code == code);
    assert!(found, "{what}: no {}:\n{text}", code.as_str());
    assert!(report.proven.is_none(), "{what}");
}

/// The last record, in epoch 2; causes in epoch 0.
const LAST: u64 = 1149;
const CHAIN: [u64; 12] = [LAST, 574, 287, 143, 71, 35, 17, 8, 4, 2, 1, 0];

#[test]
fn an_event_is_proven_by_its_chain_and_nothing_else() {
    let text = prove(&BRANCHED, LAST, &[]).text();
    let report = check(text.as_bytes(), &BRANCHED.root());
    assert_proven(&report, &CHAIN, &[]);
    let proven = report.proven.unwrap();
    assert_eq!((proven.pin, proven.cosignatures), (Pin::EpochRoot, 0));
    assert_eq!(
        (
            proven.signed.segment,
            proven.signed.epoch,
            proven.signed.log_size
        ),
        (3, 2, 4)
    );
    assert_eq!(proven.records[&LAST].get().seq, Some(LAST));
    let pinned = check(text.as_bytes(), &BRANCHED.key());
    assert_eq!(pinned.proven.unwrap().pin, Pin::HostKey);
    // 12 records, 3 documents of governance, 2 segments, 2 epochs.
    assert!(text.len() < 40_000, "{} bytes", text.len());
}

#[test]
fn every_kind_of_place_in_the_log_is_proven() {
    for event in [0, 1, 1023, 1024, 1099, 1100, 1139, 1140] {
        let text = prove(&BRANCHED, event, &[]).text();
        let report = check(text.as_bytes(), &BRANCHED.root());
        let mut chain = vec![event];
        while let Some(seq @ 1..) = chain.last() {
            chain.push(seq / 2);
        }
        assert_proven(&report, &chain, &[]);
    }
    let text = prove(&SEALED, LAST, &[]).text();
    let chain: Vec<u64> = (0..=LAST).rev().collect();
    assert_proven(&check(text.as_bytes(), &SEALED.root()), &chain, &[]);
}

#[test]
fn records_about_data_bring_their_causes() {
    let text = prove(&BRANCHED, 574, &[1120, 9]).text();
    let report = check(text.as_bytes(), &BRANCHED.root());
    assert_proven(&report, &CHAIN[1..], &[9, 70, 140, 280, 560, 1120]);
}

#[test]
fn what_is_not_sealed_cannot_be_proven_yet() {
    let evidence = Evidence::open(&OPEN.evidence()).unwrap();
    let host = &evidence.hosts()[0];
    assert!(make(host, 29, &[]).is_ok());
    for event in [30, 49, 60] {
        let refused = make(host, event, &[]);
        assert!(
            matches!(refused, Err(ProofError::Unsealed { seq }) if seq == event),
            "{event}"
        );
    }
}

#[test]
fn no_proof_is_made_of_damaged_evidence() {
    for (file, part) in [
        ("manifests/0000000001", "manifests"),
        ("blocks/0000000000", "segment 0"),
    ] {
        let copy = BRANCHED.copy();
        copy.edit(file, |bytes| {
            let at = bytes.len() - 30;
            bytes[at] ^= 1;
        });
        let evidence = Evidence::open(copy.temp.path()).unwrap();
        let refused = make(&evidence.hosts()[0], LAST, &[]);
        assert!(
            matches!(&refused, Err(ProofError::Changed { what }) if what.starts_with(part)),
            "{refused:?}"
        );
    }
    let copy = BRANCHED.copy();
    fs::remove_file(copy.segment(0)).unwrap();
    let evidence = Evidence::open(copy.temp.path()).unwrap();
    assert!(matches!(
        make(&evidence.hosts()[0], LAST, &[]),
        Err(ProofError::Missing { .. })
    ));
}

#[test]
fn a_proof_is_worth_nothing_under_the_key_of_another() {
    let text = prove(&BRANCHED, LAST, &[]).text();
    for trust in [
        SEALED.root(),
        SEALED.key(),
        format!("root:{}", "ab".repeat(32)),
    ] {
        assert_refused(
            &check(text.as_bytes(), &trust),
            Verdict::Unverifiable,
            Code::NoTrust,
            &trust,
        );
    }
}

/// A byte of a text changed to another that may stand there.
fn altered(line: &str, at: usize) -> String {
    let mut bytes = line.as_bytes().to_vec();
    bytes[at] = match bytes[at] {
        b'0' => b'1',
        b'a' => b'b',
        b'A' => b'B',
        b'=' => b'A',
        byte => byte ^ 1,
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Every line changed in three places, left out, repeated, and exchanged with the next.
fn damage_every_line(text: &str, trust: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    for at in 0..lines.len() {
        let mut damaged = Vec::new();
        for byte in [0, lines[at].len() / 2, lines[at].len() - 1] {
            let mut with = lines.clone();
            let line = altered(lines[at], byte);
            with[at] = &line;
            damaged.push(joined(&with));
        }
        let mut with = lines.clone();
        with.remove(at);
        damaged.push(joined(&with));
        with = lines.clone();
        with.insert(at, lines[at]);
        damaged.push(joined(&with));
        if at + 1 < lines.len() {
            with = lines.clone();
            with.swap(at, at + 1);
            damaged.push(joined(&with));
        }
        for text in damaged {
            let report = check(text.as_bytes(), trust);
            let what = || {
                format!(
                    "line {}: {:.60}\n{}",
                    at + 1,
                    lines[at],
                    report.text(&Lines::default(), str::to_owned)
                )
            };
            assert_ne!(report.verdict.exit_code(), 0, "{}", what());
            assert!(report.proven.is_none(), "{}", what());
        }
    }
}

#[test]
fn every_line_counts() {
    damage_every_line(&prove(&SMALL, 2, &[]).text(), &SMALL.root());
    damage_every_line(&prove(&BRANCHED, LAST, &[1120]).text(), &BRANCHED.root());
}

#[test]
fn every_byte_counts() {
    let text = prove(&SMALL, 2, &[]).text().into_bytes();
    let trust = Trust::parse(&[SMALL.root()]).unwrap();
    for at in 0..text.len() {
        let mut other = text.clone();
        other[at] ^= 1 << (at * 5 % 8);
        let report = verify_proof(&other, &trust, &[]);
        assert_ne!(
            report.verdict.exit_code(),
            0,
            "byte {at}:\n{}",
            report.text(&Lines::default(), str::to_owned)
        );
        let report = verify_proof(&text[..at], &trust, &[]);
        assert_ne!(
            report.verdict.exit_code(),
            0,
            "cut at {at}:\n{}",
            report.text(&Lines::default(), str::to_owned)
        );
    }
}

/// A proof of the last event, changed.
fn changed(change: impl FnOnce(&mut Proof)) -> ProofReport {
    static PROOF: LazyLock<Proof> = LazyLock::new(|| prove(&BRANCHED, LAST, &[1120]));
    let mut proof = PROOF.clone();
    change(&mut proof);
    check(proof.text().as_bytes(), &BRANCHED.root())
}

fn flip(bytes: &mut [u8], at: usize) {
    bytes[at] ^= 1;
}

/// A file of the proof, with a byte changed.
fn file_changed(path: &str, at: usize) -> ProofReport {
    changed(|proof| flip(proof.files.get_mut(path).unwrap(), at))
}

fn a_context(proof: &Proof) -> String {
    let is = |bytes: &[u8]| bytes.starts_with(b"{\"enforcement\"");
    let found = proof.files.iter().find(|(_, bytes)| is(bytes));
    found.unwrap().0.clone()
}

type Change = (ProofReport, Verdict, Code, &'static str);

#[test]
fn each_class_of_change_has_its_name() {
    let changes = [changes_1(), changes_2(), changes_3(), changes_4()];
    for (report, verdict, code, what) in changes.into_iter().flatten() {
        assert_refused(&report, verdict, code, what);
    }
}

fn changes_1() -> Vec<Change> {
    use Verdict::{Incomplete, Tampered};
    let newest = prove(&BRANCHED, LAST, &[]).files["log/checkpoint"].len();
    vec![
        (
            changed(|it| it.origin.log[0] ^= 1),
            Tampered,
            Code::ManifestBad,
            "log",
        ),
        (
            changed(|it| it.origin.host.0[0] ^= 1),
            Tampered,
            Code::EpochKeyBad,
            "host",
        ),
        (
            changed(|it| it.event = 574),
            Tampered,
            Code::ProofBad,
            "another event of the chain",
        ),
        (
            changed(|it| it.event = 1120),
            Tampered,
            Code::ProofBad,
            "an event about data",
        ),
        (
            changed(|it| it.event = 573),
            Incomplete,
            Code::CauseMissing,
            "an event that is not here",
        ),
        (
            file_changed("epochs/enrolment", 30),
            Tampered,
            Code::EnrolmentBad,
            "enrolment",
        ),
        (
            file_changed("epochs/000002", 200),
            Tampered,
            Code::EpochKeyBad,
            "epoch",
        ),
        (
            file_changed("log/checkpoint", newest - 20),
            Tampered,
            Code::SignatureBad,
            "signature",
        ),
        (
            file_changed("log/checkpoints/2", 400),
            Tampered,
            Code::SignatureBad,
            "earlier signature",
        ),
    ]
}

fn changes_2() -> Vec<Change> {
    use Verdict::Tampered;
    let context = a_context(&prove(&BRANCHED, LAST, &[]));
    vec![
        (
            file_changed("log/checkpoint", 90),
            Tampered,
            Code::SignatureBad,
            "root in a checkpoint",
        ),
        (
            file_changed("manifests/0000000000", 500),
            Tampered,
            Code::LogRoot,
            "manifest",
        ),
        (
            file_changed(&context, 40),
            Tampered,
            Code::ArtifactBad,
            "context",
        ),
        (
            changed(|it| flip(&mut it.log[0], 0)),
            Tampered,
            Code::LogRoot,
            "hash of the log",
        ),
        (
            changed(|it| it.log.clear()),
            Tampered,
            Code::ProofBad,
            "no hash of the log",
        ),
        (
            changed(|it| flip(&mut it.segments[0].nodes[3], 0)),
            Tampered,
            Code::RowsChanged,
            "hash of records",
        ),
        (
            changed(|it| it.segments[0].nodes.truncate(5)),
            Tampered,
            Code::ProofBad,
            "no hash of records",
        ),
        (
            changed(|it| it.segments[0].nodes.swap(0, 1)),
            Tampered,
            Code::RowsChanged,
            "hashes exchanged",
        ),
        (
            changed(|it| flip(&mut it.segments[2].records[0].bytes, 70)),
            Tampered,
            Code::RowsChanged,
            "record",
        ),
    ]
}

fn changes_3() -> Vec<Change> {
    use Verdict::{Incomplete, Tampered};
    let context = a_context(&prove(&BRANCHED, LAST, &[]));
    vec![
        (
            changed(|it| drop(it.segments[0].records.remove(4))),
            Tampered,
            Code::ProofBad,
            "no record",
        ),
        (
            changed(|it| it.segments[0].records[3].seq += 1),
            Tampered,
            Code::RowsChanged,
            "number of a record",
        ),
        (
            changed(|it| it.segments[0].records[3].role = Role::Data),
            Tampered,
            Code::ProofBad,
            "cause as data",
        ),
        (
            changed(|it| it.segments[1].records[0].role = Role::Chain),
            Tampered,
            Code::ProofBad,
            "data as cause",
        ),
        (
            changed(|it| drop(it.files.remove(&context))),
            Incomplete,
            Code::FileMissing,
            "no context",
        ),
        (
            changed(|it| drop(it.files.remove("epochs/000000"))),
            Incomplete,
            Code::FileMissing,
            "no epoch",
        ),
        (
            changed(|it| drop(it.files.remove("epochs/enrolment"))),
            Incomplete,
            Code::FileMissing,
            "no enrolment",
        ),
        (
            changed(|it| drop(it.files.remove("log/checkpoint"))),
            Incomplete,
            Code::FileMissing,
            "no checkpoint",
        ),
        (
            changed(|it| drop(it.files.remove("log/checkpoints/2"))),
            Incomplete,
            Code::FileMissing,
            "no earlier checkpoint",
        ),
    ]
}

fn changes_4() -> Vec<Change> {
    use Verdict::{Incomplete, Tampered};
    vec![
        (
            changed(|it| drop(it.files.remove("manifests/0000000003"))),
            Incomplete,
            Code::FileMissing,
            "no manifest",
        ),
        (
            changed(|it| drop(it.files.insert("notes".to_owned(), vec![1]))),
            Tampered,
            Code::ProofBad,
            "a foreign file",
        ),
    ]
}

#[test]
fn what_is_no_proof_at_all_is_not_judged() {
    for text in [&b""[..], b"lineage v2 proof\n", b"PAR1", &[0xff; 9]] {
        assert_refused(
            &check(text, &SMALL.root()),
            Verdict::Unverifiable,
            Code::Unreadable,
            "foreign",
        );
    }
}

/// A proof as its maker would have it who leaves out everything but the last segment: all hashes are right.
#[test]
fn a_hole_in_the_chain_is_found() {
    let copy = BRANCHED.copy();
    let report = changed(|proof| {
        proof.segments.drain(..2);
        let manifests: Vec<Hash> = (0..4)
            .map(|segment| {
                let path = copy.path(&format!("manifests/{segment:010}"));
                Log::leaf(&fs::read(path).unwrap())
            })
            .collect();
        let mut subtree = |range: std::ops::Range<u64>| {
            let (start, end) = (range.start as usize, range.end as usize);
            Ok::<_, ()>(root::<Log>(manifests[start..end].iter().copied()))
        };
        proof.log = shared_proof(4, &[3], &mut subtree).unwrap();
        for path in [
            "manifests/0000000000",
            "manifests/0000000001",
            "log/checkpoints/2",
            "epochs/000000",
        ] {
            proof.files.remove(path);
        }
    });
    assert_refused(&report, Verdict::Incomplete, Code::CauseMissing, "hole");
    assert_eq!(
        report.findings.len(),
        1,
        "{}",
        report.text(&Lines::default(), str::to_owned)
    );
}

/// Parts of two proofs of the same log do not make a third.
#[test]
fn parts_of_other_proofs_do_not_fit() {
    let other = prove(&BRANCHED, 1139, &[]);
    let sealed = prove(&SEALED, LAST, &[]);
    for (report, what) in [
        (
            changed(|it| it.log = other.log.clone()),
            "hashes of the log",
        ),
        (
            changed(|it| it.segments[0] = other.segments[0].clone()),
            "a segment",
        ),
        (
            changed(|it| it.segments = sealed.segments.clone()),
            "records of another log",
        ),
        (
            changed(|it| it.files = sealed.files.clone()),
            "files of another log",
        ),
        (
            changed(|it| it.files.extend(sealed.files.clone())),
            "more files",
        ),
    ] {
        assert_eq!(
            report.verdict,
            Verdict::Tampered,
            "{what}:\n{}",
            report.text(&Lines::default(), str::to_owned)
        );
    }
}

#[test]
fn requirements_are_asked_of_what_is_proven() {
    let text = prove(&SMALL, 2, &[]).text();
    let require = [
        Requirement::Pinned,
        Requirement::Witnessed,
        Requirement::Governed,
    ];
    let check = |trust: &str| {
        let report = verify_proof(
            text.as_bytes(),
            &Trust::parse(&[trust.to_owned()]).unwrap(),
            &require,
        );
        (report.verdict, report.exit_code, report.unmet)
    };
    assert_eq!(
        check(&SMALL.root()),
        (Verdict::Verified, 1, require[1..].to_vec())
    );
    assert_eq!(
        check(&SMALL.key()),
        (Verdict::Verified, 1, require.to_vec())
    );
}

/// What came before a loss is not known, and the proof says so.
#[test]
fn a_chain_that_begins_with_a_loss_is_proven_with_loss() {
    let host = Host::new(6);
    let mut writer = host.writer();
    let context = bare_context(&writer);
    let time_ns = host.clock.now().boot_ns + writer.offset_ns();
    let record = |seq: u64, kind: &'static str| Record {
        seq: Some(seq),
        time: Some(time_ns.div_euclid(1000)),
        time_ns: Some(time_ns),
        kind: Some(kind),
        ..Record::default()
    };
    let of_lineage = |seq: u64, number: u64, kind: &'static str| Record {
        lineage: Some(LINEAGE),
        lineage_seq: Some(number),
        context: Some(&context),
        ..record(seq, kind)
    };
    for record in [
        of_lineage(0, 0, "lineage.start"),
        record(1, "evidence.loss"),
        Record {
            cause: Some(1),
            ..of_lineage(2, 1, "process.exec")
        },
        of_lineage(3, 2, "file.open"),
    ] {
        writer.append(&record).unwrap();
    }
    writer.close(Reason::Shutdown).unwrap();
    let report = check(prove(&host, 2, &[]).text().as_bytes(), &host.root());
    assert_eq!(
        (report.verdict, report.exit_code),
        (Verdict::VerifiedWithLoss, 0)
    );
    assert_eq!(report.findings[0].code, Code::KernelLoss);
    assert_eq!(report.proven.unwrap().chain, [2, 1]);
    // Nothing else begins a chain.
    let report = check(prove(&host, 3, &[]).text().as_bytes(), &host.root());
    assert_refused(&report, Verdict::Incomplete, Code::CauseMissing, "no cause");
}

/// A cosignature counts where it stands in evidence, and must be right.
#[test]
fn a_witness_vouches_for_a_proof() {
    let copy = BRANCHED.copy();
    let line = cosignature(&copy, 50, 1_795_600_000);
    fs::create_dir(copy.path("log/cosignatures")).unwrap();
    fs::write(copy.path("log/cosignatures/4"), line).unwrap();
    let evidence = Evidence::open(copy.temp.path()).unwrap();
    let proof = make(&evidence.hosts()[0], LAST, &[]).unwrap();
    let check = |proof: &Proof, number: u8| {
        let mut trust = Trust::parse(&[BRANCHED.root()]).unwrap();
        trust.add_witness(&witness(number).1.to_string()).unwrap();
        let report = verify_proof(proof.text().as_bytes(), &trust, &[Requirement::Witnessed]);
        (report.verdict, report.exit_code)
    };
    assert_eq!(check(&proof, 50), (Verdict::Verified, 0));
    assert_eq!(check(&proof, 51), (Verdict::Verified, 1));
    let path = "log/cosignatures/4";
    let mut other = proof.clone();
    let bytes = other.files.get_mut(path).unwrap();
    let at = bytes.len() - 40;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    assert_eq!(check(&other, 50), (Verdict::Tampered, 1));
    other.files.insert(path.to_owned(), b"nothing\n".to_vec());
    assert_eq!(check(&other, 51), (Verdict::Tampered, 1));
    other.files.remove(path);
    assert_eq!(check(&other, 50), (Verdict::Verified, 1));
}
