//! One host's evidence, in the steps of `docs/evidence-format.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use super::access::HostDir;
use super::chain::SessionEnd;
use super::checkpoints;
use super::continuity::{self, Continuity};
use super::epochs::{self, Keys};
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::layout::{epoch_path, parquet_path, spool_path};
use super::leftovers::{self, Open};
use super::log::HostLog;
use super::loss;
use super::place::{Before, widened_window};
use super::progress::Progress;
use super::report::{HostReport, period};
use super::rows::{self, Expected};
use super::sealed::{self, Sealed};
use super::snapshot::Snapshot;
use super::spool::{self, Place, Spool};
use super::tiles;
use super::trust::Trust;
use super::{Options, artifacts};
use crate::counted::counted;
use crate::evidence::manifest::Reason;
use crate::evidence::tree::{Hashing as _, Log};

/// What verifying one host gave.
pub(super) struct Checked {
    pub(super) report: HostReport,
    pub(super) findings: Findings,
}

/// Verifies one host.
pub(super) fn verify(
    dir: &HostDir,
    trust: &Trust,
    options: &Options,
    progress: &Progress<'_>,
) -> Checked {
    let mut findings = Findings::default();
    let snapshot = Snapshot::take(dir);
    let keys = epochs::check(dir, trust, &mut findings);
    let mut log = HostLog::read(dir, &snapshot, &keys, &mut findings);
    report_missing_keys(dir, &keys, &log, &mut findings);
    let mut sealed = sealed::check(dir, &keys, &log, options.threads, progress, &mut findings);
    log.check_newest(dir, &snapshot, &keys, &mut findings);
    let newest = snapshot.newest.as_deref().unwrap_or_default();
    let cosigned = checkpoints::check_witnesses(dir, trust, newest, log.size, &mut findings);
    let unsealed = check_unsealed(dir, &snapshot, &keys, &mut log, progress, &mut findings);
    check_rest(dir, &snapshot, &log, &unsealed, &mut findings);
    let artifacts = artifacts::check(dir, &sealed.named, &mut findings);
    let loss = loss::check(&log.chain.sessions, &sealed.lost, &mut findings);
    let facts = std::mem::take(&mut sealed.facts);
    let governance = continuity::judge(dir, trust, facts, &mut findings);
    let report = report(
        dir, &keys, &log, &sealed, &unsealed, artifacts, cosigned, loss, governance,
    );
    if snapshot.is_empty() {
        // A recorder that was killed before its first record leaves this, and so does whoever removes
        // everything: what is missing cannot be told.
        findings = Findings::default();
        findings.push(Finding::new(Code::NothingRecorded));
    }
    Checked { report, findings }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the results of the steps, each used once"
)]
fn report(
    dir: &HostDir,
    keys: &Keys,
    log: &HostLog<'_>,
    sealed: &Sealed,
    unsealed: &Unsealed,
    artifacts: usize,
    cosigned: usize,
    loss: loss::Loss,
    governance: Vec<Continuity>,
) -> HostReport {
    let used: BTreeSet<u32> = log
        .entries
        .iter()
        .flatten()
        .filter_map(|entry| entry.epoch)
        .collect();
    HostReport {
        host: dir.host.to_string(),
        log: log
            .origin()
            .map(|origin| crate::evidence::text::hex(&origin.log)),
        pin: keys.pin,
        segments: log.newest.as_ref().map_or(log.size, |newest| newest.size),
        segments_valid: sealed.segments,
        checkpoints_valid: sealed.checkpoints,
        records: sealed.records,
        lineages: sealed.lineages.len() as u64,
        epochs: used
            .first()
            .copied()
            .zip(used.last().copied())
            .map(|(first, last)| [first, last]),
        period: sealed.times.map(period),
        artifacts: artifacts as u64,
        committed: unsealed.committed,
        uncommitted: unsealed.uncommitted,
        complete: log
            .chain
            .previous
            .as_ref()
            .is_some_and(|last| last.reason == Reason::Shutdown),
        cosignatures: cosigned as u64,
        loss,
        governance,
    }
}

/// An epoch in use whose key file is not there. One that is there and bad is reported already.
fn report_missing_keys(dir: &HostDir, keys: &Keys, log: &HostLog<'_>, findings: &mut Findings) {
    let used: BTreeSet<u32> = log
        .entries
        .iter()
        .flatten()
        .filter_map(|entry| entry.epoch)
        .collect();
    for epoch in used {
        let path = epoch_path(epoch);
        if !keys.epochs.contains_key(&epoch) && !dir.has(&path) {
            findings.push(Finding::new(Code::FileMissing).file(path));
        }
    }
}

/// What is above the log.
#[derive(Default)]
struct Unsealed {
    committed: u64,
    uncommitted: u64,
    /// Parquet files that were checked against a spool.
    checked: Vec<String>,
    /// Segments whose spool was listed and gone when it was to be read: sealed meanwhile.
    sealed_since: Vec<u64>,
    /// First segment above the log without a spool.
    end: u64,
}

/// Checks the spools from the log's size on.
fn check_unsealed(
    dir: &HostDir,
    snapshot: &Snapshot,
    keys: &Keys,
    log: &mut HostLog<'_>,
    progress: &Progress<'_>,
    findings: &mut Findings,
) -> Unsealed {
    let mut unsealed = Unsealed {
        end: log.size,
        ..Unsealed::default()
    };
    let mut before = log.chain.previous;
    // Whether the next segment is there at all; a file without a whole header is not.
    let mut begun = false;
    while snapshot.spools.contains(&unsealed.end) {
        let place = Place {
            segment: unsealed.end,
            origin: log.origin(),
            before: before.as_ref(),
        };
        let mut found = Vec::new();
        let spool = spool::check(dir, keys, &place, &mut found);
        let damaged = !found.is_empty();
        findings.extend(found);
        let Some(spool) = spool else {
            // Sealed since its name was listed.
            begun = true;
            unsealed.sealed_since.push(unsealed.end);
            unsealed.end += 1;
            before = None;
            continue;
        };
        note_unsealed(&spool, unsealed.end, findings);
        check_sealing(
            dir,
            keys,
            &spool,
            unsealed.end,
            progress,
            &mut unsealed.checked,
            findings,
        );
        add_counters(&spool, &mut log.chain.sessions, findings);
        begun |= damaged || spool.head.is_some();
        unsealed.committed += spool.committed;
        unsealed.uncommitted += spool.uncommitted;
        unsealed.end += 1;
        before = after(&spool).filter(|_| !damaged);
    }
    let last = log.chain.previous.map(|last| last.reason);
    let goes_on = last
        .is_some_and(|last| !matches!(last, Reason::Shutdown | Reason::Stop | Reason::Recovery));
    if goes_on && !begun {
        findings.push(
            Finding::new(Code::SpoolMissing)
                .file(spool_path(log.size))
                .segment(log.size),
        );
    }
    if last != Some(Reason::Shutdown) {
        findings.push(
            Finding::new(Code::LogOpen).found(last.map_or("nothing sealed yet", Reason::as_str)),
        );
    }
    unsealed
}

fn note_unsealed(spool: &Spool, segment: u64, findings: &mut Findings) {
    let Spool {
        committed,
        uncommitted,
        torn,
        ..
    } = spool;
    if [*committed, *uncommitted, *torn] != [0; 3] {
        findings.push(
            Finding::new(Code::Unsealed)
                .file(spool_path(segment))
                .segment(segment)
                .found(format!(
                    "{} committed, {uncommitted} not, {} torn",
                    counted(*committed, "record", "records"),
                    counted(*torn, "byte", "bytes")
                )),
        );
    }
}

/// A complete segment may have its Parquet file in place before its checkpoint.
fn check_sealing(
    dir: &HostDir,
    keys: &Keys,
    spool: &Spool,
    segment: u64,
    progress: &Progress<'_>,
    checked: &mut Vec<String>,
    findings: &mut Findings,
) {
    let (Some(head), Some(_)) = (&spool.head, &spool.seal) else {
        return;
    };
    let path = parquet_path(segment, head.opened);
    if spool.committed == 0 || !dir.has(&path) {
        return;
    }
    let expected = Expected {
        segment,
        path: &path,
        first: head.first,
        count: spool.committed,
        root: spool.root,
        window: keys.epochs.get(&head.epoch).map(widened_window),
        contexts: None,
        file: None,
    };
    let mut found = Vec::new();
    rows::check(dir, &expected, progress, &mut found);
    findings.extend(found);
    checked.push(path);
}

/// The counters of the newest commit are the newest of their session.
fn add_counters(spool: &Spool, sessions: &mut Vec<SessionEnd>, findings: &mut Findings) {
    let (Some(head), Some(counters)) = (&spool.head, &spool.counters) else {
        return;
    };
    if let Some(earlier) = sessions.pop_if(|end| end.session == head.session)
        && !counters.continues(&earlier.counters)
    {
        findings.push(
            Finding::new(Code::CountersFell)
                .file(spool_path(head.segment))
                .segment(head.segment),
        );
    }
    sessions.push(SessionEnd {
        session: head.session,
        counters: counters.clone(),
        orderly: false,
    });
}

/// What the spool after a complete one must fit.
fn after(spool: &Spool) -> Option<Before> {
    let (head, seal) = (spool.head.as_ref()?, spool.seal?);
    Some(Before {
        next: head.first.saturating_add(spool.committed),
        epoch: head.epoch,
        session: head.session,
        closed: seal.closed,
        reason: seal.reason,
        digest: None,
    })
}

/// Tiles, and every file the steps before did not ask for.
fn check_rest(
    dir: &HostDir,
    snapshot: &Snapshot,
    log: &HostLog<'_>,
    unsealed: &Unsealed,
    findings: &mut Findings,
) {
    let mut leaves = log.leaves.clone();
    // The tiles of a segment may be in place before its checkpoint.
    if unsealed.end > log.size {
        let intent = dir
            .read(&super::layout::manifest_path(log.size), 1 << 16)
            .ok();
        leaves.extend(intent.map(|bytes| Some(Log::leaf(&bytes))));
    }
    // Without a checkpoint that tells the size there is no telling which tiles there must be.
    let size = snapshot.newest.as_ref().map_or(0, |_| log.size);
    tiles::check(dir, &snapshot.tiles, leaves, size, findings);
    let open = Open {
        checked: &unsealed.checked,
        sealed_since: &unsealed.sealed_since,
        end: unsealed.end,
    };
    leftovers::check(dir, snapshot, log, &open, findings);
}

/// Threads to use unless the user says otherwise: one per core.
#[must_use]
pub fn default_threads() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Loss records by session and CPU.
pub(super) type Lost = BTreeMap<(u64, u32), u64>;
