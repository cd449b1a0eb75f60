//! `lineage diff`: what two runs did differently.
//!
//! Of each run it keeps what it did, by name: programs with their digests, command lines with how they ended, files
//! read, written and removed, hosts, denials. Names that are another in every run are made alike first, by
//! rules that have names ([`RULES`]), and then both are compared. What is kept is bounded, and what is left out is said.

mod compare;
mod draw;
mod rules;
mod run;
#[cfg(test)]
mod tests;

pub use compare::Diff;
pub use draw::Shown;
pub use rules::RULES;
pub use run::Run;

/// What is compared, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Programs,
    Commands,
    Hosts,
    Written,
    Removed,
    Read,
    Denials,
}

impl Topic {
    const ALL: [Self; 7] = [
        Self::Programs,
        Self::Commands,
        Self::Hosts,
        Self::Written,
        Self::Removed,
        Self::Read,
        Self::Denials,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Programs => "programs",
            Self::Commands => "commands",
            Self::Hosts => "hosts",
            Self::Written => "files written",
            Self::Removed => "files removed",
            Self::Read => "files read",
            Self::Denials => "denials",
        }
    }
}
