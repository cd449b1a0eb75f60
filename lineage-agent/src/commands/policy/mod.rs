//! `lineage policy`: check policies, ask what they allow, and propose them.

mod check;
mod explain;
mod learn;

use std::process::ExitCode;

use super::screen;
use crate::{
    authority::policy::source::{Effect, SCHEMA},
    cli::policy as cli,
};

/// Runs `lineage policy …`.
pub(super) fn run(command: &cli::Policy) -> anyhow::Result<ExitCode> {
    match command {
        cli::Policy::Check(options) => check::run(options),
        cli::Policy::Explain(options) => explain::run(options),
        cli::Policy::Learn(options) => learn::run(options),
        cli::Policy::Schema => screen::print(SCHEMA),
    }
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    }
}
