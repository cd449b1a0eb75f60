//! Which node a record's file or socket is.

use std::collections::HashMap;

use super::{Node, NodeKind};
use crate::evidence::schema::Record;
use crate::names::OpenFlags;

/// Type bits of `st_mode` (stat(2)).
const TYPE: i64 = 0o170_000;
const REGULAR: i64 = 0o100_000;
const FIFO: i64 = 0o010_000;
const CHARACTER: i64 = 0o020_000;
const BLOCK: i64 = 0o060_000;

/// A file, whatever it is called: device and inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    dev: i64,
    ino: i64,
}

impl FileId {
    /// The file that a record is about.
    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        Some(Self {
            dev: record.dev?,
            ino: record.ino?,
        })
    }
}

/// What a descriptor leads to, as far as data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A regular file, whose content can be replaced, or a pipe.
    File(FileId),
    /// A socket.
    Socket(Socket),
    /// A device that is first told of by this record.
    Device(Node),
}

/// The two nodes of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) sent: Node,
    pub(super) received: Node,
}

/// What is known of the contents of a file.
#[derive(Debug, Default)]
struct Contents {
    /// Generation of the inode. With another one its number has been given to another file.
    generation: Option<i64>,
    /// The `seq` that each begins with, ascending.
    begun: Vec<u64>,
}

/// All files and sockets that were told of.
#[derive(Debug, Default)]
pub(super) struct Places {
    contents: HashMap<FileId, Contents>,
    /// By inode number: the first record about it.
    sockets: HashMap<i64, u64>,
    /// By inode number the latest record that is not a message, and by that the inode number.
    latest: HashMap<i64, u64>,
    told: HashMap<u64, i64>,
}

impl Places {
    /// What a record about a file leads to; `None` for what keeps no data, such as a directory.
    pub(super) fn file(&mut self, record: &Record<'_>) -> Option<Place> {
        let seq = record.seq?;
        match record.mode? & TYPE {
            REGULAR | FIFO => self.used(record),
            CHARACTER | BLOCK => Some(Place::Device(Node::new(NodeKind::Device, seq))),
            _ => None,
        }
    }

    /// The socket with this inode number, of which `seq` tells.
    pub(super) fn socket(&mut self, ino: i64, seq: u64) -> Socket {
        let first = *self.sockets.entry(ino).or_insert(seq);
        Socket {
            sent: Node::new(NodeKind::Sent, first),
            received: Node::new(NodeKind::Received, first),
        }
    }

    /// Notes that the record with this `seq` told of a socket: others name it as the other end.
    pub(super) fn told(&mut self, ino: i64, seq: u64) {
        if let Some(before) = self.latest.insert(ino, seq) {
            self.told.remove(&before);
        }
        self.told.insert(seq, ino);
    }

    /// The inode number of the socket that a record told of last.
    pub(super) fn socket_of(&self, seq: u64) -> Option<i64> {
        self.told.get(&seq).copied()
    }

    /// Notes that nothing is in a file any more, if the record of its opening says so.
    pub(super) fn opened(&mut self, record: &Record<'_>) {
        let flags = record.flags.unwrap_or_default();
        if OpenFlags(flags).makes_or_cuts() && record.size == Some(0) {
            self.emptied(record);
        }
    }

    /// Notes that nothing is in the file of the record any more.
    pub(super) fn emptied(&mut self, record: &Record<'_>) {
        let (Some(seq), Some(file)) = (record.seq, FileId::of(record)) else {
            return;
        };
        let contents = self.contents.entry(file).or_default();
        let regular = record.mode.is_none_or(|mode| mode & TYPE == REGULAR);
        if regular && contents.begun.last() != Some(&seq) {
            contents.begun.push(seq);
        }
    }

    /// The contents that a file had in a span, each with its part of that.
    pub(super) fn contents(&self, file: FileId, first: u64, last: u64) -> Vec<(Node, u64, u64)> {
        let begun = self.contents.get(&file);
        let begun = begun.map_or(&[][..], |contents| &contents.begun);
        let from = (begun.partition_point(|seq| *seq <= first)).saturating_sub(1);
        let until = begun.partition_point(|seq| *seq <= last).max(from + 1);
        (begun.iter().enumerate())
            .take(until)
            .skip(from)
            .map(|(at, seq)| {
                let content = Node::new(NodeKind::Content, *seq);
                let next = begun.get(at + 1).copied().unwrap_or(last);
                // The first of them was there already.
                let since = if at == from { first } else { *seq };
                (content, since, next.min(last))
            })
            .collect()
    }

    /// The file that a record is about.
    pub(super) fn used(&mut self, record: &Record<'_>) -> Option<Place> {
        let (file, seq) = (FileId::of(record)?, record.seq?);
        let contents = self.contents.entry(file).or_default();
        let another = record
            .generation
            .is_some_and(|it| contents.generation.is_some_and(|known| known != it));
        if contents.begun.is_empty() || another {
            contents.begun.push(seq);
        }
        contents.generation = record.generation.or(contents.generation);
        Some(Place::File(file))
    }
}
