//! Options of `lineage policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Check policies, and ask what they allow.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check policies rule by rule.
    ///
    /// Each must be Cedar, fit the schema, and use only what the kernel can enforce; whatever is not is an
    /// error that names the rule and the construct. Nothing is ever left out.
    ///
    /// Exit status: 0, or 2 when one cannot be enforced.
    Check(Check),
    /// Tell whether something would be allowed, and by which rule. Nothing is run.
    ///
    /// Exit status: 0 allowed, 1 denied, 2 a policy or question that makes no sense.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Print the schema: what policies can speak of.
    Schema,
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  lineage policy explain --policy agent.cedar read /etc/shadow
  lineage policy explain --policy agent.cedar connect 10.0.0.1:443/tcp
  lineage policy explain --policy agent.cedar connect unix:/run/docker.sock
  lineage policy explain --policy all.cedar --policy part.cedar --grant child.json exec /bin/sh";

/// Options of `lineage policy check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The policies.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

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
