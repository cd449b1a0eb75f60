//! Writing evidence: records in, sealed segments out.
//!
//! The thread that records only encodes, hashes and copies into a buffer; a second thread makes
//! commits durable, a third seals. Memory is bounded: what is not sealed is in the spool, on disk.

mod open;
mod threads;

pub use open::Identity;
pub(super) use open::Segment;

use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, Now};

use super::checkpoint::Seal;
use super::counters::Counters;
use super::error::{Error, Result};
use super::keys::{EpochSigner, Keys, LogKeys, random_bytes};
use super::layout::{HostDir, epoch_name};
use super::log::LogWriter;
use super::manifest::Reason;
use super::origin::{HostId, Origin};
use super::record::RecordError;
use super::recover::{Gap, Left, Taken};
use super::schema::Record;
use super::seal::{NoSteps, Sealer, Steps, put_artifact};
use super::segment::registry_text;
use super::text::hex;
use super::tree::Hash;
use threads::Threads;

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

/// A clock step of less than this is taken up with the next segment.
const CLOCK_STEP_NS: i64 = 1_000_000_000;

/// Writes the evidence of one host into one directory.
pub struct Writer {
    dir: Arc<HostDir>,
    keys: Arc<LogKeys>,
    identity: Identity,
    clock: Box<dyn Clock>,
    limits: Limits,
    session: u64,
    signer: EpochSigner,
    /// First nanosecond after the epoch.
    epoch_end: i64,
    segment: Segment,
    counters: Counters,
    threads: Threads,
}

impl Writer {
    /// Starts a new log.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] when the directory holds evidence of this host; [`Error::Key`] when the
    /// enrolment is over; [`Error::Io`].
    pub fn create(
        evidence: &Path,
        identity: Identity,
        keys: &Arc<Keys>,
        clock: Box<dyn Clock>,
    ) -> Result<Self> {
        Self::create_with(evidence, identity, keys, clock, &Options::default())
    }

    /// [`Writer::create`] with other [`Options`].
    ///
    /// # Errors
    ///
    /// As [`Writer::create`].
    pub fn create_with(
        evidence: &Path,
        identity: Identity,
        keys: &Arc<Keys>,
        clock: Box<dyn Clock>,
        options: &Options,
    ) -> Result<Self> {
        let dir = HostDir::create(evidence, keys.host_id())?;
        let log = match options.log_id {
            Some(log) => log,
            None => random_bytes()?,
        };
        let origin = Origin {
            host: keys.host_id(),
            log,
        };
        let now = clock.now();
        let log_keys = keys.begin(origin, epoch_at(keys, now.wall_ns)?)?;
        let (dir, log_keys) = (Arc::new(dir), Arc::new(log_keys));
        let sealer = Sealer::new(
            Arc::clone(&dir),
            Arc::clone(&log_keys),
            LogWriter::default(),
            [0; 32],
            Arc::clone(&options.steps),
        );
        let start = Start {
            epoch: log_keys.epoch(),
            session: 0,
            segment: 0,
            first: 0,
            not_before: 0,
            gap: None,
            sealer,
        };
        Self::start(dir, log_keys, identity, clock, options.limits, start)
    }

    /// Goes on with a log after [`Reason::Stop`] or a crash: seals what was left, tells of the gap,
    /// and gives every epoch that has passed its end.
    ///
    /// # Errors
    ///
    /// [`Error::Absent`] when there is no log; [`Error::Closed`] when it is complete;
    /// [`Error::Spool`] when a spool is damaged; otherwise as [`Writer::create`].
    pub fn open(
        evidence: &Path,
        identity: Identity,
        keys: &Arc<Keys>,
        clock: Box<dyn Clock>,
    ) -> Result<Self> {
        Self::open_with(evidence, identity, keys, clock, &Options::default())
    }

    /// [`Writer::open`] with other [`Options`].
    ///
    /// # Errors
    ///
    /// As [`Writer::open`].
    pub fn open_with(
        evidence: &Path,
        identity: Identity,
        keys: &Arc<Keys>,
        clock: Box<dyn Clock>,
        options: &Options,
    ) -> Result<Self> {
        let dir = Arc::new(HostDir::open(evidence, keys.host_id())?);
        let left = match Left::take(&dir, keys, &options.steps)? {
            Taken::Open(left) => left,
            Taken::Complete(_) => return Err(Error::Closed(dir.root.path().to_owned())),
        };
        let start = Start {
            epoch: left.next_epoch(),
            session: left.last.head.session + 1,
            segment: left.last.head.segment + 1,
            first: left.last.head.first + left.last.count,
            not_before: left.last.closed,
            gap: Gap::after(&left.last),
            sealer: left.sealer,
        };
        Self::start(dir, left.keys, identity, clock, options.limits, start)
    }

    fn start(
        dir: Arc<HostDir>,
        keys: Arc<LogKeys>,
        identity: Identity,
        clock: Box<dyn Clock>,
        limits: Limits,
        start: Start,
    ) -> Result<Self> {
        let note = keys.keys().enrolment_note();
        dir.epochs.put("enrolment", note.as_bytes(), &dir.spool)?;
        put_artifact(&dir, registry_text().as_bytes())?;
        let (signer, window) = enter_epoch(&dir, &keys, start.epoch)?;
        let now = clock.now();
        let offset = held_offset(now, window.0.max(start.not_before));
        let head = open::HeadFacts {
            origin: keys.origin(),
            segment: start.segment,
            epoch: start.epoch,
            session: start.session,
            // The clock may be past the epoch the log is in.
            opened: now.boot_ns.saturating_add(offset).min(window.1),
            offset,
            first: start.first,
        };
        let counters = Counters::default();
        let mut segment = Segment::stage(&dir, identity.head(&head))?;
        if let Some(gap) = start.gap {
            gap.append_to(&mut segment)?;
            segment.commit(&signer, &counters, head.opened, None)?;
        }
        segment.flush()?;
        segment.sync()?;
        segment.publish(&dir)?;
        dir.spool.sync()?;
        let mut writer = Self {
            threads: Threads::spawn(start.sealer)?,
            dir,
            keys,
            identity,
            clock,
            limits,
            session: start.session,
            signer,
            epoch_end: window.1,
            segment,
            counters,
        };
        writer.follow_clock(now)?;
        Ok(writer)
    }

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
        let expected = self.segment.next_seq();
        if record.seq != Some(expected) {
            return Err(Error::Record(RecordError::OutOfOrder {
                field: "seq",
                expected,
                found: record.seq.unwrap_or(u64::MAX),
            }));
        }
        if record.time_ns.is_some_and(|time| time >= self.epoch_end)
            || self.segment.is_full_for(record)
        {
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
        put_artifact(&self.dir, bytes).map(|digest| hex(&digest))
    }

    /// Signs what was appended so far, starts making it durable without waiting, and seals when it
    /// is time to. To be called about twice a second, and at once after records that must not be
    /// lost.
    ///
    /// # Errors
    ///
    /// As [`Writer::append`]; also when sealing or syncing failed earlier.
    pub fn commit(&mut self, counters: &Counters) -> Result<()> {
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
            self.threads.sync(self.segment.file());
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
        let now = self.clock.now();
        if self.segment.has_records() {
            self.rotate(reason, self.time(now), now)?;
        }
        Ok(())
    }

    /// Seals what is there, waits until everything is durable, and ends the session: with
    /// [`Reason::Shutdown`] the log is complete, with [`Reason::Stop`] it can go on.
    ///
    /// # Errors
    ///
    /// As [`Writer::commit`]; what was not sealed is then in the spool.
    pub fn close(mut self, reason: Reason) -> Result<Summary> {
        let now = self.clock.now();
        self.follow_clock(now)?;
        let time = self.time(now);
        let (origin, records) = (self.keys.origin(), self.segment.next_seq());
        let seal = seal_of(reason, time, now);
        let job = self.segment.finish(&self.signer, &self.counters, seal)?;
        self.threads.seal(job)?;
        let (segments, root) = self.threads.finish()?;
        Ok(Summary {
            origin,
            segments,
            records,
            root,
            counters: self.counters,
        })
    }

    /// The time by this segment's offset, never before its opening and never after its epoch.
    fn time(&self, now: Now) -> i64 {
        let time = now.boot_ns.saturating_add(self.segment.offset());
        time.clamp(self.segment.opened(), self.epoch_end)
    }

    /// Goes on in the next epoch for as long as the clock is past this one's end, and takes up a
    /// step of the clock.
    fn follow_clock(&mut self, now: Now) -> Result<()> {
        let by_wall = now.wall_ns;
        let by_offset = now.boot_ns.saturating_add(self.segment.offset());
        while by_wall.max(by_offset) >= self.epoch_end {
            self.next_epoch(now)?;
        }
        let step = held_offset(now, self.segment.opened()).saturating_sub(self.segment.offset());
        if step.abs() >= CLOCK_STEP_NS {
            self.rotate(Reason::Clock, self.time(now), now)?;
        }
        Ok(())
    }

    /// Makes room for a record of the next epoch, or one that brings a lineage too many.
    #[cold]
    fn make_room(&mut self, record: &Record<'_>) -> Result<()> {
        let now = self.clock.now();
        while record.time_ns.is_some_and(|time| time >= self.epoch_end) {
            let offset = self.segment.offset();
            self.next_epoch_with(offset, now)?;
        }
        if self.segment.is_full_for(record) {
            let (time, offset) = (self.time(now), self.segment.offset());
            self.rotate_with(Reason::Limit, time, offset, now)?;
        }
        Ok(())
    }

    fn next_epoch(&mut self, now: Now) -> Result<()> {
        let offset = held_offset(now, self.epoch_end);
        self.next_epoch_with(offset, now)
    }

    fn next_epoch_with(&mut self, offset: i64, now: Now) -> Result<()> {
        let end = self.epoch_end;
        let next = self.signer.epoch() + 1;
        // First: without a key for it, the epoch must not end.
        let (signer, window) = enter_epoch(&self.dir, &self.keys, next)?;
        let seal = seal_of(Reason::EpochEnd, end, now);
        let job = self.segment.finish(&self.signer, &self.counters, seal)?;
        self.signer = signer;
        self.epoch_end = window.1;
        self.begin_segment(next, end, offset)?;
        self.threads.seal(job)
    }

    fn rotate(&mut self, reason: Reason, closed: i64, now: Now) -> Result<()> {
        let offset = held_offset(now, closed);
        self.rotate_with(reason, closed, offset, now)
    }

    fn rotate_with(&mut self, reason: Reason, closed: i64, offset: i64, now: Now) -> Result<()> {
        let seal = seal_of(reason, closed, now);
        let job = self.segment.finish(&self.signer, &self.counters, seal)?;
        self.begin_segment(self.signer.epoch(), closed, offset)?;
        self.threads.seal(job)
    }

    fn begin_segment(&mut self, epoch: u32, opened: i64, offset: i64) -> Result<()> {
        let head = open::HeadFacts {
            origin: self.keys.origin(),
            segment: self.segment.number() + 1,
            epoch,
            session: self.session,
            opened,
            offset,
            first: self.segment.next_seq(),
        };
        self.segment = Segment::begin(&self.dir, self.identity.head(&head))?;
        Ok(())
    }
}

fn seal_of(reason: Reason, closed: i64, now: Now) -> Seal {
    Seal {
        reason,
        closed,
        wall_offset: now.offset_ns(),
    }
}

/// Where a session starts.
struct Start {
    epoch: u32,
    session: u64,
    segment: u64,
    first: u64,
    /// `closed` of the segment before.
    not_before: i64,
    gap: Option<Gap>,
    sealer: Sealer,
}

/// The epoch a time falls into; the first when the clock is before all of them.
fn epoch_at(keys: &Keys, time_ns: i64) -> Result<u32> {
    let enrolment = keys.enrolment();
    let seconds = u64::try_from(time_ns / 1_000_000_000).unwrap_or(0);
    if seconds < enrolment.start {
        return Ok(0);
    }
    enrolment
        .epoch_at(seconds)
        .ok_or(Error::Key(super::keys::KeyError::Ended(enrolment.count)))
}

/// The host's idea of UTC, but never before `not_before`: the offset to use.
fn held_offset(now: Now, not_before: i64) -> i64 {
    now.offset_ns().max(not_before.saturating_sub(now.boot_ns))
}

/// Takes up the key of an epoch and leaves its public half in the evidence; returns its first
/// nanosecond and the first after it.
pub(super) fn enter_epoch(
    dir: &HostDir,
    keys: &LogKeys,
    epoch: u32,
) -> Result<(EpochSigner, (i64, i64))> {
    let signer = keys.signer(epoch)?;
    let file = keys.keys().epoch_file(epoch)?;
    let text = file.text();
    dir.epochs
        .put(&epoch_name(epoch), text.as_bytes(), &dir.spool)?;
    let nanoseconds = |seconds: u64| i64::try_from(seconds * 1_000_000_000).unwrap_or(i64::MAX);
    let (start, end) = (file.statement.start, file.statement.end);
    Ok((signer, (nanoseconds(start), nanoseconds(end))))
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
