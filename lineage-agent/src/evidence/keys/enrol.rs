//! Enrolment: all keys of a host, fixed at once.

use std::path::Path;

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::super::epoch::{EPOCHS_MAX, Enrolment, Statement};
use super::super::note::{self, Signer};
use super::super::origin::HostId;
use super::super::tree::{Hash, Log, root};
use super::store::{self, SeedState};
use super::{KeyError, Keys, random_bytes};

/// The epochs an enrolment promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// First second of epoch 0, since 1970 UTC.
    pub start: u64,
    /// Seconds an epoch lasts.
    pub seconds: u64,
    /// Number of epochs.
    pub count: u32,
}

impl Plan {
    /// A year of hours, from the hour that holds `now`.
    #[must_use]
    pub fn hourly(now: u64) -> Self {
        Self {
            start: now - now % 3600,
            seconds: 3600,
            count: 8760,
        }
    }
}

/// The two secrets everything else follows from.
pub struct Secrets {
    /// The host key.
    pub host: Zeroizing<[u8; 32]>,
    /// Seed of epoch 0.
    pub seed: Zeroizing<[u8; 32]>,
}

impl Secrets {
    /// Fresh ones from the kernel's random source.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`]
    pub fn random() -> Result<Self, KeyError> {
        Ok(Self {
            host: Zeroizing::new(random_bytes()?),
            seed: Zeroizing::new(random_bytes()?),
        })
    }
}

impl Keys {
    /// Enrols a host: creates the directory and everything in it.
    ///
    /// # Errors
    ///
    /// [`KeyError::Exists`] when there are keys already; nothing is ever overwritten.
    pub fn create(path: &Path, plan: Plan, secrets: &Secrets) -> Result<Self, KeyError> {
        if plan.count == 0 || plan.count > EPOCHS_MAX || plan.seconds == 0 {
            return Err(KeyError::Plan);
        }
        store::forbid_dumps()?;
        let dir = store::create_dir(path)?;
        let host = SigningKey::from_bytes(&secrets.host);
        let host_key = host.verifying_key().to_bytes();
        let epoch_keys = epoch_keys(&secrets.seed, plan.count);
        let host_id = HostId::of(&host_key);
        let mut enrolment = Enrolment {
            host: host_id,
            root: [0; 32],
            start: plan.start,
            seconds: plan.seconds,
            count: plan.count,
        };
        let leaves = leaves(&enrolment, &host_key, &epoch_keys);
        enrolment.root = root::<Log>(leaves.iter().copied());
        let pem = store::encode_key(&secrets.host, &path.join(store::HOST_KEY))?;
        let host = Signer::new(host_id.key_name(), host);
        let note = note::sign(&enrolment.text(), &[&host]);

        dir.make(store::LOGS, 0o700)?;
        store::put_public(&dir, store::EPOCH_KEYS, &epoch_keys.concat())?;
        store::put_public(&dir, store::ENROLMENT, note.as_bytes())?;
        let verifier = format!("{}\n", host.verifier());
        store::put_public(&dir, store::HOST_PUBLIC, verifier.as_bytes())?;
        let state = SeedState::new(0, secrets.seed.clone());
        store::put_secret(&dir, store::MASTER, &state.text())?;
        // Last: with it the keys are complete.
        store::put_secret(&dir, store::HOST_KEY, &pem)?;
        dir.sync()?;
        Ok(Self {
            dir,
            host,
            enrolment,
            note,
            epoch_keys,
            leaves,
        })
    }
}

/// Public keys of all epochs.
fn epoch_keys(seed: &Zeroizing<[u8; 32]>, count: u32) -> Vec<[u8; 32]> {
    let mut state = SeedState::new(0, seed.clone());
    (0..count)
        .map(|epoch| {
            state.advance(epoch);
            let key = SigningKey::from_bytes(&state.secret());
            key.verifying_key().to_bytes()
        })
        .collect()
}

pub(super) fn statement(
    enrolment: &Enrolment,
    host: &[u8; 32],
    epoch: u32,
    key: &[u8; 32],
) -> Statement {
    let (start, end) = enrolment.window(epoch);
    Statement {
        host_key: *host,
        epoch,
        start,
        end,
        key: *key,
    }
}

pub(super) fn leaves(enrolment: &Enrolment, host: &[u8; 32], keys: &[[u8; 32]]) -> Vec<Hash> {
    (0..)
        .zip(keys)
        .map(|(epoch, key)| statement(enrolment, host, epoch, key).leaf())
        .collect()
}
