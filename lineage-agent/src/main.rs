//! The `lineage` command: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use lineage_agent::{cli::Cli, commands};

fn main() -> ExitCode {
    commands::run(Cli::parse().command)
}
