//! `lineage ls`: list records.

use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Context as _;

use super::{filters, screen};
use crate::cli;
use crate::evidence::schema::Record;
use crate::review::ls::Ls;
use crate::review::ndjson::Ndjson;

/// Bytes written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// Where records are printed.
enum Printer {
    People(Ls<BufWriter<io::StdoutLock<'static>>>),
    Programs(Ndjson<BufWriter<io::StdoutLock<'static>>>),
}

/// Runs `lineage ls`.
pub(super) fn run(options: &cli::Ls) -> anyhow::Result<ExitCode> {
    let evidence = screen::open(&options.evidence)?;
    let filter = filters::filter(&options.filters, &evidence)?;
    let out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    let mut printer = if options.ndjson {
        Printer::Programs(Ndjson::new(out))
    } else {
        Printer::People(Ls::new(out, screen::of_stdout(options.colour)))
    };
    let limit = options.limit.unwrap_or(u64::MAX);
    let mut left = limit;
    let several = evidence.hosts().len() > 1;
    let mut stopped = Ok(());
    let mut read = Ok(());
    for host in evidence.hosts() {
        if several {
            let written = printer.host(&host.id().to_string());
            if written.is_err() {
                stopped = written;
                break;
            }
        }
        let visited = host.records(|record| {
            if left == 0 {
                return ControlFlow::Break(None);
            }
            if !filter.matches(record) {
                return ControlFlow::Continue(());
            }
            left -= 1;
            screen::or_stop(printer.record(record)).map_break(Some)
        });
        match visited {
            Ok(Some(Some(error))) => stopped = Err(error),
            Ok(_) => {}
            // What other hosts have is shown all the same.
            Err(error) => read = read.and(Err(error)),
        }
        if stopped.is_err() || left == 0 {
            break;
        }
    }
    let flushed = stopped.and_then(|()| printer.flush());
    // What could be read is shown before it is said that there is more.
    read.context("list all records")?;
    if !options.ndjson && limit > 0 && left == limit {
        filters::remark_nothing(&options.filters);
    }
    screen::ending(flushed)
}

impl Printer {
    fn host(&mut self, id: &str) -> io::Result<()> {
        match self {
            Self::People(ls) => ls.host(id),
            Self::Programs(json) => {
                json.host(id);
                Ok(())
            }
        }
    }

    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        match self {
            Self::People(ls) => ls.record(record),
            Self::Programs(json) => json.record(record),
        }
    }

    fn flush(self) -> io::Result<()> {
        match self {
            Self::People(ls) => ls.into_inner().flush(),
            Self::Programs(json) => json.into_inner().flush(),
        }
    }
}
