//! What was denied, as people are told.

use std::fmt;

use crate::evidence::schema::Record;

/// What came of something that was denied, and why it was: `prevented: agent.cedar:secrets`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome<'a> {
    /// [`Record::effect`]
    pub(super) effect: &'a str,
    /// The rule, or why there is none.
    pub(super) by: &'a str,
}

impl<'a> Outcome<'a> {
    /// That of a record; `None` when nothing was denied.
    pub(super) fn of(record: &Record<'a>) -> Option<Self> {
        if record.verdict != Some("deny") {
            return None;
        }
        let by = record.rule.or(record.reason.map(words));
        Some(Self {
            effect: record.effect.unwrap_or_default(),
            by: by.unwrap_or("no rule permits it"),
        })
    }
}

/// What a reason means, as far as it is known.
fn words(reason: &str) -> &str {
    match reason {
        "over" => "nothing is authorised any more",
        "path-cut" => "its path is longer than what is read of one",
        "not-on-host" => "the host has no path to it",
        "no-entry" => "the tables say nothing about it",
        "budget" => "the budget of the grant is spent",
        other => other,
    }
}

impl Outcome<'_> {
    /// What happened to what was asked for.
    pub(super) fn verb(&self) -> &'static str {
        match self.effect {
            // The policy is only audited.
            "would-deny" => "would be denied",
            _ => "denied",
        }
    }
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.effect {
            "would-deny" => f.write_str(self.by),
            effect => write!(f, "{effect}: {}", self.by),
        }
    }
}
