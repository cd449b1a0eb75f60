//! `cargo xtask bench [PART]...`: what recording costs, and how fast reviewers have their answers.
//!
//! `cargo xtask bench --check [--bless]` only counts instructions, and compares them with those that were committed.
//!
//! Only ratios and counts are figures to trust: the machine's own speed cancels out because both sides alternate. A
//! budget that is missed is reported as missed; nothing is turned off for the benchmark that is on by default.

mod emulated;
mod figure;
mod instructions;
mod micro;
mod record;
mod review;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::Value;

use self::figure::Figure;
use crate::{build, paths, sh};

/// A part of the benchmark.
struct Part {
    name: &'static str,
    /// Whether it runs the agent, which is then built first.
    agent: bool,
    /// Whether it records, which needs root.
    records: bool,
    measure: fn() -> Result<Vec<Figure>>,
}

const PARTS: [Part; 5] = [
    Part {
        name: "record",
        agent: true,
        records: true,
        measure: record::figures,
    },
    Part {
        name: "review",
        agent: true,
        records: false,
        measure: review::figures,
    },
    Part {
        name: "micro",
        agent: false,
        records: false,
        measure: micro::figures,
    },
    Part {
        name: "instructions",
        agent: false,
        records: false,
        measure: instructions::figures,
    },
    Part {
        name: "emulated",
        agent: true,
        records: false,
        measure: emulated::figures,
    },
];

/// The task: all parts, or those named.
pub(crate) fn run(args: &[String]) -> Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--check"] => return instructions::check(false),
        ["--check", "--bless"] => return instructions::check(true),
        _ => {}
    }
    if let Some(other) = args
        .iter()
        .find(|arg| PARTS.iter().all(|part| part.name != **arg))
    {
        let parts = PARTS.map(|part| part.name).join(", ");
        bail!("`{other}` is no part of the benchmark: {parts}; or --check [--bless]");
    }
    let wanted = |part: &&Part| args.is_empty() || args.iter().any(|arg| arg == part.name);
    let wanted: Vec<&Part> = PARTS.iter().filter(wanted).collect();
    if wanted.iter().any(|part| part.records) && !sh::is_root() {
        bail!("recording loads programs into the kernel, which needs root");
    }
    if wanted.iter().any(|part| part.agent) {
        build::all()?;
    }
    fs::create_dir_all(paths::target("bench"))?;
    let mut figures = Vec::new();
    for part in wanted {
        figures.extend((part.measure)()?);
    }
    let results: Vec<Value> = figures.iter().map(Figure::json).collect();
    let file = paths::target("bench").join("results.json");
    fs::write(&file, serde_json::to_vec_pretty(&results)?)?;
    println!();
    for figure in &figures {
        println!("{}", figure.line());
    }
    println!("\nwritten to {}", file.display());
    if figures.iter().any(|figure| !figure.met()) {
        bail!("a budget was missed");
    }
    Ok(())
}

/// Builds a program of the tests, the way the agent is built, so that what they share is compiled once.
fn program(name: &str) -> Result<PathBuf> {
    let mut cargo = sh::cargo(["build", "--release", "--package", "lineage-tests"]);
    cargo.args(["--bin", name]);
    let triple = build::linked_statically(&mut cargo, std::env::consts::ARCH);
    sh::loud(cargo)?;
    Ok(paths::target(&triple).join("release").join(name))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
