//! Plain BLAKE3 digests of documents and programs.

use std::io;

use super::tree::Hash;

/// Digest of bytes in memory.
#[must_use]
pub fn of(bytes: &[u8]) -> Hash {
    *blake3::hash(bytes).as_bytes()
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
