//! What a process was denied.

use super::super::denial::Outcome;
use crate::evidence::schema::Record;

/// Denials kept of one process, like ones counting as one; further ones are counted.
const DENIALS_MAX: usize = 32;

/// What a process was denied.
#[derive(Debug, Default)]
pub(super) struct Denials {
    pub(super) named: Vec<Denial>,
    /// Denials not kept.
    pub(super) more: u64,
}

/// All denials of one act by one rule that ended alike.
#[derive(Debug)]
pub(super) struct Denial {
    /// What was asked for, as `lineage policy explain` takes it.
    pub(super) judged: Box<str>,
    /// What came of it.
    pub(super) effect: Box<str>,
    /// The rule, or why there is none.
    pub(super) by: Box<str>,
    pub(super) times: u64,
}

impl Denial {
    /// What came of it, as people are told.
    pub(super) fn outcome(&self) -> Outcome<'_> {
        Outcome {
            effect: &self.effect,
            by: &self.by,
        }
    }
}

impl Denials {
    /// Takes a record; whether it is of something that was denied.
    pub(super) fn add(&mut self, record: &Record<'_>) -> bool {
        let Some(outcome) = Outcome::of(record) else {
            return false;
        };
        let judged = record.judged.unwrap_or_default();
        let same = |denial: &&mut Denial| {
            *denial.judged == *judged
                && *denial.effect == *outcome.effect
                && *denial.by == *outcome.by
        };
        if let Some(denial) = self.named.iter_mut().find(same) {
            denial.times += 1;
        } else if self.named.len() < DENIALS_MAX {
            self.named.push(Denial {
                judged: judged.into(),
                effect: outcome.effect.into(),
                by: outcome.by.into(),
                times: 1,
            });
        } else {
            self.more += 1;
        }
        true
    }
}
