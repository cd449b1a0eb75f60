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

    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,

    /// Whether to use colours.
    #[command(flatten)]
    pub colour: Colour,
}
