//! What policies decided, like decisions counting as one.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::super::denial::Outcome;
use super::strings::Strings;
use crate::evidence::schema::Record;

/// Most different decisions; further ones are counted.
const DECISIONS_MAX: usize = 20_000;

/// The decision about one record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decision {
    pub(super) denied: bool,
    /// Its number in the table, if there was room for it.
    pub(super) group: Option<u32>,
}

/// Columns of decisions.
#[derive(Debug, Default, Serialize)]
pub(super) struct Decisions {
    denied: Vec<u8>,
    /// What came of it.
    effect: Vec<u32>,
    /// The rule, or why there is none.
    by: Vec<u32>,
    /// What it was about.
    judged: Vec<u32>,
    times: Vec<u32>,
    processes: Vec<u32>,
    first: Vec<Option<u32>>,
    /// Decisions beyond the limit.
    left_out: u64,
    #[serde(skip)]
    ids: HashMap<[u32; 4], u32>,
    #[serde(skip)]
    used_by: HashSet<(u32, u32)>,
}

impl Decisions {
    /// Takes a record, and gives what was decided about it.
    pub(super) fn add(
        &mut self,
        record: &Record<'_>,
        process: Option<u32>,
        row: Option<u32>,
        strings: &mut Strings,
    ) -> Option<Decision> {
        let verdict = record.verdict?;
        let outcome = Outcome::of(record);
        let denied = outcome.is_some();
        let by = outcome.map_or(record.rule.unwrap_or_default(), |outcome| outcome.by);
        let key = [
            strings.id(verdict),
            strings.optional(record.effect),
            strings.id(by),
            strings.optional(record.judged),
        ];
        let group = self.group(key, denied, row);
        if let Some(group) = group {
            let at = group as usize;
            self.times[at] = self.times[at].saturating_add(1);
            if let Some(process) = process
                && self.used_by.insert((group, process))
            {
                self.processes[at] += 1;
            }
        }
        Some(Decision { denied, group })
    }

    fn group(&mut self, key: [u32; 4], denied: bool, row: Option<u32>) -> Option<u32> {
        if let Some(known) = self.ids.get(&key) {
            return Some(*known);
        }
        let id = u32::try_from(self.times.len()).ok()?;
        if self.times.len() == DECISIONS_MAX {
            self.left_out += 1;
            return None;
        }
        self.ids.insert(key, id);
        let [_, effect, by, judged] = key;
        self.denied.push(u8::from(denied));
        self.effect.push(effect);
        self.by.push(by);
        self.judged.push(judged);
        self.times.push(0);
        self.processes.push(0);
        self.first.push(row);
        Some(id)
    }
}
