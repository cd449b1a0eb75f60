//! How far a verification is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Called from several threads with the records checked so far, and records there are.
pub type ProgressReport<'a> = dyn Fn(u64, u64) + Sync + 'a;

/// Counts the records of all threads.
pub(super) struct Progress<'a> {
    report: &'a ProgressReport<'a>,
    done: AtomicU64,
    total: AtomicU64,
}

/// Records between two reports of one thread.
const STEP: u64 = 16_384;

impl<'a> Progress<'a> {
    pub(super) fn new(report: &'a ProgressReport<'a>) -> Self {
        Self {
            report,
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
        }
    }

    /// There are more records to check than known before.
    pub(super) fn expect(&self, records: u64) {
        self.total.fetch_add(records, Ordering::Relaxed);
    }

    /// Called with the number of records a thread has checked in its segment.
    #[inline]
    pub(super) fn tick(&self, records: u64) {
        if records.is_multiple_of(STEP) {
            self.add(STEP);
        }
    }

    /// The rest of a segment of this many records is done.
    pub(super) fn finish(&self, records: u64) {
        self.add(records % STEP);
    }

    fn add(&self, records: u64) {
        let done = self.done.fetch_add(records, Ordering::Relaxed) + records;
        let total = self.total.load(Ordering::Relaxed);
        (self.report)(done.min(total), total);
    }
}
