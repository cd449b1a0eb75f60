//! What flowed where, as compact lists: the page follows them as [`super::super::walk`] does.

use serde::Serialize;

use super::super::flow::{Flow, Gather, Node, Rule};
use crate::evidence::schema::Record;

/// Most flows of all hosts.
const FLOWS_MAX: usize = 800_000;

/// Gathers the flows of one host.
#[derive(Debug, Default)]
pub(super) struct Graph {
    gather: Gather,
}

impl Graph {
    pub(super) fn record(&mut self, record: &Record<'_>) {
        self.gather.record(record);
    }
}

/// The flows of all hosts.
#[derive(Debug, Default, Serialize)]
pub(super) struct Graphs {
    hosts: Vec<Columns>,
    /// By what flows are told: a name, and whether bytes are known to have moved.
    rules: Vec<(&'static str, bool)>,
    /// Flows beyond the limit.
    left_out: usize,
    #[serde(skip)]
    flows: usize,
}

/// The nodes and flows of one host.
#[derive(Debug, Default, Serialize)]
struct Columns {
    /// 0 program, 1 content, 2 sent, 3 received, 4 device.
    node_kind: Vec<u8>,
    /// `seq` of the record that tells of it first.
    node_seq: Vec<u64>,
    /// Number of a node.
    from: Vec<usize>,
    to: Vec<usize>,
    /// `seq` from which on data may have moved.
    first: Vec<u64>,
    /// How much later it had at the latest; -1 when no end is recorded.
    span: Vec<i64>,
    /// How much later than `first` the record is that tells of it.
    record: Vec<i64>,
    /// Number in `rules`.
    rule: Vec<usize>,
}

impl Graphs {
    /// Takes all flows of one host.
    pub(super) fn add(&mut self, graph: Graph) {
        let mut flows = graph.gather.finish();
        flows.sort_unstable_by_key(|flow| (flow.record, *flow));
        flows.dedup();
        let room = FLOWS_MAX - self.flows;
        self.left_out += flows.len().saturating_sub(room);
        flows.truncate(room);
        self.flows += flows.len();
        let mut nodes: Vec<Node> = flows.iter().flat_map(|it| [it.from, it.to]).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut columns = Columns {
            node_kind: nodes.iter().map(|node| node.kind() as u8).collect(),
            node_seq: nodes.iter().map(|node| node.seq()).collect(),
            ..Columns::default()
        };
        for flow in &flows {
            let rule = self.rule(flow.rule);
            columns.push(flow, &nodes, rule);
        }
        self.hosts.push(columns);
    }

    fn rule(&mut self, rule: Rule) -> usize {
        let rule = (rule.name(), rule.is_known());
        let known = self.rules.iter().position(|known| *known == rule);
        known.unwrap_or_else(|| {
            self.rules.push(rule);
            self.rules.len() - 1
        })
    }
}

impl Columns {
    fn push(&mut self, flow: &Flow, nodes: &[Node], rule: usize) {
        let number = |node: Node| nodes.partition_point(|known| *known < node);
        self.from.push(number(flow.from));
        self.to.push(number(flow.to));
        self.first.push(flow.first);
        let span = match flow.last {
            u64::MAX => -1,
            last => i64::try_from(last.saturating_sub(flow.first)).unwrap_or(i64::MAX),
        };
        self.span.push(span);
        let later = flow.record.wrapping_sub(flow.first).cast_signed();
        self.record.push(later);
        self.rule.push(rule);
    }
}
