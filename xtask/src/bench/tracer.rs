//! Who looks on: nothing, `lineage`, and others.

pub(super) mod attached;
pub(super) mod auditd;
pub(super) mod bpftrace;
pub(super) mod lineage;
pub(super) mod other;
pub(super) mod snoop;
pub(super) mod strace;

use anyhow::Result;

use super::run::{Bench, Cost};
use super::workload::Workload;

/// System calls that tell who ran what, which files were opened and closed, and who was talked to: the
/// part of what `lineage` records that all peers can be asked for.
const CALLS: &str = "open,openat,openat2,creat,close,execve,execveat,fork,vfork,clone,clone3,exit_group,\
socket,connect,accept,accept4,bind,listen,sendto,recvfrom,rename,renameat,renameat2,unlink,unlinkat,mkdir,\
mkdirat,rmdir,link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat";

/// One of them.
pub(super) trait Tracer {
    /// As in the table.
    fn name(&self) -> &str;

    /// Whether it records opens and closes with their paths, of all that a command starts: only such a
    /// one does the same work as `lineage`.
    fn records_the_same(&self) -> bool;

    /// Whether it is of use for a workload.
    fn suits(&self, _work: &Workload) -> bool {
        true
    }

    /// Has it look on once. Only if asked to, it also counts what it found.
    fn run(&self, bench: &Bench, work: &Workload, count: bool) -> Result<Traced>;

    /// What it leaves behind in the kernel is taken back.
    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

/// One run of a workload with somebody looking on.
#[derive(Default)]
pub(super) struct Traced {
    /// The whole command, or for who is attached from outside, the tracer's.
    pub(super) command: String,
    pub(super) workload: Cost,
    /// Of the tracer alone, from its start to its end.
    pub(super) cpu_ns: Option<f64>,
    pub(super) peak_rss_bytes: Option<f64>,
    /// Events that are stored: records, or lines of output.
    pub(super) events: Option<f64>,
    /// Events that it says it has lost.
    pub(super) lost: Option<f64>,
    /// What it says it has left out for want of room, or otherwise not recorded.
    pub(super) missing: Option<f64>,
    /// What is stored.
    pub(super) bytes: Option<f64>,
    /// Of the opens that can be counted, those that are in the output.
    pub(super) found: Option<f64>,
}

/// The workload alone.
pub(super) fn untraced(bench: &Bench, work: &Workload) -> Result<Cost> {
    untraced_as(bench, work, &[])
}

/// The workload alone, with options of `load measure`.
pub(super) fn untraced_as(bench: &Bench, work: &Workload, options: &[&str]) -> Result<Cost> {
    work.reset()?;
    bench.quiet(&bench.measured("inner.json", options, &work.command))?;
    bench.cost("inner.json")
}

/// A tracer that is put in front of a command: the workload tells its cost from inside, the whole from
/// around, and the difference is the tracer's.
pub(super) fn wrapped(
    bench: &Bench,
    work: &Workload,
    tracer: &[String],
    options: &[&str],
) -> Result<(Traced, String)> {
    work.reset()?;
    let inner = bench.measured("inner.json", options, &work.command);
    let command = [tracer, &inner].concat();
    let said = bench.quiet(&bench.measured("outer.json", &[], &command))?;
    let (workload, whole) = (bench.cost("inner.json")?, bench.cost("outer.json")?);
    let traced = Traced {
        command: [tracer, &work.command].concat().join(" "),
        cpu_ns: Some(whole.cpu_ns - workload.cpu_ns),
        peak_rss_bytes: workload.parent_peak_rss_bytes,
        workload,
        ..Traced::default()
    };
    Ok((traced, said))
}
