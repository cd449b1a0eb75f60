//! The sealed part of a log: checkpoints and segments, checked side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use super::access::HostDir;
use super::checkpoints;
use super::epochs::Keys;
use super::facts::Facts;
use super::finding::Finding;
use super::findings::Findings;
use super::host::Lost;
use super::log::HostLog;
use super::progress::Progress;
use super::{THREADS_MAX, segment};
use crate::evidence::tree::Hash;

/// What the sealed part amounts to.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    pub(super) segments: u64,
    pub(super) checkpoints: u64,
    /// By epoch: manifests that a good checkpoint of this epoch covers. One of a later epoch may be
    /// by somebody who took the host in between.
    proven: BTreeMap<u32, u64>,
    /// Records whose root is the signed one.
    pub(super) records: u64,
    pub(super) lost: Lost,
    /// Artifacts that are named.
    pub(super) named: BTreeSet<Hash>,
    pub(super) times: Option<(i64, i64)>,
    pub(super) lineages: BTreeSet<String>,
    /// What governed.
    pub(super) facts: Facts,
    findings: Vec<(u64, Finding)>,
}

/// Checks every checkpoint, then every segment of the log, on as many threads.
pub(super) fn check(
    dir: &HostDir,
    keys: &Keys,
    log: &HostLog<'_>,
    threads: NonZeroUsize,
    progress: &Progress<'_>,
    findings: &mut Findings,
) -> Sealed {
    let entries = log.entries.iter().flatten();
    progress.expect(entries.map(|entry| entry.count).sum());
    let mut all = on_threads(threads, log.size, |at, sealed| {
        sealed.check_checkpoint(dir, keys, log, at);
    });
    let proven = std::mem::take(&mut all.proven);
    all.add(on_threads(threads, log.size, |at, sealed| {
        sealed.check_segment(dir, keys, log, at, &proven, progress);
    }));
    all.findings.sort_by_key(|(segment, _)| *segment);
    findings.extend(all.findings.drain(..).map(|(_, finding)| finding));
    all
}

/// Does the work for every segment, on several threads.
fn on_threads(threads: NonZeroUsize, size: u64, work: impl Fn(u64, &mut Sealed) + Sync) -> Sealed {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut sealed = Sealed::default();
        loop {
            let segment = next.fetch_add(1, Ordering::Relaxed);
            if segment >= size {
                return sealed;
            }
            work(segment, &mut sealed);
        }
    };
    let more = threads
        .get()
        .min(THREADS_MAX)
        .min(usize::try_from(size).unwrap_or(usize::MAX));
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..more).map(|_| scope.spawn(worker)).collect();
        let mut all = worker();
        for other in others {
            all.add(other.join().expect("workers isolate what can panic"));
        }
        all
    })
}

impl Sealed {
    /// Checks the checkpoint made after a segment.
    fn check_checkpoint(&mut self, dir: &HostDir, keys: &Keys, log: &HostLog<'_>, at: u64) {
        let Some(expected) = log.expected(at + 1) else {
            return;
        };
        match checkpoints::check(dir, keys, &expected) {
            Ok(true) => {
                self.checkpoints += 1;
                if let Some(epoch) = expected.epoch {
                    let proven = self.proven.entry(epoch).or_default();
                    *proven = expected.size.max(*proven);
                }
            }
            Ok(false) => {}
            Err(finding) => self.findings.push((at, finding.segment(at))),
        }
    }

    /// Checks the file of a segment, whose manifest a checkpoint proves or not.
    fn check_segment(
        &mut self,
        dir: &HostDir,
        keys: &Keys,
        log: &HostLog<'_>,
        at: u64,
        proven: &BTreeMap<u32, u64>,
        progress: &Progress<'_>,
    ) {
        let index = usize::try_from(at).ok();
        let Some(entry) = index.and_then(|at| log.entries.get(at)?.as_ref()) else {
            return;
        };
        let checked = segment::check(dir, keys, at, entry, progress);
        self.named.extend(checked.named);
        let findings = checked.findings.into_iter();
        self.findings.extend(findings.map(|finding| (at, finding)));
        for (cpu, lost) in checked.lost {
            let sum = self.lost.entry((checked.session, cpu)).or_default();
            *sum = sum.saturating_add(lost);
        }
        let proven = entry.epoch.and_then(|epoch| proven.get(&epoch));
        if proven.is_some_and(|size| at < *size) {
            self.segments += u64::from(checked.good);
            self.records += checked.records;
            self.lineages.extend(checked.lineages);
            self.facts.add(checked.facts);
            self.widen(checked.times);
        }
    }

    /// Takes in what another thread checked.
    fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.checkpoints += other.checkpoints;
        for (epoch, size) in other.proven {
            let proven = self.proven.entry(epoch).or_default();
            *proven = size.max(*proven);
        }
        self.records += other.records;
        self.named.extend(other.named);
        self.lineages.extend(other.lineages);
        self.facts.add(other.facts);
        self.widen(other.times);
        self.findings.extend(other.findings);
        for (key, lost) in other.lost {
            let sum = self.lost.entry(key).or_default();
            *sum = sum.saturating_add(lost);
        }
    }

    fn widen(&mut self, times: Option<(i64, i64)>) {
        let Some((min, max)) = times else { return };
        let (from, to) = self.times.unwrap_or((min, max));
        self.times = Some((from.min(min), to.max(max)));
    }
}
