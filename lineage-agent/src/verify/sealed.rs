//! The sealed part of a log: checkpoints and segments, checked side by side.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use super::access::HostDir;
use super::checkpoints;
use super::epochs::Keys;
use super::finding::Finding;
use super::findings::Findings;
use super::host::Lost;
use super::log::HostLog;
use super::progress::Progress;
use super::segment;
use crate::evidence::tree::Hash;

/// What the sealed part amounts to.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    pub(super) segments: u64,
    pub(super) checkpoints: u64,
    /// Records whose root is the signed one.
    pub(super) records: u64,
    pub(super) lost: Lost,
    /// Artifacts that are named.
    pub(super) named: BTreeSet<Hash>,
    pub(super) times: Option<(i64, i64)>,
    pub(super) lineages: BTreeSet<String>,
    findings: Vec<(u64, Finding)>,
}

/// Checks every checkpoint and every segment of the log, on as many threads.
pub(super) fn check(
    dir: &HostDir,
    keys: &Keys,
    log: &HostLog<'_>,
    threads: NonZeroUsize,
    progress: &Progress<'_>,
    findings: &mut Findings,
) -> Sealed {
    progress.expect(log.entries.iter().flatten().map(|entry| entry.count).sum());
    let next = AtomicU64::new(0);
    let threads = threads
        .get()
        .min(usize::try_from(log.size).unwrap_or(usize::MAX))
        .max(1);
    let work = || {
        let mut sealed = Sealed::default();
        loop {
            let segment = next.fetch_add(1, Ordering::Relaxed);
            if segment >= log.size {
                return sealed;
            }
            sealed.check(dir, keys, log, segment, progress);
        }
    };
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for worker in workers {
            all.add(worker.join().expect("workers isolate what can panic"));
        }
        all
    });
    all.findings.sort_by_key(|(segment, _)| *segment);
    findings.extend(all.findings.drain(..).map(|(_, finding)| finding));
    all
}

impl Sealed {
    /// Checks one segment and the checkpoint that covers it last.
    fn check(
        &mut self,
        dir: &HostDir,
        keys: &Keys,
        log: &HostLog<'_>,
        at: u64,
        progress: &Progress<'_>,
    ) {
        match log
            .expected(at + 1)
            .map(|expected| checkpoints::check(dir, keys, &expected))
        {
            Some(Ok(())) => self.checkpoints += 1,
            Some(Err(finding)) => self.findings.push((at, finding.segment(at))),
            None => {}
        }
        let entry = usize::try_from(at)
            .ok()
            .and_then(|at| log.entries.get(at)?.as_ref());
        let Some(entry) = entry else { return };
        let checked = segment::check(dir, keys, at, entry, progress);
        self.segments += u64::from(checked.good);
        self.records += checked.records;
        self.named.extend(checked.named);
        self.lineages.extend(checked.lineages);
        self.widen(checked.times);
        self.findings
            .extend(checked.findings.into_iter().map(|finding| (at, finding)));
        for (cpu, lost) in checked.lost {
            let sum = self.lost.entry((checked.session, cpu)).or_default();
            *sum = sum.saturating_add(lost);
        }
    }

    /// Takes in what another thread checked.
    fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.checkpoints += other.checkpoints;
        self.records += other.records;
        self.named.extend(other.named);
        self.lineages.extend(other.lineages);
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
