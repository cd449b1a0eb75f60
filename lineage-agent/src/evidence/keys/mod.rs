//! Keys of a host: one static key, and a key for each epoch by a one-way ratchet.
//!
//! The key directory holds the only copies of anything secret. Seeds of ended epochs are erased, so
//! whoever takes the host cannot sign its past again.

mod enrol;
mod error;
mod issuer;
mod log;
mod store;

pub use enrol::{Plan, Secrets};
pub use error::KeyError;
pub use issuer::{IssuerKey, NotAKey, PublicKey};
pub use log::{EpochSigner, LogKeys};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::SigningKey;

use super::epoch::{Enrolment, EpochFile};
use super::files::Dir;
use super::note::{self, Signer, VerifierKey};
use super::origin::{HostId, Origin};
use super::text::hex;
use super::tree::{Hash, Log, inclusion, root};
use enrol::{leaves, statement};
use store::{Secret, SeedState};

/// Where a host's keys are unless the user says otherwise.
pub const DEFAULT_PATH: &str = "/var/lib/lineage/keys";

/// `N` bytes from the kernel's random source.
///
/// # Errors
///
/// [`KeyError::Random`]
pub fn random_bytes<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags)
            .map_err(|errno| KeyError::Random(errno.into()))?;
    }
    Ok(bytes)
}

/// An opened key directory.
#[derive(Debug)]
pub struct Keys {
    dir: Dir,
    host: Signer,
    enrolment: Enrolment,
    note: String,
    epoch_keys: Vec<[u8; 32]>,
    leaves: Vec<Hash>,
}

/// What can still sign: the earliest epoch that each seed is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds {
    /// The host's own, with which logs begin.
    pub host: u32,
    /// Those of logs that are not complete, each with its number in hex; earliest first.
    pub unsealed: Vec<(u32, String)>,
}

impl Keys {
    /// Opens a key directory and takes this process out of reach of debuggers.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when keys are missing, readable by others, of another owner, or do not fit
    /// together.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let dir = store::open_dir(path)?;
        store::forbid_dumps()?;
        if !dir.has(store::HOST_KEY)? && !dir.names()?.is_empty() {
            return Err(KeyError::Incomplete(path.to_owned()));
        }
        let pem = store::read_secret(&dir, store::HOST_KEY)?;
        let host = store::decode_key(&pem, &path.join(store::HOST_KEY))?;
        let host_key = host.verifying_key().to_bytes();
        let host_id = HostId::of(&host_key);
        let host = Signer::new(host_id.key_name(), host);
        let (enrolment, note) = read_enrolment(&dir, &host.verifier())?;
        let bytes = store::read_public(&dir, store::EPOCH_KEYS)?;
        let (epoch_keys, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || epoch_keys.len() != enrolment.count as usize {
            return Err(malformed(&dir, store::EPOCH_KEYS, "not one key per epoch"));
        }
        let epoch_keys = epoch_keys.to_vec();
        let leaves = leaves(&enrolment, &host_key, &epoch_keys);
        if root::<Log>(leaves.iter().copied()) != enrolment.root {
            let reason = "the keys do not add up to the enrolled root";
            return Err(malformed(&dir, store::EPOCH_KEYS, reason));
        }
        Ok(Self {
            dir,
            host,
            enrolment,
            note,
            epoch_keys,
            leaves,
        })
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The host.
    #[must_use]
    pub fn host_id(&self) -> HostId {
        self.enrolment.host
    }

    /// The host's verifier key: what `lineage key show` prints.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        self.host.verifier()
    }

    /// What the host promises about its epochs; its root is what `lineage key root` prints.
    #[must_use]
    pub fn enrolment(&self) -> &Enrolment {
        &self.enrolment
    }

    /// The signed enrolment, as evidence carries it.
    #[must_use]
    pub fn enrolment_note(&self) -> &str {
        &self.note
    }

    /// The evidence file of an epoch: its statement and proof.
    ///
    /// # Errors
    ///
    /// [`KeyError::Ended`] when the enrolment has no such epoch.
    pub fn epoch_file(&self, epoch: u32) -> Result<EpochFile, KeyError> {
        let key = self.epoch_keys.get(epoch as usize);
        let key = key.ok_or(KeyError::Ended(self.enrolment.count))?;
        let host_key = self.host.verifier().key;
        Ok(EpochFile {
            statement: statement(&self.enrolment, &host_key, epoch, key),
            count: self.enrolment.count,
            proof: inclusion::<Log>(&self.leaves, epoch as usize),
        })
    }

    /// Starts the keys of a new log at `epoch`, or at the earliest epoch whose key still exists.
    ///
    /// # Errors
    ///
    /// [`KeyError::Ended`] when the enrolment has no such epoch.
    pub fn begin(self: &Arc<Self>, origin: Origin, epoch: u32) -> Result<LogKeys, KeyError> {
        if epoch >= self.enrolment.count {
            return Err(KeyError::Ended(self.enrolment.count));
        }
        let state = self.advance_master(epoch)?;
        if state.epoch >= self.enrolment.count {
            return Err(KeyError::Ended(self.enrolment.count));
        }
        LogKeys::begin(Arc::clone(self), origin, state)
    }

    /// Takes up the keys of a log where they were left.
    ///
    /// # Errors
    ///
    /// [`KeyError::Missing`] when this directory has no keys for it (any more).
    pub fn resume(self: &Arc<Self>, origin: Origin) -> Result<LogKeys, KeyError> {
        LogKeys::resume(Arc::clone(self), origin)
    }

    /// Erases whatever keys a log has left. Repeating it is fine.
    ///
    /// # Errors
    ///
    /// [`KeyError::Io`]
    pub fn erase(&self, origin: Origin) -> Result<(), KeyError> {
        let logs = self.dir.make(store::LOGS, 0o700)?;
        store::erase(&logs, &hex(&origin.log))
    }

    /// Erases what could still sign for epochs that ended before `seconds` (Unix time). Recording and
    /// sealing do it on their way; a host where neither happens for hours has to ask for it.
    ///
    /// Logs that a crash left open keep their seeds, because sealing them needs these.
    ///
    /// # Errors
    ///
    /// [`KeyError::Io`], or a seed that cannot be read.
    pub fn erase_ended(&self, seconds: u64) -> Result<Seeds, KeyError> {
        let enrolment = &self.enrolment;
        let begun = seconds.saturating_sub(enrolment.start) / enrolment.seconds;
        let epoch = u32::try_from(begun).map_or(enrolment.count, |it| it.min(enrolment.count));
        let host = self.advance_master(epoch)?.epoch;
        let logs = self.dir.make(store::LOGS, 0o700)?;
        let mut unsealed = Vec::new();
        for log in logs.names()? {
            match SeedState::peek(&logs, &log) {
                Ok(state) => unsealed.push((state.epoch, log)),
                // Completed just now, or half of one being replaced.
                Err(KeyError::Missing(_)) => {}
                Err(_) if log.ends_with(store::STAGED) => {}
                Err(error) => return Err(error),
            }
        }
        unsealed.sort();
        Ok(Seeds { host, unsealed })
    }

    /// Erases the master's seeds before `epoch`; returns its state then.
    fn advance_master(&self, epoch: u32) -> Result<SeedState, KeyError> {
        let lock = store::lock(&self.dir)?;
        let mut state = SeedState::read(&self.dir, store::MASTER)?;
        if state.epoch < epoch {
            state.advance(epoch);
            state.replace(&self.dir, store::MASTER)?;
        }
        drop(lock);
        Ok(state)
    }

    /// The key of an epoch, from the secret the ratchet gives.
    fn epoch_signer(
        &self,
        origin: &Origin,
        epoch: u32,
        secret: &Secret,
    ) -> Result<EpochSigner, KeyError> {
        let key = SigningKey::from_bytes(secret);
        if self.epoch_keys.get(epoch as usize) != Some(&key.verifying_key().to_bytes()) {
            let reason = "the seed does not lead to the enrolled key";
            return Err(malformed(&self.dir, store::MASTER, reason));
        }
        let host = SigningKey::from_bytes(self.host.secret());
        Ok(EpochSigner {
            epoch,
            epoch_key: Signer::new(origin.epoch_key_name(epoch), key),
            host_key: Signer::new(origin.to_string(), host),
        })
    }
}

fn malformed(dir: &Dir, name: &str, reason: &'static str) -> KeyError {
    KeyError::Malformed {
        path: dir.path().join(name),
        reason,
    }
}

fn read_enrolment(dir: &Dir, host: &VerifierKey) -> Result<(Enrolment, String), KeyError> {
    let bytes = store::read_public(dir, store::ENROLMENT)?;
    let bad = |reason| malformed(dir, store::ENROLMENT, reason);
    let note = note::Note::parse(&bytes).map_err(|_| bad("not a signed note"))?;
    if note.is_signed_by(host) != Ok(true) {
        return Err(bad("not signed by the host key"));
    }
    let enrolment = Enrolment::parse(note.text).map_err(|_| bad("not an enrolment"))?;
    let text = String::from_utf8(bytes).map_err(|_| bad("not UTF-8"))?;
    Ok((enrolment, text))
}

/// Reads what a user pinned out of a key directory's public files, without touching secrets.
///
/// # Errors
///
/// [`KeyError`] when there is no enrolment there or it does not verify.
pub fn read_public(path: &Path) -> Result<(VerifierKey, Enrolment), KeyError> {
    let dir = store::find_dir(path)?;
    let bytes = store::read_public(&dir, store::HOST_PUBLIC)?;
    let verifier: VerifierKey = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.trim_end().parse().ok())
        .ok_or_else(|| malformed(&dir, store::HOST_PUBLIC, "not a verifier key"))?;
    let (enrolment, _) = read_enrolment(&dir, &verifier)?;
    Ok((verifier, enrolment))
}

/// The key directory a user means: the one given, or the default.
#[must_use]
pub fn path_or_default(path: Option<&Path>) -> PathBuf {
    path.map_or_else(|| PathBuf::from(DEFAULT_PATH), Path::to_path_buf)
}

#[cfg(test)]
mod tests;
