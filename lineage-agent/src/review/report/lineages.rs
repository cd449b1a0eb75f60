//! The lineages: how each began, when it was, how much happened.

use std::collections::HashMap;

use serde::Serialize;

use super::super::filter::failed;
use super::strings::Strings;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Most lineages; records of further ones are counted.
const LINEAGES_MAX: usize = 16_384;

/// Columns of lineages, in the order they appear.
#[derive(Debug, Default, Serialize)]
pub(super) struct Lineages {
    id: Vec<u32>,
    host: Vec<u32>,
    /// How it began, in words.
    began: Vec<u32>,
    /// Microseconds since 1970 UTC.
    first: Vec<Option<i64>>,
    last: Vec<Option<i64>>,
    records: Vec<u64>,
    processes: Vec<u64>,
    connections: Vec<u64>,
    failed: Vec<u64>,
    denied: Vec<u64>,
    /// Whether its end is recorded.
    ended: Vec<u8>,
    row: Vec<Option<u32>>,
    /// Records of lineages beyond the limit.
    left_out: u64,
    #[serde(skip)]
    ids: HashMap<(u32, Box<str>), u32>,
}

impl Lineages {
    /// Takes a record, and gives its lineage.
    pub(super) fn add(
        &mut self,
        record: &Record<'_>,
        host: u32,
        row: Option<u32>,
        strings: &mut Strings,
    ) -> Option<u32> {
        let lineage = self.lineage(record.lineage?, host, row, strings)?;
        let at = lineage as usize;
        let kind = record.kind.unwrap_or_default();
        let error = failed(record);
        if let Some(time) = record.time {
            let (first, last) = (self.first[at], self.last[at]);
            self.first[at] = Some(first.map_or(time, |first| first.min(time)));
            self.last[at] = last.max(Some(time));
        }
        let created = matches!(kind, kinds::PROCESS_FORK | kinds::PROCESS_SNAPSHOT);
        let connected = matches!(kind, kinds::NET_CONNECT | kinds::NET_ACCEPT);
        self.records[at] += 1;
        self.processes[at] += u64::from(created && !error);
        self.connections[at] += u64::from(connected && !error);
        self.failed[at] += u64::from(error);
        self.denied[at] += u64::from(record.verdict == Some("deny"));
        self.ended[at] |= u8::from(kind == kinds::LINEAGE_END);
        Some(lineage)
    }

    /// Notes how a lineage began.
    pub(super) fn began(&mut self, lineage: Option<u32>, text: u32) {
        if let Some(lineage) = lineage {
            self.began[lineage as usize] = text;
        }
    }

    fn lineage(
        &mut self,
        id: &str,
        host: u32,
        row: Option<u32>,
        strings: &mut Strings,
    ) -> Option<u32> {
        let key = (host, id.into());
        if let Some(known) = self.ids.get(&key) {
            return Some(*known);
        }
        let number = u32::try_from(self.id.len()).ok()?;
        if self.id.len() == LINEAGES_MAX {
            self.left_out += 1;
            return None;
        }
        self.ids.insert(key, number);
        self.id.push(strings.id(id));
        self.host.push(host);
        self.began.push(0);
        self.first.push(None);
        self.last.push(None);
        self.ended.push(0);
        self.row.push(row);
        let counts = [
            &mut self.records,
            &mut self.processes,
            &mut self.connections,
            &mut self.failed,
            &mut self.denied,
        ];
        for column in counts {
            column.push(0);
        }
        Some(number)
    }
}
