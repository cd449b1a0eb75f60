//! Chains of grants: one that stands alone, and those that narrow it, each the one before.
//!
//! A file of grants is written like an in-toto bundle: JSON envelopes one after the other, usually one to a line.

use serde::de::IgnoredAny;

use super::dsse::ENVELOPE_BYTES_MAX;
use super::grant::{Grant, LEVELS_MAX};
use super::narrow::{Widening, widenings};
use super::revocation::Revocation;
use super::statement::{self, Digest, Statement, StatementError};
use super::time::Time;
use crate::evidence::keys::PublicKey;

/// Largest file of grants that is read, bytes.
pub const BUNDLE_BYTES_MAX: usize = LEVELS_MAX * ENVELOPE_BYTES_MAX;

/// Grants of which each narrows the one before; never empty.
///
/// Signatures and narrowing hold. Who issued the first, and whether the time is right, is for
/// [`Chain::refusal`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    links: Vec<Statement<Grant>>,
}

/// Why a file is no chain of grants.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// More than is read.
    #[error("{0} bytes, more than the {BUNDLE_BYTES_MAX} that are read")]
    TooLarge(usize),
    /// Not envelopes one after the other.
    #[error("not a file of grants: {0}")]
    Json(#[from] serde_json::Error),
    /// No grant, or more than there can be levels.
    #[error("{0} grants; between 1 and {LEVELS_MAX} are expected")]
    Levels(usize),
    /// Not text.
    #[error("not UTF-8 from byte {0} on")]
    Encoding(usize),
    /// One of them is none, makes no sense, or is not signed.
    #[error("number {number} in the file, from its line {line} on: {source}")]
    Statement {
        /// Which one, from 1, in the order of the file.
        number: usize,
        /// Where it begins; places in it are counted from there.
        line: usize,
        /// What is wrong.
        source: StatementError,
    },
    /// They do not narrow one another in a row.
    #[error("not one chain: {0}")]
    Broken(String),
    /// One allows more than the one above it.
    #[error("grant {id} is wider than the one above it: {}", list(.widenings))]
    Wider {
        /// Which one.
        id: Digest,
        /// By what.
        widenings: Vec<Widening>,
    },
}

/// Why a chain authorises nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody said that this key may issue grants.
    #[error("{0}, who issued the first grant, is not trusted to issue any")]
    Issuer(PublicKey),
    /// Too early.
    #[error("grant {id} begins at {from}")]
    NotYet {
        /// Which one.
        id: Digest,
        /// When it begins.
        from: Time,
    },
    /// Too late.
    #[error("grant {id} ended at {until}")]
    Over {
        /// Which one.
        id: Digest,
        /// When it ended.
        until: Time,
    },
    /// Taken back.
    #[error("grant {id} was revoked by {by}, {}", given(.reason))]
    Revoked {
        /// Which one.
        id: Digest,
        /// Who did.
        by: PublicKey,
        /// Why.
        reason: String,
    },
}

fn given(reason: &str) -> String {
    if reason.is_empty() {
        return "without a reason".to_owned();
    }
    format!("because of {reason:?}")
}

fn list(widenings: &[Widening]) -> String {
    let texts: Vec<String> = widenings.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl Chain {
    /// Reads a file of grants in any order.
    ///
    /// # Errors
    ///
    /// [`ChainError`] for the first thing that is wrong; of what is wider, all.
    pub fn parse(bytes: &[u8]) -> Result<Self, ChainError> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(ChainError::TooLarge(bytes.len()));
        }
        let text =
            str::from_utf8(bytes).map_err(|error| ChainError::Encoding(error.valid_up_to()))?;
        let mut links = Vec::new();
        for (index, (line, envelope)) in split(text)?.into_iter().enumerate() {
            let number = index + 1;
            let statement = statement::parse(envelope.as_bytes());
            links.push(statement.map_err(|source| ChainError::Statement {
                number,
                line,
                source,
            })?);
        }
        Self::of(links)
    }

    /// Puts grants in a row.
    fn of(mut links: Vec<Statement<Grant>>) -> Result<Self, ChainError> {
        if links.is_empty() || links.len() > LEVELS_MAX {
            return Err(ChainError::Levels(links.len()));
        }
        let mut chain = Vec::with_capacity(links.len());
        let mut above = None;
        while !links.is_empty() {
            chain.push(take_below(&mut links, above)?);
            above = chain.last().map(|link: &Statement<Grant>| link.id);
        }
        for pair in chain.windows(2) {
            let (parent, child) = (&pair[0], &pair[1]);
            let widenings = widenings(child, parent);
            if !widenings.is_empty() {
                let id = child.id;
                return Err(ChainError::Wider { id, widenings });
            }
        }
        Ok(Self { links: chain })
    }

    /// The grants, the widest first.
    #[must_use]
    pub fn links(&self) -> &[Statement<Grant>] {
        &self.links
    }

    /// The narrowest grant. But for what they allow to do, where each counts, what it says is what holds.
    #[must_use]
    pub fn last(&self) -> &Statement<Grant> {
        self.links.last().expect("a chain is never empty")
    }

    /// The chain with one more grant at its end.
    ///
    /// # Errors
    ///
    /// [`ChainError`]
    pub fn with(&self, envelope: &str) -> Result<Self, ChainError> {
        let mut text = self.to_text();
        text += envelope;
        Self::parse(text.as_bytes())
    }

    /// The file: one envelope to a line, the widest grant first.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines = self.links.iter().map(|link| link.envelope.to_json() + "\n");
        lines.collect()
    }

    /// Why the chain authorises nothing at a moment, when only these issuers are trusted.
    #[must_use]
    pub fn refusal(
        &self,
        trusted: &[PublicKey],
        revocations: &[Statement<Revocation>],
        at: Time,
    ) -> Option<Refusal> {
        let first = self.links.first().map(|link| &link.predicate);
        if let Some(grant) = first
            && !trusted.contains(&grant.issuer)
        {
            return Some(Refusal::Issuer(grant.issuer));
        }
        self.lapse(revocations, at)
    }

    /// As [`Chain::refusal`], whoever issued it.
    #[must_use]
    pub fn lapse(&self, revocations: &[Statement<Revocation>], at: Time) -> Option<Refusal> {
        for statement in &self.links {
            let (id, grant) = (statement.id, &statement.predicate);
            let mut revoked = revocations
                .iter()
                .filter(|one| self.revoked_by(one) == Some(id));
            if let Some(revocation) = revoked.next() {
                let Revocation { issuer, reason, .. } = revocation.predicate.clone();
                return Some(Refusal::Revoked {
                    id,
                    by: issuer,
                    reason,
                });
            }
            if at < grant.not_before {
                let from = grant.not_before;
                return Some(Refusal::NotYet { id, from });
            }
            if at >= grant.not_after {
                let until = grant.not_after;
                return Some(Refusal::Over { id, until });
            }
        }
        None
    }

    /// The first of its grants that a revocation takes back, which its issuer must have issued, or one above it.
    #[must_use]
    pub fn revoked_by(&self, revocation: &Statement<Revocation>) -> Option<Digest> {
        let issuer = revocation.predicate.issuer;
        let from = self
            .links
            .iter()
            .position(|grant| grant.predicate.issuer == issuer)?;
        let mut below = self.links[from..].iter().map(|grant| grant.id);
        below.find(|id| revocation.names(*id))
    }
}

/// Takes out the one that narrows `above`.
fn take_below(
    links: &mut Vec<Statement<Grant>>,
    above: Option<Digest>,
) -> Result<Statement<Grant>, ChainError> {
    let below: Vec<usize> = (0..links.len())
        .filter(|&index| links[index].predicate.parent == above)
        .collect();
    match (below.as_slice(), above) {
        (&[index], _) => Ok(links.swap_remove(index)),
        ([], None) => Err(ChainError::Broken(
            "the grant that stands alone, which the others narrow, is not among them".to_owned(),
        )),
        ([], Some(_)) => {
            let (id, parent) = (links[0].id, links[0].predicate.parent);
            let parent = parent.map_or_else(|| "none".to_owned(), |parent| parent.to_string());
            Err(ChainError::Broken(format!(
                "grant {id} narrows {parent}, which is not the one above it"
            )))
        }
        (several, None) => Err(ChainError::Broken(format!(
            "{} grants stand alone",
            several.len()
        ))),
        (several, Some(above)) => Err(ChainError::Broken(format!(
            "{} grants narrow {above}",
            several.len()
        ))),
    }
}

/// The envelopes of a bundle, each with the line it begins in.
fn split(text: &str) -> Result<Vec<(usize, &str)>, serde_json::Error> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut found = Vec::new();
    let mut start = 0;
    while let Some(value) = values.next() {
        value?;
        let end = values.byte_offset();
        let envelope = text[start..end].trim_start();
        let before = end - envelope.len();
        let line = text[..before].matches('\n').count() + 1;
        found.push((line, envelope));
        start = end;
        if found.len() > LEVELS_MAX {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
