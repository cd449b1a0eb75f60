//! Sorting more flows than memory has room for: in parts, which are merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;

use super::super::flow::{Flow, Node};
use super::super::walk::Order;
use super::blocks::{Covers, FlowFile, FlowWriter};
use crate::evidence::error::{Error, Result};
use crate::evidence::files::Dir;

/// What a file of flows may be read by.
const MODE: u32 = 0o600;

/// Most bytes of a file of flows.
const FILE_BYTES_MAX: u64 = 1 << 40;

/// Ends of the names of files that are made on the way.
const UNFINISHED: &str = ".part";

/// Takes flows in any order and gives them back sorted.
pub(super) struct Sorter {
    order: Order,
    pending: Vec<Flow>,
    /// Most flows in memory.
    pending_max: usize,
    parts: usize,
}

impl Sorter {
    pub(super) fn new(order: Order, pending_max: usize) -> Self {
        Self {
            order,
            pending: Vec::new(),
            pending_max,
            parts: 0,
        }
    }

    /// Takes a flow; true when there are as many as memory has room for, and [`Self::spill`] is to be called.
    pub(super) fn push(&mut self, flow: Flow) -> bool {
        self.pending.push(flow);
        self.pending.len() >= self.pending_max
    }

    /// Moves what is in memory to a file in this directory.
    pub(super) fn spill(&mut self, dir: &Dir) -> Result<()> {
        let name = self.part(self.parts);
        self.order.sort(&mut self.pending);
        write(dir, &name, self.order, &Covers::default(), |out| {
            self.pending.iter().try_for_each(|flow| out.push(flow))
        })?;
        self.parts += 1;
        self.pending.clear();
        Ok(())
    }

    /// All flows, when memory had room for them.
    pub(super) fn in_memory(self) -> Vec<Flow> {
        self.pending
    }

    /// Writes all flows, sorted, to a file of this name in the directory that holds the parts.
    pub(super) fn finish(mut self, dir: &Dir, name: &str, covers: &Covers) -> Result<()> {
        self.spill(dir)?;
        self.pending = Vec::new();
        let mut parts = Vec::new();
        for at in 0..self.parts {
            parts.push(Part::open(dir, &self.part(at), self.order)?);
        }
        let staged = format!("{name}{UNFINISHED}");
        write(dir, &staged, self.order, covers, |out| merge(parts, out))?;
        for at in 0..self.parts {
            dir.remove(&self.part(at))?;
        }
        dir.rename(&staged, name)
    }

    fn part(&self, at: usize) -> String {
        format!("{:?}-{at}{UNFINISHED}", self.order).to_lowercase()
    }
}

/// Removes what an earlier sorter left that did not come to its end.
pub(super) fn clean(dir: &Dir) -> Result<()> {
    for name in dir.names()? {
        let own = ["to-", "from-", "flows."]
            .iter()
            .any(|start| name.starts_with(start));
        if own && name.ends_with(UNFINISHED) {
            dir.remove(&name)?;
        }
    }
    Ok(())
}

/// Opens a file of flows, unless it is not there.
pub(super) fn open(dir: &Dir, name: &str, order: Order) -> Result<Option<FlowFile>> {
    let Some(file) = dir.open_file(name, FILE_BYTES_MAX)? else {
        return Ok(None);
    };
    let opened = FlowFile::open(file, order);
    opened
        .map(Some)
        .map_err(Error::io("read", dir.path().join(name)))
}

fn write(
    dir: &Dir,
    name: &str,
    order: Order,
    covers: &Covers,
    fill: impl FnOnce(&mut FlowWriter) -> io::Result<()>,
) -> Result<()> {
    let mut out = FlowWriter::new(dir.create(name, MODE)?, order);
    fill(&mut out)
        .and_then(|()| out.finish(covers))
        .map_err(Error::io("write", dir.path().join(name)))?;
    Ok(())
}

/// A sorted part that is read from its beginning to its end.
struct Part {
    file: FlowFile,
    next_block: usize,
    flows: std::vec::IntoIter<Flow>,
}

impl Part {
    fn open(dir: &Dir, name: &str, order: Order) -> Result<Self> {
        let file = open(dir, name, order)?;
        let gone = || Error::io("open", dir.path().join(name))(io::ErrorKind::NotFound.into());
        Ok(Self {
            file: file.ok_or_else(gone)?,
            next_block: 0,
            flows: Vec::new().into_iter(),
        })
    }

    fn next(&mut self) -> io::Result<Option<Flow>> {
        loop {
            if let Some(flow) = self.flows.next() {
                return Ok(Some(flow));
            }
            let Some(block) = self.file.block(self.next_block)? else {
                return Ok(None);
            };
            self.next_block += 1;
            self.flows = block.into_iter();
        }
    }
}

type Head = Reverse<((Node, u64), Flow, usize)>;

fn merge(mut parts: Vec<Part>, out: &mut FlowWriter) -> io::Result<()> {
    let mut heads: BinaryHeap<Head> = BinaryHeap::new();
    let order = out.order();
    for (at, part) in parts.iter_mut().enumerate() {
        if let Some(flow) = part.next()? {
            heads.push(Reverse((order.key(&flow), flow, at)));
        }
    }
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((_, flow, at)) = *head;
        out.push(&flow)?;
        match parts[at].next()? {
            Some(flow) => *head = Reverse((order.key(&flow), flow, at)),
            None => {
                PeekMut::pop(head);
            }
        }
    }
    Ok(())
}
