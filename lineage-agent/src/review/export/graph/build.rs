//! From records to the graph.

use std::collections::{HashMap, HashSet};
use std::io;

use super::nodes::{connection_node, context_of, file_node, program_node, short};
use super::{EDGES_MAX, EdgeKind, Graph, Node, too_many};
use crate::evidence::kinds;
use crate::evidence::schema::Record;
use crate::review::export::program::{Program, Programs};
use crate::review::export::{Exporter, Place, Result};
use crate::review::filter::{self, endpoint};

/// How a format writes a graph.
pub(in crate::review::export) type Write<W> = fn(&Graph, &mut W) -> io::Result<()>;

/// Collects the graph, and writes it at the end.
pub(in crate::review::export) struct GraphExporter<W> {
    out: W,
    write: Write<W>,
    graph: Graph,
    /// The host that records are from.
    host: String,
    programs: Programs<Option<usize>>,
    /// Contexts met on this host.
    contexts: HashMap<Box<str>, usize>,
    /// The latest version of each file, by what names the file.
    latest: HashMap<String, usize>,
    /// Who read or wrote which file in any version.
    touched: HashSet<(usize, String, EdgeKind)>,
    /// Connections by the record that made or accepted them, and by socket and other end.
    by_seq: HashMap<u64, usize>,
    by_socket: HashMap<String, usize>,
}

impl<W: io::Write> GraphExporter<W> {
    pub(in crate::review::export) fn new(out: W, write: Write<W>) -> Self {
        Self {
            out,
            write,
            graph: Graph::default(),
            host: String::new(),
            programs: Programs::new(),
            contexts: HashMap::new(),
            latest: HashMap::new(),
            touched: HashSet::new(),
            by_seq: HashMap::new(),
            by_socket: HashMap::new(),
        }
    }

    fn add(&mut self, mut node: Node) -> Result<usize> {
        node.texts.push(("host", self.host.clone()));
        self.graph.add(node)
    }

    /// The node of the program that a process runs.
    fn program(&mut self, uid: &str, record: &Record<'_>) -> Result<Option<usize>> {
        let Some(program) = self.programs.get(uid) else {
            return Ok(None);
        };
        if let Some(index) = program.own {
            return Ok(Some(index));
        }
        let begun = record.process_uid == Some(uid) && record.argv.is_some();
        let node = program_node(program, if begun { record.argv } else { None });
        let index = match self.graph.find(&node.id) {
            Some(index) => index,
            None => self.add(node)?,
        };
        if let Some(program) = self.programs.get(uid) {
            program.own = Some(index);
        }
        Ok(Some(index))
    }

    fn ended(&mut self, program: &Program<Option<usize>>, record: &Record<'_>) {
        let Some(node) = program
            .own
            .and_then(|index| self.graph.nodes.get_mut(index))
        else {
            return;
        };
        if node.ended_ns.is_some() {
            return;
        }
        node.ended_ns = record.time_ns;
        if record.kind == Some(kinds::PROCESS_EXIT) {
            for (name, number) in [
                ("exit_code", record.exit_code),
                ("exit_signal", record.exit_signal),
            ] {
                node.numbers.extend(number.map(|number| (name, number)));
            }
        }
    }

    /// The node of the version of the file that the record names.
    fn file(&mut self, at: &Place<'_>, record: &Record<'_>) -> Result<Option<(usize, String)>> {
        let (Some(dev), Some(ino)) = (record.dev, record.ino) else {
            return Ok(None);
        };
        let generation = record.generation.unwrap_or_default();
        let file = format!("{}/{dev}/{ino}/{generation}", at.host);
        let version = (record.size, record.mtime_ns, record.ctime_ns);
        let before = self.latest.get(&file).copied();
        if let (Some(before), (None, None, None)) = (before, version) {
            // A record that does not tell the version is about the latest that is known.
            return Ok(Some((before, file)));
        }
        let id = format!("file-{}", short(&format!("{file}/{version:?}")));
        let index = match self.graph.find(&id) {
            Some(index) => index,
            None => self.add(file_node(id, record))?,
        };
        self.latest.insert(file.clone(), index);
        if let Some(before) = before.filter(|before| *before != index) {
            let (seq, time) = when(record);
            self.graph
                .connect((before, index, EdgeKind::Version), seq, time)?;
        }
        Ok(Some((index, file)))
    }

    fn file_edge(
        &mut self,
        at: &Place<'_>,
        record: &Record<'_>,
        program: usize,
        kind: EdgeKind,
    ) -> Result<()> {
        let known = match (record.kind, &record.dev, &record.ino) {
            // The totals of a descriptor say nothing new where there is a record of the first use.
            (Some(kinds::FILE_CLOSE), Some(dev), Some(ino)) => {
                let inode = format!("{}/{dev}/{ino}", at.host);
                self.touched.contains(&(program, inode, kind))
            }
            _ => false,
        };
        if known {
            return Ok(());
        }
        let Some((file, _)) = self.file(at, record)? else {
            return Ok(());
        };
        if let (Some(dev), Some(ino)) = (record.dev, record.ino) {
            let inode = format!("{}/{dev}/{ino}", at.host);
            self.touched.insert((program, inode, kind));
        }
        let key = match kind {
            EdgeKind::Write => (program, file, kind),
            _ => (file, program, kind),
        };
        let (seq, time) = when(record);
        self.graph.connect(key, seq, time)
    }

    fn map(&mut self, at: &Place<'_>, record: &Record<'_>, program: usize) -> Result<()> {
        self.file_edge(at, record, program, EdgeKind::Map)?;
        let shared = |it: &str| it.contains('w') && it.ends_with('s');
        if record.protection.is_some_and(shared)
            && let Some((file, _)) = self.file(at, record)?
        {
            let (seq, time) = when(record);
            self.graph
                .connect((program, file, EdgeKind::Map), seq, time)?;
        }
        Ok(())
    }

    /// The node of the connection that the record is about.
    fn connection(&mut self, at: &Place<'_>, record: &Record<'_>) -> Result<usize> {
        let peer = record.peer_addr.map(|it| endpoint(it, record.peer_port));
        let ino = record.ino.unwrap_or_default();
        let socket = format!("{ino}/{}", peer.as_deref().unwrap_or_default());
        let moves = matches!(record.kind, Some(kinds::NET_SEND | kinds::NET_RECEIVE));
        let known = match record.other_end {
            Some(other) => self.by_seq.get(&other),
            None if moves => self.by_socket.get(&socket),
            None => None,
        };
        let index = match known {
            Some(index) => *index,
            None => {
                let seq = record.seq.unwrap_or_default();
                let id = format!("connection-{}", short(&format!("{}/{seq}", at.host)));
                match self.graph.find(&id) {
                    Some(index) => index,
                    None => self.add(connection_node(id, record, peer))?,
                }
            }
        };
        if !moves && let Some(seq) = record.seq {
            self.by_seq.insert(seq, index);
        }
        self.by_socket.insert(socket, index);
        if self.by_seq.len().max(self.by_socket.len()) > EDGES_MAX {
            return Err(too_many("sockets of a graph", EDGES_MAX));
        }
        Ok(index)
    }

    /// Notes what governed the program when it did this.
    fn governed(&mut self, at: &Place<'_>, record: &Record<'_>, program: usize) -> Result<()> {
        let name = record.context.or(record.lineage).unwrap_or_default();
        let context = match self.contexts.get(name) {
            Some(context) => *context,
            None => {
                let document = record.context.and_then(at.artifact);
                let lineage = record.lineage.unwrap_or_default();
                let context = self
                    .graph
                    .context(context_of(lineage, document.as_deref()))?;
                self.contexts.insert(name.into(), context);
                context
            }
        };
        self.graph.govern(program, context)
    }

    fn edges(&mut self, at: &Place<'_>, record: &Record<'_>, program: usize) -> Result<()> {
        let (seq, time) = when(record);
        match record.kind {
            Some(kinds::PROCESS_FORK) => {
                let Some(child) = record.child_uid else {
                    return Ok(());
                };
                match self.program(child, record)? {
                    Some(child) => self
                        .graph
                        .connect((program, child, EdgeKind::Fork), seq, time),
                    None => Ok(()),
                }
            }
            Some(kinds::PROCESS_EXEC) => self.file_edge(at, record, program, EdgeKind::Execute),
            Some(kinds::FILE_READ) => self.file_edge(at, record, program, EdgeKind::Read),
            Some(kinds::FILE_WRITE) => self.file_edge(at, record, program, EdgeKind::Write),
            Some(kinds::FILE_MAP) => self.map(at, record, program),
            Some(kinds::FILE_CLOSE) => {
                if record.bytes_read.unwrap_or_default() > 0 {
                    self.file_edge(at, record, program, EdgeKind::Read)?;
                }
                if record.bytes_written.unwrap_or_default() > 0 {
                    self.file_edge(at, record, program, EdgeKind::Write)?;
                }
                Ok(())
            }
            Some(kind) => {
                let (into, kind) = match kind {
                    kinds::NET_CONNECT | kinds::NET_PAIR => (true, EdgeKind::Connect),
                    kinds::NET_ACCEPT => (false, EdgeKind::Accept),
                    kinds::NET_SEND => (true, EdgeKind::Send),
                    kinds::NET_RECEIVE => (false, EdgeKind::Receive),
                    _ => return Ok(()),
                };
                let connection = self.connection(at, record)?;
                let key = if into {
                    (program, connection, kind)
                } else {
                    (connection, program, kind)
                };
                self.graph.connect(key, seq, time)
            }
            None => Ok(()),
        }
    }
}

impl<W: io::Write> Exporter for GraphExporter<W> {
    fn host(&mut self, at: &Place<'_>) -> Result<()> {
        self.host.clone_from(&at.host);
        self.programs.end_all();
        self.contexts.clear();
        self.latest.clear();
        self.touched.clear();
        self.by_seq.clear();
        self.by_socket.clear();
        Ok(())
    }

    fn record(&mut self, at: &Place<'_>, record: &Record<'_>, wanted: bool) -> Result<()> {
        let exit = record.kind == Some(kinds::PROCESS_EXIT);
        let uid = record.process_uid.unwrap_or_default();
        if exit && wanted && self.programs.get(uid).is_some() {
            self.program(uid, record)?;
        }
        let step = self.programs.step(record)?;
        if let Some(program) = &step.ended {
            self.ended(program, record);
        }
        if !wanted || exit {
            return Ok(());
        }
        let Some(program) = self.program(uid, record)? else {
            return Ok(());
        };
        self.governed(at, record, program)?;
        let before = step.ended.and_then(|it| it.own).filter(|it| *it != program);
        if let Some(before) = before {
            let (seq, time) = when(record);
            self.graph
                .connect((before, program, EdgeKind::Exec), seq, time)?;
        }
        let prevented = matches!(record.effect, Some("prevented" | "killed-before-run"));
        if filter::failed(record) || prevented {
            return Ok(());
        }
        self.edges(at, record, program)
    }

    fn finish(&mut self) -> Result<()> {
        (self.write)(&self.graph, &mut self.out)?;
        Ok(self.out.flush()?)
    }
}

fn when(record: &Record<'_>) -> (u64, i64) {
    (
        record.seq.unwrap_or_default(),
        record.time_ns.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests;
