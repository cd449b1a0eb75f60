//! The `lineage` command: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    lineage_agent::commands::main()
}
