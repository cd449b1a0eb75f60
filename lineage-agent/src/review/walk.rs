//! Following flows: back from an event to its causes, or on from it to its effects.
//!
//! Both follow the same flows under the same condition, that no data goes back in time: a flow is followed
//! back from a moment not before it began, and on from one not after it ended. So whatever is a cause of
//! something has that as an effect. Nodes are looked at in the order of time, the latest first on the way
//! back and the earliest first on the way on; so each is looked at once, with all that can matter of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::flow::{Flow, Node};

/// All flows of a host, to be found by either end.
#[derive(Debug, Default)]
pub struct Flows {
    /// By where they lead, then when they begin.
    by_to: Vec<Flow>,
    /// By where they come from, then when they end.
    by_from: Vec<Flow>,
}

impl Flows {
    /// Sorts the flows.
    #[must_use]
    pub fn new(flows: Vec<Flow>) -> Self {
        let (mut by_to, mut by_from) = (flows.clone(), flows);
        by_to.sort_unstable_by_key(|flow| (flow.to, flow.first, *flow));
        by_from.sort_unstable_by_key(|flow| (flow.from, flow.last, *flow));
        Self { by_to, by_from }
    }

    /// Flows to a node that began by this time.
    #[must_use]
    pub fn into_node(&self, node: Node, time: u64) -> &[Flow] {
        let start = self.by_to.partition_point(|flow| flow.to < node);
        let rest = &self.by_to[start..];
        &rest[..rest.partition_point(|flow| flow.to == node && flow.first <= time)]
    }

    /// Flows from a node that had not ended before this time.
    #[must_use]
    pub fn out_of_node(&self, node: Node, time: u64) -> &[Flow] {
        let before = |flow: &Flow| (flow.from, flow.last) < (node, time);
        let start = self.by_from.partition_point(before);
        let rest = &self.by_from[start..];
        &rest[..rest.partition_point(|flow| flow.from == node)]
    }
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

/// What a walk reached.
#[derive(Debug, Default)]
pub struct Walk {
    /// The nodes.
    pub reached: HashMap<Node, Reached>,
    /// Whether there is more beyond a limit.
    pub cut: bool,
}

impl Walk {
    /// Follows flows from these nodes and times, through flows that `follow` accepts.
    #[must_use]
    pub fn new(
        flows: &Flows,
        direction: Direction,
        from: &[(Node, u64)],
        limits: Limits,
        follow: impl Fn(&Flow) -> bool,
    ) -> Self {
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
            let reached = Reached {
                time,
                via,
                distance,
            };
            walk.reached.insert(node, reached);
            let beyond = match direction {
                Direction::Back => flows.into_node(node, time),
                Direction::On => flows.out_of_node(node, time),
            };
            for flow in beyond.iter().filter(|flow| follow(flow)) {
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
        walk
    }
}
