//! What was reached as JSON, for programs.

use std::cmp::Reverse;
use std::io::{self, Write};

use super::super::flow::{Flow, Node};
use super::super::ndjson::Ndjson;
use super::super::walk::{Direction, Reached};
use super::Reach;
use crate::counted::counted;

/// The name of a node: what it is, and the record that tells of it first.
pub(in super::super) fn name(node: Node) -> String {
    format!("{}:{}", node.kind().name(), node.seq())
}

impl Reach<'_> {
    /// Writes members of a JSON object: the `event`, all `nodes` that were reached with the `seq` `until` which, or
    /// `since` which they matter, the `flows` between them, the `records` that these name, and whether there may be
    /// more (`partial`).
    pub(in super::super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let mut nodes: Vec<_> = self.walk.reached().iter().collect();
        nodes.sort_unstable_by_key(|reached| reached.node);
        let seq = self.event.get().seq.unwrap_or_default();
        write!(out, "\"event\":{seq},\"nodes\":[")?;
        let bound = match self.direction {
            Direction::Back => "until",
            Direction::On => "since",
        };
        let node = |reached: &&Reached| {
            let (name, time) = (name(reached.node), reached.time);
            format!("{{\"node\":\"{name}\",\"{bound}\":{time}}}")
        };
        list(out, nodes.iter().map(node))?;
        out.write_all(b"],\"flows\":[")?;
        let flows = nodes.iter().flat_map(|reached| {
            let both = |flow: &&Flow| self.has(flow.from) && self.has(flow.to);
            self.walk.beyond(reached).iter().filter(both)
        });
        list(out, flows.map(flow))?;
        out.write_all(b"],\"records\":[")?;
        let seqs = self.nearest();
        let (mut line, mut found, mut written) = (Vec::new(), 0, Ok(()));
        let read = self.host.pick(&seqs, |record| {
            line.clear();
            line.extend((found > 0).then_some(b','));
            written = std::mem::replace(&mut written, Ok(()))
                .and_then(|()| Ndjson::new(&mut line).record(record))
                .and_then(|()| out.write_all(line.trim_ascii_end()));
            found += 1;
        });
        written?;
        let failed = read.map_err(|error| self.records.fail(error)).is_err();
        let lacks = found != seqs.len();
        if lacks {
            let lacks = counted((seqs.len() - found) as u64, "record", "records");
            let lacks = format!("{lacks} that others name");
            self.records.fail(self.records.missing(lacks));
        }
        write!(out, "],\"partial\":{}", self.partial || failed || lacks)
    }

    /// The records that nodes and flows name, if there are too many those that are nearest to the event.
    fn nearest(&self) -> Vec<u64> {
        let mut nearest = Nearest::new(self.direction);
        for reached in self.walk.reached() {
            nearest.push(reached.node.seq());
        }
        for flow in self.walk.looked_at() {
            nearest.push(flow.record);
            if flow.last != u64::MAX {
                nearest.push(flow.last);
            }
        }
        let mut seqs = nearest.finish();
        seqs.extend(self.spine.iter().map(|(node, _)| node.seq()));
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    }
}

/// Most records that are written.
const RECORDS_MAX: usize = 1 << 16;

/// Records that are nearest to the event: the latest on the way back, the earliest on the way on.
struct Nearest {
    direction: Direction,
    seqs: Vec<u64>,
    /// What is farther than this is not among them.
    farthest: Option<u64>,
}

impl Nearest {
    fn new(direction: Direction) -> Self {
        Self {
            direction,
            seqs: Vec::new(),
            farthest: None,
        }
    }

    fn push(&mut self, seq: u64) {
        let is_near = self.farthest.is_none_or(|farthest| match self.direction {
            Direction::Back => seq > farthest,
            Direction::On => seq < farthest,
        });
        if is_near {
            self.seqs.push(seq);
            if self.seqs.len() == 4 * RECORDS_MAX {
                self.shorten();
            }
        }
    }

    /// Keeps as many as are written.
    fn shorten(&mut self) {
        match self.direction {
            Direction::Back => self.seqs.sort_unstable_by_key(|seq| Reverse(*seq)),
            Direction::On => self.seqs.sort_unstable(),
        }
        self.seqs.dedup();
        if self.seqs.len() >= RECORDS_MAX {
            self.seqs.truncate(RECORDS_MAX);
            self.farthest = self.seqs.last().copied();
        }
    }

    fn finish(mut self) -> Vec<u64> {
        self.shorten();
        self.seqs
    }
}

fn flow(flow: &Flow) -> String {
    let last = match flow.last {
        u64::MAX => "null".to_owned(),
        last => last.to_string(),
    };
    format!(
        "{{\"from\":\"{}\",\"to\":\"{}\",\"first\":{},\"last\":{last},\"record\":{},\"rule\":\"{}\",\"known\":{}}}",
        name(flow.from),
        name(flow.to),
        flow.first,
        flow.record,
        flow.rule.name(),
        flow.rule.is_known()
    )
}

/// Items with commas between them.
pub(in super::super) fn list(
    out: &mut impl Write,
    items: impl Iterator<Item = String>,
) -> io::Result<()> {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        out.write_all(item.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_records_the_nearest_are_written() {
        let all = 5 * RECORDS_MAX as u64;
        // Every number once, in no order, and some again.
        let numbers = (0..all + 1000).map(|at| at * 7919 % all);
        let most = RECORDS_MAX as u64;
        let latest: Vec<u64> = (all - most..all).rev().collect();
        let earliest: Vec<u64> = (0..most).collect();
        for (direction, expected) in [(Direction::Back, latest), (Direction::On, earliest)] {
            let mut nearest = Nearest::new(direction);
            numbers.clone().for_each(|seq| nearest.push(seq));
            assert_eq!(nearest.finish(), expected);
        }
    }
}
