//! What could make an event cost more: how many there were, and by how many rules it is judged.

use anyhow::{Context, Result};

use crate::bench::figure::Figure;
use crate::bench::run::Bench;
use crate::bench::tracer::Traced;
use crate::bench::tracer::lineage::Lineage;
use crate::bench::workload::Workload;

/// Opens at each size: enough for what they cost the recorder to be much more than its end.
const OPENS: u32 = 300_000;

/// One thing that grows while all else stays.
pub(super) trait Axis {
    /// What there is more of, as a plural.
    fn unit(&self) -> &'static str;

    /// The sizes, from the smallest on.
    fn sizes(&self) -> &[u32];

    /// Opens of a recording.
    fn opens(&self, _size: u32) -> u32 {
        OPENS
    }

    /// Records a workload where there is so much of it.
    fn record(&self, bench: &Bench, size: u32, work: &Workload) -> Result<Run>;

    /// What must be reached besides, by the sizes at which nothing was missing.
    fn reached(&self, _complete: &[u32]) -> Option<Figure> {
        None
    }
}

/// One recording.
pub(super) struct Run {
    pub(super) command: String,
    pub(super) workload_ns: f64,
    /// CPU time of the recorder until the workload began.
    pub(super) start_ns: f64,
    /// From when the workload began to the end of the seal.
    pub(super) recorder_ns: f64,
    pub(super) events: f64,
    /// Lost, or left out for want of room.
    pub(super) missing: f64,
}

impl Run {
    pub(super) fn of(traced: &Traced) -> Result<Self> {
        let all = traced.cpu_ns.context("the recorder's CPU time")?;
        let start = traced.workload.parent_cpu_ns;
        let start_ns = start.context("the recorder's CPU time before")?;
        let missing = traced.lost.zip(traced.missing);
        Ok(Self {
            command: traced.command.clone(),
            workload_ns: traced.workload.cpu_ns,
            start_ns,
            recorder_ns: all - start_ns,
            events: traced.events.context("the events are counted")?,
            missing: missing
                .map(|(lost, missing)| lost + missing)
                .context("losses are counted")?,
        })
    }
}

/// Events of one recording.
pub(super) struct Events;

impl Axis for Events {
    fn unit(&self) -> &'static str {
        "events"
    }

    fn sizes(&self) -> &[u32] {
        &[100_000, 300_000, 1_000_000, 3_000_000, 10_000_000]
    }

    fn opens(&self, size: u32) -> u32 {
        // The other half are closes.
        size / 2
    }

    fn record(&self, bench: &Bench, _size: u32, work: &Workload) -> Result<Run> {
        Run::of(&Lineage::observe().record(bench, work, &[])?.traced)
    }
}

/// Rules of the policy.
pub(super) struct Rules;

impl Axis for Rules {
    fn unit(&self) -> &'static str {
        "rules"
    }

    fn sizes(&self) -> &[u32] {
        &[5, 50, 500, 5000]
    }

    fn record(&self, bench: &Bench, size: u32, work: &Workload) -> Result<Run> {
        let lineage = Lineage::governed(bench, "lineage", usize::try_from(size)?, None)?;
        Run::of(&lineage.record(bench, work, &[])?.traced)
    }
}
