//! Options that choose records, the same for every command that goes through them.

use clap::Args;

use super::{lineage_id, number};

/// Conditions a record must meet, all of them.
#[derive(Debug, Args)]
pub struct Filters {
    /// Only these kinds: `file.open`, a whole group with `file`, or `open`; docs/schema.md lists all.
    #[arg(short, long, value_name = "KIND", value_delimiter = ',')]
    pub kind: Vec<String>,

    /// Only what these processes did, and their creation.
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = number(1_i64))]
    pub pid: Vec<i64>,

    /// Only records about a file, program or Unix socket matching the pattern: `*` is any text, also
    /// across `/`, `?` one character.
    #[arg(long, value_name = "GLOB")]
    pub path: Vec<String>,

    /// Only records about a connection with an end matching the pattern, as `address` or
    /// `address:port`.
    #[arg(long, value_name = "GLOB")]
    pub peer: Vec<String>,

    /// Only what threads with a name matching the pattern did.
    #[arg(long, value_name = "GLOB")]
    pub comm: Vec<String>,

    /// Only records with a recognised label matching the pattern, such as `*-install`.
    #[arg(short, long, value_name = "GLOB", value_delimiter = ',')]
    pub recognised: Vec<String>,

    /// Only the lineage whose id starts with this.
    #[arg(long, value_name = "ID", value_parser = lineage_id)]
    pub lineage: Vec<String>,

    /// Only what a policy decided so: allow or deny.
    #[arg(long, value_name = "VERDICT", value_parser = ["allow", "deny"], hide_possible_values = true)]
    pub decision: Vec<String>,

    /// Only calls that failed.
    #[arg(short, long)]
    pub failed: bool,

    /// Only from then on. WHEN is `12:03` or `12:03:04.5` of the last day that is recorded, `2026-11-24`,
    /// `2026-11-24T12:03:04Z`, a span before the last record (not before now) such as `90s`, `5m`, `2h` or `1d`, or a
    /// record by its number, `@4711`. All in UTC unless it says otherwise.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,

    /// Only up to then, and through the end of what WHEN names: that day, minute, second or record.
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
}
