//! `lineage export`: evidence in formats that other tools read.
//!
//! Each format is an [`Exporter`] in a file of its own. All of them see every record in order, because names and
//! parents follow from records that may not be wanted, and write about those that are. None of them keeps more than
//! what is running, or up to a limit that is an error. `docs/exports.md` says what becomes of what.

mod dot;
mod fields;
mod graph;
mod graphml;
mod ocsf;
mod otlp;
mod perfetto;
mod program;
mod prov;

use std::io::{self, Write};
use std::ops::ControlFlow;

use super::filter::Filter;
use crate::evidence::error::Error as EvidenceError;
use crate::evidence::reader::{Evidence, Host};
use crate::evidence::schema::Record;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Events of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// The Trace Event Format, which Perfetto opens.
    Perfetto,
    /// OpenTelemetry traces.
    Otlp,
    /// W3C PROV, as PROV-JSON.
    Prov,
    /// GraphML.
    Graphml,
    /// The language of Graphviz.
    Dot,
}

/// Why nothing whole was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The writer's.
    #[error(transparent)]
    Write(#[from] io::Error),
    /// More than this program keeps.
    #[error("more than {most} {what} are too many, choose fewer records")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it keeps.
        most: usize,
    },
}

type Result<T> = std::result::Result<T, Error>;

/// What was written.
#[derive(Debug)]
pub struct Exported {
    /// How many records the filter let through.
    pub records: u64,
    /// Why not all records could be read.
    pub read: std::result::Result<(), EvidenceError>,
}

/// One format.
trait Exporter {
    /// The records that follow are of this host.
    fn host(&mut self, at: &Place<'_>) -> Result<()>;

    /// One record, and whether to write about it.
    fn record(&mut self, at: &Place<'_>, record: &Record<'_>, wanted: bool) -> Result<()>;

    /// There are no more.
    fn finish(&mut self) -> Result<()>;
}

/// Where records are from.
struct Place<'a> {
    /// The host's id.
    host: String,
    /// Its name, and the boot id of its kernel, where a manifest says.
    named: Option<(String, String)>,
    /// What the host's artifacts hold.
    artifact: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

/// Writes the records that the filter lets through, host by host.
///
/// # Errors
///
/// [`Error`]; what cannot be read is no error: [`Exported::read`] says it, and the rest is written.
pub fn export<W: Write>(
    evidence: &Evidence,
    filter: &Filter,
    format: Format,
    out: W,
) -> Result<Exported> {
    let mut exporter: Box<dyn Exporter + '_> = match format {
        Format::Ocsf => Box::new(ocsf::Ocsf::new(out)),
        Format::Otlp => Box::new(otlp::Otlp::new(out)),
        Format::Prov => Box::new(graph::GraphExporter::new(out, prov::write)),
        Format::Graphml => Box::new(graph::GraphExporter::new(out, graphml::write)),
        Format::Dot => Box::new(graph::GraphExporter::new(out, dot::write)),
        Format::Perfetto => Box::new(perfetto::Perfetto::new(out, begin_ns(evidence))),
    };
    let mut exported = Exported {
        records: 0,
        read: Ok(()),
    };
    for host in evidence.hosts() {
        one_host(host, filter, &mut *exporter, &mut exported)?;
    }
    exporter.finish()?;
    Ok(exported)
}

fn one_host(
    host: &Host,
    filter: &Filter,
    exporter: &mut dyn Exporter,
    exported: &mut Exported,
) -> Result<()> {
    let artifact = |digest: &str| {
        let digest = crate::evidence::text::parse_hex(digest)?;
        host.artifact(&digest).ok().flatten()
    };
    let at = Place {
        host: host.id().to_string(),
        named: named(host),
        artifact: &artifact,
    };
    exporter.host(&at)?;
    let visited = host.records(|record| {
        let wanted = filter.matches(record);
        exported.records += u64::from(wanted);
        match exporter.record(&at, record, wanted) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    });
    match visited {
        Ok(Some(error)) => return Err(error),
        Ok(None) => {}
        // What other hosts have is exported all the same.
        Err(error) if exported.read.is_ok() => exported.read = Err(error),
        Err(_) => {}
    }
    Ok(())
}

/// Name and boot id of a host, as its first manifest has them.
fn named(host: &Host) -> Option<(String, String)> {
    let first = host.manifests().ok()?.into_iter().min()?;
    let manifest = host.manifest(first).ok().flatten()?;
    Some((manifest.head.hostname, manifest.head.boot))
}

/// When the first record of any host was made, nanoseconds UTC.
fn begin_ns(evidence: &Evidence) -> i64 {
    let first = |host: &Host| {
        let visited = host.records(|record| ControlFlow::Break(record.time_ns));
        visited.ok().flatten().flatten()
    };
    let times = evidence.hosts().iter().filter_map(first);
    times.min().unwrap_or_default()
}
