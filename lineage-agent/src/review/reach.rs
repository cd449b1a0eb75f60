//! What is connected with an event by flows, and the records that tell of it: what `why` and `impact` show.

pub(super) mod json;
mod records;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use self::records::Records;
use super::flow::{Flow, Node, NodeKind, Rule};
use super::index::HostFlows;
use super::notable::{self, Class};
use super::walk::{Direction, Flows, Limits, Walk};
use crate::evidence::error::Error;
use crate::evidence::reader::Host;
use crate::evidence::record::Owned;
use crate::evidence::schema::Record;
use crate::names::OpenFlags;

/// An event, and what is connected with it.
pub(super) struct Reach<'a> {
    /// The event.
    pub(super) event: Owned,
    pub(super) walk: Walk,
    /// The program of the event, and those it came from, each with the flow by which it did.
    pub(super) spine: Vec<(Node, Option<Flow>)>,
    direction: Direction,
    host: &'a Host,
    flows: &'a dyn Flows,
    records: Records<'a>,
    /// Whether there is or may be more than was looked at.
    pub(super) partial: bool,
}

/// What moved between a program and one other node, told once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// The nearest of the flows.
    pub(super) flow: Flow,
    /// How many there were.
    pub(super) times: usize,
}

impl<'a> Reach<'a> {
    /// Follows flows of a host from an event, through those that `follow` accepts.
    ///
    /// # Errors
    ///
    /// [`Error`] when the flows, or the records of what was reached, cannot be read.
    pub(super) fn new(
        (host, host_flows): (&'a Host, &'a HostFlows),
        event: Owned,
        direction: Direction,
        limits: Limits,
        follow: impl Fn(&Flow) -> bool,
    ) -> Result<Self, Error> {
        let flows = host_flows.flows();
        let records = Records::new(host);
        let acting = acting(&records, &event);
        let starts = match direction {
            Direction::Back => causes_of(&acting.get(), flows)?,
            Direction::On => match effects_of(&acting.get(), flows)? {
                starts if starts.is_empty() => uses_of((host, &records), &acting.get(), flows)?,
                starts => starts,
            },
        };
        let walk = Walk::new(flows, direction, &starts, limits, follow)?;
        Ok(Self {
            event,
            spine: spine(&acting.get(), flows)?,
            direction,
            host,
            flows,
            records,
            partial: walk.cut || host_flows.missing.is_some(),
            walk,
        })
    }

    /// Whether the walk came here.
    pub(super) fn has(&self, node: Node) -> bool {
        self.walk.find(node).is_some()
    }

    /// The flows that go on from a node; none when the walk did not come there.
    pub(super) fn beyond(&self, node: Node) -> &[Flow] {
        let reached = self.walk.find(node);
        reached.map_or(&[], |reached| self.walk.beyond(reached))
    }

    /// What went into a node until the walk came there: of each other node the latest flow, the latest first.
    /// Descent is not among them.
    pub(super) fn inputs(&self, node: Node) -> Vec<Step> {
        let flows = self.beyond(node).iter();
        let flows = flows.filter(|flow| !is_descent(flow.rule));
        let mut steps = steps(flows.filter(|flow| self.has(flow.from)), |flow| flow.from);
        steps.reverse();
        steps
    }

    /// What came out of a node since the walk came there: of each other node the first flow, the first first.
    pub(super) fn outputs(&self, node: Node) -> Vec<Step> {
        let flows = self.beyond(node).iter().rev();
        let flows = flows.filter(|flow| self.has(flow.to));
        steps(flows, |flow| flow.to)
    }

    /// The flow by which a program came from another one: exec, fork or start. Of other programs than those of the event it
    /// is known on the way back.
    pub(super) fn origin(&self, program: Node) -> Option<Flow> {
        if let Some((_, origin)) = self.spine.iter().find(|(node, _)| *node == program) {
            return *origin;
        }
        let flows = self.beyond(program).iter();
        flows.copied().find(|flow| is_descent(flow.rule))
    }

    /// The record with this `seq`, if it can be read and not too much was read before.
    pub(super) fn record(&self, seq: u64) -> Option<Rc<Owned>> {
        self.records.get(seq)
    }

    /// Whether so many records were read that no more are.
    pub(super) fn is_full(&self) -> bool {
        self.records.is_full()
    }

    /// Keeps an error, if it is the first, until somebody asks.
    pub(super) fn fail(&self, error: Error) {
        self.records.fail(error);
    }

    /// The first error of what was read since the walk; what it was asked for was taken for missing.
    pub(super) fn failed(&self) -> Option<Error> {
        self.records.failed()
    }

    /// The last record of what the event tells the beginning of, where more went the same way after it.
    pub(super) fn goes_on_until(&self) -> Option<u64> {
        let event = self.event.get();
        let (seq, cause) = event.seq.zip(event.cause)?;
        let acting = Node::new(NodeKind::Program, cause);
        let mut until = None;
        let looked = self.flows.each_out_of(acting, seq, &mut |flow| {
            if flow.record == seq && flow.last > seq && flow.last != u64::MAX {
                until = until.max(Some(flow.last));
            }
            ControlFlow::Continue(())
        });
        looked.unwrap_or_else(|error| self.records.fail(error));
        until
    }

    /// Whether a program began as a copy of another one.
    pub(super) fn is_copy(&self, program: Node) -> bool {
        let mut copy = false;
        let looked = self.flows.each_into(program, program.seq(), &mut |flow| {
            copy = flow.rule == Rule::Fork;
            match copy {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        looked.unwrap_or_else(|error| self.records.fail(error));
        copy
    }

    /// Whether what a flow came from is a part of the system that nobody recorded has written.
    pub(super) fn is_ordinary(&self, flow: &Flow) -> bool {
        if !self.beyond(flow.from).is_empty() || !self.looks_ordinary(flow) {
            return false;
        }
        let written = self.flows.first_into(flow.from, u64::MAX);
        let written = written.map_err(|error| self.records.fail(error));
        !matches!(written, Ok(Some(_)))
    }

    /// Whether it is a part of the system by what the record calls it.
    fn looks_ordinary(&self, flow: &Flow) -> bool {
        let Some(record) = self.record(flow.record) else {
            return false;
        };
        let record = record.get();
        match (flow.from.kind(), record.path.or(record.exe)) {
            (NodeKind::Content, Some(path)) => {
                let mode = record.mode.unwrap_or_default();
                notable::class(path, mode, OpenFlags(0), None) == Class::Ordinary
            }
            (NodeKind::Device, Some(path)) => {
                !path.starts_with("/dev/pts/") && !path.starts_with("/dev/tty")
            }
            _ => false,
        }
    }
}

/// Flows as steps, one for each other node, in the order of the records that tell of them.
fn steps<'a>(flows: impl Iterator<Item = &'a Flow>, other: impl Fn(&Flow) -> Node) -> Vec<Step> {
    let mut nearest: BTreeMap<Node, Step> = BTreeMap::new();
    for flow in flows {
        let step = nearest.entry(other(flow));
        let step = step.or_insert(Step {
            flow: *flow,
            times: 0,
        });
        step.times += 1;
        step.flow = *flow;
    }
    let mut steps: Vec<_> = nearest.into_values().collect();
    steps.sort_by_key(|step| step.flow.record);
    steps
}

/// Whether by this the one program came from the other.
pub(super) fn is_descent(rule: Rule) -> bool {
    matches!(rule, Rule::Start | Rule::Fork | Rule::Exec)
}

/// Steps from a record in which no process acts to one in which one does: from a digest to what asked for it.
const ASKED_MAX: usize = 8;

/// The event itself, or the one that led to what the recorder says.
fn acting(records: &Records<'_>, event: &Owned) -> Owned {
    let mut acting = event.clone();
    for _ in 0..ASKED_MAX {
        let record = acting.get();
        let (None, Some(cause)) = (record.process_uid, record.cause) else {
            break;
        };
        match records.get(cause) {
            Some(before) => acting = Owned::clone(&before),
            None => break,
        }
    }
    acting
}

/// The program of an event, and those it came from. Causes come before, so it ends.
fn spine(event: &Record<'_>, flows: &dyn Flows) -> Result<Vec<(Node, Option<Flow>)>, Error> {
    let mut spine = Vec::new();
    let mut next = event.cause.map(|cause| Node::new(NodeKind::Program, cause));
    while let Some(program) = next {
        let mut origin = None;
        flows.each_into(program, u64::MAX, &mut |flow| {
            if is_descent(flow.rule) {
                origin = Some(*flow);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        spine.push((program, origin));
        next = (origin.map(|flow| flow.from)).filter(|from| from.seq() < program.seq());
    }
    Ok(spine)
}

/// Where to look for causes: in the program that acted, and in what began by this record.
fn causes_of(event: &Record<'_>, flows: &dyn Flows) -> Result<Vec<(Node, u64)>, Error> {
    let Some(seq) = event.seq else {
        return Ok(Vec::new());
    };
    let begun = Node::new(NodeKind::Program, seq);
    let begun = flows.first_into(begun, seq)?.map(|_| begun);
    let acting = (event.cause).map(|cause| Node::new(NodeKind::Program, cause));
    let nodes = [begun, acting].into_iter().flatten();
    Ok(nodes.map(|node| (node, seq)).collect())
}

/// Where to look for effects: where something went by what this record tells.
fn effects_of(event: &Record<'_>, flows: &dyn Flows) -> Result<Vec<(Node, u64)>, Error> {
    let Some(seq) = event.seq else {
        return Ok(Vec::new());
    };
    let begun = Node::new(NodeKind::Program, seq);
    let acting = event.cause.map(|cause| Node::new(NodeKind::Program, cause));
    let mut starts: Vec<(Node, u64)> = Vec::new();
    if flows.first_out_of(begun, seq)?.is_some() || flows.first_into(begun, seq)?.is_some() {
        starts.push((begun, seq));
    }
    if let Some(acting) = acting {
        // The first use of a descriptor, or its end, of what went in or out.
        let visit = &mut |flow: &Flow| {
            if flow.record == seq || (flow.last == seq && flow.first < seq) {
                starts.push((flow.to, flow.first));
            }
            ControlFlow::Continue(())
        };
        flows.each_into(acting, seq, visit)?;
        flows.each_out_of(acting, 0, visit)?;
    }
    Ok(starts)
}

/// Flows of a program that are looked at for those through one descriptor: the first.
const USES_MAX: usize = 1 << 16;

/// Where something went through the descriptor that a record opens or is about otherwise, such as its close. Records of
/// what went through sockets name these by inode.
fn uses_of(
    (host, read): (&Host, &Records<'_>),
    event: &Record<'_>,
    flows: &dyn Flows,
) -> Result<Vec<(Node, u64)>, Error> {
    let (Some(seq), Some(cause)) = (event.seq, event.cause) else {
        return Ok(Vec::new());
    };
    let opened = event.opened.unwrap_or(seq);
    let acting = Node::new(NodeKind::Program, cause);
    let mut uses: BTreeMap<u64, Vec<(Node, u64)>> = BTreeMap::new();
    let visit = &mut |flow: &Flow| {
        if flow.record > opened {
            let starts = uses.entry(flow.record).or_default();
            starts.push((flow.to, flow.first));
            if uses.len() > USES_MAX {
                uses.pop_last();
            }
        }
        ControlFlow::Continue(())
    };
    flows.each_into(acting, u64::MAX, visit)?;
    flows.each_out_of(acting, 0, visit)?;
    let records: Vec<u64> = uses.keys().copied().collect();
    let (mut starts, mut found) = (Vec::new(), 0);
    host.pick(&records, |record| {
        found += 1;
        let socket = event.transport.and(record.transport);
        let same_socket = socket.is_some() && event.ino.is_some() && record.ino == event.ino;
        if (record.opened == Some(opened) || same_socket)
            && let Some(through) = record.seq.and_then(|seq| uses.get(&seq))
        {
            starts.extend_from_slice(through);
        }
    })?;
    if found < records.len() {
        read.fail(read.missing("records of what went through a descriptor".to_owned()));
    }
    Ok(starts)
}
