//! A file of sorted flows that finds those of one node by reading little of it.
//!
//! ```text
//! block…      BLOCK_FLOWS flows each, every flow as the differences from the one before it
//! directory   for each block: the key of its first flow, where it is, and the beginning of its BLAKE3
//! trailer     where the directory is, its BLAKE3, how many there are of what, and which records are in it
//! ```
//!
//! Numbers are little-endian in directory and trailer, and LEB128 in blocks. Whatever the file holds, reading it
//! ends, and gives flows or an error; a damaged block is told from a whole one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

use zerocopy::byteorder::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::super::flow::{Flow, Node, Rule};
use super::super::walk::Order;
use super::varint;
use crate::evidence::digest;

/// Flows in a block: decoded in some ten microseconds, and few enough that the directory stays small.
const BLOCK_FLOWS: usize = 1024;

/// Most bytes of a flow: a byte, and five numbers of ten bytes.
const FLOW_BYTES_MAX: usize = 51;

/// Blocks kept decoded, some 100 MB.
const CACHED_MAX: usize = 2048;

/// Largest directory that is read, for four thousand million flows.
const DIRECTORY_BYTES_MAX: u64 = 160 << 20;

const MAGIC: [u8; 8] = *b"LNGFLOW1";

/// Which records a file was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Covers {
    /// Segments of the log whose records are all in it.
    pub(in super::super) segments: u64,
    /// Root of the log with so many segments (RFC 9162).
    pub(in super::super) root: [u8; 32],
    /// Records in it: all with a smaller `seq`.
    pub(in super::super) records: u64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Entry {
    node: U64,
    time: U64,
    offset: U64,
    bytes: U32,
    flows: U32,
    check: [u8; 8],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Trailer {
    directory: U64,
    blocks: U64,
    segments: U64,
    records: U64,
    root: [u8; 32],
    check: [u8; 32],
    magic: [u8; 8],
}

/// Writes flows that come sorted.
pub(super) struct FlowWriter {
    out: BufWriter<File>,
    order: Order,
    block: Vec<u8>,
    in_block: u32,
    before: Flow,
    directory: Vec<Entry>,
    offset: u64,
}

impl FlowWriter {
    pub(super) fn new(file: File, order: Order) -> Self {
        Self {
            out: BufWriter::with_capacity(1 << 18, file),
            order,
            block: Vec::new(),
            in_block: 0,
            before: ZERO,
            directory: Vec::new(),
            offset: 0,
        }
    }

    pub(super) fn push(&mut self, flow: &Flow) -> io::Result<()> {
        if self.in_block == 0 {
            let (node, time) = self.order.key(flow);
            self.directory.push(Entry {
                node: node.into_bits().into(),
                time: time.into(),
                offset: self.offset.into(),
                bytes: 0.into(),
                flows: 0.into(),
                check: [0; 8],
            });
            self.before = ZERO;
        }
        encode(self.order, &self.before, flow, &mut self.block);
        self.before = *flow;
        self.in_block += 1;
        if self.in_block as usize == BLOCK_FLOWS {
            self.end_block()?;
        }
        Ok(())
    }

    /// What the flows are sorted by.
    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// Ends the file.
    pub(super) fn finish(mut self, covers: &Covers) -> io::Result<()> {
        self.end_block()?;
        let directory = self.directory.as_bytes();
        self.out.write_all(directory)?;
        let trailer = Trailer {
            directory: self.offset.into(),
            blocks: (self.directory.len() as u64).into(),
            segments: covers.segments.into(),
            records: covers.records.into(),
            root: covers.root,
            check: digest::of(directory),
            magic: MAGIC,
        };
        self.out.write_all(trailer.as_bytes())?;
        self.out.flush()
    }

    fn end_block(&mut self) -> io::Result<()> {
        let Some(entry) = self.directory.last_mut().filter(|_| self.in_block > 0) else {
            return Ok(());
        };
        let bytes = u32::try_from(self.block.len()).map_err(io::Error::other)?;
        entry.bytes = bytes.into();
        entry.flows = std::mem::take(&mut self.in_block).into();
        entry.check = check(&self.block);
        self.out.write_all(&self.block)?;
        self.offset += u64::from(bytes);
        self.block.clear();
        Ok(())
    }
}

/// Sorted flows in a file.
#[derive(Debug)]
pub(super) struct FlowFile {
    file: File,
    order: Order,
    directory: Vec<Block>,
    covers: Covers,
    decoded: RefCell<HashMap<usize, Rc<[Flow]>>>,
}

/// Where a block is.
#[derive(Debug, Clone, Copy)]
struct Block {
    first: (Node, u64),
    offset: u64,
    bytes: u32,
    flows: u32,
    check: [u8; 8],
}

impl FlowFile {
    pub(super) fn open(file: File, order: Order) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let mut trailer = [0; size_of::<Trailer>()];
        let at = size.checked_sub(trailer.len() as u64);
        let at = at.ok_or_else(|| damaged("no trailer"))?;
        file.read_exact_at(&mut trailer, at)?;
        let trailer = Trailer::ref_from_bytes(&trailer).map_err(|_| damaged("no trailer"))?;
        let bytes = (trailer.blocks.get()).checked_mul(size_of::<Entry>() as u64);
        let bytes = bytes.filter(|bytes| trailer.directory.get().checked_add(*bytes) == Some(at));
        let bytes = bytes.filter(|bytes| *bytes <= DIRECTORY_BYTES_MAX && trailer.magic == MAGIC);
        let mut directory = vec![0; bytes.ok_or_else(|| damaged("another trailer"))? as usize];
        file.read_exact_at(&mut directory, trailer.directory.get())?;
        if digest::of(&directory) != trailer.check {
            return Err(damaged("another directory"));
        }
        let entries = <[Entry]>::ref_from_bytes(&directory).map_err(|_| damaged("no directory"))?;
        Ok(Self {
            directory: entries.iter().map(Block::new).collect(),
            covers: Covers {
                segments: trailer.segments.get(),
                root: trailer.root,
                records: trailer.records.get(),
            },
            file,
            order,
            decoded: RefCell::default(),
        })
    }

    /// Which records it was made of.
    pub(super) fn covers(&self) -> &Covers {
        &self.covers
    }

    /// Visits the flows with a key between these two, in order, until `visit` breaks.
    pub(super) fn each_between(
        &self,
        first: (Node, u64),
        last: (Node, u64),
        visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let from = self.directory.partition_point(|block| block.first < first);
        let mut at = from.saturating_sub(1);
        while self
            .directory
            .get(at)
            .is_some_and(|block| block.first <= last)
        {
            let flows = self.cached(at)?;
            let from = flows.partition_point(|flow| self.order.key(flow) < first);
            for flow in &flows[from..] {
                if self.order.key(flow) > last || visit(flow).is_break() {
                    return Ok(());
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// The flows of a block, counted from 0; none after the last one.
    pub(super) fn block(&self, at: usize) -> io::Result<Option<Vec<Flow>>> {
        let Some(block) = self.directory.get(at) else {
            return Ok(None);
        };
        let (bytes, flows) = (block.bytes as usize, block.flows as usize);
        if flows > BLOCK_FLOWS || bytes > BLOCK_FLOWS * FLOW_BYTES_MAX {
            return Err(damaged("a block that is too large"));
        }
        let mut encoded = vec![0; bytes];
        self.file.read_exact_at(&mut encoded, block.offset)?;
        if check(&encoded) != block.check {
            return Err(damaged("another block"));
        }
        let (mut rest, mut before) = (&encoded[..], ZERO);
        let mut decoded = Vec::with_capacity(flows);
        for _ in 0..flows {
            before =
                decode(self.order, &before, &mut rest).ok_or_else(|| damaged("half a flow"))?;
            decoded.push(before);
        }
        Ok(Some(decoded))
    }

    fn cached(&self, at: usize) -> io::Result<Rc<[Flow]>> {
        if let Some(flows) = self.decoded.borrow().get(&at) {
            return Ok(Rc::clone(flows));
        }
        let flows: Rc<[Flow]> = self.block(at)?.unwrap_or_default().into();
        let mut decoded = self.decoded.borrow_mut();
        if decoded.len() == CACHED_MAX {
            decoded.clear();
        }
        decoded.insert(at, Rc::clone(&flows));
        Ok(flows)
    }
}

impl Block {
    fn new(entry: &Entry) -> Self {
        Self {
            first: (Node::from_bits(entry.node.get()), entry.time.get()),
            offset: entry.offset.get(),
            bytes: entry.bytes.get(),
            flows: entry.flows.get(),
            check: entry.check,
        }
    }
}

fn damaged(what: &'static str) -> io::Error {
    let said = format!("damaged: {what}; remove it, and it is made anew");
    io::Error::new(io::ErrorKind::InvalidData, said)
}

fn check(block: &[u8]) -> [u8; 8] {
    let digest = digest::of(block);
    std::array::from_fn(|at| digest[at])
}

const ZERO: Flow = Flow {
    from: Node::from_bits(0),
    to: Node::from_bits(0),
    first: 0,
    last: 0,
    record: 0,
    rule: Rule::Start,
};

/// The node by which flows are sorted, and the other one.
fn ends(order: Order, flow: &Flow) -> (Node, Node) {
    match order {
        Order::To => (flow.to, flow.from),
        Order::From => (flow.from, flow.to),
    }
}

/// Appends a flow. Times are near the record that names the node, or near those of the flow before.
fn encode(order: Order, before: &Flow, flow: &Flow, out: &mut Vec<u8>) {
    let ((node, other), (node_before, _)) = (ends(order, flow), ends(order, before));
    out.push((other.kind() as u8) << 4 | flow.rule as u8);
    varint::push(node.into_bits().wrapping_sub(node_before.into_bits()), out);
    varint::push_signed(flow.first, base(node, node_before, before), out);
    let span = flow.last.wrapping_sub(flow.first).wrapping_add(1);
    varint::push(if flow.last == u64::MAX { 0 } else { span }, out);
    varint::push_signed(flow.record, flow.first, out);
    varint::push_signed(other.seq(), node.seq(), out);
}

fn decode(order: Order, before: &Flow, rest: &mut &[u8]) -> Option<Flow> {
    let (node_before, _) = ends(order, before);
    let (&[tag], after) = rest.split_first_chunk()?;
    *rest = after;
    let node = Node::from_bits(node_before.into_bits().wrapping_add(varint::take(rest)?));
    let first = varint::take_signed(base(node, node_before, before), rest)?;
    let last = match varint::take(rest)? {
        0 => u64::MAX,
        span => first.wrapping_add(span).wrapping_sub(1),
    };
    let record = varint::take_signed(first, rest)?;
    let seq = varint::take_signed(node.seq(), rest)?;
    let other = Node::from_bits(u64::from(tag >> 4) << Node::KIND_SHIFT | seq);
    let (from, to) = match order {
        Order::To => (other, node),
        Order::From => (node, other),
    };
    Some(Flow {
        from,
        to,
        first,
        last,
        record,
        rule: Rule::ALL.get(usize::from(tag & 15)).copied()?,
    })
}

/// What the beginning of a flow is told by.
fn base(node: Node, node_before: Node, before: &Flow) -> u64 {
    if node == node_before {
        before.first
    } else {
        node.seq()
    }
}
