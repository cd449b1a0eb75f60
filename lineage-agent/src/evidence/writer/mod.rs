//! Writing evidence: records in, sealed segments out.
//!
//! The thread that records only encodes, hashes and copies into a buffer; a second thread makes
//! commits durable, a third seals. Memory is bounded: what is not sealed is in the spool, on disk.

mod artifacts;
mod identity;
mod last_words;
mod open;
mod rotate;
mod start;
mod threads;

pub use artifacts::Artifacts;
pub use identity::Identity;
pub(super) use last_words::remove_reserve;
pub(super) use open::Segment;
pub(super) use start::enter_epoch;

use std::sync::Arc;

use crate::clock::Clock;

use super::counters::Counters;
use super::error::{Error, Result};
use super::keys::{EpochSigner, LogKeys};
use super::layout::HostDir;
use super::manifest::Reason;
use super::origin::{HostId, Origin};
use super::record::RecordError;
use super::schema::Record;
use super::seal::{NoSteps, Steps};
use super::tree::Hash;
use rotate::{SKEW_NS, seal_of};
use threads::Threads;

/// Between two times at which what was committed is made durable: a disk takes milliseconds for it, and a power cut is
/// rarer than the end of a process.
const SYNC_EVERY_NS: i64 = 500_000_000;

/// When a segment is full.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records.
    pub records_max: u64,
    /// Bytes of spool.
    pub bytes_max: u64,
    /// Nanoseconds since its first record.
    pub age_ns_max: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records_max: 1_000_000,
            bytes_max: 64 << 20,
            age_ns_max: 60_000_000_000,
        }
    }
}

/// What a test or a special recorder may want otherwise.
#[derive(Clone)]
pub struct Options {
    /// When to seal.
    pub limits: Limits,
    /// The log's number; random unless given.
    pub log_id: Option<[u8; 16]>,
    /// Is told of each step of sealing.
    pub steps: Arc<dyn Steps>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            log_id: None,
            steps: Arc::new(NoSteps),
        }
    }
}

/// What a finished log amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The log.
    pub origin: Origin,
    /// Segments sealed.
    pub segments: u64,
    /// Records in them, over all sessions.
    pub records: u64,
    /// Root of the log at that size: what the newest checkpoint signs.
    pub root: Hash,
    /// Counters of this session when it ended.
    pub counters: Counters,
}

/// Writes the evidence of one host into one directory.
pub struct Writer {
    dir: Arc<HostDir>,
    keys: Arc<LogKeys>,
    identity: Identity,
    clock: Box<dyn Clock>,
    limits: Limits,
    session: u64,
    signer: EpochSigner,
    /// First nanosecond of the epoch, and the first after it.
    epoch: (i64, i64),
    segment: Segment,
    counters: Counters,
    threads: Threads,
    /// Boot time at which what was committed was last made durable, in nanoseconds, and whether anything was committed
    /// since.
    synced_ns: i64,
    unsynced: bool,
    /// The last words are said: nothing can be written any more.
    given_up: bool,
}

impl Writer {
    /// The host this evidence is of.
    #[must_use]
    pub fn host_id(&self) -> HostId {
        self.keys.origin().host
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.keys.origin()
    }

    /// `seq` of the record to come.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.segment.next_seq()
    }

    /// What to add to the kernel's boot time to get the `time_ns` of a record, nanoseconds. Changes
    /// only in [`Writer::commit`] and [`Writer::seal`].
    #[must_use]
    pub fn offset_ns(&self) -> i64 {
        self.segment.offset()
    }

    /// Appends a record, whose `seq` must be [`Writer::next_seq`].
    ///
    /// # Errors
    ///
    /// [`Error::Record`] when the record breaks a rule: nothing is written then and the writer goes
    /// on. Anything else means that evidence can no longer be written.
    #[inline]
    pub fn append(&mut self, record: &Record<'_>) -> Result<()> {
        match self.append_record(record) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    #[inline]
    fn append_record(&mut self, record: &Record<'_>) -> Result<()> {
        let expected = self.segment.next_seq();
        if record.seq != Some(expected) {
            return Err(Error::Record(RecordError::OutOfOrder {
                field: "seq",
                expected,
                found: record.seq.unwrap_or(u64::MAX),
            }));
        }
        let time_ns = record.time_ns.unwrap_or(self.epoch.0);
        if time_ns < self.epoch.0 - SKEW_NS {
            return Err(Error::Record(RecordError::Contradiction {
                seq: expected,
                field: "time_ns",
            }));
        }
        if time_ns >= self.epoch.1 || self.segment.is_full_for(record) {
            self.make_room(record)?;
        }
        self.threads.check()?;
        self.segment.append(record)
    }

    /// Stores a document under its BLAKE3, which is returned in hex.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn artifact(&self, bytes: &[u8]) -> Result<String> {
        self.artifacts().store(bytes)
    }

    /// Where other threads may store documents while this writer is open.
    #[must_use]
    pub fn artifacts(&self) -> Artifacts {
        Artifacts(Arc::clone(&self.dir))
    }

    /// Signs what was appended so far, and hands it to the operating system, which has it when this process is killed;
    /// starts making it durable without waiting, when that was done last some time ago; and seals when it is time to. To
    /// be called many times a second, and at once after records that must not be lost.
    ///
    /// # Errors
    ///
    /// As [`Writer::append`]; also when sealing or syncing failed earlier.
    pub fn commit(&mut self, counters: &Counters) -> Result<()> {
        let result = self.commit_all(counters);
        result.map_err(|error| self.failed(error))
    }

    fn commit_all(&mut self, counters: &Counters) -> Result<()> {
        self.threads.check()?;
        let changed = self.counters != *counters;
        if changed {
            self.counters.clone_from(counters);
        }
        let now = self.clock.now();
        let time = self.time(now);
        if self.segment.has_uncommitted() || (changed && self.segment.has_records()) {
            let signer = &self.signer;
            self.segment.commit(signer, &self.counters, time, None)?;
            self.unsynced = true;
        }
        if self.unsynced && now.boot_ns.saturating_sub(self.synced_ns) >= SYNC_EVERY_NS {
            self.threads.sync(self.segment.file());
            (self.unsynced, self.synced_ns) = (false, now.boot_ns);
        }
        self.follow_clock(now)?;
        if let Some(reason) = self.segment.is_due(&self.limits, self.time(now)) {
            self.rotate(reason, self.time(now), now)?;
        }
        Ok(())
    }

    /// Seals what is there, in the background, and goes on in a new segment. A segment without
    /// records is not sealed.
    ///
    /// # Errors
    ///
    /// As [`Writer::commit`].
    pub fn seal(&mut self, reason: Reason) -> Result<()> {
        if !self.segment.has_records() {
            return Ok(());
        }
        let now = self.clock.now();
        let result = self.rotate(reason, self.time(now), now);
        result.map_err(|error| self.failed(error))
    }

    /// Seals what is there, waits until everything is durable, and ends the session: with
    /// [`Reason::Shutdown`] the log is complete, with [`Reason::Stop`] it can go on.
    ///
    /// # Errors
    ///
    /// As [`Writer::commit`]; what was not sealed is then in the spool.
    pub fn close(mut self, reason: Reason) -> Result<Summary> {
        if let Err(error) = self.end(reason) {
            return Err(self.failed(error));
        }
        let (segments, root) = self.threads.finish()?;
        remove_reserve(&self.dir)?;
        Ok(Summary {
            origin: self.keys.origin(),
            segments,
            records: self.segment.next_seq(),
            root,
            counters: self.counters,
        })
    }

    fn end(&mut self, reason: Reason) -> Result<()> {
        self.threads.check()?;
        let now = self.clock.now();
        self.follow_clock(now)?;
        let seal = seal_of(reason, self.time(now), now);
        let job = self.segment.finish(&self.signer, &self.counters, seal)?;
        self.threads.seal(job)
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
