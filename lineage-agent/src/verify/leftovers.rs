//! Files nothing else explains: evidence newer than the log, records nobody signed, strangers.

use super::access::HostDir;
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::layout::{numbered, parquet_path, spool_segment};
use super::log::HostLog;
use super::snapshot::Snapshot;
use crate::counted::counted;
use crate::evidence::text::decimal;

/// Segments above the log that a spool explains, from the log's size on.
pub(super) struct Open<'a> {
    /// Parquet files of complete segments whose records were checked against their spool.
    pub(super) checked: &'a [String],
    /// Segments that a recorder sealed after the names were listed.
    pub(super) sealed_since: &'a [u64],
    /// Number of the first segment above the log that has no spool.
    pub(super) end: u64,
}

/// Looks at every name that was listed, and at those that no part of the evidence has.
pub(super) fn check(
    dir: &HostDir,
    snapshot: &Snapshot,
    log: &HostLog<'_>,
    open: &Open<'_>,
    findings: &mut Findings,
) {
    let newer = |path: String| {
        let size = counted(log.size, "segment", "segments");
        Finding::new(Code::Rollback)
            .file(path)
            .expected(format!("a log of {size}"))
            .found("evidence of a later one")
    };
    for path in &snapshot.events {
        if !is_explained(path, log, open) {
            findings.push(Finding::new(Code::FileForeign).file(path));
        }
    }
    for (folder, names) in [
        ("manifests", &snapshot.manifests),
        ("blocks", &snapshot.blocks),
    ] {
        for name in names {
            let path = format!("{folder}/{name}");
            match numbered(name, 10) {
                Some(segment) if segment >= open.end => findings.push(newer(path)),
                Some(_) => {}
                None => unknown(dir, path, findings),
            }
        }
    }
    for name in &snapshot.checkpoints {
        let path = format!("log/checkpoints/{name}");
        match decimal(name) {
            Some(size) if size > open.end => findings.push(newer(path)),
            Some(1..) => {}
            _ => unknown(dir, path, findings),
        }
    }
    for path in others(dir, log) {
        unknown(dir, path, findings);
    }
}

/// A name nothing explains: worth knowing, unless it is or holds what queries could take for records.
pub(super) fn unknown(dir: &HostDir, path: String, findings: &mut Findings) {
    let foreign = dir.tables(&path);
    if foreign.is_empty() {
        findings.push(Finding::new(Code::FileUnknown).file(path));
    }
    let foreign = foreign.iter();
    findings.extend(foreign.map(|path| Finding::new(Code::FileForeign).file(path)));
}

/// Whether a path below `events/` is the file of a segment.
fn is_explained(path: &str, log: &HostLog<'_>, open: &Open<'_>) -> bool {
    if open.checked.iter().any(|checked| checked == path) {
        return true;
    }
    let name = path
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_suffix(".parquet"));
    let Some(segment) = name.and_then(|name| numbered(name, 10)) else {
        return false;
    };
    let in_a_day = path.split('/').count() == 3;
    if open.sealed_since.contains(&segment) {
        return in_a_day;
    }
    let entry = usize::try_from(segment)
        .ok()
        .and_then(|at| log.entries.get(at));
    match entry {
        Some(Some(entry)) if entry.epoch.is_some() => {
            entry.count > 0 && path == parquet_path(segment, entry.opened)
        }
        // Its manifest is missing or malformed, which is reported: nothing more can be said.
        Some(_) => in_a_day,
        None => false,
    }
}

/// Names in the other directories that the format does not know.
fn others(dir: &HostDir, log: &HostLog<'_>) -> Vec<String> {
    const FOLDERS: [&str; 7] = [
        "artifacts",
        "blocks",
        "epochs",
        "events",
        "log",
        "manifests",
        "spool",
    ];
    let is_spool = |name: &str| {
        let kept = |segment: u64| segment + 1 >= log.size;
        name == "reserve" || name.ends_with(".tmp") || spool_segment(name).is_some_and(kept)
    };
    let is_epoch = |name: &str| name == "enrolment" || numbered(name, 6).is_some();
    let in_log = |name: &str| ["checkpoint", "checkpoints", "cosignatures", "tile"].contains(&name);
    let known = |folder: &str, name: &str| match folder {
        "" => FOLDERS.contains(&name),
        "spool" => is_spool(name),
        "epochs" => is_epoch(name),
        "log" => in_log(name),
        _ => decimal(name).is_some(),
    };
    let mut unknown = Vec::new();
    for folder in ["", "spool", "epochs", "log", "log/cosignatures"] {
        let names = dir.names(folder);
        let strangers = names.iter().filter(|name| !known(folder, name));
        unknown.extend(strangers.map(|name| {
            format!("{folder}/{name}")
                .trim_start_matches('/')
                .to_owned()
        }));
    }
    unknown
}
