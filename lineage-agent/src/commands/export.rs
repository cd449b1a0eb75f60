//! `lineage export`: write evidence in formats of other tools.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::Context as _;

use super::output::NewFile;
use super::{filters, refuse_inside, screen};
use crate::cli::export::{Export, Format};
use crate::evidence::reader::Evidence;
use crate::review::export::{self, Exported};
use crate::review::filter::Filter;

/// Bytes written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// Runs `lineage export`.
pub(super) fn run(options: &Export) -> anyhow::Result<ExitCode> {
    let evidence = screen::open(&options.evidence)?;
    let filter = filters::filter(&options.filters, &evidence)?;
    let Some(path) = &options.output else {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
        let exported = match export(&evidence, &filter, options.format, &mut out) {
            Err(export::Error::Write(error)) => return screen::ending(Err(error)),
            exported => exported.context("export it")?,
        };
        let flushed = out.flush();
        told(exported, options)?;
        return screen::ending(flushed);
    };
    refuse_inside(&options.evidence, path)?;
    let mut new = NewFile::create(path, false)?;
    let exported = export(&evidence, &filter, options.format, new.out())
        .with_context(|| new.what().to_owned())?;
    new.publish()?;
    told(exported, options)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what is missing, after what could be read is written.
fn told(exported: Exported, options: &Export) -> anyhow::Result<()> {
    exported.read.context("export all records")?;
    if exported.records == 0 {
        filters::remark_nothing(&options.filters);
    }
    Ok(())
}

fn export(
    evidence: &Evidence,
    filter: &Filter,
    format: Format,
    out: &mut impl Write,
) -> Result<Exported, export::Error> {
    let format = match format {
        Format::Ocsf => export::Format::Ocsf,
        Format::Perfetto => export::Format::Perfetto,
        Format::Otlp => export::Format::Otlp,
        Format::Prov => export::Format::Prov,
        Format::Graphml => export::Format::Graphml,
        Format::Dot => export::Format::Dot,
    };
    export::export(evidence, filter, format, out)
}
