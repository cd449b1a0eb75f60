//! `cargo xtask bench [record] [review]`: what recording costs, and how fast reviewers have their answers.
//!
//! Only ratios and counts are figures to trust: the machine's own speed cancels out because both sides alternate. A
//! budget that is missed is reported as missed; nothing is turned off for the benchmark that is on by default.

mod record;
mod review;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::{build, paths, sh};

/// One line of the table.
#[derive(Clone)]
struct Figure {
    name: &'static str,
    command: String,
    value: f64,
    unit: &'static str,
    at_most: f64,
}

/// Measures one part of it.
type Measure = fn() -> Result<Vec<Figure>>;

/// Parts of the benchmark, by name.
const PARTS: [(&str, Measure); 2] = [("record", record::figures), ("review", review::figures)];

/// The task: all parts, or those named.
pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(other) = args
        .iter()
        .find(|arg| PARTS.iter().all(|part| part.0 != **arg))
    {
        bail!("`{other}` is no part of the benchmark: record, review");
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

impl Figure {
    fn met(&self) -> bool {
        self.value <= self.at_most
    }

    fn line(&self) -> String {
        let verdict = if self.met() { "met" } else { "MISSED" };
        let Self {
            name,
            value,
            unit,
            at_most,
            ..
        } = self;
        format!("{name:<50} {value:>14.2} {unit:<12} at most {at_most:>12.2}  {verdict}")
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "command": self.command, "value": self.value, "unit": self.unit,
            "at_most": self.at_most, "met": self.met(),
        })
    }
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
