//! Verification: everything is recomputed from the bytes, no stored conclusion is believed, and no
//! key comes from the evidence.
//!
//! The steps and findings are those of `docs/evidence-format.md`. Every file is hostile: sizes are
//! bounded, links are not followed, special files not read, faults of the Parquet reader isolated,
//! and nothing unprintable gets into a report.

mod access;
mod artifacts;
mod authority;
mod chain;
mod checkpoints;
mod continuity;
mod epochs;
mod facts;
mod finding;
mod findings;
mod host;
mod layout;
mod leftovers;
mod log;
mod loss;
mod place;
mod progress;
mod proof;
mod replay;
mod report;
mod rows;
mod sealed;
mod segment;
mod snapshot;
mod spool;
mod stories;
mod text;
mod tiles;
mod trust;

use std::io::ErrorKind::PermissionDenied;
use std::num::NonZeroUsize;
use std::path::Path;

pub use continuity::{Break, Continuity, Interval, State};
pub use epochs::Pin;
pub use finding::{Code, Finding, Severity};
pub use host::default_threads;
pub use loss::Loss;
pub use progress::ProgressReport;
pub use proof::{Governed, Lines, ProofReport, Proven, Signed, verify_proof};
pub use report::{HostReport, More, Report, Requirement, UnknownRequirement, Verdict};
pub use trust::{Trust, TrustError};

use access::HostDir;
use findings::Findings;
use progress::Progress;

use crate::evidence::error::{Error, Result};
use crate::evidence::files::Dir;
use crate::evidence::reader::HOSTS_MAX;

/// Most threads. What each may need in memory is bounded, so that this bounds all of it.
pub const THREADS_MAX: usize = 64;

/// How to verify.
#[derive(Debug, Clone)]
pub struct Options {
    /// What must hold beyond a good verdict.
    pub require: Vec<Requirement>,
    /// Threads to use; more than [`THREADS_MAX`] are not started.
    pub threads: NonZeroUsize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            require: Vec::new(),
            threads: default_threads(),
        }
    }
}

/// Verifies an evidence directory. `progress` is told, from several threads, how many records of
/// how many are checked.
///
/// # Errors
///
/// Only when the directory itself cannot be opened: whatever is in it leads to findings.
pub fn verify(
    evidence: &Path,
    trust: &Trust,
    options: &Options,
    progress: &ProgressReport<'_>,
) -> Result<Report> {
    let progress = Progress::new(progress);
    let (dirs, strangers) = hosts(&Dir::open(evidence)?)?;
    let checked = dirs
        .iter()
        .map(|dir| host::verify(dir, trust, options, &progress));
    Ok(conclude(strangers, checked.collect(), options))
}

/// The directories of hosts, and what else is there.
fn hosts(evidence: &Dir) -> Result<(Vec<HostDir>, Findings)> {
    let (mut hosts, mut strangers) = (Vec::new(), Findings::default());
    let names = evidence.names()?;
    if !names.iter().any(|name| name.starts_with("host=")) {
        // Another directory was meant; what is in this one says nothing.
        strangers.push(Finding::new(Code::NoHost));
        return Ok((hosts, strangers));
    }
    for name in names {
        let id = name.strip_prefix("host=");
        let host = id
            .and_then(|id| id.parse().ok())
            .filter(|_| hosts.len() < HOSTS_MAX);
        match (host, evidence.child(&name)) {
            (Some(host), Ok(Some(dir))) => hosts.push(HostDir::new(host, dir)),
            (Some(_), Err(Error::Io { source, .. })) if source.kind() == PermissionDenied => {
                let why = "this user may not look into it";
                strangers.push(Finding::new(Code::Unreadable).file(name).found(why));
            }
            // A query over `host=*` would take it for evidence.
            _ if id.is_some() => strangers.push(Finding::new(Code::FileForeign).file(name)),
            // And one over `*` or `**` for evidence, whatever the folder's name.
            _ => match access::strange(evidence, &name)[..] {
                [] => strangers.push(Finding::new(Code::FileUnknown).file(name)),
                ref paths => strangers.extend(
                    paths
                        .iter()
                        .map(|path| Finding::new(Code::FileForeign).file(path)),
                ),
            },
        }
    }
    Ok((hosts, strangers))
}

fn conclude(strangers: Findings, checked: Vec<host::Checked>, options: &Options) -> Report {
    let (mut findings, _) = strangers.into_parts();
    let (mut more, mut hosts) = (Vec::new(), Vec::new());
    for host in checked {
        let (kept, uncounted) = host.findings.into_parts();
        let name = &host.report.host;
        findings.extend(kept.into_iter().map(|finding| finding.host(name)));
        more.extend(uncounted.into_iter().map(|(code, count)| More {
            host: name.clone(),
            code,
            count,
        }));
        hosts.push(host.report);
    }
    Report::new(findings, more, hosts, &options.require)
}
