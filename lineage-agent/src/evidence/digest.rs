//! Plain digests of documents and programs: BLAKE3, which everything here goes by.

use std::io;

use sha2::{Digest as _, Sha256};

use super::tree::Hash;

/// Digest of bytes in memory.
#[must_use]
pub fn of(bytes: &[u8]) -> Hash {
    *blake3::hash(bytes).as_bytes()
}

/// The SHA-256 digest of bytes in memory, for documents that other tools read too.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Digest of everything a reader gives.
///
/// # Errors
///
/// The reader's.
pub fn of_reader(reader: impl io::Read) -> io::Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(reader)?;
    Ok(*hasher.finalize().as_bytes())
}

/// Digest of bytes that come one after the other.
#[derive(Debug, Default)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Digest of all bytes so far.
    #[must_use]
    pub fn finish(&self) -> Hash {
        *self.0.finalize().as_bytes()
    }
}
