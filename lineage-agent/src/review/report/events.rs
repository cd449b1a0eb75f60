//! The records themselves, a column for each thing that the page shows of them.

use serde::Serialize;

use super::super::denial::Outcome;
use super::super::filter::failed;
use super::super::line::{Fit, Line, Screen, Style};
use super::super::ls::facts;
use super::decisions::Decision;
use super::strings::Strings;
use crate::evidence::kinds::KINDS;
use crate::evidence::schema::Record;

/// Most records in one page. The summaries count all of them.
const EVENTS_MAX: usize = 300_000;

/// Bits of the column `flags`.
mod flag {
    /// The call failed.
    pub(super) const FAILED: u8 = 1;
    /// The policies denied it.
    pub(super) const DENIED: u8 = 2;
    /// What its names are is claimed by the process.
    pub(super) const CLAIMED: u8 = 4;
    /// Worth a look by somebody who wants to know what happened.
    pub(super) const NOTABLE: u8 = 8;
}

/// What a record is about, by numbers in the other tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) process: Option<u32>,
    pub(super) file: Option<u32>,
    pub(super) peer: Option<u32>,
    pub(super) decision: Option<Decision>,
}

/// Records in order, host by host. What is not there is -1 in columns of numbers of other tables.
#[derive(Debug, Default, Serialize)]
pub(super) struct Events {
    /// `seq` beyond the record before, on the same host.
    seq: Vec<u64>,
    /// Microseconds after the record before, on the same host.
    time: Vec<i64>,
    kind: Vec<i32>,
    process: Vec<i64>,
    /// How far back its cause is, by `seq`; 0 without cause.
    cause: Vec<u64>,
    text: Vec<u32>,
    file: Vec<i64>,
    peer: Vec<i64>,
    flags: Vec<u8>,
    /// Records that were decided about, and which decision.
    decided: Vec<(u32, u32)>,
    /// Records beyond the limit.
    left_out: u64,
    #[serde(skip)]
    before: (u64, i64),
}

impl Events {
    pub(super) fn len(&self) -> usize {
        self.seq.len()
    }

    /// A new host begins.
    pub(super) fn begin(&mut self) {
        self.before = (0, 0);
    }

    /// The row that the next record gets; `None` when there is no room for it.
    pub(super) fn row(&self) -> Option<u32> {
        let row = u32::try_from(self.len()).ok()?;
        (self.len() < EVENTS_MAX).then_some(row)
    }

    /// Takes a record, and gives the number of its text.
    pub(super) fn add(
        &mut self,
        record: &Record<'_>,
        about: About,
        notable: bool,
        strings: &mut Strings,
    ) -> u32 {
        let Some(row) = self.row() else {
            self.left_out += 1;
            return 0;
        };
        let text = strings.id(&text(record));
        let (seq, time) = (
            record.seq.unwrap_or_default(),
            record.time.unwrap_or_default(),
        );
        let (seq_before, time_before) = std::mem::replace(&mut self.before, (seq, time));
        self.seq.push(seq.saturating_sub(seq_before));
        self.time.push(time.saturating_sub(time_before));
        let kind = KINDS.iter().position(|kind| Some(kind.name) == record.kind);
        self.kind
            .push(kind.and_then(|at| i32::try_from(at).ok()).unwrap_or(-1));
        self.process.push(number(about.process));
        let cause = record.cause.map_or(0, |cause| seq.saturating_sub(cause));
        self.cause.push(cause);
        self.text.push(text);
        self.file.push(number(about.file));
        self.peer.push(number(about.peer));
        let denied = about.decision.is_some_and(|decision| decision.denied);
        let bits = [
            (failed(record), flag::FAILED),
            (denied, flag::DENIED),
            (record.origin == Some("claimed"), flag::CLAIMED),
            (notable, flag::NOTABLE),
        ];
        let set = bits.iter().filter(|(is, _)| *is);
        self.flags.push(set.fold(0, |flags, (_, bit)| flags | bit));
        if let Some(decision) = about.decision.and_then(|decision| decision.group) {
            self.decided.push((row, decision));
        }
        text
    }
}

fn number(number: Option<u32>) -> i64 {
    number.map_or(-1, i64::from)
}

/// What the record says, as `lineage ls` has it.
pub(super) fn text(record: &Record<'_>) -> String {
    let mut line = Line::default();
    facts::push(&mut line, record.kind.unwrap_or("?"), record);
    if let Some(outcome) = Outcome::of(record) {
        line.push(Style::Bad, Fit::Keep, format!("✗ denied, {outcome}"));
    }
    let mut out = Vec::new();
    // A vector takes everything.
    let _ = line.write(&mut out, Screen::default());
    out.pop();
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::kinds;

    #[test]
    fn records_beyond_the_limit_are_counted() {
        let mut events = Events {
            seq: vec![1; EVENTS_MAX - 1],
            ..Events::default()
        };
        let mut strings = Strings::default();
        let record = Record {
            kind: Some(kinds::FILE_OPEN),
            path: Some("/etc/hosts"),
            seq: Some(7),
            ..Record::default()
        };
        let about = About {
            process: None,
            file: None,
            peer: None,
            decision: None,
        };
        assert_ne!(events.add(&record, about, false, &mut strings), 0);
        assert_eq!(events.add(&record, about, false, &mut strings), 0);
        assert_eq!((events.len(), events.left_out), (EVENTS_MAX, 1));
    }
}
