//! Programs, versions of files and connections, and what connects them: the list that the formats of graphs write.
//!
//! A graph has no order in which it could be written while it is read, so it is kept whole, up to a size beyond which
//! it is an error: nothing draws more either. How it is made from records is in `build` and `nodes`; whatever else finds edges can
//! add them here.

mod build;
mod nodes;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Error, Result};

pub(super) use build::GraphExporter;

/// Most nodes.
const NODES_MAX: usize = 1 << 18;

/// Most edges.
const EDGES_MAX: usize = 1 << 20;

/// Most contexts.
const CONTEXTS_MAX: usize = 1 << 16;

/// Most bytes of text in all nodes.
const TEXT_BYTES_MAX: usize = 256 << 20;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// A program that a process ran.
    Program,
    /// A version of a file, or what else a descriptor leads to.
    File,
    /// A connection.
    Connection,
}

impl NodeKind {
    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::File => "file",
            Self::Connection => "connection",
        }
    }
}

/// What an edge says. It leads where data or control goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum EdgeKind {
    /// A program forked a process, which runs the same.
    Fork,
    /// A process executed another program.
    Exec,
    /// A file is what was executed.
    Execute,
    /// A program read a file.
    Read,
    /// A program wrote a file.
    Write,
    /// A program mapped a file, and may have read it; the other way, it may have written it.
    Map,
    /// A file had another version after this one.
    Version,
    /// A program made a connection.
    Connect,
    /// A program accepted a connection.
    Accept,
    /// A program sent into a connection.
    Send,
    /// A program received from a connection.
    Receive,
}

impl EdgeKind {
    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Exec => "exec",
            Self::Execute => "execute",
            Self::Read => "read",
            Self::Write => "write",
            Self::Map => "map",
            Self::Version => "version",
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Send => "send",
            Self::Receive => "receive",
        }
    }
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    /// What it is.
    pub(super) kind: NodeKind,
    /// Its name in the document: letters, digits and `-`.
    pub(super) id: Box<str>,
    /// A name for people.
    pub(super) label: String,
    /// When it began or was first met, nanoseconds UTC.
    pub(super) began_ns: i64,
    /// When a program ended, if the evidence says.
    pub(super) ended_ns: Option<i64>,
    /// What else is known of it.
    pub(super) texts: Vec<(&'static str, String)>,
    /// Numbers that are known of it.
    pub(super) numbers: Vec<(&'static str, i64)>,
}

/// From where to where, by place in the list of nodes, and why.
pub(super) type EdgeKey = (usize, usize, EdgeKind);

/// The first record that says so, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    /// `seq` of the first.
    pub(super) seq: u64,
    /// Its time, nanoseconds UTC.
    pub(super) time_ns: i64,
    /// How many say the same.
    pub(super) count: u64,
}

/// What governed programs of a lineage.
#[derive(Debug)]
pub(super) struct Context {
    /// The lineage.
    pub(super) lineage: Box<str>,
    /// Digests of the grants, the widest first.
    pub(super) grants: Vec<String>,
    /// Digest of the policies.
    pub(super) policy: Option<String>,
}

/// The whole.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// In the order they were met in.
    pub(super) nodes: Vec<Node>,
    /// Each once.
    pub(super) edges: BTreeMap<EdgeKey, Edge>,
    /// In the order they were met in.
    pub(super) contexts: Vec<Context>,
    /// Programs, and the contexts they ran in.
    pub(super) governed: BTreeSet<(usize, usize)>,
    by_id: HashMap<Box<str>, usize>,
    text_bytes: usize,
}

impl Graph {
    /// The node of this name, if there is one.
    fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Adds a node that is not there yet.
    fn add(&mut self, node: Node) -> Result<usize> {
        let index = self.nodes.len();
        if index >= NODES_MAX {
            return Err(too_many("nodes of a graph", NODES_MAX));
        }
        let text: usize = node.texts.iter().map(|(_, text)| text.len()).sum();
        self.text_bytes = self.text_bytes.saturating_add(text + node.label.len());
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(too_many("bytes of names in a graph", TEXT_BYTES_MAX));
        }
        self.by_id.insert(node.id.clone(), index);
        self.nodes.push(node);
        Ok(index)
    }

    /// Adds an edge, or counts one more that says the same.
    pub(super) fn connect(&mut self, key: EdgeKey, seq: u64, time_ns: i64) -> Result<()> {
        if let Some(edge) = self.edges.get_mut(&key) {
            edge.count = edge.count.saturating_add(1);
            return Ok(());
        }
        if self.edges.len() >= EDGES_MAX {
            return Err(too_many("edges of a graph", EDGES_MAX));
        }
        let edge = Edge {
            seq,
            time_ns,
            count: 1,
        };
        self.edges.insert(key, edge);
        Ok(())
    }

    /// A program ran in a context.
    fn govern(&mut self, program: usize, context: usize) -> Result<()> {
        if self.governed.len() >= EDGES_MAX {
            return Err(too_many("programs and contexts of a graph", EDGES_MAX));
        }
        self.governed.insert((program, context));
        Ok(())
    }

    fn context(&mut self, context: Context) -> Result<usize> {
        if self.contexts.len() >= CONTEXTS_MAX {
            return Err(too_many("contexts of a graph", CONTEXTS_MAX));
        }
        self.contexts.push(context);
        Ok(self.contexts.len() - 1)
    }
}

fn too_many(what: &'static str, most: usize) -> Error {
    Error::TooMany { what, most }
}

/// The text without characters that XML or a terminal would not have.
pub(super) fn plain(text: &str) -> String {
    let text = crate::review::text::shown(text);
    text.chars()
        .map(|it| match it {
            '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            it => it,
        })
        .collect()
}
