//! Options of `lineage grant`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Make, narrow, inspect and take back grants.
#[derive(Debug, Subcommand)]
pub enum Grant {
    /// Make a key that signs grants, unless there is one, and print its public half.
    ///
    /// The public half is what `--trust` and `--narrowed-by` take. The secret half is PKCS#8 in PEM:
    /// `openssl genpkey -algorithm ed25519` makes such keys too.
    Key {
        /// The file of the secret half.
        file: PathBuf,
    },
    /// Issue a grant: what a lineage is for, what governs it, and until when.
    ///
    /// It allows what one of the policies named here permits and none forbids, and nothing else. Nobody can change it, and
    /// only the keys named with --narrowed-by can give a narrower one on.
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue(Issue),
    /// Give a grant on, narrower: the same or less in everything.
    ///
    /// What is not said stays as it is in the grant above, but for when it begins, which is now, and who may narrow it
    /// further, which is nobody. Anything wider is refused, and named. The output holds the grants above as well.
    #[command(after_help = NARROW_EXAMPLES)]
    Narrow(Narrow),
    /// Show grants, and whether they authorise anything.
    ///
    /// Signatures and narrowing are checked always; who may issue grants only you can say, with --trust.
    ///
    /// Exit status: 0, 1 when it authorises nothing, 2 when it is no grant or after wrong usage, 3 when
    /// nothing is wrong with it but nobody said whom to trust.
    Inspect(Inspect),
    /// Take a grant back before its time, and all that narrow it.
    ///
    /// Only who issued it, or one above it, can.
    Revoke(Revoke),
}

const ISSUE_EXAMPLES: &str = "\
Examples:
  lineage grant key issuer.pem
  lineage grant issue --key issuer.pem --purpose 'Triage issue 1234' \\
      --policy agent.cedar --for 8h -o grant.json
  lineage grant issue --key issuer.pem --purpose 'Nightly training' --policy train.cedar \\
      --executable /opt/agent/train --not-after 2027-01-01T00:00:00Z -o grant.json";

const NARROW_EXAMPLES: &str = "\
Example:
  lineage grant narrow grant.json --key lead.pem --purpose 'Read the logs' --for 10m -o child.json";

/// What a grant says.
#[derive(Debug, Args)]
pub struct Terms {
    /// The key that signs it: a PEM file (see `lineage grant key`).
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,

    /// Only for this program, by its path or as blake3:<64 hex digits> (may be repeated). The path is that of the file, not of
    /// a link to it. Grants that narrow this one are for the same programs or some of them.
    #[arg(long = "executable", value_name = "PATH|DIGEST")]
    pub executables: Vec<String>,

    /// Only for processes of this user, by number (may be repeated).
    #[arg(long = "uid", value_name = "UID")]
    pub uids: Vec<u32>,

    /// Only for processes in this control group of the unified hierarchy, or below (may be repeated).
    #[arg(long = "cgroup", value_name = "PATH")]
    pub cgroups: Vec<String>,

    /// Only for processes that the recorder starts, not for running ones.
    #[arg(long)]
    pub launch_only: bool,

    /// When it begins, such as 2026-11-29T08:00:00Z [default: now, or when
    /// the grant above begins].
    #[arg(long, value_name = "TIME")]
    pub not_before: Option<String>,

    /// When it ends.
    #[arg(long, value_name = "TIME")]
    pub not_after: Option<String>,

    /// How long it lasts from its beginning, such as 90s, 8h or 30d.
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "not_after")]
    pub lasts: Option<String>,

    /// Who may give it on, narrower: a public key, or a file of one (may be repeated).
    #[arg(long, value_name = "KEY")]
    pub narrowed_by: Vec<String>,

    /// How many narrower grants can follow one below the other, at most 7 [default: 1 with --narrowed-by].
    #[arg(long, value_name = "N", requires = "narrowed_by", value_parser = clap::value_parser!(u32).range(1..=7))]
    pub max_depth: Option<u32>,

    /// Programs that may be executed in one recording, by all processes under this grant together.
    #[arg(long, value_name = "N")]
    pub max_execs: Option<u64>,

    /// Connections that may be begun, likewise.
    #[arg(long, value_name = "N")]
    pub max_connections: Option<u64>,

    /// Bytes that may be sent over the network, likewise. What is sent through a connection is counted as it goes out: who
    /// sends more than is left is ended, and that has gone out.
    #[arg(long, value_name = "N")]
    pub max_bytes_sent: Option<u64>,

    /// The file to write, which must not be there [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Options of `lineage grant issue`.
#[derive(Debug, Args)]
pub struct Issue {
    /// What it is for, in words.
    #[arg(long, value_name = "TEXT")]
    pub purpose: String,

    /// A policy that governs it: a file (may be repeated).
    #[arg(long = "policy", value_name = "FILE", required = true)]
    pub policies: Vec<PathBuf>,

    /// What else it says.
    #[command(flatten)]
    pub terms: Terms,
}

/// Options of `lineage grant narrow`.
#[derive(Debug, Args)]
pub struct Narrow {
    /// The grant to narrow.
    pub grant: PathBuf,

    /// What it is for, in words.
    #[arg(long, value_name = "TEXT")]
    pub purpose: Option<String>,

    /// Keep only this policy of the grant above: its file (may be repeated).
    #[arg(long = "policy", value_name = "FILE")]
    pub policies: Vec<PathBuf>,

    /// What else it says.
    #[command(flatten)]
    pub terms: Terms,
}

/// Options of `lineage grant inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The grant.
    pub grant: PathBuf,

    /// Who may issue grants: a public key, or a file of one (may be repeated).
    #[arg(long, value_name = "KEY")]
    pub trust: Vec<String>,

    /// A revocation to take into account (may be repeated).
    #[arg(long, value_name = "FILE")]
    pub revoked: Vec<PathBuf>,

    /// At this moment instead of now.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,

    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `lineage grant revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The grant: the last one in the file is taken back.
    pub grant: PathBuf,

    /// The key that signs it: a PEM file.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,

    /// Why, in words.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,

    /// The file to write, which must not be there [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
