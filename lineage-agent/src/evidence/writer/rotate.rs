//! From one segment to the next: when it is full, when its epoch ends, when the clock is set.

use crate::clock::Now;

use super::super::checkpoint::Seal;
use super::super::error::Result;
use super::super::manifest::Reason;
use super::super::schema::Record;
use super::Writer;
use super::open::{HeadFacts, Segment};
use super::start::{enter_epoch, held_offset};

/// A clock step of less than this is taken up with the next segment.
const CLOCK_STEP_NS: i64 = 1_000_000_000;

impl Writer {
    /// The time by this segment's offset, never before its opening and never after its epoch.
    pub(super) fn time(&self, now: Now) -> i64 {
        let time = now.boot_ns.saturating_add(self.segment.offset());
        time.clamp(self.segment.opened(), self.epoch_end)
    }

    /// Goes on in the next epoch for as long as the clock is past this one's end, and takes up a
    /// step of the clock.
    pub(super) fn follow_clock(&mut self, now: Now) -> Result<()> {
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
    pub(super) fn make_room(&mut self, record: &Record<'_>) -> Result<()> {
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

    pub(super) fn rotate(&mut self, reason: Reason, closed: i64, now: Now) -> Result<()> {
        let offset = held_offset(now, closed);
        self.rotate_with(reason, closed, offset, now)
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
