//! `lineage why`: explain an event.

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use super::{flows, screen};
use crate::cli;
use crate::review::index::Until;
use crate::review::walk::{Limits, NODES_MAX};
use crate::review::why::{Causes, Why, WhyOptions};

/// Runs `lineage why`.
pub(super) fn run(options: &cli::review::Why) -> anyhow::Result<ExitCode> {
    let evidence = screen::open(&options.event.evidence)?;
    let (host, event) = screen::event(&options.event)?.find(&evidence)?;
    let until = Until::Seq(event.get().seq.unwrap_or_default());
    let evidence = &options.event.evidence;
    let flows = flows::of(host, until, evidence, &options.index)?;
    let why = Why::new((host, &flows), event, why_options(options)).context("find the causes")?;
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if options.json {
        why.write_json(&mut out)
    } else {
        why.write(&mut out, screen::of_stdout(options.colour))
    };
    let written = written.and_then(|()| out.flush());
    // What could be found is shown before it is said that there may be more.
    if let Some(missing) = flows.missing {
        return Err(missing).context("read all records, so causes may be missing");
    }
    if let Some(failed) = why.failed() {
        return Err(failed).context("read all that tells of the causes");
    }
    screen::ending(written)
}

fn why_options(options: &cli::review::Why) -> WhyOptions {
    WhyOptions {
        limits: Limits {
            distance: options.depth.unwrap_or(u32::MAX),
            nodes: NODES_MAX,
        },
        most: options.most,
        all: options.all,
        causes: match (options.process, options.data) {
            (true, _) => Causes::Process,
            (_, true) => Causes::Data,
            _ => Causes::All,
        },
    }
}
