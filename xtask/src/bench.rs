//! `cargo xtask bench [PART]...`: what recording costs, and how fast reviewers have their answers.
//!
//! Only ratios and counts are figures to trust: the machine's own speed cancels out because both sides alternate. A
//! budget that is missed is reported as missed; nothing is turned off for the benchmark that is on by default.

mod emulated;
mod figure;
mod record;
mod review;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::Value;

use self::figure::Figure;
use crate::{build, paths, sh};

/// Measures one part of it.
type Measure = fn() -> Result<Vec<Figure>>;

/// Parts of the benchmark, by name.
const PARTS: [(&str, Measure); 3] = [
    ("record", record::figures),
    ("review", review::figures),
    ("emulated", emulated::figures),
];

/// The task: all parts, or those named.
pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(other) = args
        .iter()
        .find(|arg| PARTS.iter().all(|part| part.0 != **arg))
    {
        bail!("`{other}` is no part of the benchmark: record, review, emulated");
    }
    if !sh::is_root() {
        bail!("recording loads programs into the kernel, which needs root");
    }
    build::all()?;
    fs::create_dir_all(paths::target("bench"))?;
    let mut figures = Vec::new();
    for (name, measure) in PARTS {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            figures.extend(measure()?);
        }
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
