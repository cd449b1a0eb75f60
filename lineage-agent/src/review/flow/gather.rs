//! From records to flows, one record after the other.

use std::collections::HashMap;

use super::descriptors::{Descriptors, End, Way};
use super::places::{Place, Places, Socket};
use super::processes::{Lasting, Other, Processes};
use super::{Flow, Node, NodeKind, Rule};
use crate::evidence::kinds;
use crate::evidence::schema::Record;
use crate::names::OpenFlags;
use crate::review::filter::failed;
use crate::review::text::whole_path;

/// Names remembered, each with who gave it.
const NAMES_MAX: usize = 1 << 22;

/// Turns the records of one host, in order, into flows.
///
/// Memory follows what is open and running, and how many files and sockets there were.
#[derive(Debug, Default)]
pub struct Gather {
    places: Places,
    descriptors: Descriptors,
    processes: Processes,
    /// The open sockets of processes by descriptor: not every record names the one that opened it.
    sockets: HashMap<(u64, i64), Opened>,
    /// By path: who gave a file this name last.
    names: HashMap<Box<str>, Named>,
    flows: Vec<Flow>,
}

#[derive(Debug)]
struct Named {
    program: Node,
    seq: u64,
    /// The content that was found there since.
    found: Option<Node>,
}

#[derive(Debug, Clone, Copy)]
struct Opened {
    ino: i64,
    seq: u64,
}

impl Gather {
    /// Takes one record; the flows that are known now can be had from [`Self::take`].
    pub fn record(&mut self, record: &Record<'_>) {
        let (Some(seq), Some(kind)) = (record.seq, record.kind) else {
            return;
        };
        if kind == kinds::PROCESS_SNAPSHOT {
            self.begin(record, Rule::Start);
            return;
        }
        let Some(program) = self.acting(record) else {
            return;
        };
        match kind {
            kinds::PROCESS_EXIT => self.end(record, seq),
            _ if failed(record) => {}
            kinds::PROCESS_FORK => self.fork(record, program),
            kinds::PROCESS_EXEC => self.exec(record),
            kinds::FILE_OPEN if record.target_uid.is_some() => self.open_memory(record, program),
            kinds::FILE_OPEN | kinds::FILE_INHERIT | kinds::FILE_SNAPSHOT => {
                if let Some(place) = self.places.file(record) {
                    self.places.opened(record);
                    self.descriptors.opened(seq, place);
                    self.found(place, record.path, seq);
                }
            }
            kinds::FILE_RENAME | kinds::FILE_LINK => self.named(record, program),
            kinds::FILE_TRUNCATE if record.size == Some(0) => self.places.emptied(record),
            kinds::FILE_READ => self.used(record, program, Way::In),
            kinds::FILE_WRITE => self.used(record, program, Way::Out),
            kinds::FILE_MAP => self.map(record, program),
            kinds::FILE_CLOSE => self.close(record, record.opened),
            kinds::NET_SEND => self.message(record, program, Way::Out),
            kinds::NET_RECEIVE => self.message(record, program, Way::In),
            kinds::NET_CLOSE => self.close_socket(record),
            kinds::DESCRIPTOR_RECEIVE if record.transport.is_none() => {
                if let Some(place) = self.places.file(record) {
                    self.descriptors.opened(seq, place);
                }
            }
            kinds::PROCESS_SIGNAL => self.act(record, program, Rule::Signal),
            kinds::PROCESS_PTRACE => self.act(record, program, Rule::Trace),
            kinds::PROCESS_MEMORY => self.act(record, program, Rule::Memory),
            _ if record.transport.is_some() => {
                self.socket(record);
            }
            _ => {}
        }
    }

    /// The flows that became known since the last call.
    pub fn take(&mut self) -> std::vec::Drain<'_, Flow> {
        self.flows.drain(..)
    }

    /// The rest: what has no end.
    #[must_use]
    pub fn finish(mut self) -> Vec<Flow> {
        let processes = std::mem::take(&mut self.processes);
        processes.finish(&self.places, &mut self.flows);
        self.descriptors.finish(&self.places, &mut self.flows);
        self.flows
    }

    /// The program that acts.
    fn acting(&mut self, record: &Record<'_>) -> Option<Node> {
        let program = Node::new(NodeKind::Program, record.cause?);
        let uid = record.process_uid?;
        // A thread may be told of with what its process was, a moment after an exec.
        let known = self.processes.get(uid).map(|process| process.program);
        if known.is_none_or(|known| known < program) {
            self.becomes(uid, program, record.seq?);
        }
        Some(program)
    }

    /// Notes that the process runs this program from here on.
    fn becomes(&mut self, uid: &str, program: Node, seq: u64) {
        let (places, flows) = (&self.places, &mut self.flows);
        self.processes.becomes(uid, program, seq, places, flows);
    }

    /// A process or program begins with this record; what it was before is the record's cause.
    fn begin(&mut self, record: &Record<'_>, rule: Rule) {
        let (Some(seq), Some(uid)) = (record.seq, record.process_uid) else {
            return;
        };
        let program = Node::new(NodeKind::Program, seq);
        if let Some(cause) = record.cause {
            self.moment(Node::new(NodeKind::Program, cause), program, seq, rule);
        }
        self.becomes(uid, program, seq);
    }

    fn exec(&mut self, record: &Record<'_>) {
        self.begin(record, Rule::Exec);
        let Some(seq) = record.seq else { return };
        if let Some(place @ Place::File(file)) = self.places.file(record) {
            self.found(place, record.exe, seq);
            for (content, ..) in self.places.contents(file, seq, seq) {
                let program = Node::new(NodeKind::Program, seq);
                self.moment(content, program, seq, Rule::Image);
            }
        }
    }

    fn fork(&mut self, record: &Record<'_>, program: Node) {
        let (Some(seq), Some(uid)) = (record.seq, record.child_uid) else {
            return;
        };
        let child = Node::new(NodeKind::Program, seq);
        self.moment(program, child, seq, Rule::Fork);
        self.becomes(uid, child, seq);
        let shares = |detail: &str| detail.contains("CLONE_VM");
        if record.detail.is_some_and(shares) {
            let lasting = Lasting {
                other: Other::Program(program),
                since: seq,
                rule: Rule::SharedMemory,
                ways: [true, true],
            };
            self.processes.lasts(uid, child, lasting);
        }
    }

    /// A file got another name.
    fn named(&mut self, record: &Record<'_>, program: Node) {
        let (Some(seq), Some(target)) = (record.seq, record.target) else {
            return;
        };
        if self.names.len() < NAMES_MAX {
            let path = whole_path(record.target_dir, target);
            let named = Named {
                program,
                seq,
                found: None,
            };
            self.names.insert(path.into(), named);
        }
    }

    /// What was found by a name is there because of who gave the name.
    fn found(&mut self, place: Place, path: Option<&str>, seq: u64) {
        let Place::File(file) = place else { return };
        let Some(named) = path.and_then(|path| self.names.get_mut(path)) else {
            return;
        };
        for (content, ..) in self.places.contents(file, seq, seq) {
            if named.found != Some(content) {
                named.found = Some(content);
                self.flows.push(Flow {
                    from: named.program,
                    to: content,
                    first: named.seq,
                    last: named.seq,
                    record: named.seq,
                    rule: Rule::Name,
                });
            }
        }
    }

    /// The process ended.
    fn end(&mut self, record: &Record<'_>, seq: u64) {
        if let Some(uid) = record.process_uid {
            self.processes.ends(uid, seq, &self.places, &mut self.flows);
        }
    }

    fn used(&mut self, record: &Record<'_>, program: Node, way: Way) {
        let Some(seq) = record.seq else { return };
        let bytes = record.result.unwrap_or_default().max(0).unsigned_abs();
        let one = (program, seq, bytes);
        if let Some(opened) = record.opened {
            let (places, flows) = (&self.places, &mut self.flows);
            if self.descriptors.used(opened, way, one, places, flows) {
                return;
            }
        }
        // The descriptor is not known, so how long it was used is not, either.
        if let Some(place) = self.places.used(record) {
            self.descriptors.opened(seq, place);
            let (places, flows) = (&self.places, &mut self.flows);
            self.descriptors.used(seq, way, one, places, flows);
        }
    }

    fn map(&mut self, record: &Record<'_>, program: Node) {
        let (Some(since), Some(uid)) = (record.seq, record.process_uid) else {
            return;
        };
        let Some(place @ Place::File(_)) = self.places.file(record) else {
            return;
        };
        self.found(place, record.path, since);
        let protection = record.protection.unwrap_or_default();
        let shared = protection.ends_with('s') && protection.contains('w');
        let rule = if shared { Rule::MapShared } else { Rule::Map };
        let lasting = Lasting {
            other: Other::Place(place),
            since,
            rule,
            ways: [true, shared],
        };
        self.processes.lasts(uid, program, lasting);
    }

    fn close(&mut self, record: &Record<'_>, opened: Option<u64>) {
        let (Some(opened), Some(seq)) = (opened, record.seq) else {
            return;
        };
        let moved = [record.bytes_read, record.bytes_written];
        let moved = moved.map(Option::unwrap_or_default);
        let program = record
            .cause
            .map(|cause| Node::new(NodeKind::Program, cause));
        let end = End {
            program,
            seq,
            moved: Some(moved),
        };
        self.descriptors
            .closed(opened, end, &self.places, &mut self.flows);
    }

    /// The socket that a record is about, with its descriptor, and the connection it is an end of.
    fn socket(&mut self, record: &Record<'_>) -> Option<Opened> {
        let (seq, ino) = (record.seq?, record.ino?);
        let socket = self.places.socket(ino, seq);
        let process = self.processes.get(record.process_uid?)?.id;
        if !matches!(record.kind, Some(kinds::NET_SEND | kinds::NET_RECEIVE)) {
            let other = (record.other_end).and_then(|seq| self.places.socket_of(seq));
            self.places.told(ino, seq);
            let other = other.or(record.peer_ino);
            if let Some(other) = other.filter(|other| *other != ino) {
                let other = self.places.socket(other, seq);
                self.connection(socket, other, seq);
            }
        }
        let place = (process, record.fd?);
        match self.sockets.get(&place) {
            Some(opened) if opened.ino == ino => Some(*opened),
            _ => {
                let opened = Opened { ino, seq };
                self.sockets.insert(place, opened);
                self.descriptors.opened(seq, Place::Socket(socket));
                Some(opened)
            }
        }
    }

    /// Both sockets are the ends of one connection.
    fn connection(&mut self, one: Socket, other: Socket, record: u64) {
        for (from, to) in [(one.sent, other.received), (other.sent, one.received)] {
            self.flows.push(Flow {
                from,
                to,
                first: 0,
                last: u64::MAX,
                record,
                rule: Rule::Connection,
            });
        }
    }

    fn message(&mut self, record: &Record<'_>, program: Node, way: Way) {
        let Some(seq) = record.seq else { return };
        let bytes = record.result.unwrap_or_default().max(0).unsigned_abs();
        if let Some(opened) = self.socket(record) {
            let (places, flows) = (&self.places, &mut self.flows);
            let one = (program, seq, bytes);
            self.descriptors.used(opened.seq, way, one, places, flows);
        }
    }

    fn close_socket(&mut self, record: &Record<'_>) {
        let process = record.process_uid.and_then(|uid| self.processes.get(uid));
        let place = process.map(|process| process.id).zip(record.fd);
        let opened = place.and_then(|place| {
            let known = self.sockets.get(&place)?;
            (Some(known.ino) == record.ino).then_some(())?;
            self.sockets.remove(&place)
        });
        self.close(record, opened.map(|it| it.seq).or(record.opened));
    }

    /// One process acted on another.
    fn act(&mut self, record: &Record<'_>, program: Node, rule: Rule) {
        let target = record.target_uid.and_then(|uid| self.processes.get(uid));
        let (Some(target), Some(seq)) = (target.map(|it| it.program), record.seq) else {
            return;
        };
        if target == program {
            return;
        }
        let [takes, gives] = match (rule, record.call) {
            (Rule::Memory, Some("process_vm_readv")) => [true, false],
            (Rule::Memory, Some("process_vm_writev")) | (Rule::Signal, _) => [false, true],
            (Rule::Trace, _) => [true, true],
            _ => [false, false],
        };
        if takes {
            self.moment(target, program, seq, rule);
        }
        if gives {
            self.moment(program, target, seq, rule);
        }
    }

    /// Memory of another process was opened as a file.
    fn open_memory(&mut self, record: &Record<'_>, program: Node) {
        let (Some(since), Some(uid), Some(target)) =
            (record.seq, record.process_uid, record.target_uid)
        else {
            return;
        };
        let target = self.processes.get(target).map(|target| target.program);
        let flags = OpenFlags(record.flags.unwrap_or_default());
        let is_memory = record.path.is_some_and(|path| path.ends_with("/mem"));
        if let Some(target) = target.filter(|_| is_memory) {
            let lasting = Lasting {
                other: Other::Program(target),
                since,
                rule: Rule::Memory,
                ways: [flags.reads(), flags.writes()],
            };
            self.processes.lasts(uid, program, lasting);
        }
    }

    fn moment(&mut self, from: Node, to: Node, seq: u64, rule: Rule) {
        self.flows.push(Flow {
            from,
            to,
            first: seq,
            last: seq,
            record: seq,
            rule,
        });
    }
}
