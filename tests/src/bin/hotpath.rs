//! One stage from a frame to a verdict, some number of times on the same input, for whoever counts its instructions.
//!
//! ```text
//! hotpath list           the stages, one a line: name, and what their cost is told by
//! hotpath STAGE RUNS     prints how many of those one run goes through
//! ```
//!
//! What it does before is the same whatever the number, so the difference between one run and two is the cost of one.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use lineage_tests::stage::{self, Stage};

/// Programs of the workload: some forty thousand events.
const PROGRAMS: u64 = 300;
/// Runs that are prepared for.
const RUNS_MAX: usize = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hotpath: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["list"] => {
            for (name, unit) in stage::names() {
                println!("{name} {unit}");
            }
        }
        [name, runs] => {
            let runs: usize = runs.parse().context("RUNS is a number")?;
            ensure!(runs <= RUNS_MAX, "RUNS is at most {RUNS_MAX}");
            let mut stage = Stage::named(name, PROGRAMS, RUNS_MAX)?;
            for _ in 0..runs {
                stage.run()?;
            }
            println!("{}", stage.units);
        }
        _ => bail!("usage: hotpath list | hotpath STAGE RUNS"),
    }
    Ok(())
}
