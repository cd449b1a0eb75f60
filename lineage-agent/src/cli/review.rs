//! Options of the commands that explain events and runs.

use std::path::PathBuf;

use clap::Args;

use super::{Colour, filters, number};

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

/// Where what moved between programs and things is kept.
#[derive(Debug, Args)]
pub struct Index {
    /// Directory to keep an index of large evidence in, so that only the first question reads all of it; it can be
    /// removed at any time [default: lineage/ in $XDG_CACHE_HOME or ~/.cache].
    #[arg(long, value_name = "DIR")]
    pub index: Option<PathBuf>,
}

/// Options of `lineage why`.
#[derive(Debug, Args)]
#[command(after_help = WHY_EXAMPLES)]
pub struct Why {
    /// Which event.
    #[command(flatten)]
    pub event: Event,

    /// Steps back from the event, from one program or thing to the next; the chain of programs is told to its
    /// beginning all the same [default: to the beginning].
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

    /// Where an index is kept.
    #[command(flatten)]
    pub index: Index,

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

/// Options of `lineage impact`.
#[derive(Debug, Args)]
#[command(after_help = IMPACT_EXAMPLES)]
pub struct Impact {
    /// Which event.
    #[command(flatten)]
    pub event: Event,

    /// Steps on from the event, from one program or thing to the next [default: to the end].
    #[arg(long, value_name = "N", value_parser = number(1_u32))]
    pub depth: Option<u32>,

    /// Outputs shown of each program, and readers of each thing: the first.
    #[arg(long, value_name = "N", value_parser = number(1_usize), default_value_t = 12)]
    pub most: usize,

    /// Where an index is kept.
    #[command(flatten)]
    pub index: Index,

    /// Print one JSON object instead of text: all effects, and the records that tell of them.
    #[arg(long)]
    pub json: bool,

    /// Whether to use colours.
    #[command(flatten)]
    pub colour: Colour,
}

const IMPACT_EXAMPLES: &str = "\
Examples:
  lineage ls run1 -k receive --peer '203.0.113.9:*'   find where the bytes came in
  lineage impact run1 4053                            what they can have influenced";

/// Options of `lineage index`.
#[derive(Debug, Args)]
#[command(after_help = INDEX_EXAMPLES)]
pub struct Tables {
    /// Directory of the evidence.
    pub evidence: PathBuf,

    /// Directory for the tables, made if it is not there; tables in it are replaced.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,

    /// Write nothing; tell whether the tables in DIR are those of the evidence.
    #[arg(long)]
    pub check: bool,

    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

const INDEX_EXAMPLES: &str = "\
Examples:
  lineage index run1 -o tables           processes, edges and sessions
  lineage index run1 -o tables --check   whether they still are those of run1
  duckdb -c \"FROM 'tables/host=*/processes.parquet' WHERE depth > 3\"";

/// Options of `lineage prove`.
#[derive(Debug, Args)]
#[command(after_help = PROVE_EXAMPLES)]
pub struct Prove {
    /// Which event.
    #[command(flatten)]
    pub event: Event,

    /// Also the records of the data that led to it, as `lineage why` finds them, with their own causes.
    #[arg(long)]
    pub data: bool,

    /// Where an index is kept.
    #[command(flatten)]
    pub index: Index,

    /// File to make, which must not exist [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

const PROVE_EXAMPLES: &str = "\
Examples:
  lineage ls run1 --peer '*:443' -k connect,send   find the event
  lineage prove run1 4711 -o 4711.proof            all a reviewer needs of it, in one file
  lineage verify-proof 4711.proof --trust root:9f3c…";

/// Options of `lineage verify-proof`.
#[derive(Debug, Args)]
pub struct VerifyProof {
    /// The proof.
    #[arg(value_name = "FILE")]
    pub proof: PathBuf,

    /// What to trust: `root:<64 hex digits>`, a verifier key, `ed25519:<64 hex digits>` of who may issue grants, or a
    /// file holding any of them, or the last in PEM (may be repeated).
    #[arg(long, value_name = "KEY-OR-ROOT", required = true)]
    pub trust: Vec<String>,

    /// Demand more: pinned (an epoch root, not only the host key), witnessed, governed (by a grant whose issuer is
    /// trusted).
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub require: Vec<String>,

    /// Verifier key of a witness whose cosignature counts for `--require witnessed`.
    #[arg(long, value_name = "KEY")]
    pub witness: Vec<String>,

    /// Records shown of the causes, and of the data.
    #[arg(long, value_name = "N", value_parser = number(1_usize), default_value_t = 40)]
    pub most: usize,

    /// Print one JSON object instead of text, with all records.
    #[arg(long)]
    pub json: bool,

    /// Whether to use colours.
    #[command(flatten)]
    pub colour: Colour,
}

/// Options of `lineage show`.
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub struct Show {
    /// Which event.
    #[command(flatten)]
    pub event: Event,

    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,

    /// Whether to use colours.
    #[command(flatten)]
    pub colour: Colour,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  lineage ls run1 --failed                      find the event
  lineage show run1 4711                        all that is known of it
  lineage show run1 4711 --json | jq .related.cause

docs/schema.md describes every field.";

/// Options of `lineage timeline`.
#[derive(Debug, Args)]
#[command(after_help = TIMELINE_EXAMPLES)]
pub struct Timeline {
    /// Directory of the evidence.
    pub evidence: PathBuf,

    /// How long an interval is, such as `10s`, `5m` or `1h` [default: so long that about 40 of them have
    /// records].
    #[arg(long, value_name = "SPAN")]
    pub per: Option<String>,

    /// Write all names that are kept, on as many lines as they need.
    #[arg(short, long)]
    pub all: bool,

    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,

    /// Which records.
    #[command(flatten)]
    pub filters: filters::Filters,

    /// Whether to use colours.
    #[command(flatten)]
    pub colour: Colour,
}

const TIMELINE_EXAMPLES: &str = "\
Examples:
  lineage timeline run1                         where to look
  lineage timeline run1 --since 5m --per 10s    the end of it, closer
  lineage timeline run1 -k net --all            only the network, with every name
  lineage ls run1 --since 12:03:04 --until 12:03:06";

/// Options of `lineage diff`.
#[derive(Debug, Args)]
#[command(after_help = DIFF_RULES)]
pub struct Diff {
    /// Evidence of the one run.
    #[arg(value_name = "A")]
    pub before: PathBuf,

    /// Evidence of the other run.
    #[arg(value_name = "B")]
    pub after: PathBuf,

    /// Compare names and numbers exactly, without the rules below.
    #[arg(long)]
    pub exact: bool,

    /// Differences shown of each sort.
    #[arg(long, value_name = "N", value_parser = number(1_usize), default_value_t = 20)]
    pub most: usize,

    /// Show all differences.
    #[arg(short, long, conflicts_with = "most")]
    pub all: bool,

    /// Print one JSON object instead of text, with all differences.
    #[arg(long)]
    pub json: bool,

    /// Which records to compare; a moment is one of each run.
    #[command(flatten)]
    pub filters: filters::Filters,

    /// Whether to use colours.
    #[command(flatten)]
    pub colour: Colour,
}

/// What makes names alike, and how to ask.
pub const DIFF_RULES: &str = "\
What is another in every run is made alike, unless --exact is given:
  workdir    what is below the directory that the run began in is written ./
  pids       ids of processes in paths below /proc, and in names that a process
             makes of its own
  temporary  what mkstemp and its like make up, in temporary directories and in
             names with tmp
  ids        UUIDs, and hexadecimal numbers of 16 digits or more
  dates      dates, and numbers of 8 digits or more
  ports      ports from 32768 on, which clients are given
  amounts    bytes that differ by less than half
  counts     how often something was done
  system     files of the system that are only read, as long as no digest differs

Examples:
  lineage diff monday tuesday                   what an upgrade has changed
  lineage diff good bad --all                   what an incident did besides
  lineage diff good bad --path '/etc/*'         only there
  lineage show bad 4711                         the record of a difference";

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
