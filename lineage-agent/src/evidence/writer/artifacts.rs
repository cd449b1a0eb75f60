//! A place to store documents in, for threads beside the one that records.

use std::sync::Arc;

use super::super::error::Result;
use super::super::layout::HostDir;
use super::super::seal::put_artifact;
use super::super::text::hex;

/// Stores documents into the evidence of a [`super::Writer`].
#[derive(Clone, Debug)]
pub struct Artifacts(pub(super) Arc<HostDir>);

impl Artifacts {
    /// Stores a document durably under its BLAKE3, which is returned in hex.
    ///
    /// # Errors
    ///
    /// [`super::super::error::Error::Io`]
    pub fn store(&self, bytes: &[u8]) -> Result<String> {
        put_artifact(&self.0, bytes).map(|digest| hex(&digest))
    }
}
