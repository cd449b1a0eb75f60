//! `lineage impact`: what an event can have influenced.

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use super::{flows, screen};
use crate::cli;
use crate::review::impact::{Impact, ImpactOptions};
use crate::review::index::Until;
use crate::review::walk::{Limits, NODES_MAX};

/// Runs `lineage impact`.
pub(super) fn run(options: &cli::review::Impact) -> anyhow::Result<ExitCode> {
    let evidence = screen::open(&options.event.evidence)?;
    let (host, event) = screen::event(&options.event)?.find(&evidence)?;
    let limits = Limits {
        distance: options.depth.unwrap_or(u32::MAX),
        nodes: NODES_MAX,
    };
    let most = options.most;
    let flows = flows::of(host, Until::End, &options.event.evidence, &options.index)?;
    let impact = Impact::new((host, &flows), event, ImpactOptions { limits, most });
    let impact = impact.context("find the effects")?;
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if options.json {
        impact.write_json(&mut out)
    } else {
        impact.write(&mut out, screen::of_stdout(options.colour))
    };
    let written = written.and_then(|()| out.flush());
    // What could be found is shown before it is said that there may be more.
    if let Some(missing) = flows.missing {
        return Err(missing).context("read all records, so effects may be missing");
    }
    if let Some(failed) = impact.failed() {
        return Err(failed).context("read all that tells of the effects");
    }
    screen::ending(written)
}
