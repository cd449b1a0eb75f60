//! Following flows: back from an event to its causes, or on from it to its effects.
//!
//! Both follow the same flows under the same condition, that no data goes back in time: a flow is followed
//! back from a moment not before it began, and on from one not after it ended. So whatever is a cause of
//! something has that as an effect. Nodes are looked at in the order of time, the latest first on the way
//! back and the earliest first on the way on; so each is looked at once, with all that can matter of it.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::ops::ControlFlow;

use foldhash::fast::RandomState;

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
    /// Where data can be.
    pub node: Node,
    /// On the way back, until when what happened there matters; on the way on, from when on.
    pub time: u64,
    /// Flows from the beginning, at least.
    distance: u32,
    /// Which of the flows that were looked at led there; [`START`] where the walk began.
    via: u32,
    /// Which of them go on from here.
    beyond: (u32, u32),
}

/// No flow led there.
const START: u32 = u32::MAX;

/// A node to look at. The greatest is the next one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    rank: u64,
    distance: Reverse<u32>,
    node: Reverse<Node>,
    via: u32,
}

/// Which way to follow flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To causes.
    Back,
    /// To effects.
    On,
}

/// Most nodes that are looked at.
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
    /// The nodes, in the order in which they were looked at.
    reached: Vec<Reached>,
    /// Where each of them is.
    places: HashMap<Node, u32, RandomState>,
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
        let pending = |(node, time), distance, via| Pending {
            rank: direction.rank(time),
            distance: Reverse(distance),
            node: Reverse(node),
            via,
        };
        heap.extend(from.iter().map(|start| pending(*start, 0, START)));
        while let Some(next) = heap.pop() {
            let (distance, time) = (next.distance.0, direction.rank(next.rank));
            let Entry::Vacant(place) = walk.places.entry(next.node.0) else {
                continue;
            };
            if walk.reached.len() == limits.nodes.min(NODES_MAX) {
                walk.cut = true;
                break;
            }
            place.insert(walk.reached.len() as u32);
            let start = walk.looked_at.len();
            walk.cut |= direction.look(flows, next.node.0, time, &mut walk.looked_at)?;
            walk.reached.push(Reached {
                node: next.node.0,
                time,
                distance,
                via: next.via,
                beyond: (start as u32, walk.looked_at.len() as u32),
            });
            for (via, flow) in (start as u32..).zip(&walk.looked_at[start..]) {
                if !follow(flow) {
                    continue;
                }
                if distance == limits.distance {
                    walk.cut = true;
                    break;
                }
                let next = match direction {
                    Direction::Back => (flow.from, flow.last.min(time)),
                    Direction::On => (flow.to, flow.first.max(time)),
                };
                if !walk.places.contains_key(&next.0) {
                    heap.push(pending(next, distance + 1, via));
                }
            }
        }
        Ok(walk)
    }

    /// The nodes that were reached: on the way back those that matter longest first, on the way on those that matter
    /// soonest.
    #[must_use]
    pub fn reached(&self) -> &[Reached] {
        &self.reached
    }

    /// How a node was reached, if it was.
    #[must_use]
    pub fn find(&self, node: Node) -> Option<&Reached> {
        let place = self.places.get(&node)?;
        self.reached.get(*place as usize)
    }

    /// The flow that led to a node; none where the walk began.
    #[must_use]
    pub fn via(&self, reached: &Reached) -> Option<&Flow> {
        self.looked_at.get(reached.via as usize)
    }

    /// The flows that go on from a node that was reached, whether they were followed or not: on the way back those to
    /// it that began until what happened there matters, on the way on those from it that had not ended before.
    #[must_use]
    pub fn beyond(&self, reached: &Reached) -> &[Flow] {
        let (start, end) = reached.beyond;
        &self.looked_at[start as usize..end as usize]
    }

    /// All flows that were looked at, those of nodes that were reached before first.
    #[must_use]
    pub fn looked_at(&self) -> &[Flow] {
        &self.looked_at
    }
}

impl Direction {
    /// A moment as a number that is the greater the sooner it is looked at, and such a number as a moment.
    const fn rank(self, time: u64) -> u64 {
        match self {
            Self::Back => time,
            Self::On => u64::MAX - time,
        }
    }

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
