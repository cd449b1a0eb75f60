//! The key directory on disk: exclusive, private, erased when done.

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use zeroize::Zeroizing;

use super::super::files::{Dir, whole};
use super::super::text::{Lines, hex};
use super::error::KeyError;

pub(super) const HOST_KEY: &str = "host.key";
pub(super) const HOST_PUBLIC: &str = "host.pub";
pub(super) const ENROLMENT: &str = "enrolment";
pub(super) const EPOCH_KEYS: &str = "epochs.pub";
pub(super) const MASTER: &str = "seed";
pub(super) const LOGS: &str = "logs";

const SECRET_BYTES_MAX: u64 = 4096;
const PUBLIC_BYTES_MAX: u64 = 64 << 20;
const SEED: &str = "lineage v1 seed";
const RATCHET: &str = "lineage v1 epoch ratchet";
const SIGNING: &str = "lineage v1 epoch signing key";

/// 32 secret bytes, wiped when dropped.
pub(super) type Secret = Zeroizing<[u8; 32]>;

/// A place in the ratchet.
pub(super) struct SeedState {
    /// The epoch the seed is of.
    pub(super) epoch: u32,
    seed: Secret,
}

impl fmt::Debug for SeedState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SeedState(epoch {})", self.epoch)
    }
}

impl SeedState {
    pub(super) fn new(epoch: u32, seed: Secret) -> Self {
        Self { epoch, seed }
    }

    /// Goes forward to `epoch`; never back.
    pub(super) fn advance(&mut self, epoch: u32) {
        while self.epoch < epoch {
            self.seed = Zeroizing::new(blake3::derive_key(RATCHET, &*self.seed));
            self.epoch += 1;
        }
    }

    /// This state's secret key.
    pub(super) fn secret(&self) -> Secret {
        Zeroizing::new(blake3::derive_key(SIGNING, &*self.seed))
    }

    /// Another copy, for looking ahead.
    pub(super) fn copy(&self) -> Self {
        Self::new(self.epoch, self.seed.clone())
    }

    pub(super) fn text(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(hex(&*self.seed));
        Zeroizing::new(format!("{SEED}\nepoch {}\nseed {}\n", self.epoch, *seed))
    }

    /// Reads a state, finishing an interrupted [`SeedState::replace`].
    pub(super) fn read(dir: &Dir, name: &str) -> Result<Self, KeyError> {
        erase(dir, &staged(name))?;
        Self::peek(dir, name)
    }

    /// Reads a state that another process may be about to replace.
    pub(super) fn peek(dir: &Dir, name: &str) -> Result<Self, KeyError> {
        let text = read_secret(dir, name)?;
        let parse = || {
            let mut lines = Lines::new(text.as_bytes(), SEED)?;
            let state = Self {
                epoch: lines.decimal32("epoch")?,
                seed: Zeroizing::new(lines.digest("seed")?),
            };
            lines.end()?;
            Ok(state)
        };
        parse().map_err(|_: super::super::text::TextError| KeyError::Malformed {
            path: dir.path().join(name),
            reason: "not a seed",
        })
    }

    /// Puts this state in the place of an older one and erases that.
    pub(super) fn replace(&self, dir: &Dir, name: &str) -> Result<(), KeyError> {
        let staged = staged(name);
        dir.stage(&staged, self.text().as_bytes(), 0o600)?;
        dir.exchange(&staged, name)?;
        dir.sync()?;
        erase(dir, &staged)
    }
}

/// How the names of files end that are to take another's place.
pub(super) const STAGED: &str = ".tmp";

fn staged(name: &str) -> String {
    format!("{name}{STAGED}")
}

/// Overwrites and removes a secret, if it is there. Copies a file system or a drive may have made
/// are beyond reach.
pub(super) fn erase(dir: &Dir, name: &str) -> Result<(), KeyError> {
    Ok(dir.shred(name)?)
}

/// Makes a private directory, or takes an empty private one. Anything in it may be what is left of
/// the keys of this host, which are never replaced.
pub(super) fn create_dir(path: &Path) -> Result<Dir, KeyError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| KeyError::Io {
            operation: "create",
            path: path.to_owned(),
            source,
        })?;
    let dir = open_dir(path)?;
    if dir.has(HOST_KEY)? {
        return Err(KeyError::Exists(path.to_owned()));
    }
    if !dir.names()?.is_empty() {
        return Err(KeyError::Incomplete(path.to_owned()));
    }
    Ok(dir)
}

/// Opens a key directory to read what is public. That there is none is no error of the system, but
/// how every host begins.
pub(super) fn find_dir(path: &Path) -> Result<Dir, KeyError> {
    Dir::open(path).map_err(|error| match KeyError::from(error) {
        KeyError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            KeyError::Missing(path.to_owned())
        }
        KeyError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            KeyError::Denied(path.to_owned())
        }
        error => error,
    })
}

/// Opens a key directory, refusing one that others could use.
pub(super) fn open_dir(path: &Path) -> Result<Dir, KeyError> {
    let dir = find_dir(path)?;
    let (uid, mode) = dir.owner_and_mode()?;
    check_private(path, uid, mode)?;
    Ok(dir)
}

fn check_private(path: &Path, uid: u32, mode: u32) -> Result<(), KeyError> {
    if uid != rustix::process::geteuid().as_raw() {
        return Err(KeyError::ForeignOwner {
            path: path.to_owned(),
            uid,
        });
    }
    if mode & 0o077 != 0 {
        return Err(KeyError::Loose {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Holds the key directory for as long as the handle lives.
pub(super) fn lock(dir: &Dir) -> Result<Dir, KeyError> {
    // A handle of its own: closing any handle of the same open file would release the lock.
    let handle = dir
        .child(".")?
        .ok_or_else(|| KeyError::Missing(dir.path().to_owned()))?;
    handle.lock_waiting()?;
    Ok(handle)
}

pub(super) fn read_secret(dir: &Dir, name: &str) -> Result<Zeroizing<String>, KeyError> {
    let path = dir.path().join(name);
    let Some(file) = dir.open_file(name, SECRET_BYTES_MAX)? else {
        return Err(KeyError::Missing(path));
    };
    let metadata = file.metadata().map_err(|source| KeyError::Io {
        operation: "stat",
        path: path.clone(),
        source,
    })?;
    check_private(&path, metadata.uid(), metadata.mode() & 0o7777)?;
    let bytes = whole(file, &path, SECRET_BYTES_MAX)?;
    String::from_utf8(bytes)
        .map(Zeroizing::new)
        .map_err(|_| KeyError::Malformed {
            path,
            reason: "not text",
        })
}

pub(super) fn read_public(dir: &Dir, name: &str) -> Result<Vec<u8>, KeyError> {
    dir.read(name, PUBLIC_BYTES_MAX)?
        .ok_or_else(|| KeyError::Missing(dir.path().join(name)))
}

pub(super) fn put_secret(dir: &Dir, name: &str, text: &str) -> Result<(), KeyError> {
    put(dir, name, text.as_bytes())
}

/// Public files are private all the same: nobody else has business in this directory.
pub(super) fn put_public(dir: &Dir, name: &str, bytes: &[u8]) -> Result<(), KeyError> {
    put(dir, name, bytes)
}

fn put(dir: &Dir, name: &str, bytes: &[u8]) -> Result<(), KeyError> {
    let staged = staged(name);
    dir.stage(&staged, bytes, 0o600)?;
    dir.publish(&staged, dir, name)?;
    Ok(())
}

/// Keeps other processes of the same user, and core dumps, away from the keys in memory.
pub(super) fn forbid_dumps() -> Result<(), KeyError> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|errno| KeyError::Io {
            operation: "protect the memory of",
            path: "this process".into(),
            source: errno.into(),
        })?;
    Ok(())
}

pub(super) fn encode_key(secret: &[u8; 32], path: &Path) -> Result<Zeroizing<String>, KeyError> {
    // Without the public key: version 1 of the structure, which every OpenSSL reads.
    let pair = KeypairBytes {
        secret_key: *secret,
        public_key: None,
    };
    pair.to_pkcs8_pem(LineEnding::LF)
        .map_err(|_| KeyError::Malformed {
            path: path.to_owned(),
            reason: "cannot be encoded",
        })
}

pub(super) fn decode_key(pem: &str, path: &Path) -> Result<SigningKey, KeyError> {
    SigningKey::from_pkcs8_pem(pem).map_err(|error| KeyError::Pem {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
