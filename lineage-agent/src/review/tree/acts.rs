//! What a process did besides using files and sockets.

use super::super::filter::failed;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Acts kept of one process, those of one kind counting as one; further ones are counted.
const ACTS_MAX: usize = 32;

/// What a process did to itself, to others, or to the names of files.
#[derive(Debug, Default)]
pub(super) struct Acts {
    pub(super) named: Vec<Act>,
    /// Acts not kept.
    pub(super) more: u64,
}

/// All acts of one kind on one process, or on none.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) kind: Box<str>,
    /// The process acted on.
    pub(super) target: Option<i64>,
    pub(super) error: Option<i64>,
    pub(super) times: u64,
}

impl Acts {
    /// Takes a record, if it is of an act that is told nowhere else in the tree.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let kind = record.kind.unwrap_or_default();
        let told = match kind {
            kinds::PROCESS_CGROUP => true,
            kinds::FILE_MAP | kinds::DESCRIPTOR_RECEIVE => false,
            _ => record.call.is_some(),
        };
        if !told {
            return;
        }
        let error = record.result.filter(|_| failed(record));
        // Of what is only counted the first is told at once and counted again at the end.
        let times = record
            .count
            .map_or(1, |count| count.saturating_sub(1).max(1));
        let same = |act: &&mut Act| {
            *act.kind == *kind && act.target == record.target_pid && act.error == error
        };
        if let Some(act) = self.named.iter_mut().find(same) {
            act.times = act.times.saturating_add(times);
        } else if self.named.len() < ACTS_MAX {
            self.named.push(Act {
                kind: kind.into(),
                target: record.target_pid,
                error,
                times,
            });
        } else {
            self.more = self.more.saturating_add(times);
        }
    }
}
