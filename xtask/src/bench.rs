//! `cargo xtask bench [PART]...`: what recording costs, and how fast reviewers have their answers.
//!
//! Only ratios and counts are figures to trust: the machine's own speed cancels out because both sides alternate. A
//! budget that is missed is reported as missed; nothing is turned off for the benchmark that is on by default.

mod compare;
mod curves;
mod emulated;
mod figure;
mod host;
mod instructions;
mod kernel;
mod matrix;
mod micro;
mod options;
mod review;
mod run;
mod saturation;
mod tracer;
mod window;
mod workload;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::{Map, Value};

use self::figure::Figure;
use self::options::Options;
use crate::{build, paths, sh};

/// Figures, and everything that they come from.
type Tables = (Vec<Figure>, Value);

/// How one part of it is measured.
#[derive(Clone, Copy)]
enum Measure {
    /// Figures only.
    Figures(fn() -> Result<Vec<Figure>>),
    /// Figures only, as often as is asked for.
    Rounds(fn(&Options) -> Result<Vec<Figure>>),
    /// Figures, and everything that they come from.
    Tables(fn(&Options) -> Result<Tables>),
}

/// What a part needs.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Needs {
    /// Nothing that is not built for it.
    Nothing,
    /// The agent.
    Agent,
    /// The agent, and root, because it records.
    Root,
}

/// Parts of the benchmark, by name.
const PARTS: [(&str, Needs, Measure); 10] = [
    ("compare", Needs::Root, Measure::Tables(compare::measure)),
    ("kernel", Needs::Root, Measure::Tables(kernel::measure)),
    ("host", Needs::Root, Measure::Rounds(host::figures)),
    (
        "saturation",
        Needs::Root,
        Measure::Figures(saturation::figures),
    ),
    ("window", Needs::Root, Measure::Figures(window::figures)),
    ("curves", Needs::Root, Measure::Tables(curves::measure)),
    (
        "emulated",
        Needs::Agent,
        Measure::Figures(emulated::figures),
    ),
    ("micro", Needs::Nothing, Measure::Figures(micro::figures)),
    (
        "instructions",
        Needs::Nothing,
        Measure::Figures(instructions::figures),
    ),
    ("review", Needs::Agent, Measure::Figures(review::figures)),
];

/// The usage.
pub(crate) const HELP: &str = options::HELP;

/// The task: all parts, or those named.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    if options.check {
        return instructions::check(options.bless);
    }
    let names = PARTS.map(|(name, ..)| name);
    if let Some(other) = options
        .parts
        .iter()
        .find(|part| !names.contains(&part.as_str()))
    {
        bail!(
            "`{other}` is no part of the benchmark: {}",
            names.join(", ")
        );
    }
    let wanted = |name: &str| options.parts.is_empty() || options.parts.iter().any(|it| it == name);
    let wanted: Vec<_> = PARTS.iter().filter(|(name, ..)| wanted(name)).collect();
    let needs = |what: Needs| wanted.iter().any(|(_, needs, _)| *needs >= what);
    if needs(Needs::Root) && !sh::is_root() {
        bail!("recording loads programs into the kernel, which needs root");
    }
    if needs(Needs::Agent) {
        build::all()?;
    }
    fs::create_dir_all(paths::target("bench"))?;
    let (mut figures, mut tables) = (Vec::new(), Map::new());
    for (name, _, measure) in wanted {
        figures.extend(match measure {
            Measure::Figures(measure) => measure()?,
            Measure::Rounds(measure) => measure(&options)?,
            Measure::Tables(measure) => {
                let (figures, table) = measure(&options)?;
                tables.insert((*name).to_owned(), table);
                figures
            }
        });
    }
    report(&figures, tables)
}

/// Shows the figures, keeps everything, and fails if a budget was missed.
fn report(figures: &[Figure], mut results: Map<String, Value>) -> Result<()> {
    let told = figures.iter().map(Figure::json).collect();
    results.insert("figures".to_owned(), told);
    let file = paths::target("bench").join("results.json");
    fs::write(&file, serde_json::to_vec_pretty(&results)?)?;
    println!();
    for figure in figures {
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
