//! What was measured, next to what must be reached.

use serde_json::{Value, json};

/// One line of the table.
#[derive(Clone)]
pub(super) struct Figure {
    /// What was measured, and of what.
    pub(super) name: String,
    /// The command whose cost or answer it is: no figure without one.
    pub(super) command: String,
    /// The figure, in `unit`s.
    pub(super) value: f64,
    /// `times` for ratios.
    pub(super) unit: &'static str,
    /// What must be reached.
    pub(super) budget: Budget,
}

/// What must be reached, and what is aimed at.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Budget {
    /// It is told, and no more.
    None,
    /// The smaller the better.
    AtMost { limit: f64, aim: f64 },
    /// The larger the better.
    AtLeast { limit: f64, aim: f64 },
}

impl Budget {
    /// Where no more is aimed at than must be reached.
    pub(super) const fn at_most(limit: f64) -> Self {
        Self::AtMost { limit, aim: limit }
    }

    /// Whether a figure is within it. One that is no number is not.
    pub(super) fn met(self, value: f64) -> bool {
        match self {
            Self::None => true,
            Self::AtMost { limit, .. } => value <= limit,
            Self::AtLeast { limit, .. } => value >= limit,
        }
    }

    /// Whether it is what is aimed at, too.
    fn aimed_at(self, value: f64) -> bool {
        match self {
            Self::None => false,
            Self::AtMost { aim, .. } => value <= aim,
            Self::AtLeast { aim, .. } => value >= aim,
        }
    }
}

impl Figure {
    /// A figure that has no budget.
    pub(super) fn told(
        name: impl Into<String>,
        command: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            name: name.into(),
            command: command.into(),
            value,
            unit,
            budget: Budget::None,
        }
    }

    /// The same figure with a budget.
    pub(super) fn within(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// Whether something must be reached.
    pub(super) fn has_budget(&self) -> bool {
        self.budget != Budget::None
    }

    /// Whether what must be reached is.
    pub(super) fn met(&self) -> bool {
        self.budget.met(self.value)
    }

    /// As a person reads it.
    pub(super) fn line(&self) -> String {
        let Self {
            name, value, unit, ..
        } = self;
        let verdict = match (self.met(), self.budget.aimed_at(self.value)) {
            (true, true) => "met, and the aim",
            (true, false) => "met",
            (false, _) => "MISSED",
        };
        let line = format!("{name:<80} {value:>14.3} {unit:<8}");
        match self.budget {
            Budget::None => line.trim_end().to_owned(),
            Budget::AtMost { limit, aim } => {
                format!("{line} at most {limit:>8} (aim {aim})  {verdict}")
            }
            Budget::AtLeast { limit, aim } => {
                format!("{line} at least {limit:>7} (aim {aim})  {verdict}")
            }
        }
    }

    /// As a program reads it.
    pub(super) fn json(&self) -> Value {
        let mut json = json!({
            "name": self.name, "command": self.command, "value": self.value, "unit": self.unit,
        });
        let (at, limit, aim) = match self.budget {
            Budget::None => return json,
            Budget::AtMost { limit, aim } => ("at_most", limit, aim),
            Budget::AtLeast { limit, aim } => ("at_least", limit, aim),
        };
        json[at] = json!(limit);
        json["aim"] = json!(aim);
        json["met"] = json!(self.met());
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_missed_by_what_is_no_number() {
        for budget in [
            Budget::at_most(1.0),
            Budget::AtLeast {
                limit: 0.0,
                aim: 0.0,
            },
        ] {
            assert!(!budget.met(f64::NAN));
            assert!(budget.met(1.0));
        }
    }

    #[test]
    fn a_line_says_what_came_of_it() {
        let budget = Budget::AtMost {
            limit: 2.0,
            aim: 1.0,
        };
        let line = |value| Figure::told("a", "b", value, "times").within(budget).line();
        assert!(line(2.5).ends_with("MISSED"));
        assert!(line(1.5).ends_with("met"));
        assert!(line(0.5).ends_with("met, and the aim"));
    }
}
