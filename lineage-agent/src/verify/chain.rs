//! Manifests in order: each must follow from the one before.

use std::collections::HashMap;

use super::access::HostDir;
use super::epochs::Keys;
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::layout::manifest_path;
use super::place::{Before, window};
use crate::counted::counted;
use crate::evidence::counters::{Counters, CpuCount};
use crate::evidence::digest;
use crate::evidence::manifest::{Cpus, Head, MANIFEST_BYTES_MAX, Manifest, Reason};
use crate::evidence::origin::{HostId, Origin};
use crate::evidence::text::{Lines, hex};
use crate::evidence::tree::{Hash, Hashing as _, Log};

/// The counters at the end of a run of a recorder.
#[derive(Debug)]
pub(super) struct SessionEnd {
    pub(super) session: u64,
    /// Segments of this session known so far.
    pub(super) counters: Counters,
    /// Whether the recorder stopped by itself, so that every loss it knew of is recorded.
    pub(super) orderly: bool,
}

/// The state of reading manifests one after another.
pub(super) struct Chain<'a> {
    dir: &'a HostDir,
    keys: &'a Keys,
    /// Learnt from the checkpoint, or from the first manifest when there is none.
    pub(super) origin: Option<Origin>,
    pub(super) previous: Option<Before>,
    /// Next `lineage_seq` of each lineage, and how many gaps there were when it was last seen.
    lineages: HashMap<String, (u64, u64)>,
    /// Manifests that are missing or malformed so far.
    gaps: u64,
    pub(super) sessions: Vec<SessionEnd>,
}

/// What is kept of each manifest: the leaf, and what its checkpoint is signed with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) leaf: Hash,
    /// None when the manifest is malformed.
    pub(super) epoch: Option<u32>,
    pub(super) count: u64,
    /// When it was opened, nanoseconds UTC.
    pub(super) opened: i64,
}

impl<'a> Chain<'a> {
    pub(super) fn new(dir: &'a HostDir, keys: &'a Keys, origin: Option<Origin>) -> Self {
        Self {
            dir,
            keys,
            origin,
            previous: None,
            lineages: HashMap::new(),
            gaps: 0,
            sessions: Vec::new(),
        }
    }

    /// Notes that a manifest is not there.
    pub(super) fn skip(&mut self) {
        self.previous = None;
        self.gaps += 1;
    }

    /// Reads and checks the next manifest.
    pub(super) fn push(&mut self, segment: u64, findings: &mut Findings) -> Option<Entry> {
        let path = manifest_path(segment);
        let bytes = match self.dir.read(&path, MANIFEST_BYTES_MAX as u64) {
            Ok(bytes) => bytes,
            Err(finding) => {
                findings.push(finding.segment(segment));
                self.skip();
                return None;
            }
        };
        let mut entry = Entry {
            leaf: Log::leaf(&bytes),
            epoch: None,
            count: 0,
            opened: 0,
        };
        let about = |code| Finding::new(code).file(&path).segment(segment);
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                findings.push(about(Code::ManifestBad).found(error));
                self.skip();
                return Some(entry);
            }
        };
        let head = &manifest.head;
        let origin = *self.origin.get_or_insert(head.origin);
        if let Err(finding) = check_name(head, segment, &origin, self.dir.host) {
            findings.push(finding.file(&path).segment(segment));
            self.skip();
            return Some(entry);
        }
        let mut checks = Vec::new();
        self.check_place(&manifest, &mut checks);
        checks.extend(check_times(self.keys, &manifest).err());
        self.check_lineages(&manifest, &mut checks);
        let counters = self.counters(&manifest, &mut checks);
        self.check_counters(&manifest, counters.as_ref(), &mut checks);
        if manifest.reason == Reason::Recovery || manifest.discarded > 0 {
            let discarded =
                counted(manifest.discarded, "byte", "bytes") + " that could not be used";
            checks.push(Finding::new(Code::RecoveryGap).found(discarded));
        }
        findings.extend(
            checks
                .into_iter()
                .map(|finding| finding.file(&path).segment(segment)),
        );
        entry.epoch = Some(head.epoch);
        entry.count = manifest.count;
        entry.opened = head.opened;
        self.previous = Some(Before {
            next: head.first.saturating_add(manifest.count),
            epoch: head.epoch,
            session: head.session,
            closed: manifest.closed,
            reason: manifest.reason,
            digest: Some(digest::of(&bytes)),
        });
        Some(entry)
    }

    /// Link, sequence and epoch.
    fn check_place(&self, manifest: &Manifest, checks: &mut Vec<Finding>) {
        let head = &manifest.head;
        let Some(previous) = &self.previous else {
            if self.gaps > 0 {
                return;
            }
            if head.previous != [0; 32] {
                checks.push(
                    Finding::new(Code::ManifestLink)
                        .expected("zeros")
                        .found(hex(&head.previous)),
                );
            }
            if head.first != 0 {
                checks.push(
                    Finding::new(Code::SequenceGap)
                        .expected("first 0")
                        .found(format!("first {}", head.first)),
                );
            }
            if head.session != 0 {
                checks.push(
                    Finding::new(Code::ManifestBad)
                        .expected("session 0")
                        .found(format!("session {}", head.session)),
                );
            }
            return;
        };
        previous.check(head, checks);
    }

    fn check_lineages(&mut self, manifest: &Manifest, checks: &mut Vec<Finding>) {
        for range in &manifest.lineages {
            let known = self.lineages.get(&range.lineage);
            let (next, gaps) = known.copied().unwrap_or((0, 0));
            // A manifest that is missing may have held more of it.
            if range.first != next && !(gaps < self.gaps && range.first > next) {
                checks.push(
                    Finding::new(Code::LineageGap)
                        .expected(format!("lineage {} at {next}", range.lineage))
                        .found(format!("at {}", range.first)),
                );
            }
            let next = range.last.saturating_add(1);
            self.lineages
                .insert(range.lineage.clone(), (next, self.gaps));
        }
    }

    /// The counters, from the manifest or the artifact it names.
    fn counters(&self, manifest: &Manifest, checks: &mut Vec<Finding>) -> Option<Counters> {
        let cpus = match &manifest.cpus {
            Cpus::Inline(cpus) => Some(cpus.clone()),
            Cpus::Artifact(digest) => self
                .counters_artifact(digest)
                .map_err(|finding| checks.push(finding))
                .ok(),
        };
        cpus.map(|cpus| Counters {
            dropped: manifest.dropped,
            cpus,
        })
    }

    fn counters_artifact(&self, digest: &Hash) -> Result<Vec<CpuCount>, Finding> {
        let bytes = super::artifacts::read(self.dir, digest)?;
        let malformed = |error| {
            Finding::new(Code::ManifestBad)
                .expected("counters")
                .found(error)
        };
        let mut lines = Lines::untitled(&bytes).map_err(malformed)?;
        let cpus = Counters::read_cpus(&mut lines).map_err(malformed)?;
        lines.end().map_err(malformed)?;
        Ok(cpus)
    }

    fn check_counters(
        &mut self,
        manifest: &Manifest,
        counters: Option<&Counters>,
        checks: &mut Vec<Finding>,
    ) {
        let Some(counters) = counters else { return };
        let session = manifest.head.session;
        let earlier = self.sessions.last().filter(|end| end.session == session);
        if earlier.is_some_and(|earlier| !counters.continues(&earlier.counters)) {
            checks.push(
                Finding::new(Code::CountersFell)
                    .expected("counters that grow")
                    .found("counters that shrank"),
            );
        }
        if earlier.is_some() {
            self.sessions.pop();
        }
        self.sessions.push(SessionEnd {
            session,
            counters: counters.clone(),
            orderly: matches!(manifest.reason, Reason::Stop | Reason::Shutdown),
        });
    }
}

/// A manifest names segment and log, which are those of its place.
pub(super) fn check_name(
    head: &Head,
    segment: u64,
    origin: &Origin,
    host: HostId,
) -> Result<(), Finding> {
    if (head.origin, head.segment) == (*origin, segment) && origin.host == host {
        return Ok(());
    }
    Err(Finding::new(Code::ManifestBad)
        .expected(format!("segment {segment} of {origin}"))
        .found(format!("segment {} of {}", head.segment, head.origin)))
}

/// The segment lies within its epoch, where that is known.
pub(super) fn check_times(keys: &Keys, manifest: &Manifest) -> Result<(), Finding> {
    let head = &manifest.head;
    let Some(statement) = keys.epochs.get(&head.epoch) else {
        return Ok(());
    };
    let (start, end) = window(statement);
    if start <= head.opened && head.opened <= manifest.closed && manifest.closed <= end {
        return Ok(());
    }
    let epoch = head.epoch;
    Err(Finding::new(Code::ClockRule)
        .expected(format!(
            "within {start} to {end}, the window of epoch {epoch}"
        ))
        .found(format!(
            "opened {}, closed {}",
            head.opened, manifest.closed
        )))
}
