//! A check of everything a complete log promises, written apart from `verify`.

use std::ops::ControlFlow;

use super::super::checkpoint::Checkpoint;
use super::super::manifest::{Manifest, Reason};
use super::super::note::{Note, VerifierKey};
use super::super::reader::Host as HostEvidence;
use super::super::record;
use super::super::segment::SegmentFile;
use super::super::tree::{Hash, Hashing as _, Log, RecordTree, Records, root};
use super::{Host, SECOND};

impl Host {
    /// Checks everything a complete log promises; returns the number of records.
    pub(in super::super) fn assert_sound(&self) -> u64 {
        let host = self.read();
        let mut leaves = Vec::new();
        let mut before: Option<(Manifest, Hash)> = None;
        for segment in host.manifests().unwrap() {
            let bytes = host.manifest_bytes(segment).unwrap().unwrap();
            let manifest = Manifest::parse(&bytes).unwrap();
            assert_eq!(manifest.head.segment, segment);
            assert_follows(before.as_ref(), &manifest);
            assert_eq!(record_root(&host, &manifest), manifest.root);
            leaves.push(Log::leaf(&bytes));
            self.assert_checkpoint(&host, &manifest, &leaves);
            let epoch = self.keys.epoch_file(manifest.head.epoch).unwrap().text();
            let present = host.epoch(manifest.head.epoch).unwrap();
            assert_eq!(present, Some(epoch.into_bytes()));
            before = Some((manifest, *blake3::hash(&bytes).as_bytes()));
        }
        let (last, _) = before.unwrap();
        assert_eq!(last.reason, Reason::Shutdown);
        assert!(host.spools().unwrap().is_empty());
        assert_eq!(
            host.checkpoint().unwrap(),
            host.checkpoint_of(leaves.len() as u64).unwrap()
        );
        last.head.first + last.count
    }

    fn assert_checkpoint(&self, host: &HostEvidence, manifest: &Manifest, leaves: &[Hash]) {
        let note = host.checkpoint_of(leaves.len() as u64).unwrap().unwrap();
        let note = Note::parse(&note).unwrap();
        let origin = manifest.head.origin;
        let expected = Checkpoint {
            origin: &origin.to_string(),
            size: leaves.len() as u64,
            root: root::<Log>(leaves.iter().copied()),
        };
        assert_eq!(note.text, expected.text());
        let epoch = manifest.head.epoch;
        let statement = self.keys.epoch_file(epoch).unwrap().statement;
        let keys = [
            VerifierKey::new(origin.to_string(), self.keys.verifier().key),
            VerifierKey::new(origin.epoch_key_name(epoch), statement.key),
        ];
        for key in keys {
            assert_eq!(note.is_signed_by(&key), Ok(true));
        }
        let window = statement.start as i64 * SECOND..=statement.end as i64 * SECOND;
        assert!(window.contains(&manifest.head.opened) && window.contains(&manifest.closed));
    }
}

fn assert_follows(before: Option<&(Manifest, Hash)>, manifest: &Manifest) {
    let head = &manifest.head;
    let Some((before, digest)) = before else {
        assert_eq!((head.segment, head.first, head.previous), (0, 0, [0; 32]));
        return;
    };
    assert_eq!(head.previous, *digest);
    assert_eq!(head.first, before.head.first + before.count);
    assert!(head.opened >= before.closed);
    assert_ne!(before.reason, Reason::Shutdown);
    let next = u32::from(before.reason == Reason::EpochEnd);
    assert_eq!(head.epoch, before.head.epoch + next);
    assert!(head.session - before.head.session <= 1);
}

fn record_root(host: &HostEvidence, manifest: &Manifest) -> Hash {
    let mut tree = RecordTree::default();
    if let Some(file) = &manifest.parquet {
        let file = host.parquet(file).unwrap().unwrap();
        let mut bytes = Vec::new();
        let mut seq = manifest.head.first;
        SegmentFile::open(&file)
            .unwrap()
            .records(|record| {
                assert_eq!(record.seq, Some(seq));
                seq += 1;
                bytes.clear();
                record::encode_into(record, &mut bytes).unwrap();
                tree.push(Records::leaf(&bytes));
                ControlFlow::<()>::Continue(())
            })
            .unwrap();
    }
    assert_eq!(tree.size(), manifest.count);
    tree.root()
}
