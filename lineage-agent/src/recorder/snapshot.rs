//! What procfs shows of a tracked process, in the words of the fold.

use serde_json::{Map, Value, json};

use crate::{
    evidence::escape::escape,
    host::procfs::{LinkedPath, Namespaces, Procfs, ProcfsError, Snapshot as Shown, StartTime},
    lineage::{
        identity::Birth,
        process::{ExecutableState, ParentSnapshot, ProcessState, Snapshot},
        variables::{self, Variables},
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
    environment: variables::Shown,
) -> Result<Snapshot, ProcfsError> {
    let shown = procfs
        .snapshot_with(process.pid, environment != variables::Shown::Nothing)?
        .filter(|shown| shown.start.contains(process.start));
    let parent = match &shown {
        Some(shown) if shown.ppid != 0 => Some(ParentSnapshot {
            pid: shown.ppid,
            birth: procfs
                .snapshot(shown.ppid)?
                .filter(|parent| may_be_parent(parent.start, process.start))
                .as_ref()
                .and_then(birth),
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
        state: shown.map(|shown| state(shown, environment)),
    })
}

/// Whether a process that began so may be the parent of one that began at this boot time: it may have
/// the id of the parent, which has ended since.
fn may_be_parent(begun: StartTime, start_ns: u64) -> bool {
    begun.earliest_ns() <= start_ns
}

/// Identity of a process that procfs shows.
fn birth(shown: &Shown) -> Option<Birth> {
    Some(Birth {
        start_ns: shown.start.earliest_ns(),
        pid_ns: shown.namespaces.pid?,
        ns_pid: shown.ns_pid,
    })
}

fn state(shown: Shown, environment: variables::Shown) -> ProcessState {
    let namespaces = shown.namespaces;
    let [uid, euid, ..] = shown.credentials.uids;
    let [gid, egid, ..] = shown.credentials.gids;
    let capabilities = shown.credentials.capabilities;
    let detail = detail(&shown, environment);
    ProcessState {
        comm: shown.comm,
        exe: shown.exe.map(executable),
        argv: shown.argv,
        argv_cut: shown.argv_cut,
        cwd: shown.cwd.map(|cwd| cwd.path),
        credentials: [uid, gid, euid, egid],
        namespaces: [namespaces.mnt, namespaces.net, namespaces.user],
        cgroup: shown.cgroup,
        capabilities: [capabilities.effective, capabilities.permitted],
        detail: Some(detail),
    }
}

/// What has no field of its own, as JSON: what is not known is not in it.
fn detail(shown: &Shown, environment: variables::Shown) -> String {
    let credentials = &shown.credentials;
    let capabilities = credentials.capabilities;
    let set = |set: Option<u64>| set.map(|set| format!("{set:016x}"));
    let [.., suid, fsuid] = credentials.uids;
    let [.., sgid, fsgid] = credentials.gids;
    let seccomp = match credentials.seccomp {
        Some(0) => json!("none"),
        Some(1) => json!("strict"),
        Some(2) => json!("filter"),
        other => json!(other),
    };
    let Namespaces {
        cgroup,
        ipc,
        time,
        uts,
        ..
    } = shown.namespaces;
    let mut detail = present(json!({
        "suid": suid, "fsuid": fsuid, "sgid": sgid, "fsgid": fsgid,
        "groups": credentials.groups,
        "caps_ambient": set(capabilities.ambient),
        "caps_bounding": set(capabilities.bounding),
        "caps_inheritable": set(capabilities.inheritable),
        "no_new_privs": credentials.no_new_privs,
        "seccomp": seccomp,
        "seccomp_filters": credentials.seccomp_filters,
        "label": shown.label.as_deref().map(escape),
        "cgroup_ns": cgroup, "ipc_ns": ipc, "time_ns": time, "uts_ns": uts,
        "threads": shown.tids.len(),
        "container": shown.container,
    }));
    if credentials.groups.len() < credentials.groups_total {
        detail.insert("groups_total".into(), json!(credentials.groups_total));
    }
    if environment != variables::Shown::Nothing {
        let variables = Variables::of(&shown.environment, shown.environment_cut, environment);
        detail.append(&mut told(&variables));
    }
    Value::Object(detail).to_string()
}

/// An environment, for the detail.
fn told(variables: &Variables) -> Map<String, Value> {
    present(json!({
        "environment": variables.shown,
        "environment_cut": variables.cut.then_some(true),
        "environment_others": (variables.others > 0).then_some(variables.others),
        "environment_redacted": (!variables.redacted.is_empty()).then_some(&variables.redacted),
    }))
}

/// The members that are not null.
fn present(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, member)| !member.is_null())
            .collect(),
        _ => Map::new(),
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
