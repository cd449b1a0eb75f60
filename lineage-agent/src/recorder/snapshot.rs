//! What procfs shows of a tracked process, in the words of the fold.

use crate::{
    host::procfs::{LinkedPath, Procfs, ProcfsError, Snapshot as Shown},
    lineage::{
        identity::Birth,
        process::{ExecutableState, ParentSnapshot, ProcessState, Snapshot},
    },
    probe::Tracked,
};

/// Reads what procfs shows of a process that is tracked already, so that nothing between the two
/// is lost. One that has ended meanwhile, or whose id is another's now, is recorded as gone.
///
/// # Errors
///
/// [`ProcfsError`] when procfs itself cannot be read.
pub(super) fn take(
    procfs: &Procfs,
    process: Tracked,
    time_ns: u64,
) -> Result<Snapshot, ProcfsError> {
    let shown = procfs
        .snapshot(process.pid)?
        .filter(|shown| shown.start.contains(process.start));
    let parent = match &shown {
        Some(shown) if shown.ppid != 0 => Some(ParentSnapshot {
            pid: shown.ppid,
            birth: procfs.snapshot(shown.ppid)?.as_ref().and_then(birth),
        }),
        _ => None,
    };
    Ok(Snapshot {
        time_ns,
        pid: process.pid,
        start_ns: process.start,
        exec: 0,
        namespace: (process.pid_ns != 0).then_some((process.pid_ns, process.ns_pid)),
        parent,
        state: shown.map(state),
    })
}

/// Identity of a process that procfs shows.
fn birth(shown: &Shown) -> Option<Birth> {
    Some(Birth {
        start_ns: shown.start.earliest_ns(),
        pid_ns: shown.namespaces.pid?,
        ns_pid: shown.ns_pid,
    })
}

fn state(shown: Shown) -> ProcessState {
    let namespaces = shown.namespaces;
    ProcessState {
        comm: shown.comm,
        exe: shown.exe.map(executable),
        argv: shown.argv,
        argv_cut: shown.argv_cut,
        cwd: shown.cwd.map(|cwd| cwd.path),
        credentials: [shown.uid, shown.gid, shown.euid, shown.egid],
        namespaces: [namespaces.mnt, namespaces.net, namespaces.user],
        cgroup: shown.cgroup,
    }
}

fn executable(link: LinkedPath) -> ExecutableState {
    ExecutableState {
        path: link.path,
        inode: link.inode.map(|inode| (inode.dev, inode.ino, inode.mode)),
        unlinked: link.unlinked,
        unreachable: link.unreachable,
    }
}
