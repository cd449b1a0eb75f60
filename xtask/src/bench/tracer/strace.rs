//! `strace`, stopping processes only where it is told to.

use std::fs;

use anyhow::Result;

use super::{CALLS, Traced, Tracer, wrapped};
use crate::bench::run::{Bench, size};
use crate::bench::workload::Workload;

pub(crate) struct Strace;

impl Tracer for Strace {
    fn name(&self) -> &str {
        "strace --seccomp-bpf"
    }

    fn records_the_same(&self) -> bool {
        true
    }

    fn run(&self, bench: &Bench, work: &Workload, count: bool) -> Result<Traced> {
        let output = bench.place.join("strace.out");
        let calls = format!("trace={CALLS}");
        let mut words = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", &calls, "-o"]
            .map(str::to_owned)
            .to_vec();
        words.extend([output.display().to_string(), "--".to_owned()]);
        let (traced, _) = wrapped(bench, work, &words, &[])?;
        lines(traced, &output, work, count)
    }
}

/// Counts the lines of a tracer's output, and those of opens that can be counted.
pub(super) fn lines(
    mut traced: Traced,
    output: &std::path::Path,
    work: &Workload,
    count: bool,
) -> Result<Traced> {
    let text = fs::read(output)?;
    let text = String::from_utf8_lossy(&text);
    let lines = u32::try_from(text.lines().count())?;
    traced.events = Some(lines.into());
    traced.bytes = Some(size(output)?);
    if let Some((path, _)) = work.opens.filter(|_| count) {
        let found = text.lines().filter(|line| line.contains(path)).count();
        traced.found = Some(u32::try_from(found)?.into());
    }
    Ok(traced)
}
