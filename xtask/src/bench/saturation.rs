//! All CPUs busy with what is recorded: nothing may be lost, and what the recorder needs is bounded.

use anyhow::Result;

use super::figure::{Budget, Figure};
use super::run::Bench;
use super::tracer::Traced;
use super::tracer::lineage::Lineage;
use super::workload::{self, Workload};
use crate::sh;

/// Opens, each with its close, that make ten million events.
const OPENS: u32 = 5_000_000;
/// Processes of the storm, on every CPU.
const STORM: u64 = 5_000;
/// Mixed operations, on every CPU.
const MIXED: u64 = 20_000;
/// Runs of the demo's agent.
const AGENT_RUNS: usize = 20;

/// What must be reached.
mod budget {
    use super::Budget;

    /// Events lost.
    pub(super) const LOST: Budget = Budget::at_most(0.0);
    /// Resident memory of the recorder.
    pub(super) const RSS_MB: Budget = Budget::AtMost {
        limit: 64.0,
        aim: 40.0,
    };
    /// CPU time of the recorder for a million opens and their closes, to the end of the seal.
    pub(super) const OPENS_SECONDS: Budget = Budget::AtMost {
        limit: 3.0,
        aim: 1.6,
    };
    /// Of that for one event.
    pub(super) const EVENT_MICROS: Budget = Budget::AtMost {
        limit: 1.5,
        aim: 0.8,
    };
    /// Evidence per event.
    pub(super) const EVENT_BYTES: Budget = Budget::AtMost {
        limit: 20.0,
        aim: 12.0,
    };
}

/// Measures everything.
pub(super) fn figures() -> Result<Vec<Figure>> {
    let bench = Bench::new()?;
    let mut figures = opens(&bench)?;
    for (what, name, command) in [
        (
            "fork+exec storm",
            "storm",
            bench.load("storm", STORM, bench.cpus),
        ),
        (
            "mixed load",
            "mixed",
            bench.load("mixed", MIXED, bench.cpus),
        ),
        ("the demo's agent", "agent", workload::agent(AGENT_RUNS)?),
    ] {
        let traced = recorded(&bench, what, name, command)?;
        figures.push(lost(what, &traced));
        figures.push(memory(what, &traced));
        if name != "storm" {
            figures.push(bytes(what, &traced));
        }
    }
    Ok(figures)
}

/// Ten million events, which no buffer can hold.
fn opens(bench: &Bench) -> Result<Vec<Figure>> {
    let each = u64::from(OPENS) / bench.cpus as u64;
    let what = "10 M opens and closes";
    let traced = recorded(bench, what, "open", bench.load("open", each, bench.cpus))?;
    let cpu = traced.cpu_ns.unwrap_or(f64::NAN);
    let told = |name: &str, value, unit| Figure::told(name, &traced.command, value, unit);
    Ok(vec![
        lost(what, &traced),
        memory(what, &traced),
        told(
            "recorder's CPU for a million opens with closes, to the end of the seal",
            cpu / 1e9 / f64::from(OPENS) * 1e6,
            "seconds",
        )
        .within(budget::OPENS_SECONDS),
        told(
            "recorder's CPU for an event, to the end of the seal",
            cpu / 1e3 / traced.events.unwrap_or(f64::NAN),
            "µs",
        )
        .within(budget::EVENT_MICROS),
        bytes(what, &traced),
    ])
}

fn recorded(bench: &Bench, what: &str, name: &'static str, command: Vec<String>) -> Result<Traced> {
    sh::say("Measuring", format!("{what}, on all CPUs"));
    let work = Workload::plain(name, command);
    Ok(Lineage::observe().record(bench, &work, &[])?.traced)
}

fn lost(what: &str, traced: &Traced) -> Figure {
    let lost = traced.lost.unwrap_or(f64::NAN);
    Figure::told(format!("{what}: lost"), &traced.command, lost, "events").within(budget::LOST)
}

fn memory(what: &str, traced: &Traced) -> Figure {
    let bytes = traced.peak_rss_bytes.unwrap_or(f64::NAN);
    let name = format!("{what}: peak memory of the recorder");
    Figure::told(name, &traced.command, bytes / 1e6, "MB").within(budget::RSS_MB)
}

fn bytes(what: &str, traced: &Traced) -> Figure {
    let bytes = traced.bytes.zip(traced.events);
    let bytes = bytes.map_or(f64::NAN, |(bytes, events)| bytes / events);
    let name = format!("{what}: evidence per event");
    Figure::told(name, &traced.command, bytes, "bytes").within(budget::EVENT_BYTES)
}
