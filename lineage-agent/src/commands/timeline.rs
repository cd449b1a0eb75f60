//! `lineage timeline`: what happened over time.

use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};

use super::{filters, screen};
use crate::cli;
use crate::evidence::reader::Evidence;
use crate::evidence::schema::Record;
use crate::review::filter::Filter;
use crate::review::timeline::{Pace, Timeline};
use crate::review::when;

/// Runs `lineage timeline`.
pub(super) fn run(options: &cli::review::Timeline) -> anyhow::Result<ExitCode> {
    let evidence = screen::open(&options.evidence)?;
    let filter = filters::filter(&options.filters, &evidence)?;
    let mut pace = Pace::new(per(options.per.as_deref())?);
    let mut too_many = None;
    // What is missing is told after the second time.
    let _ = each(&evidence, &filter, |_, record| match pace.record(record) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            too_many = Some(error);
            ControlFlow::Break(())
        }
    });
    if let Some(error) = too_many {
        return Err(error.into());
    }
    let mut timeline = Timeline::new(&pace);
    let mut host = None;
    let read = each(&evidence, &filter, |of, record| {
        if host != Some(of) {
            timeline.host(&evidence.hosts()[of].id().to_string());
            host = Some(of);
        }
        timeline.record(record);
        ControlFlow::Continue(())
    });
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if options.json {
        timeline.write_json(&mut out)
    } else if timeline.is_empty() {
        Ok(())
    } else {
        timeline.write(&mut out, screen::of_stdout(options.colour), options.all)
    };
    let written = written.and_then(|()| out.flush());
    // What could be read is shown before it is said that there is more.
    read.context("read all records")?;
    if !options.json && timeline.is_empty() {
        filters::remark_nothing(&options.filters);
    }
    screen::ending(written)
}

/// The length of an interval that was asked for, nanoseconds.
fn per(text: Option<&str>) -> anyhow::Result<Option<i64>> {
    let Some(text) = text else { return Ok(None) };
    match when::span(text) {
        Some(span) if span > 0 => Ok(Some(span)),
        _ => Err(anyhow!(
            "understand --per: expected a span such as 500ms, 10s or 1h, not {text:?}"
        )),
    }
}

/// Visits the records that are wanted, with the index of their host; what other hosts have is visited when one cannot be
/// read.
fn each(
    evidence: &Evidence,
    filter: &Filter,
    mut visit: impl FnMut(usize, &Record<'_>) -> ControlFlow<()>,
) -> crate::evidence::error::Result<()> {
    let mut read = Ok(());
    for (index, host) in evidence.hosts().iter().enumerate() {
        let visited = host.records(|record| match filter.matches(record) {
            true => visit(index, record),
            false => ControlFlow::Continue(()),
        });
        match visited {
            Ok(Some(())) => break,
            visited => read = read.and(visited.map(drop)),
        }
    }
    read
}
