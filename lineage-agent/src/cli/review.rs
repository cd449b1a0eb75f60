//! Options of the commands that explain events.

use std::path::PathBuf;

use clap::Args;

use super::{Colour, number};

/// Which event of which evidence.
#[derive(Debug, Args)]
pub struct Event {
    /// Directory of the evidence.
    pub evidence: PathBuf,

    /// The event: the number that `lineage ls` begins its line with, or HOST:NUMBER where the evidence has
    /// several hosts.
    #[arg(value_name = "EVENT")]
    pub name: String,
}

/// Options of `lineage why`.
#[derive(Debug, Args)]
#[command(after_help = WHY_EXAMPLES)]
pub struct Why {
    /// Which event.
    #[command(flatten)]
    pub event: Event,

    /// Steps back from the event, from one program or thing to the next [default: to the beginning].
    #[arg(long, value_name = "N", value_parser = number(1_u32))]
    pub depth: Option<u32>,

    /// Inputs shown of each program, and writers of each thing: the latest.
    #[arg(long, value_name = "N", value_parser = number(1_usize), default_value_t = 12)]
    pub most: usize,

    /// Only which programs led to it.
    #[arg(long, conflicts_with = "data")]
    pub process: bool,

    /// Only which data led to it.
    #[arg(long)]
    pub data: bool,

    /// Name files of the system, too, that nobody recorded has written.
    #[arg(short, long)]
    pub all: bool,

    /// Print one JSON object instead of text: all causes, and the records that tell of them.
    #[arg(long)]
    pub json: bool,

    /// Whether to use colours.
    #[command(flatten)]
    pub colour: Colour,
}

const WHY_EXAMPLES: &str = "\
Examples:
  lineage ls run1 --peer '*:443' -k connect,send   find the event
  lineage why run1 4711                            what led to it
  lineage why run1 4711 --process                  only who ran what";

/// Options of `lineage report`.
#[derive(Debug, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub struct Report {
    /// Directory of the evidence.
    pub evidence: PathBuf,

    /// As a page of HTML, which is the only form there is.
    #[arg(long)]
    pub html: bool,

    /// Where to write it; nothing is overwritten.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Overwrite the file if there is one.
    #[arg(short, long)]
    pub force: bool,

    /// Verify first, and trust this: `root:<64 hex digits>`, a verifier key, `ed25519:<64 hex digits>` of who may
    /// issue grants, or a file holding any of them, as for `lineage verify` (may be repeated).
    #[arg(long, value_name = "KEY-OR-ROOT")]
    pub trust: Vec<String>,
}

const REPORT_EXAMPLES: &str = "\
Examples:
  lineage report run1 --html -o run1.html --trust root:9f3c…
  lineage report run1 -o run1.html --force          once more, not verified";
