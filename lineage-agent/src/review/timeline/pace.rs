//! How long the intervals of a timeline are.

use std::collections::BTreeSet;

use crate::evidence::schema::Record;

/// Most lines when nobody says how long an interval is to be.
const LINES_MAX: usize = 40;

/// Most intervals with records that there can be.
pub(super) const INTERVALS_MAX: usize = 100_000;

const US: i64 = 1_000;
const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Lengths that are easy to count in, nanoseconds; 10 000 days are enough for all times there can be.
const STEPS: &[i64] = &[
    US,
    2 * US,
    5 * US,
    10 * US,
    20 * US,
    50 * US,
    100 * US,
    200 * US,
    500 * US,
    MS,
    2 * MS,
    5 * MS,
    10 * MS,
    20 * MS,
    50 * MS,
    100 * MS,
    200 * MS,
    500 * MS,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
    20 * DAY,
    50 * DAY,
    100 * DAY,
    200 * DAY,
    500 * DAY,
    1_000 * DAY,
    2_000 * DAY,
    5_000 * DAY,
    10_000 * DAY,
];

/// More intervals than are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("show more than {INTERVALS_MAX} intervals: choose longer ones, or fewer records")]
pub struct TooMany;

/// How the records taken so far are spread over time.
#[derive(Debug)]
pub struct Pace {
    step_ns: i64,
    /// The length was asked for.
    fixed: bool,
    /// Where intervals with records begin.
    starts: BTreeSet<i64>,
}

impl Pace {
    /// Intervals of so many nanoseconds, or as long as is best.
    #[must_use]
    pub fn new(per_ns: Option<i64>) -> Self {
        Self {
            step_ns: per_ns.unwrap_or(STEPS[0]).max(1),
            fixed: per_ns.is_some(),
            starts: BTreeSet::new(),
        }
    }

    /// Takes one record.
    ///
    /// # Errors
    ///
    /// [`TooMany`] when intervals of the length that was asked for are too many.
    pub fn record(&mut self, record: &Record<'_>) -> Result<(), TooMany> {
        let time = record.time_ns.unwrap_or_default();
        if !self.starts.insert(start_of(time, self.step_ns)) {
            return Ok(());
        }
        if self.fixed && self.starts.len() > INTERVALS_MAX {
            return Err(TooMany);
        }
        while !self.fixed && self.lines() > LINES_MAX && self.lengthen() {}
        Ok(())
    }

    /// The length of the intervals, nanoseconds.
    #[must_use]
    pub fn step_ns(&self) -> i64 {
        self.step_ns
    }

    /// Lines that are needed: one for each interval, and one for each pause.
    fn lines(&self) -> usize {
        let starts = self.starts.iter().zip(self.starts.iter().skip(1));
        let pauses = starts.filter(|(start, next)| is_pause(**start, **next, self.step_ns));
        self.starts.len() + pauses.count()
    }

    /// Goes to the next length; false when there is none.
    fn lengthen(&mut self) -> bool {
        let Some(longer) = STEPS.iter().find(|step| **step > self.step_ns) else {
            return false;
        };
        self.step_ns = *longer;
        self.starts = self
            .starts
            .iter()
            .map(|start| start_of(*start, *longer))
            .collect();
        true
    }
}

/// Whether between two intervals with records there is more than one without.
pub(super) fn is_pause(start: i64, next: i64, step_ns: i64) -> bool {
    next.saturating_sub(start) > step_ns.saturating_mul(2)
}

/// The first nanosecond of the interval that a time is in. Those of days begin at midnight UTC.
pub(super) fn start_of(time: i64, step_ns: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(step_ns))
}
