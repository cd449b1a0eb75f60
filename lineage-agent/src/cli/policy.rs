//! Options of `lineage policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lineage_common::tier::Tier;

use super::lineage_id;

/// Check policies, and ask what they allow.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check policies rule by rule.
    ///
    /// Each must be Cedar, fit the schema, and use only what the kernel can enforce; whatever is not is an
    /// error that names the rule and the construct. Nothing is ever left out.
    ///
    /// What becomes of what is denied depends on the host: in tier trace files are opened and the process is ended
    /// after that, in tier lsm they are not opened. It is said of each rule.
    ///
    /// Exit status: 0, or 2 when one cannot be enforced.
    Check(Check),
    /// Tell whether something would be allowed, and by which rule. Nothing is run.
    ///
    /// Exit status: 0 allowed, 1 denied, 2 a policy or question that makes no sense.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Propose a policy that allows what was recorded.
    ///
    /// A proposal is for people to read: it allows what was done, right or wrong, as far as it succeeded and no enforced policy
    /// denied it. Its first lines say what it is from and what it leaves out. Nothing is verified: ask `lineage verify`
    /// first whether the evidence is what was recorded.
    ///
    /// Files are named one by one; a directory stands for all that is in it when many of its files were used, but
    /// never one that holds secrets, is somebody's home or is as near to the root as /usr. Programs are always named.
    ///
    /// Exit status: 0, 1 when only a part of the evidence could be read, or 2.
    #[command(after_help = LEARN_EXAMPLES)]
    Learn(Learn),
    /// Print the schema: what policies can speak of.
    Schema,
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  lineage policy explain --policy agent.cedar read /etc/shadow
  lineage policy explain --policy agent.cedar connect 10.0.0.1:443/tcp
  lineage policy explain --policy agent.cedar connect unix:/run/docker.sock
  lineage policy explain --policy all.cedar --policy part.cedar --grant child.json exec /bin/sh";

const LEARN_EXAMPLES: &str = "\
Examples:
  lineage record -o run1 -- python3 agent.py
  lineage policy learn run1 -o agent.cedar
  lineage policy check agent.cedar
  lineage record -o run2 --policy agent.cedar --mode audit -- python3 agent.py";

/// Options of `lineage policy check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The policies.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

    /// The tier of the host that is to enforce them: trace, fexit or lsm. Every host has trace [default: that of this host,
    /// which root can tell, else trace].
    #[arg(long, value_name = "TIER", value_parser = tier)]
    pub tier: Option<Tier>,

    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `lineage policy explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A policy (may be repeated).
    #[arg(long = "policy", value_name = "FILE", required = true)]
    pub policies: Vec<PathBuf>,

    /// A grant: of each in its chain the policies that it names must allow it. Whether it is in its time, and whose it
    /// is, is not looked at (`lineage grant inspect` does).
    #[arg(long, value_name = "FILE")]
    pub grant: Option<PathBuf>,

    /// What is done, such as read, exec or connect.
    pub action: String,

    /// To what: a path, unix:PATH, or ADDRESS:PORT with /tcp (the default), /udp or /other.
    pub object: String,

    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `lineage policy learn`.
#[derive(Debug, Args)]
pub struct Learn {
    /// The evidence directory.
    pub evidence: PathBuf,

    /// The policy file to write, which must not be there [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// A directory stands for all that is in it when more of its files than this were used.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub group: usize,

    /// Addresses of one /24 (IPv6: /64) are that block, when there are several.
    #[arg(long)]
    pub group_addresses: bool,

    /// Only from lineages whose id begins with this (may be repeated).
    #[arg(long, value_name = "ID", value_parser = lineage_id)]
    pub lineage: Vec<String>,

    /// Print one JSON object, with the policy in it, instead of text.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn tier(text: &str) -> Result<Tier, String> {
    Tier::named(text).ok_or_else(|| "expected trace, fexit or lsm".to_owned())
}
