//! Grants, revocations, policies and public keys as files that a user names.

use std::error::Error as StdError;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::chain::{BUNDLE_BYTES_MAX, Chain};
use super::dsse::ENVELOPE_BYTES_MAX;
use super::policy::source::{POLICY_BYTES_MAX, Schema, Source};
use super::revocation::Revocation;
use super::statement::{self, Statement};
use crate::evidence::error::Error;
use crate::evidence::escape::escape;
use crate::evidence::files::read_named;
use crate::evidence::keys::{NotAKey, PublicKey};

/// Largest file of a public key, bytes.
const KEY_BYTES_MAX: u64 = 4096;

/// Most revocations in a directory of them.
pub const REVOCATIONS_MAX: usize = 4096;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("read the {what}: {source}")]
    Read {
        /// What it should be.
        what: &'static str,
        /// Which one, and why.
        source: Error,
    },
    /// It is not what it should be.
    #[error("use the {what} {}: {source}", shown(.path))]
    Use {
        /// What it should be.
        what: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No public key, as it stands in an argument.
    #[error("use the key {text}: {source}")]
    Key {
        /// The argument.
        text: String,
        /// Why.
        source: NotAKey,
    },
    /// A directory with too much in it.
    #[error("use the revocations in {}: more than {REVOCATIONS_MAX}", shown(.0))]
    TooMany(PathBuf),
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes())
}

fn read(what: &'static str, path: &Path, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    read_named(path, bytes_max as u64).map_err(|source| FileError::Read { what, source })
}

fn unusable(
    what: &'static str,
    path: &Path,
    source: impl Into<Box<dyn StdError + Send + Sync>>,
) -> FileError {
    FileError::Use {
        what,
        path: path.to_owned(),
        source: source.into(),
    }
}

/// Reads a file of grants.
///
/// # Errors
///
/// [`FileError`]
pub fn chain(path: &Path) -> Result<Chain, FileError> {
    let bytes = read("grant", path, BUNDLE_BYTES_MAX)?;
    Chain::parse(&bytes).map_err(|source| unusable("grant in", path, source))
}

/// Reads a revocation.
///
/// # Errors
///
/// [`FileError`]
pub fn revocation(path: &Path) -> Result<Statement<Revocation>, FileError> {
    let bytes = read("revocation", path, ENVELOPE_BYTES_MAX)?;
    statement::parse(&bytes).map_err(|source| unusable("revocation in", path, source))
}

/// Reads a policy, which is called by the name of its file.
///
/// # Errors
///
/// [`FileError`]
pub fn policy(path: &Path, schema: &Schema) -> Result<Source, FileError> {
    let bytes = read("policy", path, POLICY_BYTES_MAX)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_str();
    let name = name.ok_or_else(|| unusable("policy", path, "its name is not text"))?;
    let source = Source::parse(name, &bytes, schema);
    source.map_err(|source| unusable("policy", path, source))
}

/// A public key as an argument has it: itself, or a file of it.
///
/// # Errors
///
/// [`FileError`]
pub fn public_key(text: &str) -> Result<PublicKey, FileError> {
    // What is written as a key is never the name of a file somebody may have put there.
    if text.starts_with(PublicKey::PREFIX) {
        let text = text.to_owned();
        return text
            .parse()
            .map_err(|source| FileError::Key { text, source });
    }
    let path = Path::new(text);
    let bytes = read("key", path, KEY_BYTES_MAX as usize)?;
    PublicKey::from_file(&String::from_utf8_lossy(&bytes)).map_err(|source| {
        let hint = "`lineage grant key` prints the public half of a secret key";
        unusable("key in", path, format!("{source} ({hint})"))
    })
}

/// The revocations at one place, which are read again when something there is different.
#[derive(Debug, Default)]
pub struct Revocations {
    known: Vec<Statement<Revocation>>,
    /// What was there, by name, inode, size and time of change.
    seen: Vec<(PathBuf, u64, u64, i64, i64)>,
}

impl Revocations {
    /// Reads a revocation, or all in a directory, which are called `*.json`.
    ///
    /// # Errors
    ///
    /// [`FileError`]; what was known before still is.
    pub fn read(&mut self, place: Option<&Path>) -> Result<(), FileError> {
        let Some(place) = place else {
            return Ok(());
        };
        let error = |source| FileError::Read {
            what: "revocations",
            source: Error::Io {
                operation: "list",
                path: place.to_owned(),
                source,
            },
        };
        let mut found = Vec::new();
        if place.is_dir() {
            for entry in std::fs::read_dir(place).map_err(error)? {
                let path = entry.map_err(error)?.path();
                if path.extension() == Some("json".as_ref()) {
                    found.push(path);
                }
                if found.len() > REVOCATIONS_MAX {
                    return Err(FileError::TooMany(place.to_owned()));
                }
            }
            found.sort_unstable();
        } else {
            found.push(place.to_owned());
        }
        let mut seen = Vec::new();
        for path in &found {
            let meta = std::fs::metadata(path).map_err(error)?;
            let (changed, ns) = (meta.ctime(), meta.ctime_nsec());
            seen.push((path.clone(), meta.ino(), meta.size(), changed, ns));
        }
        if seen != self.seen {
            let read = found.iter().map(|path| revocation(path));
            self.known = read.collect::<Result<_, _>>()?;
            self.seen = seen;
        }
        Ok(())
    }

    /// Those that were read last.
    #[must_use]
    pub fn known(&self) -> &[Statement<Revocation>] {
        &self.known
    }
}
