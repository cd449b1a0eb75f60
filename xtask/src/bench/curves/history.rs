//! What the evidence already holds.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::axis::{Axis, Run};
use crate::bench::run::{Bench, remove};
use crate::bench::tracer::lineage::Lineage;
use crate::bench::workload::Workload;
use crate::sh;

/// Sealed segments. Each recording makes one.
const SIZES: [u32; 4] = [0, 1, 10, 100];
/// Opens in each of them.
const OPENS: u64 = 10_000;

/// Evidence that was recorded before, and is gone on with.
pub(super) struct History {
    lineage: Lineage,
}

impl History {
    /// Records what is gone on with, and keeps it as it is at each size.
    pub(super) fn new(bench: &Bench) -> Result<Self> {
        let lineage = Lineage::observe().with(&["--append"]);
        let work = Workload::plain("open", bench.load("open", OPENS, 1));
        for size in SIZES {
            remove(&kept(bench, size))?;
        }
        remove(&bench.place.join("evidence"))?;
        let last = SIZES.into_iter().max().unwrap_or(0);
        sh::say("Recording", format!("{last} segments to go on with"));
        for number in 1..=last {
            let recorded = lineage.go_on(bench, &work, &[])?;
            if SIZES.contains(&number) {
                copy(&recorded.evidence, &kept(bench, number))?;
            }
        }
        Ok(Self { lineage })
    }
}

impl Axis for History {
    fn unit(&self) -> &'static str {
        "sealed segments before"
    }

    fn sizes(&self) -> &[u32] {
        &SIZES
    }

    fn record(&self, bench: &Bench, size: u32, work: &Workload) -> Result<Run> {
        let evidence = bench.place.join("evidence");
        remove(&evidence)?;
        let kept = kept(bench, size);
        if kept.exists() {
            copy(&kept, &evidence)?;
        }
        Run::of(&self.lineage.go_on(bench, work, &[])?.traced)
    }
}

/// Where the evidence of a size is kept.
fn kept(bench: &Bench, size: u32) -> PathBuf {
    bench.place.join(format!("history-{size}"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut words = sh::command("cp", ["--archive"]);
    words.arg(from).arg(to);
    sh::output(words).map(drop)
}
