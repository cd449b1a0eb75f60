//! Revocations: grants taken back before their time, by who issued them or one above them.

use serde::{Deserialize, Serialize};

use super::statement::{Digest, Predicate, Statement};
use super::time::Time;
use crate::evidence::keys::PublicKey;

/// Longest reason, bytes.
pub const REASON_BYTES_MAX: usize = 4096;

/// The predicate of a statement about the grants that are taken back: they, and all that narrow them,
/// authorise nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revocation {
    /// Who takes it back.
    pub issuer: PublicKey,
    /// When it was signed. It counts from the moment it is known, whatever this says.
    pub revoked_at: Time,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Predicate for Revocation {
    const TYPE: &'static str = "urn:lineage:revocation:v1";
    const NAME: &'static str = "revocation";

    fn issuer(&self) -> &PublicKey {
        &self.issuer
    }

    fn problem(&self) -> Option<&'static str> {
        (self.reason.len() > REASON_BYTES_MAX).then_some("its reason is longer than 4096 bytes")
    }
}

impl Statement<Revocation> {
    /// Whether it takes this grant back. That its issuer may is another matter.
    #[must_use]
    pub fn names(&self, grant: Digest) -> bool {
        self.subjects.iter().any(|one| one.digest() == grant)
    }
}
