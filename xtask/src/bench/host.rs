//! What those pay who are not recorded, while something else on the host is.
//!
//! Observation has one entrance, the return of system calls, so every process passes it. A hook there that does nothing
//! is what this kernel charges for having one at all.

use std::process::{Child, Stdio};

use anyhow::{Context, Result};

use super::figure::{Budget, Figure};
use super::matrix::Spread;
use super::options::Options;
use super::run::{Bench, command, remove};
use super::tracer::attached::Attached;
use super::tracer::{untraced, untraced_as};
use super::workload::{Workload, on_cpu};
use crate::{paths, sh};

/// What is not recorded, by name.
pub(super) const NAMES: [&str; 3] = ["compile", "call", "transfer"];

/// Calls of a round.
const CALLS: u64 = 3_000_000;
const TRANSFERS: u64 = 500_000;
/// More than anyone waits for: the busy process is ended when it was looked at long enough.
const ENDLESS: u64 = u64::MAX;

/// What must be reached.
mod budget {
    use super::Budget;

    /// A compilation that is not recorded, while something is, to while nothing is.
    pub(super) const COMPILE: Budget = Budget::AtMost {
        limit: 1.03,
        aim: 1.01,
    };
    /// System calls that are not recorded, likewise, to those with an empty hook.
    pub(super) const CALLS: Budget = Budget::AtMost {
        limit: 1.15,
        aim: 1.05,
    };
}

/// Measures everything.
pub(super) fn figures(options: &Options) -> Result<Vec<Figure>> {
    let bench = Bench::new()?;
    let calls = bench.load("call", CALLS, 1);
    let transfers = bench.load("transfer", TRANSFERS, 1);
    let works = [
        ("unrecorded make -j", Workload::named("compile", &bench)?),
        ("unrecorded calls", Workload::plain("call", calls)),
        (
            "unrecorded 1-byte writes+reads",
            Workload::plain("transfer", transfers),
        ),
    ];
    let works = works.into_iter();
    let works: Vec<_> = works
        .filter(|(_, work)| options.wants_workload(work.name))
        .collect();
    let mut figures = Vec::new();
    for (what, work) in &works {
        let idle = Other::start(&["sleep", "infinity"].map(str::to_owned))?;
        figures.extend(beside(
            &bench,
            what,
            "an idle process",
            work,
            &idle,
            options.rounds,
        )?);
    }
    if bench.cpus < 2 {
        sh::say("Skipping", "a busy process beside: there is one CPU");
        return Ok(figures);
    }
    for (what, work) in works {
        let work = work.on_cpu(0);
        let busy = Other::start(&on_cpu(1, &bench.load("open", ENDLESS, 1)))?;
        figures.extend(beside(
            &bench,
            what,
            "a busy process",
            &work,
            &busy,
            options.rounds,
        )?);
    }
    Ok(figures)
}

/// One workload that is not recorded, in turns while the other process is and while it is not.
fn beside(
    bench: &Bench,
    what: &str,
    whom: &str,
    work: &Workload,
    other: &Other,
    rounds: usize,
) -> Result<Vec<Figure>> {
    let hooked = work.name != "compile";
    let (mut to_none, mut to_hook) = (Spread::default(), Spread::default());
    let mut shown = String::new();
    // The first run is slower than those after it: its files are not cached.
    untraced(bench, work)?;
    for round in 1..=rounds {
        sh::say(
            "Measuring",
            format!("{what} beside {whom}, round {round} of {rounds}"),
        );
        let before = untraced(bench, work)?.cpu_ns;
        let hook = hooked
            .then(|| untraced_as(bench, work, &["--empty-hook"]))
            .transpose()?;
        let (attached, command) = recorder(bench, other.0.id())?;
        let recorded = untraced(bench, work)?.cpu_ns;
        attached.end(bench)?;
        shown = format!("{command} & {}", work.command.join(" "));
        let after = untraced(bench, work)?.cpu_ns;
        to_none.0.push(recorded / ((before + after) / 2.0));
        to_hook.0.extend(hook.map(|hook| recorded / hook.cpu_ns));
    }
    let figure = |to, value| {
        Figure::told(
            format!("{what}, beside {whom} that is recorded, CPU / {to}"),
            &shown,
            value,
            "times",
        )
    };
    let none = figure("nothing recorded", to_none.median());
    Ok(if hooked {
        vec![
            none,
            figure("empty hook", to_hook.median()).within(budget::CALLS),
        ]
    } else {
        vec![none.within(budget::COMPILE)]
    })
}

/// Starts recording a process.
fn recorder(bench: &Bench, pid: u32) -> Result<(Attached, String)> {
    let evidence = bench.place.join("evidence");
    remove(&evidence)?;
    let lineage = paths::lineage().display().to_string();
    let words = [
        &lineage,
        "record",
        "-o",
        &bench.word("evidence"),
        "--keys",
        &bench.word("keys"),
        "-p",
        &pid.to_string(),
    ]
    .map(str::to_owned);
    let output = bench.place.join("recorder.out");
    let mut attached = Attached::start(bench, &words, "INT", &output)?;
    attached.says("recording into", &output.with_extension("err"))?;
    Ok((attached, words.join(" ")))
}

/// A process of ours that ends with this.
struct Other(Child);

impl Other {
    fn start(words: &[String]) -> Result<Self> {
        // However this one ends: an endless load that nobody knows of would be in every later measurement.
        let tied = ["setpriv", "--pdeathsig", "KILL"].map(str::to_owned);
        let mut command = command(&[&tied, words].concat())?;
        command.stdout(Stdio::null());
        Ok(Self(command.spawn().with_context(|| {
            format!("cannot start {}", words.join(" "))
        })?))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It runs until it is ended; one that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
