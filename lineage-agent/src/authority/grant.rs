//! Grants: what somebody allows a lineage to be, for what purpose, and how long.
//!
//! `docs/grants.md` specifies them. What a lineage may *do* is in the policies that the statement is about.

use serde::{Deserialize, Serialize};

use super::selector::Selector;
use super::statement::{Digest, Predicate};
use super::time::Time;
use crate::evidence::keys::PublicKey;

/// Longest text of a purpose, bytes.
pub const PURPOSE_BYTES_MAX: usize = 4096;

/// Most entries of all selectors of a grant together, and most keys in it.
pub const ENTRIES_MAX: usize = 64;

/// Most levels of grants there can be.
pub const LEVELS_MAX: usize = 8;

/// What an issuer grants: the predicate of the statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// Whose grant it is.
    pub issuer: PublicKey,
    /// What it is for.
    pub purpose: Purpose,
    /// What it can be bound to.
    #[serde(default, skip_serializing_if = "Selector::is_any")]
    pub selector: Selector,
    /// The first moment at which it authorises.
    pub not_before: Time,
    /// The first moment at which it no longer does.
    pub not_after: Time,
    /// How many further grants can follow below this one, each narrower than the one before.
    #[serde(default, skip_serializing_if = "is_none")]
    pub max_depth: u32,
    /// Who may sign the one that follows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub narrowed_by: Vec<PublicKey>,
    /// The grant that this one narrows; none for one that stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Digest>,
    /// How much may be done.
    #[serde(default, skip_serializing_if = "Budgets::are_none")]
    pub budgets: Budgets,
}

/// What a grant is for: the only intent that authorises anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// In words.
    pub text: String,
    /// The digest of the words, by which records find them.
    #[serde(rename = "blake3")]
    pub digest: Digest,
}

impl Purpose {
    /// The purpose in these words.
    #[must_use]
    pub fn new(text: String) -> Self {
        let digest = Digest::of(text.as_bytes());
        Self { text, digest }
    }
}

/// How much a lineage may do, with all its descendants; what is absent has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budgets {
    /// Programs executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execs: Option<u64>,
    /// Connections begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Bytes sent over the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
}

impl Budgets {
    /// Whether nothing has a limit.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

fn is_none(number: &u32) -> bool {
    *number == 0
}

impl Predicate for Grant {
    const TYPE: &'static str = "urn:lineage:grant:v1";
    const NAME: &'static str = "grant";

    fn issuer(&self) -> &PublicKey {
        &self.issuer
    }

    fn problem(&self) -> Option<&'static str> {
        if self.purpose.text.trim().is_empty() || self.purpose.text.len() > PURPOSE_BYTES_MAX {
            return Some("its purpose is empty, or longer than 4096 bytes");
        }
        if self.purpose.digest != Digest::of(self.purpose.text.as_bytes()) {
            return Some("the digest of its purpose is another text's");
        }
        if self.not_after <= self.not_before {
            return Some("it ends before it begins");
        }
        if self.max_depth as usize >= LEVELS_MAX {
            return Some("more than 7 grants could follow it");
        }
        if (self.max_depth == 0) != self.narrowed_by.is_empty() {
            return Some(
                "either nobody may narrow it, and no grant can follow, or somebody may and some can",
            );
        }
        if self.narrowed_by.len() > ENTRIES_MAX || self.selector.len() > ENTRIES_MAX {
            return Some("it has more than 64 keys or selectors");
        }
        self.selector.problem()
    }
}
