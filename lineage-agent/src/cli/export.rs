//! Options of `lineage export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::filters::Filters;

/// Options of `lineage export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    /// Directory of the evidence.
    pub evidence: PathBuf,

    /// What to write.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Format,

    /// The file to write, which must not be there; it is complete or not there [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Which records.
    #[command(flatten)]
    pub filters: Filters,
}

/// Formats that other tools read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Events of the Open Cybersecurity Schema Framework, one JSON object a line, for SIEMs and data lakes.
    Ocsf,
    /// A trace to open in ui.perfetto.dev: processes, programs and what they did, on a time line.
    Perfetto,
    /// OpenTelemetry spans, one for each program: OTLP/JSON, one message a line, for collectors.
    Otlp,
    /// W3C provenance (PROV-JSON): activities, entities and agents.
    Prov,
    /// The graph of programs, versions of files and connections, for NetworkX, Gephi and the like.
    Graphml,
    /// The same graph for Graphviz to draw.
    Dot,
}

const EXAMPLES: &str = "\
Examples:
  lineage export run1 --format ocsf -o run1.ocsf.ndjson        for a SIEM or a data lake
  lineage export run1 --format ocsf --decision deny | jq .     what a policy did not allow
  lineage export run1 --format perfetto -o run1.json           to open in ui.perfetto.dev
  lineage export run1 --format otlp -o run1.otlp.jsonl         for the file receiver of a collector
  lineage export run1 --format dot -k exec,fork,read,write | dot -Tsvg > run1.svg

docs/exports.md tells what becomes of what.";
