//! A tracer that is given on the command line: `PROGRAM OUTPUT-DIRECTORY -- COMMAND...` records COMMAND
//! while that runs, and ends after it, with whatever it stores in OUTPUT-DIRECTORY.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::{Traced, Tracer, wrapped};
use crate::bench::run::{Bench, remove, size};
use crate::bench::workload::Workload;

pub(crate) struct Other {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
}

impl Tracer for Other {
    fn name(&self) -> &str {
        &self.name
    }

    fn records_the_same(&self) -> bool {
        // Whoever names a peer wants to be compared with it.
        true
    }

    fn run(&self, bench: &Bench, work: &Workload, _count: bool) -> Result<Traced> {
        let output = bench.place.join("other");
        remove(&output)?;
        fs::create_dir_all(&output)?;
        let program = self.program.display().to_string();
        let words = [program, output.display().to_string(), "--".to_owned()];
        let (mut traced, _) = wrapped(bench, work, &words, &[])?;
        traced.bytes = Some(size(&output)?);
        Ok(traced)
    }
}
