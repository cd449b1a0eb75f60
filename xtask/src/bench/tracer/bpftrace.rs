//! `bpftrace` with a script that prints what `lineage` records most of: of a command and all its descendants.

use std::fs;

use anyhow::Result;

use super::attached::{look_on, with_tracefs};
use super::strace::lines;
use super::{Traced, Tracer};
use crate::bench::run::Bench;
use crate::bench::workload::Workload;

const SCRIPT: &str = include_str!("opens.bt");

pub(crate) struct Bpftrace;

impl Tracer for Bpftrace {
    fn name(&self) -> &str {
        "bpftrace"
    }

    fn records_the_same(&self) -> bool {
        true
    }

    fn run(&self, bench: &Bench, work: &Workload, count: bool) -> Result<Traced> {
        let (script, output) = (bench.word("opens.bt"), bench.place.join("bpftrace.out"));
        fs::write(&script, SCRIPT)?;
        // Everything that this process starts from now on is looked at.
        let root = std::process::id().to_string();
        let tracer = with_tracefs(&["bpftrace", &script, &root]);
        let (mut traced, said) = look_on(bench, work, &tracer, &output)?;
        traced.lost = Some(lost(&said) + lost(&fs::read_to_string(&output)?));
        lines(traced, &output, work, count)
    }
}

/// Events in all lines `Lost N events`.
fn lost(said: &str) -> f64 {
    said.lines()
        .filter_map(|line| line.strip_prefix("Lost ")?.strip_suffix(" events"))
        .filter_map(|number| number.parse::<f64>().ok())
        .fold(0.0, |sum, lost| sum + lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_added_up() {
        assert_eq!(
            lost("Lost 12 events\nopen 1 Lost 4 events\nLost 30 events\n").to_bits(),
            42.0_f64.to_bits()
        );
    }
}
