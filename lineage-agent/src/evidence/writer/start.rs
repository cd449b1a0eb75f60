//! Starting: a new log, or an old one taken up where it was left.

use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;

use super::super::counters::Counters;
use super::super::error::{Error, Result};
use super::super::keys::{EpochSigner, KeyError, Keys, LogKeys, random_bytes};
use super::super::layout::{HostDir, epoch_name};
use super::super::log::LogWriter;
use super::super::origin::Origin;
use super::super::recover::{Gap, Left, Taken};
use super::super::seal::{Sealer, put_artifact};
use super::super::segment::registry_text;
use super::identity::{HeadFacts, Identity};
use super::last_words::make_reserve;
use super::open::Segment;
use super::threads::Threads;
use super::{Limits, Options, Writer};

impl Writer {
    /// Starts a new log.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] when the directory holds evidence of this host; [`Error::Busy`] when another
    /// process is writing it; [`Error::Key`] when the enrolment is over; [`Error::Io`]. Nothing of
    /// the log is left behind then, and what others wrote is as it was.
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
        let dir = Arc::new(HostDir::create(evidence, keys.host_id())?);
        let begun = Self::begin(&dir, identity, keys, clock, options);
        if begun.is_err() {
            // The directory is ours alone as long as it is locked, and had nothing in it.
            dir.remove();
        }
        begun
    }

    fn begin(
        dir: &Arc<HostDir>,
        identity: Identity,
        keys: &Arc<Keys>,
        clock: Box<dyn Clock>,
        options: &Options,
    ) -> Result<Self> {
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
        let log_keys = Arc::new(log_keys);
        let sealer = Sealer::new(
            Arc::clone(dir),
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
        let dir = Arc::clone(dir);
        let started = Self::start(dir, log_keys, identity, clock, options.limits, start);
        if started.is_err() {
            // Nothing was signed for a log that did not begin: its seed must not lie about.
            let _ = keys.erase(origin);
        }
        started
    }

    /// Goes on with a log after [`Reason::Stop`](super::super::manifest::Reason::Stop) or a crash: seals what was left, tells of the gap,
    /// and gives every epoch that has passed its end.
    ///
    /// # Errors
    ///
    /// [`Error::Absent`] when there is no log; [`Error::OtherHost`] when there is one of another host;
    /// [`Error::Closed`] when it is complete;
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
        make_reserve(&dir)?;
        let note = keys.keys().enrolment_note();
        dir.epochs.put("enrolment", note.as_bytes(), &dir.spool)?;
        put_artifact(&dir, registry_text().as_bytes())?;
        let (signer, window) = enter_epoch(&dir, &keys, start.epoch)?;
        let now = clock.now();
        let offset = now.offset_ns().max(window.0.saturating_sub(now.boot_ns));
        let head = HeadFacts {
            origin: keys.origin(),
            segment: start.segment,
            epoch: start.epoch,
            session: start.session,
            // The clock may be before the end of the last session, or past the epoch.
            opened: now
                .boot_ns
                .saturating_add(offset)
                .max(start.not_before)
                .min(window.1),
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
            epoch: window,
            segment,
            counters,
            synced_ns: 0,
            unsynced: false,
            given_up: false,
        };
        writer.follow_clock(now)?;
        Ok(writer)
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
        .ok_or(Error::Key(KeyError::Ended(enrolment.count)))
}

/// Takes up the key of an epoch and leaves its public half in the evidence; returns its first
/// nanosecond and the first after it.
pub(in super::super) fn enter_epoch(
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
