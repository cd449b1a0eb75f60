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
mod results;
mod review;
mod run;
mod saturation;
mod tracer;
mod window;
mod workload;

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::Value;

use self::figure::Figure;
use self::options::Options;
use self::results::Results;
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
    let workloads: Vec<&str> = wanted
        .iter()
        .flat_map(|part| workloads(part.0))
        .copied()
        .collect();
    options.knows_workloads(&workloads)?;
    if !wanted.iter().any(|part| part.0 == "compare") {
        options.knows_tracers(&[])?;
    }
    if needs(Needs::Agent) {
        build::all()?;
    }
    let results = Results::open()?;
    let mut figures = Vec::new();
    for (name, _, measure) in wanted {
        let (told, table) = match measure {
            Measure::Figures(measure) => (measure()?, Value::Null),
            Measure::Rounds(measure) => (measure(&options)?, Value::Null),
            Measure::Tables(measure) => measure(&options)?,
        };
        results.keep(name, args, &told, &table)?;
        figures.extend(told);
    }
    report(&figures, &results)
}

/// Names that `--workload` has in a part.
fn workloads(part: &str) -> &'static [&'static str] {
    match part {
        "compare" | "kernel" => &workload::NAMES,
        "host" => &host::NAMES,
        "curves" => &curves::NAMES,
        _ => &[],
    }
}

/// Shows the figures, and fails if a budget was missed.
fn report(figures: &[Figure], results: &Results) -> Result<()> {
    println!();
    for figure in figures {
        println!("{}", figure.line());
    }
    println!("\nwritten to {}", results.file.display());
    let budgets = figures.iter().filter(|figure| figure.has_budget()).count();
    match figures.iter().filter(|figure| !figure.met()).count() {
        0 => Ok(()),
        missed => bail!("{missed} of {budgets} budgets are missed: the lines above that say so"),
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
