//! The causes of one event, found: nodes, flows, and the records that tell of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::super::flow::{Flow, Gather, Node, NodeKind, Rule};
use super::super::notable::{self, Class};
use super::super::walk::{Direction, Flows, Walk};
use super::{Causes, WhyOptions};
use crate::evidence::error::Error;
use crate::evidence::reader::Host;
use crate::evidence::record::Owned;
use crate::evidence::schema::Record;
use crate::names::OpenFlags;

/// Most records that are read again to be shown.
const RECORDS_MAX: usize = 1 << 16;

/// Largest statement of purpose that is shown.
const PURPOSE_CHARS_MAX: usize = 400;

/// Why causes cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The evidence cannot be read, or not all of it.
    #[error(transparent)]
    Evidence(#[from] Error),
}

/// What caused an event.
#[derive(Debug)]
pub struct Why {
    pub(super) options: WhyOptions,
    /// The event.
    pub(super) event: Owned,
    /// The program that acted, and those it came from, up to the start of the lineage.
    pub(super) spine: Vec<Node>,
    pub(super) flows: Flows,
    pub(super) walk: Walk,
    /// The records that are shown, by `seq`.
    pub(super) records: BTreeMap<u64, Owned>,
    /// What the grant of the event's context says it is for.
    pub(super) purpose: Option<String>,
    /// What of the evidence is missing.
    pub(super) missing: Option<Error>,
}

/// What a program took in from one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    /// The latest of the flows.
    pub(super) flow: Flow,
    /// How many there were.
    pub(super) times: usize,
}

impl Why {
    /// Looks for the causes of an event of this host. What is missing of the evidence is told with what could be
    /// found.
    ///
    /// # Errors
    ///
    /// [`Problem`] when nothing can be told.
    pub fn new(host: &Host, event: Owned, options: WhyOptions) -> Result<Self, Problem> {
        let mut gather = Gather::default();
        let read = host.records(|record| {
            gather.record(record);
            ControlFlow::<()>::Continue(())
        });
        let missing = read.err();
        let flows = Flows::new(gather.finish());
        let starts = starts(&event.get(), &flows);
        let follow = |flow: &Flow| match options.causes {
            Causes::All => true,
            Causes::Process => is_descent(flow.rule),
            Causes::Data => true,
        };
        let walk = Walk::new(&flows, Direction::Back, &starts, options.limits, follow);
        let mut why = Self {
            options,
            spine: spine(&event.get(), &flows),
            event,
            flows,
            walk,
            records: BTreeMap::new(),
            purpose: None,
            missing,
        };
        why.read_records(host)?;
        why.purpose = why.read_purpose(host)?;
        Ok(why)
    }

    /// Whether there is more than was looked at.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.walk.cut || self.missing.is_some()
    }

    /// What of the evidence is missing.
    pub fn take_missing(&mut self) -> Option<Error> {
        self.missing.take()
    }

    /// The records that tell of the causes that were found: of each the one that it is named by, and the one that
    /// tells how it led on from there; but not those of ordinary parts of the system.
    #[must_use]
    pub fn told_by(&self) -> Vec<u64> {
        let reached = self.walk.reached.iter();
        let telling = reached.flat_map(|(node, reached)| {
            let via = reached.via.filter(|flow| {
                !self.is_ordinary(&Input {
                    flow: *flow,
                    times: 1,
                })
            });
            let own = (reached.via.is_none() || via.is_some()).then_some(node.seq());
            own.into_iter().chain(via.map(|flow| flow.record))
        });
        telling.collect::<BTreeSet<u64>>().into_iter().collect()
    }

    /// What a program took in until the walk reached it, the latest first.
    pub(super) fn inputs(&self, program: Node) -> Vec<Input> {
        let Some(reached) = self.walk.reached.get(&program) else {
            return Vec::new();
        };
        let mut latest: BTreeMap<Node, Input> = BTreeMap::new();
        for flow in self.flows.into_node(program, reached.time) {
            if is_descent(flow.rule) || !self.walk.reached.contains_key(&flow.from) {
                continue;
            }
            let input = latest.entry(flow.from).or_insert(Input {
                flow: *flow,
                times: 0,
            });
            input.times += 1;
            input.flow = *flow;
        }
        let mut inputs: Vec<_> = latest.into_values().collect();
        inputs.sort_by_key(|input| std::cmp::Reverse(input.flow.record));
        inputs
    }

    /// The program that this one came from, by exec, fork or start.
    pub(super) fn origin(&self, program: Node) -> Option<Flow> {
        origin(program, &self.flows)
    }

    /// The record of a node or flow.
    pub(super) fn record(&self, seq: u64) -> Option<Record<'_>> {
        self.records.get(&seq).map(Owned::get)
    }

    /// Whether an input is a part of the system that nobody recorded has written.
    pub(super) fn is_ordinary(&self, input: &Input) -> bool {
        let from = input.flow.from;
        if !self.flows.into_node(from, u64::MAX).is_empty() {
            return false;
        }
        match from.kind() {
            NodeKind::Content => self.record(input.flow.record).is_some_and(|record| {
                let path = record.path.or(record.exe).unwrap_or_default();
                let mode = record.mode.unwrap_or_default();
                let flags = OpenFlags(0);
                notable::class(path, mode, flags, None) == Class::Ordinary
            }),
            NodeKind::Device => self.record(input.flow.record).is_some_and(|record| {
                let path = record.path.unwrap_or_default();
                !path.starts_with("/dev/pts/") && !path.starts_with("/dev/tty")
            }),
            _ => false,
        }
    }

    /// Reads the records of what may be shown.
    fn read_records(&mut self, host: &Host) -> Result<(), Error> {
        let mut wanted = BTreeSet::new();
        for (node, reached) in &self.walk.reached {
            wanted.insert(node.seq());
            let flows = self.flows.into_node(*node, reached.time);
            wanted.extend(flows.iter().map(|flow| flow.record));
        }
        wanted.extend(self.spine.iter().map(|node| node.seq()));
        // What is nearest is shown first.
        while wanted.len() > RECORDS_MAX {
            wanted.pop_first();
        }
        let wanted: Vec<u64> = wanted.into_iter().collect();
        let records = &mut self.records;
        host.pick(&wanted, |record| {
            if let (Some(seq), Ok(owned)) = (record.seq, Owned::of(record)) {
                records.insert(seq, owned);
            }
        })
    }

    /// What the grant says it is for, if the event was governed by one.
    fn read_purpose(&self, host: &Host) -> Result<Option<String>, Error> {
        let event = self.event.get();
        let Some(context) = event.context.and_then(|digest| artifact(host, digest)) else {
            return Ok(None);
        };
        let context: serde_json::Value = serde_json::from_slice(&context?).unwrap_or_default();
        let Some(intent) = (context["intent"].as_str()).and_then(|digest| artifact(host, digest))
        else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&intent?).into_owned();
        Ok(Some(text.chars().take(PURPOSE_CHARS_MAX).collect()))
    }
}

/// An artifact by its digest in hex; `None` when it is not there, or no digest.
fn artifact(host: &Host, digest: &str) -> Option<Result<Vec<u8>, Error>> {
    let digest = crate::evidence::text::parse_hex(digest)?;
    host.artifact(&digest).transpose()
}

/// Whether the one program came from the other.
pub(super) fn is_descent(rule: Rule) -> bool {
    matches!(rule, Rule::Start | Rule::Fork | Rule::Exec)
}

fn origin(program: Node, flows: &Flows) -> Option<Flow> {
    let flows = flows.into_node(program, u64::MAX).iter();
    flows.copied().find(|flow| is_descent(flow.rule))
}

/// The program of an event, and those it came from. Causes come before, so it ends.
fn spine(event: &Record<'_>, flows: &Flows) -> Vec<Node> {
    let mut spine = Vec::new();
    let mut next = event.cause.map(|cause| Node::new(NodeKind::Program, cause));
    while let Some(program) = next {
        spine.push(program);
        next = origin(program, flows)
            .map(|flow| flow.from)
            .filter(|from| from.seq() < program.seq());
    }
    spine
}

/// Where to begin: with the program that acted, and what went into it by this record.
fn starts(event: &Record<'_>, flows: &Flows) -> Vec<(Node, u64)> {
    let Some(seq) = event.seq else {
        return Vec::new();
    };
    let mut starts = Vec::new();
    // What an exec or fork begins is told of by its record.
    let begun = Node::new(NodeKind::Program, seq);
    if !flows.into_node(begun, seq).is_empty() {
        starts.push((begun, seq));
    }
    if let Some(cause) = event.cause {
        starts.push((Node::new(NodeKind::Program, cause), seq));
    }
    starts
}
