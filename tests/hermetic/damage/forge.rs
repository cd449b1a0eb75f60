//! What somebody who took the host can do: write the log anew and sign it with the keys they hold.

use std::fs;

use ed25519_dalek::SigningKey;
use lineage_agent::evidence::checkpoint::Checkpoint;
use lineage_agent::evidence::digest;
use lineage_agent::evidence::manifest::Manifest;
use lineage_agent::evidence::note::{Signer, sign};
use lineage_agent::evidence::tree::{Hash, Hashing as _, Log, root};

use super::sample::Copy;

/// The secrets of a sample's host.
pub(crate) struct Forger {
    number: u8,
}

impl Forger {
    /// Of the host with this number.
    pub(crate) fn new(number: u8) -> Self {
        Self { number }
    }

    /// The key of an epoch, by the ratchet of the format. Someone who takes the host in a later
    /// epoch does not have it.
    pub(crate) fn epoch_key(&self, epoch: u32) -> SigningKey {
        let mut seed = [self.number + 100; 32];
        for _ in 0..epoch {
            seed = blake3::derive_key("lineage v1 epoch ratchet", &seed);
        }
        SigningKey::from_bytes(&blake3::derive_key("lineage v1 epoch signing key", &seed))
    }

    pub(crate) fn host_key(&self) -> SigningKey {
        SigningKey::from_bytes(&[self.number; 32])
    }

    /// Writes the log with these manifests: links, tiles, checkpoints, all of it signed with the
    /// host key and with the key `epoch_key` gives for a manifest.
    pub(crate) fn write_log(
        &self,
        copy: &Copy,
        mut manifests: Vec<Manifest>,
        epoch_key: impl Fn(&Manifest) -> SigningKey,
    ) {
        for folder in ["manifests", "log/checkpoints", "log/tile/0/000.p"] {
            fs::remove_dir_all(copy.path(folder)).unwrap();
            fs::create_dir(copy.path(folder)).unwrap();
        }
        let mut previous = [0; 32];
        let mut leaves: Vec<Hash> = Vec::new();
        for (segment, manifest) in (0u64..).zip(&mut manifests) {
            manifest.head.segment = segment;
            manifest.head.previous = previous;
            let text = manifest.text();
            previous = digest::of(text.as_bytes());
            leaves.push(Log::leaf(text.as_bytes()));
            fs::write(copy.path(&format!("manifests/{segment:010}")), &text).unwrap();
            let note = self.checkpoint(manifest, &leaves, epoch_key(manifest));
            let size = leaves.len();
            fs::write(copy.path(&format!("log/checkpoints/{size}")), &note).unwrap();
            fs::write(copy.path("log/checkpoint"), &note).unwrap();
            fs::write(
                copy.path(&format!("log/tile/0/000.p/{size}")),
                leaves.concat(),
            )
            .unwrap();
        }
    }

    fn checkpoint(&self, last: &Manifest, leaves: &[Hash], epoch_key: SigningKey) -> String {
        let origin = last.head.origin;
        let text = Checkpoint {
            origin: &origin.to_string(),
            size: leaves.len() as u64,
            root: root::<Log>(leaves.iter().copied()),
        }
        .text();
        let host = Signer::new(origin.to_string(), self.host_key());
        let epoch = Signer::new(origin.epoch_key_name(last.head.epoch), epoch_key);
        sign(&text, &[&host, &epoch])
    }
}

/// The manifests of a log.
pub(crate) fn manifests(copy: &Copy) -> Vec<Manifest> {
    let files = copy
        .files()
        .into_iter()
        .filter(|file| file.starts_with("manifests/"));
    files
        .map(|file| Manifest::parse(&fs::read(copy.path(&file)).unwrap()).unwrap())
        .collect()
}
