//! Keys of one log: its own place in the ratchet, so that it can be finished after a crash.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::files::Dir;
use super::super::note::{self, Signer};
use super::super::origin::Origin;
use super::super::text::hex;
use super::store::{self, SeedState};
use super::{KeyError, Keys};

/// The keys of a log, shared by the threads that sign.
#[derive(Debug)]
pub struct LogKeys {
    keys: Arc<Keys>,
    origin: Origin,
    logs: Dir,
    /// At the earliest epoch that is not finished.
    state: Mutex<SeedState>,
}

/// Signs for one epoch.
#[derive(Debug)]
pub struct EpochSigner {
    pub(super) epoch: u32,
    pub(super) epoch_key: Signer,
    pub(super) host_key: Signer,
}

impl EpochSigner {
    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The epoch key's signature over the text of a commit.
    #[must_use]
    pub fn sign_commit(&self, text: &str) -> [u8; 64] {
        self.epoch_key.sign(text.as_bytes())
    }

    /// A checkpoint note with both signatures.
    #[must_use]
    pub fn sign_checkpoint(&self, text: &str) -> String {
        note::sign(text, &[&self.host_key, &self.epoch_key])
    }

    /// Public key of the epoch.
    #[must_use]
    pub fn epoch_public(&self) -> [u8; 32] {
        self.epoch_key.verifier().key
    }
}

impl LogKeys {
    pub(super) fn begin(
        keys: Arc<Keys>,
        origin: Origin,
        state: SeedState,
    ) -> Result<Self, KeyError> {
        let logs = keys.dir.make(store::LOGS, 0o700)?;
        let name = hex(&origin.log);
        if logs.has(&name)? {
            return Err(KeyError::Exists(logs.path().join(name)));
        }
        store::put_secret(&logs, &name, &state.text())?;
        logs.sync()?;
        Ok(Self {
            keys,
            origin,
            logs,
            state: Mutex::new(state),
        })
    }

    pub(super) fn resume(keys: Arc<Keys>, origin: Origin) -> Result<Self, KeyError> {
        let logs = keys.dir.make(store::LOGS, 0o700)?;
        let state = SeedState::read(&logs, &hex(&origin.log))?;
        Ok(Self {
            keys,
            origin,
            logs,
            state: Mutex::new(state),
        })
    }

    /// The host's keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The earliest epoch these keys can still sign for.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.lock().epoch
    }

    /// Signs for `epoch`.
    ///
    /// # Errors
    ///
    /// [`KeyError::Erased`] for an epoch that is finished, [`KeyError::Ended`] for one that was
    /// never enrolled.
    pub fn signer(&self, epoch: u32) -> Result<EpochSigner, KeyError> {
        if epoch >= self.keys.enrolment.count {
            return Err(KeyError::Ended(self.keys.enrolment.count));
        }
        let mut state = self.lock().copy();
        if epoch < state.epoch {
            return Err(KeyError::Erased(epoch));
        }
        state.advance(epoch);
        self.keys.epoch_signer(&self.origin, epoch, &state.secret())
    }

    /// Erases the keys of `epoch`: its final checkpoint is durable. Repeating it is fine.
    ///
    /// # Errors
    ///
    /// [`KeyError::Io`]
    pub fn finish_epoch(&self, epoch: u32) -> Result<(), KeyError> {
        let mut state = self.lock();
        if state.epoch > epoch {
            return Ok(());
        }
        let mut next = state.copy();
        next.advance(epoch + 1);
        next.replace(&self.logs, &hex(&self.origin.log))?;
        *state = next;
        self.keys.advance_master(epoch + 1)?;
        Ok(())
    }

    /// Erases all keys of this log: its last checkpoint is durable. Repeating it is fine.
    ///
    /// # Errors
    ///
    /// [`KeyError::Io`]
    pub fn finish_log(&self) -> Result<(), KeyError> {
        store::erase(&self.logs, &hex(&self.origin.log))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SeedState> {
        // The state is replaced whole, so a panic elsewhere cannot have left it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
