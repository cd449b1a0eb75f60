//! Following flows: back from an event to its causes, or on from it to its effects.
//!
//! Both follow the same flows under the same condition, that no data goes back in time: a flow is followed
//! back from a moment not before it began, and on from one not after it ended. So whatever is a cause of
//! something has that as an effect. Nodes are looked at in the order of time, the latest first on the way
//! back and the earliest first on the way on; so each is looked at once, with all that can matter of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::ControlFlow;

use super::flow::{Flow, Node};
use crate::evidence::error::Error;

/// Flows to be found by either end, in memory or in an index.
pub trait Flows {
    /// Visits the flows to a node that began by this time, in the order in which they began, until `visit` breaks.
    ///
    /// # Errors
    ///
    /// [`Error`] when they cannot be read.
    fn each_into(
        &self,
        node: Node,
        time: u64,
        visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>,
    ) -> Result<(), Error>;

    /// Visits the flows from a node that had not ended before this time, in the order in which they end, until
    /// `visit` breaks.
    ///
    /// # Errors
    ///
    /// [`Error`] when they cannot be read.
    fn each_out_of(
        &self,
        node: Node,
        time: u64,
        visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>,
    ) -> Result<(), Error>;

    /// Visits all flows, in [`Order::To`], until `visit` breaks.
    ///
    /// # Errors
    ///
    /// [`Error`] when they cannot be read.
    fn each(&self, visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>) -> Result<(), Error>;

    /// The first flow to a node that began by this time.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be read.
    fn first_into(&self, node: Node, time: u64) -> Result<Option<Flow>, Error> {
        let mut first = None;
        self.each_into(node, time, &mut |flow| {
            first = Some(*flow);
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    /// The first flow from a node that had not ended before this time.
    ///
    /// # Errors
    ///
    /// [`Error`] when it cannot be read.
    fn first_out_of(&self, node: Node, time: u64) -> Result<Option<Flow>, Error> {
        let mut first = None;
        self.each_out_of(node, time, &mut |flow| {
            first = Some(*flow);
            ControlFlow::Break(())
        })?;
        Ok(first)
    }
}

/// By which end flows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By where they lead, then when they begin.
    To,
    /// By where they come from, then when they end.
    From,
}

impl Order {
    /// What flows are sorted by.
    #[must_use]
    pub const fn key(self, flow: &Flow) -> (Node, u64) {
        match self {
            Self::To => (flow.to, flow.first),
            Self::From => (flow.from, flow.last),
        }
    }

    /// Sorts flows; which of two with the same key comes first does not depend on where they were.
    pub fn sort(self, flows: &mut [Flow]) {
        flows.sort_unstable_by_key(|flow| (self.key(flow), *flow));
    }
}

/// Flows in memory.
#[derive(Debug, Default)]
pub struct Sorted {
    by_to: Vec<Flow>,
    by_from: Vec<Flow>,
}

impl Sorted {
    /// Sorts the flows.
    #[must_use]
    pub fn new(flows: Vec<Flow>) -> Self {
        Self::of(flows.clone(), flows)
    }

    /// Sorts both copies of the flows.
    #[must_use]
    pub fn of(mut by_to: Vec<Flow>, mut by_from: Vec<Flow>) -> Self {
        Order::To.sort(&mut by_to);
        Order::From.sort(&mut by_from);
        Self { by_to, by_from }
    }

    /// Flows to a node that began by this time.
    #[must_use]
    pub fn into_node(&self, node: Node, time: u64) -> &[Flow] {
        between(&self.by_to, Order::To, (node, 0), (node, time))
    }

    /// Flows from a node that had not ended before this time.
    #[must_use]
    pub fn out_of_node(&self, node: Node, time: u64) -> &[Flow] {
        between(&self.by_from, Order::From, (node, time), (node, u64::MAX))
    }
}

impl Flows for Sorted {
    fn each_into(
        &self,
        node: Node,
        time: u64,
        visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let _ = self.into_node(node, time).iter().try_for_each(visit);
        Ok(())
    }

    fn each_out_of(
        &self,
        node: Node,
        time: u64,
        visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let _ = self.out_of_node(node, time).iter().try_for_each(visit);
        Ok(())
    }

    fn each(&self, visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>) -> Result<(), Error> {
        let _ = self.by_to.iter().try_for_each(visit);
        Ok(())
    }
}

/// Of sorted flows, those with a key between these two.
fn between(flows: &[Flow], order: Order, first: (Node, u64), last: (Node, u64)) -> &[Flow] {
    let rest = &flows[flows.partition_point(|flow| order.key(flow) < first)..];
    &rest[..rest.partition_point(|flow| order.key(flow) <= last)]
}

/// How a node was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// On the way back, until when what happened there matters; on the way on, from when on.
    pub time: u64,
    /// The flow that led there; none where the walk began.
    pub via: Option<Flow>,
    /// Flows from the beginning, at least.
    pub distance: u32,
    /// Which of the flows that were looked at go on from here.
    beyond: (usize, usize),
}

/// Which way to follow flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To causes.
    Back,
    /// To effects.
    On,
}

/// Most nodes that are worth looking at.
pub const NODES_MAX: usize = 1 << 20;

/// Where to stop.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most flows from the beginning.
    pub distance: u32,
    /// Most nodes.
    pub nodes: usize,
}

/// Most flows that are looked at.
const FLOWS_MAX: usize = 1 << 22;

/// What a walk reached.
#[derive(Debug, Default)]
pub struct Walk {
    /// The nodes.
    pub reached: HashMap<Node, Reached>,
    looked_at: Vec<Flow>,
    /// Whether there is more beyond a limit.
    pub cut: bool,
}

impl Walk {
    /// Follows flows from these nodes and times, through flows that `follow` accepts.
    ///
    /// # Errors
    ///
    /// [`Error`] when the flows cannot be read.
    pub fn new(
        flows: &dyn Flows,
        direction: Direction,
        from: &[(Node, u64)],
        limits: Limits,
        follow: impl Fn(&Flow) -> bool,
    ) -> Result<Self, Error> {
        let mut walk = Self::default();
        let mut heap = BinaryHeap::new();
        let key = |time: u64| match direction {
            Direction::Back => time,
            Direction::On => u64::MAX - time,
        };
        for &(node, time) in from {
            heap.push((key(time), Reverse(0), Reverse(node), None));
        }
        while let Some((at, Reverse(distance), Reverse(node), via)) = heap.pop() {
            if walk.reached.contains_key(&node) {
                continue;
            }
            if walk.reached.len() == limits.nodes {
                walk.cut = true;
                break;
            }
            let time = key(at);
            let start = walk.looked_at.len();
            walk.cut |= direction.look(flows, node, time, &mut walk.looked_at)?;
            let reached = Reached {
                time,
                via,
                distance,
                beyond: (start, walk.looked_at.len()),
            };
            walk.reached.insert(node, reached);
            for flow in walk.looked_at[start..].iter().filter(|flow| follow(flow)) {
                if distance == limits.distance {
                    walk.cut = true;
                    break;
                }
                let (next, time) = match direction {
                    Direction::Back => (flow.from, flow.last.min(time)),
                    Direction::On => (flow.to, flow.first.max(time)),
                };
                if !walk.reached.contains_key(&next) {
                    heap.push((key(time), Reverse(distance + 1), Reverse(next), Some(*flow)));
                }
            }
        }
        Ok(walk)
    }

    /// The flows that go on from a node that was reached, whether they were followed or not: on the way back those to
    /// it that began until what happened there matters, on the way on those from it that had not ended before.
    #[must_use]
    pub fn beyond(&self, node: Node) -> &[Flow] {
        let beyond = self.reached.get(&node).map(|reached| reached.beyond);
        beyond.map_or(&[], |(start, end)| &self.looked_at[start..end])
    }
}

impl Direction {
    /// Adds the flows that go on from a node; true when there are more than can be looked at.
    fn look(
        self,
        flows: &dyn Flows,
        node: Node,
        time: u64,
        into: &mut Vec<Flow>,
    ) -> Result<bool, Error> {
        let mut more = false;
        let visit = &mut |flow: &Flow| {
            more = into.len() == FLOWS_MAX;
            if more {
                return ControlFlow::Break(());
            }
            into.push(*flow);
            ControlFlow::Continue(())
        };
        match self {
            Self::Back => flows.each_into(node, time, visit)?,
            Self::On => flows.each_out_of(node, time, visit)?,
        }
        Ok(more)
    }
}
