//! Where the time goes in the kernel: how long each probe runs, next to a hook that does nothing.
//!
//! The kernel itself measures programs in the run in which this is asked; it is never on while other parts measure,
//! because it costs more than a short probe. What it costs is in both sides of the ratio.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Tables;
use super::figure::{Budget, Figure};
use super::matrix::Spread;
use super::options::Options;
use super::run::{Bench, Cost};
use super::tracer::lineage::Lineage;
use super::tracer::untraced_as;
use super::workload::{self, Workload};
use crate::sh;

/// Calls of each operation of `load open`: what is tracked are these, the rest is a few dozens.
const CALLS_OF_AN_OPEN: f64 = 2.0;
const ROUNDS: usize = 3;

/// Time of the probes for a tracked event, to that of the empty hook for a call.
const EVENT: Budget = Budget::AtMost {
    limit: 3.0,
    aim: 2.0,
};

/// Measures all workloads once, and opens in turns with an empty hook.
pub(super) fn measure(options: &Options) -> Result<Tables> {
    let bench = Bench::new()?;
    let mut told = Vec::new();
    for name in workload::NAMES {
        if options.wants_workload(name) {
            let work = Workload::named(name, &bench)?;
            sh::say("Profiling", name);
            let cost = profiled(&bench, &work)?;
            println!("{}", shown(name, &cost));
            told.push(json(&work, &cost));
        }
    }
    Ok((opens(&bench)?, told.into()))
}

fn opens(bench: &Bench) -> Result<Vec<Figure>> {
    let work = Workload::named("open", bench)?;
    let (_, count) = work.opens.context("the opens are counted")?;
    let (mut ours, mut empty, mut to_hook) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        sh::say(
            "Measuring",
            format!("probes and an empty hook, round {round} of {ROUNDS}"),
        );
        let hook = untraced_as(bench, &work, &["--empty-hook", "--profile"])?;
        let program = hook
            .programs
            .first()
            .context("the empty hook was not measured")?;
        empty.push(program.run_ns / program.runs);
        let probes = profiled(bench, &work)?;
        let all: f64 = probes.programs.iter().map(|program| program.run_ns).sum();
        ours.push(all / (count * CALLS_OF_AN_OPEN));
        let plain = untraced_as(bench, &work, &["--empty-hook"])?;
        let recorded = Lineage::observe().record(bench, &work, &[])?;
        to_hook.push(recorded.traced.workload.cpu_ns / plain.cpu_ns);
    }
    let [ours, empty, to_hook] = [ours, empty, to_hook].map(|rounds| Spread(rounds).median());
    let command = work.command.join(" ");
    let told = |name, value, unit| Figure::told(name, &command, value, unit);
    Ok(vec![
        told(
            "open, close: our programs for each, measured by the kernel",
            ours,
            "ns",
        ),
        told(
            "open, close: an empty hook for each, measured by the kernel",
            empty,
            "ns",
        ),
        told(
            "open, close: our programs / an empty hook",
            ours / empty,
            "times",
        )
        .within(EVENT),
        told(
            "open+close, CPU traced / with an empty hook",
            to_hook,
            "times",
        ),
    ])
}

/// A recording in which the kernel measures the probes.
fn profiled(bench: &Bench, work: &Workload) -> Result<Cost> {
    let recorded = Lineage::observe().record(bench, work, &["--profile"])?;
    Ok(recorded.traced.workload)
}

fn shown(name: &str, cost: &Cost) -> String {
    let mut text = format!("\n{name}: programs of the probes\n");
    for program in &cost.programs {
        let mean = program.run_ns / program.runs;
        text += &format!(
            "  {:<16}{:>12} runs{mean:>9.0} ns each{:>8.1} % of the workload's CPU time\n",
            program.name,
            program.runs,
            program.run_ns / cost.cpu_ns * 100.0
        );
    }
    text
}

fn json(work: &Workload, cost: &Cost) -> Value {
    let programs = cost.programs.iter().map(
        |program| json!({ "name": program.name, "runs": program.runs, "run_ns": program.run_ns }),
    );
    json!({
        "workload": work.name, "command": work.command.join(" "), "cpu_ns": cost.cpu_ns,
        "programs": programs.collect::<Vec<_>>(),
    })
}
