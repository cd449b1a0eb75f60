//! What was reached as JSON, for programs.

use std::io::{self, Write};

use super::super::flow::{Flow, Node};
use super::super::ndjson::Ndjson;
use super::super::walk::{Direction, Reached};
use super::Reach;

/// The name of a node: what it is, and the record that tells of it first.
pub(in super::super) fn name(node: Node) -> String {
    format!("{}:{}", node.kind().name(), node.seq())
}

impl Reach {
    /// Writes members of a JSON object: the `event`, all `nodes` that were reached with the `seq` `until` which, or
    /// `since` which they matter, the `flows` between them, the `records` that these name, and whether there may be
    /// more (`partial`).
    pub(in super::super) fn write_json(
        &self,
        out: &mut impl Write,
        direction: Direction,
    ) -> io::Result<()> {
        let mut nodes: Vec<_> = self.walk.reached.iter().collect();
        nodes.sort_unstable_by_key(|(node, _)| **node);
        let seq = self.event.get().seq.unwrap_or_default();
        write!(out, "\"event\":{seq},\"nodes\":[")?;
        let bound = match direction {
            Direction::Back => "until",
            Direction::On => "since",
        };
        let node = |(node, reached): &(&Node, &Reached)| {
            let (name, time) = (name(**node), reached.time);
            format!("{{\"node\":\"{name}\",\"{bound}\":{time}}}")
        };
        list(out, nodes.iter().map(node))?;
        out.write_all(b"],\"flows\":[")?;
        let flows = nodes.iter().flat_map(|(node, _)| {
            let both = |flow: &&Flow| self.has(flow.from) && self.has(flow.to);
            self.walk.beyond(**node).iter().filter(both)
        });
        list(out, flows.map(flow))?;
        out.write_all(b"],\"records\":[")?;
        let mut line = Vec::new();
        for (at, record) in self.records.values().enumerate() {
            if at > 0 {
                out.write_all(b",")?;
            }
            line.clear();
            Ndjson::new(&mut line).record(&record.get())?;
            out.write_all(line.trim_ascii_end())?;
        }
        write!(out, "],\"partial\":{}", self.partial)
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
