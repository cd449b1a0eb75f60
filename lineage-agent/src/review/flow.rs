//! What moved where: the flows of data that records tell of, from which causes and effects follow.
//!
//! A flow leads from one [`Node`] to another, within a span of `seq`. A record says that bytes moved
//! through a descriptor between its first use and its close, not when each did; where the bytes of the uses
//! that have records add up to all of them, the moments are known and the span is one record.
//! Identity decides, never a name: device, inode and generation of a file, and since when its content is that;
//! the inode of a socket and of the one at its other end; the record that made a process what it was.

mod descriptors;
mod gather;
mod places;
mod processes;
#[cfg(test)]
mod tests;

pub use gather::Gather;

use std::fmt;

/// Where data can be. It is named by the first record that tells of it, so that the record says the rest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(u64);

/// What a [`Node`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// A program that runs in a process, from one exec, fork or snapshot to the next: that record.
    Program,
    /// What is in a file from one emptying to the next, or goes through a pipe.
    Content,
    /// What is on its way out of a socket.
    Sent,
    /// What is on its way into a socket.
    Received,
    /// A device, which keeps nothing that is written for whom reads.
    Device,
}

impl NodeKind {
    /// Its name, for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Content => "content",
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Device => "device",
        }
    }
}

impl Node {
    /// Where the kind begins in [`Self::into_bits`].
    pub const KIND_SHIFT: u32 = 60;

    /// The node that is told of first by the record with this `seq`.
    #[must_use]
    pub const fn new(kind: NodeKind, seq: u64) -> Self {
        let seq = seq & ((1 << Self::KIND_SHIFT) - 1);
        Self((kind as u64) << Self::KIND_SHIFT | seq)
    }

    /// The node as a number: nodes are sorted by it.
    #[must_use]
    pub const fn into_bits(self) -> u64 {
        self.0
    }

    /// The node of a number that [`Self::into_bits`] gave.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// What it is.
    #[must_use]
    pub const fn kind(self) -> NodeKind {
        match self.0 >> Self::KIND_SHIFT {
            0 => NodeKind::Program,
            1 => NodeKind::Content,
            2 => NodeKind::Sent,
            3 => NodeKind::Received,
            _ => NodeKind::Device,
        }
    }

    /// `seq` of the record that tells of it first.
    #[must_use]
    pub const fn seq(self) -> u64 {
        self.0 & ((1 << Self::KIND_SHIFT) - 1)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({})", self.kind(), self.seq())
    }
}

/// By what a flow is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A lineage was registered, and this process found or launched.
    Start,
    /// The program created a process, which has a copy of its memory.
    Fork,
    /// The program became another one, which has its arguments, environment and descriptors.
    Exec,
    /// The file is the program.
    Image,
    /// The program read.
    Read,
    /// The program wrote.
    Write,
    /// The program gave the file the name by which it was found; told by the text of the name.
    Name,
    /// The program mapped the file and could read it there from then on; what it read is not recorded.
    Map,
    /// The program mapped the file to share what it writes there; what it wrote is not recorded.
    MapShared,
    /// What is sent at one end of a connection is received at the other.
    Connection,
    /// Both run in the same memory.
    SharedMemory,
    /// A signal was sent.
    Signal,
    /// One had the other under control (ptrace).
    Trace,
    /// Memory of the one was read or written by the other.
    Memory,
}

impl Rule {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 14] = [
        Self::Start,
        Self::Fork,
        Self::Exec,
        Self::Image,
        Self::Read,
        Self::Write,
        Self::Name,
        Self::Map,
        Self::MapShared,
        Self::Connection,
        Self::SharedMemory,
        Self::Signal,
        Self::Trace,
        Self::Memory,
    ];

    /// Its name, for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Fork => "fork",
            Self::Exec => "exec",
            Self::Image => "image",
            Self::Read => "read",
            Self::Write => "write",
            Self::Name => "name",
            Self::Map => "map",
            Self::MapShared => "map-shared",
            Self::Connection => "connection",
            Self::SharedMemory => "shared-memory",
            Self::Signal => "signal",
            Self::Trace => "trace",
            Self::Memory => "memory",
        }
    }

    /// Whether the record tells that bytes moved, and not only that they could.
    #[must_use]
    pub const fn is_known(self) -> bool {
        !matches!(
            self,
            Self::Name | Self::Map | Self::MapShared | Self::SharedMemory
        )
    }
}

/// Data that moved from one node to another at some time within a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Where it was.
    pub from: Node,
    /// Where it is then, too.
    pub to: Node,
    /// `seq` from which on data may have moved.
    pub first: u64,
    /// `seq` at which it had moved at the latest; [`u64::MAX`] when no end is recorded.
    pub last: u64,
    /// `seq` of the record that tells of it.
    pub record: u64,
    /// How it is known.
    pub rule: Rule,
}

impl Flow {
    /// The one of both that is told of later.
    #[must_use]
    pub fn max_by_record(self, other: Self) -> Self {
        if other.record > self.record {
            other
        } else {
            self
        }
    }
}
