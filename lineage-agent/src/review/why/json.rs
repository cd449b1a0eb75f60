//! Causes as JSON, for programs.

use std::io::{self, Write};

use super::super::flow::{Flow, Node, NodeKind};
use super::super::ndjson::{self, Ndjson};
use super::super::walk::Reached;
use super::found::Why;

/// The name of a node: what it is, and the record that tells of it first.
fn name(node: Node) -> String {
    let kind = match node.kind() {
        NodeKind::Program => "program",
        NodeKind::Content => "content",
        NodeKind::Sent => "sent",
        NodeKind::Received => "received",
        NodeKind::Device => "device",
    };
    format!("{kind}:{}", node.seq())
}

impl Why {
    /// Writes one JSON object on one line: the `event`, the `chain` of programs from it to the start of the
    /// lineage, all `nodes` that are causes with the `seq` until which they are, the `flows` between them, and the
    /// `records` that these name.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let mut nodes: Vec<_> = self.walk.reached.iter().collect();
        nodes.sort_unstable_by_key(|(node, _)| **node);
        let seq = self.event.get().seq.unwrap_or_default();
        write!(out, "{{\"event\":{seq},\"chain\":[")?;
        list(
            out,
            self.spine.iter().map(|node| format!("\"{}\"", name(*node))),
        )?;
        out.write_all(b"],\"nodes\":[")?;
        let node = |(node, reached): &(&Node, &Reached)| {
            format!(
                "{{\"node\":\"{}\",\"until\":{}}}",
                name(**node),
                reached.time
            )
        };
        list(out, nodes.iter().map(node))?;
        out.write_all(b"],\"flows\":[")?;
        let flows = nodes.iter().flat_map(|(node, reached)| {
            let flows = self.flows.into_node(**node, reached.time).iter();
            flows.filter(|flow| self.walk.reached.contains_key(&flow.from))
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
        out.write_all(b"],\"purpose\":")?;
        line.clear();
        match &self.purpose {
            Some(purpose) => ndjson::string(&mut line, purpose),
            None => line.extend_from_slice(b"null"),
        }
        out.write_all(&line)?;
        writeln!(out, ",\"partial\":{}}}", self.is_partial())
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
fn list(out: &mut impl Write, items: impl Iterator<Item = String>) -> io::Result<()> {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        out.write_all(item.as_bytes())?;
    }
    Ok(())
}
