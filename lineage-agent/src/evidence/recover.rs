//! Recovery: going on where a recorder stopped, whenever and however it did.
//!
//! Sealing is repeated from wherever it was interrupted; every step gives the bytes it would have
//! given, so nothing is ever said twice differently. A torn end of a spool is dropped and counted,
//! and the next segment begins with a record that says so.

use std::path::Path;
use std::sync::Arc;

use super::checkpoint::{Checkpoint, Commit, Seal};
use super::counters::Counters;
use super::error::{Error, Result};
use super::keys::{Keys, LogKeys};
use super::layout::{HostDir, spool_name, spool_segment};
use super::log::LogWriter;
use super::manifest::{Cpus, Head, MANIFEST_BYTES_MAX, Manifest, Reason};
use super::note::{NOTE_BYTES_MAX, Note};
use super::origin::Origin;
use super::reader::{ARTIFACT_BYTES_MAX, SPOOL_BYTES_MAX};
use super::scan::{Scan, is_stillborn, scan};
use super::schema::Record;
use super::seal::{NoSteps, SealJob, Sealer, Steps};
use super::segment::segment_name;
use super::text::{Lines, hex};
use super::tree::Hash;
use super::writer::{Segment, enter_epoch, remove_reserve};

/// What finishing a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The log.
    pub origin: Origin,
    /// Segments the log has now.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Root of the log: what the newest checkpoint signs.
    pub root: Hash,
    /// Segments that were not sealed before.
    pub sealed: u64,
    /// Bytes of spools that were no whole frames.
    pub discarded: u64,
    /// Whether the recorder had not stopped by itself.
    pub crashed: bool,
}

/// Finishes the log of this host: seals what is left and completes the log. On a complete log it
/// does nothing. What `lineage seal` does.
///
/// # Errors
///
/// [`Error::Absent`] when there is no log; [`Error::Busy`] when it is being written;
/// [`Error::Spool`] when a spool is damaged, which is nothing a crash does.
pub fn recover(evidence: &Path, keys: &Arc<Keys>) -> Result<Recovered> {
    recover_with(evidence, keys, &(Arc::new(NoSteps) as Arc<dyn Steps>))
}

/// [`recover`], telling of each step.
///
/// # Errors
///
/// As [`recover`].
pub fn recover_with(
    evidence: &Path,
    keys: &Arc<Keys>,
    steps: &Arc<dyn Steps>,
) -> Result<Recovered> {
    let dir = Arc::new(HostDir::open(evidence, keys.host_id())?);
    let mut left = match Left::take(&dir, keys, steps)? {
        Taken::Open(left) => left,
        Taken::Complete(done) => return Ok(done),
    };
    left.complete()?;
    Ok(left.summary())
}

/// What is there, once every spool is sealed.
pub(super) enum Taken {
    /// A log that can go on.
    Open(Box<Left>),
    /// A log that has ended.
    Complete(Recovered),
}

/// A log all of whose segments are sealed, and that has not ended.
pub(super) struct Left {
    pub(super) dir: Arc<HostDir>,
    pub(super) keys: Arc<LogKeys>,
    pub(super) sealer: Sealer,
    /// The newest manifest; there is one.
    pub(super) last: Manifest,
    before: u64,
    discarded: u64,
    crashed: bool,
}

impl Left {
    /// Seals whatever spools are there.
    pub(super) fn take(
        dir: &Arc<HostDir>,
        keys: &Arc<Keys>,
        steps: &Arc<dyn Steps>,
    ) -> Result<Taken> {
        remove_reserve(dir)?;
        let spools: Vec<u64> = dir
            .spool
            .names()?
            .iter()
            .filter_map(|name| spool_segment(name))
            .collect();
        let (origin, size) = match newest_checkpoint(dir)? {
            Some(newest) => newest,
            None => (first_spool(dir, keys, &spools)?, 0),
        };
        let log = LogWriter::open(&dir.log, size)?;
        let last = match size.checked_sub(1) {
            Some(segment) => Some(manifest(dir, segment)?),
            None => None,
        };
        if let Some((last, _)) = last
            .as_ref()
            .filter(|(it, _)| it.reason == Reason::Shutdown)
        {
            keys.erase(origin)?;
            drop_spools(dir, &spools, size)?;
            return Ok(Taken::Complete(Recovered {
                origin,
                segments: size,
                records: last.head.first + last.count,
                root: log.root(),
                sealed: 0,
                discarded: 0,
                crashed: false,
            }));
        }
        let log_keys = Arc::new(keys.resume(origin)?);
        if let Some((last, _)) = last
            .as_ref()
            .filter(|(it, _)| it.reason == Reason::EpochEnd)
        {
            log_keys.finish_epoch(last.head.epoch)?;
        }
        drop_spools(dir, &spools, size)?;
        let (last, previous) = last.map_or((None, [0; 32]), |(last, digest)| (Some(last), digest));
        let sealer = Sealer::new(
            Arc::clone(dir),
            Arc::clone(&log_keys),
            log,
            previous,
            Arc::clone(steps),
        );
        let (spools, torn) = without_stillborn(dir, spools, size)?;
        Spools {
            dir,
            torn,
            keys: log_keys,
            sealer,
            last,
            before: size,
        }
        .seal_all(spools.into_iter())
    }

    /// Ends the log with an empty segment, or one that tells of the gap.
    fn complete(&mut self) -> Result<()> {
        let head = self.next_head();
        let epoch = head.epoch;
        let closed = head.opened;
        let (signer, _) = enter_epoch(&self.dir, &self.keys, epoch)?;
        let counters = counters(&self.dir, &self.last)?;
        // In one piece: a crash leaves all of it or nothing, so there is only one version of it.
        let mut spool = Segment::stage(&self.dir, head)?;
        if let Some(gap) = Gap::after(&self.last) {
            gap.append_to(&mut spool)?;
        }
        let seal = Seal {
            reason: Reason::Shutdown,
            closed,
            wall_offset: self.last.head.offset,
        };
        let job = spool.finish(&signer, &counters, seal)?;
        spool.sync()?;
        spool.publish(&self.dir)?;
        self.last = self.sealer.seal(&job)?;
        Ok(())
    }

    /// The head of a segment of the same session after the newest one.
    fn next_head(&self) -> Head {
        let last = &self.last;
        let mut head = last.head.clone();
        head.segment += 1;
        head.previous = [0; 32];
        head.first += last.count;
        head.opened = last.closed;
        head.epoch = self.next_epoch();
        head
    }

    /// The epoch the next segment is in.
    pub(super) fn next_epoch(&self) -> u32 {
        self.last.head.epoch + u32::from(self.last.reason == Reason::EpochEnd)
    }

    fn summary(&self) -> Recovered {
        Recovered {
            origin: self.keys.origin(),
            segments: self.sealer.size(),
            records: self.last.head.first + self.last.count,
            root: self.sealer.root(),
            sealed: self.sealer.size() - self.before,
            discarded: self.discarded,
            crashed: self.crashed,
        }
    }
}

/// Spools being sealed one after the other.
struct Spools<'a> {
    dir: &'a Arc<HostDir>,
    keys: Arc<LogKeys>,
    sealer: Sealer,
    last: Option<Manifest>,
    before: u64,
    /// Bytes of a last spool that was not even whole enough to have a header.
    torn: u64,
}

impl Spools<'_> {
    fn seal_all(mut self, segments: impl Iterator<Item = u64>) -> Result<Taken> {
        let (mut discarded, mut crashed) = (self.torn, self.torn > 0);
        for segment in segments {
            let next = self.sealer.size();
            if segment != next {
                return Err(self.damage(next, "it is missing, and later ones are there"));
            }
            if self
                .last
                .as_ref()
                .is_some_and(|it| it.reason == Reason::Shutdown)
            {
                return Err(self.damage(segment, "the log ended before it"));
            }
            let found = scan(&self.dir.spool, self.keys.origin(), segment, |epoch| {
                Ok(self.keys.keys().epoch_file(epoch)?.statement.key)
            })?;
            discarded += found.discarded;
            crashed |= !found.is_complete();
            let job = self.job(found)?;
            self.last = Some(self.sealer.seal(&job)?);
        }
        let Some(last) = self.last else {
            return Err(Error::Absent {
                path: self.dir.root.path().to_owned(),
                host: self.keys.origin().host.to_string(),
            });
        };
        if last.reason == Reason::Shutdown {
            return Ok(Taken::Complete(Recovered {
                origin: self.keys.origin(),
                segments: self.sealer.size(),
                records: last.head.first + last.count,
                root: self.sealer.root(),
                sealed: self.sealer.size() - self.before,
                discarded,
                crashed,
            }));
        }
        Ok(Taken::Open(Box::new(Left {
            dir: Arc::clone(self.dir),
            keys: self.keys,
            sealer: self.sealer,
            last,
            before: self.before,
            discarded,
            crashed,
        })))
    }

    /// What to seal: as the recorder said, or as a crash left it.
    fn job(&self, found: Scan) -> Result<SealJob> {
        let Scan {
            head,
            tree,
            commit,
            discarded,
        } = found;
        if let Some(seal) = commit.as_ref().and_then(|commit| commit.seal) {
            let commit = commit.expect("a seal is part of a commit");
            return Ok(SealJob {
                head,
                commit,
                seal,
                blocks: tree.into_blocks(),
                discarded,
            });
        }
        let (closed, counters) = match commit {
            Some(commit) => (commit.time, commit.counters),
            None => (head.opened, self.counters_before(&head)?),
        };
        let seal = Seal {
            reason: Reason::Recovery,
            closed,
            wall_offset: head.offset,
        };
        let commit = Commit {
            origin: head.origin,
            segment: head.segment,
            header: *blake3::hash(head.text().as_bytes()).as_bytes(),
            count: tree.size(),
            root: tree.root(),
            time: closed,
            counters,
            seal: Some(seal),
        };
        Ok(SealJob {
            head,
            commit,
            seal,
            blocks: tree.into_blocks(),
            discarded,
        })
    }

    /// Counters never fall within a session.
    fn counters_before(&self, head: &Head) -> Result<Counters> {
        match &self.last {
            Some(last) if last.head.session == head.session => counters(self.dir, last),
            _ => Ok(Counters::default()),
        }
    }

    fn damage(&self, segment: u64, reason: &'static str) -> Error {
        Error::Spool {
            path: self.dir.spool.path().join(spool_name(segment)),
            at: 0,
            reason,
        }
    }
}

/// What a crash left unsaid: told by the first record of the segment after it.
pub(super) struct Gap {
    segment: u64,
    discarded: u64,
    seq: u64,
    time_ns: i64,
}

impl Gap {
    /// The gap after the newest manifest, unless the recorder stopped by itself there.
    pub(super) fn after(last: &Manifest) -> Option<Self> {
        (!matches!(last.reason, Reason::Stop | Reason::Shutdown)).then(|| Self {
            segment: last.head.segment,
            discarded: last.discarded,
            seq: last.head.first + last.count,
            time_ns: last.closed,
        })
    }

    pub(super) fn append_to(&self, segment: &mut Segment) -> Result<()> {
        let detail = format!(
            r#"{{"what":"the recorder ended without closing","segment":{},"discarded_bytes":{}}}"#,
            self.segment, self.discarded
        );
        segment.append(&Record {
            seq: Some(self.seq),
            time: Some(self.time_ns.div_euclid(1000)),
            time_ns: Some(self.time_ns),
            kind: Some("evidence.loss"),
            origin: Some("agent"),
            detail: Some(&detail),
            ..Record::default()
        })
    }
}

/// The log and its size by the newest checkpoint.
fn newest_checkpoint(dir: &HostDir) -> Result<Option<(Origin, u64)>> {
    let path = dir.log.path().join("checkpoint");
    let Some(bytes) = dir.log.read("checkpoint", NOTE_BYTES_MAX as u64)? else {
        return Ok(None);
    };
    let parse = || {
        let note = Note::parse(&bytes).ok()?;
        let checkpoint = Checkpoint::parse(note.text).ok()?;
        Some((checkpoint.origin.parse().ok()?, checkpoint.size))
    };
    parse().map(Some).ok_or(Error::Conflict(path))
}

/// The log, by the header of its first spool: no segment was ever sealed.
fn first_spool(dir: &HostDir, keys: &Keys, spools: &[u64]) -> Result<Origin> {
    let absent = || Error::Absent {
        path: dir.root.path().to_owned(),
        host: keys.host_id().to_string(),
    };
    let segment = *spools.first().ok_or_else(absent)?;
    let head = super::scan::read_head(&dir.spool, segment)?;
    if head.origin.host != keys.host_id() {
        return Err(absent());
    }
    Ok(head.origin)
}

/// A manifest that must be there, with its digest.
fn manifest(dir: &HostDir, segment: u64) -> Result<(Manifest, Hash)> {
    let name = segment_name(segment);
    let path = dir.manifests.path().join(&name);
    let Some(bytes) = dir.manifests.read(&name, MANIFEST_BYTES_MAX as u64)? else {
        return Err(Error::io("read", path)(std::io::ErrorKind::NotFound.into()));
    };
    let manifest = Manifest::parse(&bytes).map_err(|source| Error::Malformed { path, source })?;
    Ok((manifest, *blake3::hash(&bytes).as_bytes()))
}

/// The counters a manifest states, wherever they stand.
fn counters(dir: &HostDir, manifest: &Manifest) -> Result<Counters> {
    let cpus = match &manifest.cpus {
        Cpus::Inline(cpus) => cpus.clone(),
        Cpus::Artifact(digest) => {
            let name = hex(digest);
            let path = dir.artifacts.path().join(&name);
            let Some(bytes) = dir.artifacts.read(&name, ARTIFACT_BYTES_MAX)? else {
                return Err(Error::io("read", path)(std::io::ErrorKind::NotFound.into()));
            };
            Lines::untitled(&bytes)
                .and_then(|mut lines| {
                    let cpus = Counters::read_cpus(&mut lines)?;
                    lines.end().map(|()| cpus)
                })
                .map_err(|source| Error::Malformed { path, source })?
        }
    };
    Ok(Counters {
        dropped: manifest.dropped,
        cpus,
    })
}

/// The spools from `size` on, without a last one that has no whole header, which is removed; and
/// how many bytes that had.
fn without_stillborn(dir: &HostDir, spools: Vec<u64>, size: u64) -> Result<(Vec<u64>, u64)> {
    let mut spools: Vec<u64> = spools.into_iter().filter(|it| *it >= size).collect();
    let Some(last) = spools.last().copied().filter(|last| *last > 0) else {
        return Ok((spools, 0));
    };
    if !is_stillborn(&dir.spool, last)? {
        return Ok((spools, 0));
    }
    let name = spool_name(last);
    let bytes = dir
        .spool
        .read(&name, SPOOL_BYTES_MAX)?
        .map_or(0, |bytes| bytes.len() as u64);
    dir.spool.remove(&name)?;
    spools.pop();
    Ok((spools, bytes))
}

/// Removes spools whose segments are sealed: the last step, interrupted.
fn drop_spools(dir: &HostDir, spools: &[u64], size: u64) -> Result<()> {
    for segment in spools.iter().filter(|segment| **segment < size) {
        dir.spool.remove(&spool_name(*segment))?;
    }
    dir.spool.sync()
}
