//! From one segment to the next: when it is full, when its epoch ends, when the clock is set.

use crate::clock::Now;

use super::super::checkpoint::Seal;
use super::super::error::{Error, Result};
use super::super::manifest::Reason;
use super::super::record::RecordError;
use super::super::schema::Record;
use super::Writer;
use super::identity::HeadFacts;
use super::open::Segment;
use super::start::enter_epoch;

/// A clock step of less than this is taken up with the next segment.
const CLOCK_STEP_NS: i64 = 1_000_000_000;

/// How far a record's time may be outside its epoch.
pub(super) const SKEW_NS: i64 = 300_000_000_000;

/// Offsets that differ by less are the same: the clock was not set.
const SAME_NS: u64 = 1_000_000;

impl Writer {
    /// The time by this segment's offset, never before its opening and never after its epoch.
    pub(super) fn time(&self, now: Now) -> i64 {
        let time = now.boot_ns.saturating_add(self.segment.offset());
        time.clamp(self.segment.opened(), self.epoch.1)
    }

    /// Takes up a step of the clock, and goes on in the next epoch for as long as the time is past
    /// this one's end.
    pub(super) fn follow_clock(&mut self, now: Now) -> Result<()> {
        let step = self.offset_now(now).saturating_sub(self.segment.offset());
        if step.abs() >= CLOCK_STEP_NS && now.wall_ns < self.epoch.1 {
            self.rotate(Reason::Clock, self.time(now), now)?;
        }
        while now
            .wall_ns
            .max(now.boot_ns.saturating_add(self.segment.offset()))
            >= self.epoch.1
        {
            self.next_epoch(self.offset_in(now, self.epoch.1), now)?;
        }
        Ok(())
    }

    /// Makes room for a record of the next epoch, or one that brings a lineage too many.
    #[cold]
    pub(super) fn make_room(&mut self, record: &Record<'_>) -> Result<()> {
        let now = self.clock.now();
        let offset = self.segment.offset();
        let latest = now.boot_ns.saturating_add(offset).saturating_add(SKEW_NS);
        let time_ns = record.time_ns.unwrap_or_default();
        if time_ns > latest {
            return Err(Error::Record(RecordError::Contradiction {
                seq: self.next_seq(),
                field: "time_ns",
            }));
        }
        while time_ns >= self.epoch.1 {
            self.next_epoch(offset, now)?;
        }
        if self.segment.is_full_for(record) {
            self.rotate_with(Reason::Limit, self.time(now), offset, now)?;
        }
        Ok(())
    }

    /// The offset to use from now on in this epoch.
    fn offset_now(&self, now: Now) -> i64 {
        self.offset_in(now, self.epoch.0)
    }

    /// The offset to use in an epoch that starts at `start`: the host's, unless its clock is before
    /// that; then the one in use, for as long as that is not before it as well.
    fn offset_in(&self, now: Now, start: i64) -> i64 {
        if now.wall_ns >= start {
            let (measured, used) = (now.offset_ns(), self.segment.offset());
            let still = now.boot_ns.saturating_add(used) >= start;
            // Two measurements differ by the time they take: what comes next is not to be before.
            return if still && measured.abs_diff(used) < SAME_NS {
                used
            } else {
                measured
            };
        }
        let needed = start.saturating_sub(now.boot_ns);
        self.segment.offset().max(needed)
    }

    fn next_epoch(&mut self, offset: i64, now: Now) -> Result<()> {
        let end = self.epoch.1;
        let next = self.signer.epoch() + 1;
        // First: without a key for it, the epoch must not end.
        let (signer, window) = enter_epoch(&self.dir, &self.keys, next)?;
        let seal = seal_of(Reason::EpochEnd, end, now);
        let job = self.segment.finish(&self.signer, &self.counters, seal)?;
        self.signer = signer;
        self.epoch = window;
        self.begin_segment(next, end, offset)?;
        self.threads.seal(job)
    }

    pub(super) fn rotate(&mut self, reason: Reason, closed: i64, now: Now) -> Result<()> {
        self.rotate_with(reason, closed, self.offset_now(now), now)
    }

    fn rotate_with(&mut self, reason: Reason, closed: i64, offset: i64, now: Now) -> Result<()> {
        let seal = seal_of(reason, closed, now);
        let job = self.segment.finish(&self.signer, &self.counters, seal)?;
        self.begin_segment(self.signer.epoch(), closed, offset)?;
        self.threads.seal(job)
    }

    pub(super) fn begin_segment(&mut self, epoch: u32, opened: i64, offset: i64) -> Result<()> {
        let head = HeadFacts {
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

pub(super) fn seal_of(reason: Reason, closed: i64, now: Now) -> Seal {
    Seal {
        reason,
        closed,
        wall_offset: now.offset_ns(),
    }
}
