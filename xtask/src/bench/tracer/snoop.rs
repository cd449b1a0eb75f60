//! `opensnoop` and `execsnoop` of libbpf-tools: one kind of event each, of the whole host.

use anyhow::Result;

use super::attached::{look_on, with_tracefs};
use super::strace::lines;
use super::{Traced, Tracer};
use crate::bench::run::Bench;
use crate::bench::workload::Workload;

pub(crate) struct Snoop {
    pub(crate) program: &'static str,
    /// The workloads that it records anything of worth.
    pub(crate) suits: &'static [&'static str],
}

impl Tracer for Snoop {
    fn name(&self) -> &str {
        self.program
    }

    fn records_the_same(&self) -> bool {
        false
    }

    fn suits(&self, work: &Workload) -> bool {
        self.suits.contains(&work.name)
    }

    fn run(&self, bench: &Bench, work: &Workload, count: bool) -> Result<Traced> {
        let output = bench.place.join("snoop.out");
        let tracer = with_tracefs(&[self.program]);
        let (traced, _) = look_on(bench, work, &tracer, &output)?;
        lines(traced, &output, work, count)
    }
}
