//! What a process did besides using files and sockets.

use serde_json::Value;

use super::super::filter::failed;
use super::super::text::whole_path;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Acts kept of one process, those of one kind counting as one; further ones are counted.
const ACTS_MAX: usize = 32;

/// Counted calls whose first one failed, kept of one process until their total. Of further ones that
/// first one counts twice.
const TALLIES_MAX: usize = 32;

/// What a process did to itself, to others, or to the names of files.
#[derive(Debug, Default)]
pub(super) struct Acts {
    pub(super) named: Vec<Act>,
    /// Acts not kept.
    pub(super) more: u64,
    /// Of what is only counted: where the first call failed.
    failed_first: Vec<Tally>,
}

/// All acts of one kind on one process, or on none, that ended alike.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) kind: Box<str>,
    /// The process acted on.
    pub(super) target: Option<i64>,
    /// The process that did it to this one, and is not recorded itself.
    pub(super) by: Option<u64>,
    pub(super) outcome: Outcome,
    pub(super) times: u64,
    /// What the first of them made, removed or gave another name, and which.
    pub(super) name: Option<Named>,
    /// Whether a further one was about something else.
    pub(super) others: bool,
}

/// A name that was made, removed or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: Box<str>,
    /// The name that there is since, of a rename or link.
    pub(super) target: Option<Box<str>>,
}

impl Named {
    fn of(record: &Record<'_>) -> Option<Self> {
        let changes_names = kinds::changes_names(record.kind?);
        let path = record.path.filter(|_| changes_names)?;
        let target = record
            .target
            .map(|target| whole_path(record.target_dir, target));
        Some(Self {
            path: whole_path(record.dir, path).into(),
            target: target.map(Into::into),
        })
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// With this result.
    Error(i64),
    /// It failed, and no record tells with which error: of what is only counted the first one does.
    Failed,
}

/// What calls are counted by, of one process.
#[derive(Debug)]
struct Tally {
    kind: Box<str>,
    call: Option<Box<str>>,
    request: Option<i64>,
    rdev: Option<i64>,
}

impl Acts {
    /// Takes a record, if it is of an act that is told nowhere else in the tree. Returns how many calls
    /// failed that have no record of their own.
    pub(super) fn add(&mut self, record: &Record<'_>) -> u64 {
        let told = match record.kind.unwrap_or_default() {
            kinds::PROCESS_CGROUP => true,
            kinds::FILE_MAP | kinds::DESCRIPTOR_RECEIVE => false,
            _ => record.call.is_some(),
        };
        if !told {
            return 0;
        }
        if let Some(count) = record.count.filter(|count| *count > 1) {
            return self.total(record, count);
        }
        let error = record.result.filter(|_| failed(record));
        let first = record.count.is_some();
        if first && error.is_some() && self.failed_first.len() < TALLIES_MAX {
            self.failed_first.push(Tally::of(record));
        }
        self.note(record, error.map_or(Outcome::Done, Outcome::Error), 1);
        0
    }

    /// Takes how many calls there were in all. The first one among them was told at once.
    fn total(&mut self, record: &Record<'_>, count: u64) -> u64 {
        let mut tallies = self.failed_first.iter();
        let first = tallies.position(|tally| tally.is_of(record));
        if let Some(index) = first {
            self.failed_first.swap_remove(index);
        }
        let further = count.saturating_sub(1);
        let failed = number(record, "failed").unwrap_or_default();
        let failed = failed.saturating_sub(u64::from(first.is_some()));
        let failed = failed.min(further);
        self.note(record, Outcome::Done, further - failed);
        self.note(record, Outcome::Failed, failed);
        failed
    }

    fn note(&mut self, record: &Record<'_>, outcome: Outcome, times: u64) {
        if times == 0 {
            return;
        }
        let kind = record.kind.unwrap_or_default();
        let by = match kind {
            kinds::PROCESS_CGROUP => number(record, "by"),
            _ => None,
        };
        let same = |act: &&mut Act| {
            *act.kind == *kind
                && act.target == record.target_pid
                && act.by == by
                && act.outcome == outcome
        };
        let name = Named::of(record);
        if let Some(act) = self.named.iter_mut().find(same) {
            act.others |= act.name != name;
            act.times = act.times.saturating_add(times);
        } else if self.named.len() < ACTS_MAX {
            self.named.push(Act {
                kind: kind.into(),
                target: record.target_pid,
                by,
                outcome,
                times,
                name,
                others: false,
            });
        } else {
            self.more = self.more.saturating_add(times);
        }
    }
}

impl Tally {
    fn of(record: &Record<'_>) -> Self {
        Self {
            kind: record.kind.unwrap_or_default().into(),
            call: record.call.map(Into::into),
            request: record.request,
            rdev: record.rdev,
        }
    }

    fn is_of(&self, record: &Record<'_>) -> bool {
        *self.kind == *record.kind.unwrap_or_default()
            && self.call.as_deref() == record.call
            && (self.request, self.rdev) == (record.request, record.rdev)
    }
}

/// A number in the detail of a record.
fn number(record: &Record<'_>, name: &str) -> Option<u64> {
    let detail: Value = serde_json::from_str(record.detail?).ok()?;
    detail[name].as_u64()
}
