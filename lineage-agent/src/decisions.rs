//! How often what was decided came to what: the words of the column `effect`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::counted::grouped;

/// Decisions, by what came of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    /// Allowed.
    pub allowed: u64,
    /// Denied, and did not happen.
    pub prevented: u64,
    /// Denied: the program was ended before its first instruction.
    pub killed_before_run: u64,
    /// Denied: it happened, and the process was ended.
    pub killed_after_effect: u64,
    /// Denied, and only recorded.
    pub would_deny: u64,
    /// Denied, and nothing could be done.
    pub not_prevented: u64,
}

impl Decisions {
    /// Counts one.
    pub(crate) fn count(&mut self, effect: &str) {
        let place = match effect {
            "allowed" => &mut self.allowed,
            "prevented" => &mut self.prevented,
            "killed-before-run" => &mut self.killed_before_run,
            "killed-after-effect" => &mut self.killed_after_effect,
            "would-deny" => &mut self.would_deny,
            _ => &mut self.not_prevented,
        };
        *place += 1;
    }

    /// Adds up.
    pub(crate) fn add(&mut self, other: &Self) {
        self.allowed += other.allowed;
        self.prevented += other.prevented;
        self.killed_before_run += other.killed_before_run;
        self.killed_after_effect += other.killed_after_effect;
        self.would_deny += other.would_deny;
        self.not_prevented += other.not_prevented;
    }

    /// Whether nothing was decided.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all was allowed.
    #[must_use]
    pub fn all_allowed(&self) -> bool {
        let Self { allowed, .. } = *self;
        *self
            == Self {
                allowed,
                ..Self::default()
            }
    }
}

/// Those there were, in words: `728 allowed, 1 prevented`.
impl fmt::Display for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.allowed, "allowed"),
            (self.prevented, "prevented"),
            (self.killed_before_run, "killed before it ran"),
            (self.killed_after_effect, "killed after the effect"),
            (self.would_deny, "would have been denied"),
            (self.not_prevented, "denied and not prevented"),
        ];
        let mut between = "";
        for (count, what) in all.iter().filter(|(count, _)| *count > 0) {
            write!(f, "{between}{} {what}", grouped(count))?;
            between = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_was_is_told() {
        let mut decisions = Decisions::default();
        assert!(decisions.is_empty() && decisions.all_allowed());
        for _ in 0..1200 {
            decisions.count("allowed");
        }
        assert!(!decisions.is_empty() && decisions.all_allowed());
        decisions.count("killed-after-effect");
        let told = "1 200 allowed, 1 killed after the effect";
        assert_eq!(decisions.to_string(), told);
        assert!(!decisions.all_allowed());
    }
}
