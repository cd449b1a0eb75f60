use std::collections::BTreeMap;

use super::super::counters::Counters;
use super::super::manifest::Reason;
use super::super::testing::{Host, appended};
use super::super::tree::{Hashing as _, PartialTree, Records};
use super::*;

/// A log of three segments, whose last one is open still.
fn host() -> Host {
    let host = Host::new();
    let mut writer = host.writer();
    for records in [5, 3, 4] {
        appended(&mut writer, &host.clock, records);
        writer.commit(&Counters::default()).unwrap();
        if records != 4 {
            writer.seal(Reason::Rows).unwrap();
        }
    }
    drop(writer);
    host
}

#[test]
fn a_proof_holds_the_chain_and_leads_to_the_roots() {
    let host = host();
    let proof = make(&host.read(), 6, &[]).unwrap();
    let seqs: Vec<u64> = proof.entries().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [0, 1, 2, 3, 4, 5, 6]);
    let manifests = host.manifests();
    for (part, manifest) in proof.segments.iter().zip(&manifests) {
        let first = manifest.head.first;
        let leaf = |entry: &Entry| (entry.seq - first, Records::leaf(&entry.bytes));
        let leaves: Vec<_> = part.records.iter().map(leaf).collect();
        let tree = PartialTree::<Records>::new(manifest.count, &leaves, &part.nodes).unwrap();
        assert_eq!(tree.root(), Some(manifest.root));
    }
    // Of the second segment one record is left out.
    assert_eq!(proof.segments[1].nodes.len(), 1);
    let paths: Vec<&str> = proof.files.keys().map(String::as_str).collect();
    let registry = format!("artifacts/{}", hex(&manifests[0].head.registry));
    assert_eq!(
        paths,
        [
            &registry,
            "epochs/000000",
            "epochs/enrolment",
            "log/checkpoint",
            "manifests/0000000000",
            "manifests/0000000001"
        ]
    );
}

#[test]
fn what_is_in_a_spool_is_not_proven_yet() {
    let refused = make(&host().read(), 8, &[]);
    assert!(matches!(refused, Err(ProofError::Unsealed { seq: 8 })));
    let refused = make(&host().read(), 2, &[9]);
    assert!(matches!(refused, Err(ProofError::Unsealed { seq: 9 })));
    let host = Host::new();
    let mut writer = host.writer();
    appended(&mut writer, &host.clock, 1);
    writer.commit(&Counters::default()).unwrap();
    let refused = make(&host.read(), 0, &[]);
    assert!(matches!(refused, Err(ProofError::Unsealed { seq: 0 })));
}

#[test]
fn a_proof_has_one_spelling() {
    let proof = make(&host().read(), 6, &[]).unwrap();
    let text = proof.text();
    assert_eq!(Proof::parse(text.as_bytes()), Ok(proof));
    for (from, to) in [
        ("event 6", "event 06"),
        ("\nsegment 1\n", "\nsegment 0\n"),
        ("\nrecord 6 ", "\nrecord 5 "),
        ("\nrecord 6 ", "\nrecords 6 "),
        ("\nrecord 6 ", "\nrecord 6"),
        ("file log/checkpoint ", "file a/checkpoint "),
        ("=\n", "\n"),
        ("\nfile", "\n\nfile"),
        ("\n", "\r\n"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "{from}");
        assert!(Proof::parse(other.as_bytes()).is_err(), "{from} as {to}");
    }
    // Bits that base64 leaves over.
    let other = text.replacen("==\n", "B==\n", 1);
    assert!(Proof::parse(other.as_bytes()).is_err());
    assert!(Proof::parse(&text.as_bytes()[..text.len() - 1]).is_err());
    assert!(Proof::parse(format!("{text}log {}\n", hex(&[0; 32])).as_bytes()).is_err());
    let without = text.split_once("record 5").unwrap().0;
    assert!(
        Proof::parse(without.as_bytes()).is_err(),
        "an empty segment"
    );
}

#[test]
fn each_epoch_of_the_segments_has_a_checkpoint_of_its_own() {
    let epochs = BTreeMap::from([(0, 0), (2, 0), (5, 1), (9, 3)]);
    let of = |size| needed::checkpoints(size, &epochs);
    assert_eq!(of(20), BTreeMap::from([(3, 0), (6, 1), (10, 3)]));
    assert_eq!(of(10), BTreeMap::from([(3, 0), (6, 1)]));
    let files = needed::files(20, Some(4), &epochs);
    for path in [
        "epochs/000003",
        "epochs/000004",
        "log/checkpoints/10",
        "manifests/0000000009",
    ] {
        assert!(files.contains(path), "{path}");
    }
    assert!(!files.contains("epochs/000002"));
}
