//! Recovery: going on where a recorder stopped, whenever and however it did.
//!
//! Sealing is repeated from wherever it was interrupted; every step gives the bytes it would have
//! given, so nothing is ever said twice differently. A torn end of a spool is dropped and counted,
//! and the next segment begins with a record that says so.

mod gap;
mod left;
mod spools;

pub(super) use gap::Gap;

use std::path::Path;
use std::sync::Arc;

use super::checkpoint::Seal;
use super::error::Result;
use super::keys::{Keys, LogKeys};
use super::layout::{HostDir, spool_segment};
use super::log::LogWriter;
use super::manifest::{Head, Manifest, Reason};
use super::origin::Origin;
use super::seal::{NoSteps, Sealer, Steps};
use super::tree::Hash;
use super::writer::{Segment, enter_epoch, remove_reserve};
use left::{counters, drop_spools, first_spool, manifest, newest_checkpoint, without_stillborn};
use spools::Spools;

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
/// [`Absent`](super::error::Error::Absent) when there is no log; [`Busy`](super::error::Error::Busy) when it is being written;
/// [`Spool`](super::error::Error::Spool) when a spool is damaged, which is nothing a crash does.
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
