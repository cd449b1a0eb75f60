//! `lineage timeline`: what happened over time, one line per interval.
//!
//! Records are taken twice: [`Pace`] finds how long intervals must be for some forty of them to have records, and then
//! [`Timeline`] counts, and keeps the names of what stands out. Both are bounded, whatever the evidence holds.

mod draw;
mod pace;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::filter::failed;
use super::happening::{self, Happening, What};
use super::notable::Class;
use super::text;
use crate::evidence::kinds::{self, Group};
use crate::evidence::schema::Record;

pub use pace::{Pace, TooMany};

/// Names kept of one interval.
const NAMES_MAX: usize = 64;

/// Names kept of all of them.
const NAMES_TOTAL_MAX: usize = 100_000;

/// Names of threads kept of one interval.
const COMMS_MAX: usize = 8;

/// Columns kept of a name.
const NAME_COLUMNS_MAX: usize = 300;

/// What happened, by interval.
#[derive(Debug)]
pub struct Timeline {
    step_ns: i64,
    /// By their first nanosecond.
    intervals: BTreeMap<i64, Interval>,
    host: Box<str>,
    hosts: usize,
    names: usize,
}

/// What happened in one interval.
#[derive(Debug, Default)]
struct Interval {
    records: u64,
    /// Of processes, files, the network, the recorder.
    groups: [u64; 4],
    failed: u64,
    denied: u64,
    /// Frames that the kernel lost.
    lost: u64,
    named: Vec<Named>,
    /// What stands out and is not kept.
    more: u64,
    /// Names of threads that were there first, with their records.
    comms: Vec<(Box<str>, u64)>,
}

/// Something that stands out.
#[derive(Debug)]
struct Named {
    what: What,
    name: Box<str>,
    class: Class,
    times: u64,
    /// The host and `seq` of the first record that told it.
    host: Box<str>,
    seq: u64,
}

impl Timeline {
    /// A timeline of records that had this pace.
    #[must_use]
    pub fn new(pace: &Pace) -> Self {
        Self {
            step_ns: pace.step_ns(),
            intervals: BTreeMap::new(),
            host: "".into(),
            hosts: 0,
            names: 0,
        }
    }

    /// Says from which host the following records are.
    pub fn host(&mut self, id: &str) {
        self.host = id.into();
        self.hosts += 1;
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Takes one record.
    pub fn record(&mut self, record: &Record<'_>) {
        let time = record.time_ns.unwrap_or_default();
        let start = pace::start_of(time, self.step_ns);
        // What is recorded meanwhile goes into the last one when there would be too many.
        let start = match self.intervals.last_key_value() {
            Some((last, _)) if self.intervals.len() >= pace::INTERVALS_MAX => start.min(*last),
            _ => start,
        };
        let interval = self.intervals.entry(start).or_default();
        interval.count(record);
        let (host, names) = (&self.host, &mut self.names);
        happening::each(record, |it| {
            if stands_out(&it) {
                interval.name(&it, host, record.seq.unwrap_or_default(), names);
            }
        });
    }
}

/// Whether it is worth a name: what is a part of the system and only read is not.
fn stands_out(it: &Happening<'_>) -> bool {
    !matches!(it.what, What::Reads | What::Writes) || it.class > Class::Ordinary
}

impl Interval {
    fn count(&mut self, record: &Record<'_>) {
        let kind = record.kind.unwrap_or_default();
        let group = match kinds::find(kind).map(|kind| kind.group) {
            Some(Group::Process) => 0,
            Some(Group::File) => 1,
            Some(Group::Net) => 2,
            Some(Group::Recorder) | None => 3,
        };
        self.records += 1;
        self.groups[group] += 1;
        self.failed += u64::from(failed(record));
        self.denied += u64::from(record.verdict == Some("deny"));
        self.lost = self
            .lost
            .saturating_add(record.lost_count.unwrap_or_default());
        let Some(comm) = record.comm else { return };
        if let Some((_, records)) = self.comms.iter_mut().find(|(name, _)| **name == *comm) {
            *records += 1;
        } else if self.comms.len() < COMMS_MAX {
            self.comms
                .push((text::shortened(comm, NAME_COLUMNS_MAX).into(), 1));
        }
    }

    /// The threads that were there, by their names, the busiest first.
    fn busiest(&self) -> Vec<&str> {
        let mut comms: Vec<_> = self.comms.iter().collect();
        comms.sort_by_key(|(_, records)| std::cmp::Reverse(*records));
        comms.into_iter().map(|(comm, _)| &**comm).collect()
    }

    /// Keeps a name, in the place of one that stands out less if there is no room.
    fn name(&mut self, it: &Happening<'_>, host: &str, seq: u64, names: &mut usize) {
        let name = text::shortened(&it.name, NAME_COLUMNS_MAX);
        let same = |named: &&mut Named| {
            named.what == it.what && *named.name == *name && *named.host == *host
        };
        if let Some(known) = self.named.iter_mut().find(same) {
            known.times += 1;
            return;
        }
        let named = Named {
            what: it.what,
            name: name.into(),
            class: it.class,
            times: 1,
            host: host.into(),
            seq,
        };
        if self.named.len() < NAMES_MAX && *names < NAMES_TOTAL_MAX {
            *names += 1;
            self.named.push(named);
            return;
        }
        self.more += 1;
        if let Some(least) = self.named.iter_mut().max_by_key(|named| named.rank())
            && least.rank() > named.rank()
        {
            *least = named;
        }
    }

    /// The names, what stands out most first.
    fn ranked(&self) -> Vec<&Named> {
        let mut named: Vec<_> = self.named.iter().collect();
        named.sort_by_key(|named| named.rank());
        named
    }
}

impl Named {
    /// The less, the more it stands out.
    fn rank(&self) -> (bool, What) {
        (self.class < Class::Sensitive, self.what)
    }
}
