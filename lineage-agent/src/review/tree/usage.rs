//! The files and connections of one process.

use super::super::digests::FileId;
use super::super::filter::{endpoint, failed};
use super::super::notable::{self, Class};
use crate::evidence::kinds;
use crate::evidence::schema::Record;
use crate::names::OpenFlags;

/// Files kept of one process; further ones are counted.
const FILES_MAX: usize = 256;

/// Kinds of connection kept of one process; further ones are counted.
const SOCKETS_MAX: usize = 64;

/// What a descriptor leads to, among the things kept of a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum Handle {
    File(usize),
    Socket(usize),
}

/// The files a process used, those worth naming.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) named: Vec<FileUse>,
    /// Uses of files not kept.
    pub(super) more: u64,
}

/// One file, and all a process did with it.
#[derive(Debug)]
pub(super) struct FileUse {
    pub(super) path: Box<str>,
    pub(super) class: Class,
    /// Labels of the recognisers, comma separated.
    pub(super) recognised: Option<Box<str>>,
    pub(super) times: u64,
    pub(super) reads: bool,
    pub(super) writes: bool,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    /// The error of the last use that failed.
    pub(super) error: Option<i64>,
    /// The version that was opened last.
    pub(super) file: Option<FileId>,
}

/// The connections of a process.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) named: Vec<SocketUse>,
    /// Connections not kept.
    pub(super) more: u64,
}

/// Which way the connections of a socket go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    To,
    From,
    /// The end is its own.
    On,
    /// Its own pair: both ends are here at first.
    Pair,
    /// It has no end that is known.
    Open,
}

/// All connections of one kind with one other end.
#[derive(Debug)]
pub(super) struct SocketUse {
    pub(super) direction: Direction,
    pub(super) end: Box<str>,
    /// Others can connect to it.
    pub(super) listens: bool,
    /// Whether a connection came about was not waited for.
    pub(super) unsettled: bool,
    /// There were messages; their bytes are in the total of a socket, whatever its ends.
    pub(super) messages: bool,
    pub(super) transport: Box<str>,
    pub(super) times: u64,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    pub(super) error: Option<i64>,
}

impl Files {
    /// Takes the use of a file; where it is kept, if it is worth naming.
    pub(super) fn add(&mut self, record: &Record<'_>, all: bool) -> Option<usize> {
        let path = record.path?;
        let flags = OpenFlags(record.flags.unwrap_or_default());
        let error = record.result.filter(|_| failed(record));
        let class = notable::class(path, record.mode.unwrap_or_default(), flags, error);
        let class = match record.recognised {
            Some(_) => class.max(Class::Recognised),
            None => class,
        };
        // The memory of another process.
        let class = match record.target_pid {
            Some(_) if path.ends_with("/mem") => Class::Sensitive,
            _ => class,
        };
        if class == Class::Ordinary && !all {
            return None;
        }
        let known = self.named.iter().rposition(|file| *file.path == *path);
        let index = match known {
            Some(index) => index,
            None if self.named.len() < FILES_MAX => {
                self.named.push(FileUse {
                    path: path.into(),
                    class,
                    recognised: record.recognised.map(Into::into),
                    times: 0,
                    reads: false,
                    writes: false,
                    bytes_read: 0,
                    bytes_written: 0,
                    error: None,
                    file: None,
                });
                self.named.len() - 1
            }
            None => {
                self.more += 1;
                return None;
            }
        };
        let file = &mut self.named[index];
        let opened = record.kind == Some(kinds::FILE_OPEN);
        file.times += u64::from(opened || file.times == 0);
        file.class = file.class.max(class);
        if error.is_some() {
            file.error = error;
        } else {
            file.writes |= flags.writes();
            file.reads |= flags.reads();
            file.file = FileId::of(record);
        }
        Some(index)
    }

    pub(super) fn moved(&mut self, index: usize, read: u64, written: u64) {
        if let Some(file) = self.named.get_mut(index) {
            file.bytes_read = file.bytes_read.saturating_add(read);
            file.bytes_written = file.bytes_written.saturating_add(written);
        }
    }
}

impl Sockets {
    /// Takes a connection; where it is kept.
    pub(super) fn add(&mut self, record: &Record<'_>) -> Option<usize> {
        let (direction, end) = way(record)?;
        let transport = record.transport.unwrap_or_default();
        let error = record.result.filter(|_| failed(record));
        if transport.starts_with("unix") && notable::is_absent_service(&end, error) {
            return None;
        }
        let known = self.named.iter().position(|socket| {
            socket.direction == direction && *socket.end == *end && *socket.transport == *transport
        });
        let index = match known {
            Some(index) => index,
            None if self.named.len() < SOCKETS_MAX => {
                self.named.push(SocketUse {
                    direction,
                    end: end.into(),
                    listens: false,
                    unsettled: false,
                    messages: false,
                    transport: transport.into(),
                    times: 0,
                    bytes_read: 0,
                    bytes_written: 0,
                    error: None,
                });
                self.named.len() - 1
            }
            None => {
                self.more += 1;
                return None;
            }
        };
        let socket = &mut self.named[index];
        let listens = record.kind == Some(kinds::NET_LISTEN);
        socket.listens |= listens && error.is_none();
        socket.unsettled |= error.is_none() && record.result.is_some_and(|result| result < 0);
        let message = matches!(record.kind, Some(kinds::NET_SEND | kinds::NET_RECEIVE));
        socket.messages |= message && error.is_none();
        // A socket that listens was bound before, by itself at the latest.
        socket.times += u64::from(!listens || socket.times == 0);
        if error.is_some() {
            socket.error = error;
        }
        Some(index)
    }

    pub(super) fn moved(&mut self, index: usize, read: u64, written: u64) {
        if let Some(socket) = self.named.get_mut(index) {
            socket.bytes_read = socket.bytes_read.saturating_add(read);
            socket.bytes_written = socket.bytes_written.saturating_add(written);
        }
    }
}

/// Which way a connection goes, and its end; `None` when it has none worth naming.
fn way(record: &Record<'_>) -> Option<(Direction, String)> {
    let peer = record.peer_addr.filter(|addr| !addr.is_empty());
    let local = record.local_addr.filter(|addr| !addr.is_empty());
    Some(match record.kind.unwrap_or_default() {
        kinds::NET_ACCEPT => {
            // Peers choose a new port each time: they are one by address.
            let on = endpoint(local.unwrap_or("?"), record.local_port);
            (Direction::From, format!("{} on {on}", peer.unwrap_or("?")))
        }
        kinds::NET_RECEIVE => (Direction::From, endpoint(peer?, record.peer_port)),
        kinds::NET_BIND => (Direction::On, endpoint(local?, record.local_port)),
        kinds::NET_LISTEN => (
            Direction::On,
            endpoint(local.unwrap_or("?"), record.local_port),
        ),
        kinds::NET_PAIR => (Direction::Pair, String::new()),
        kinds::NET_SOCKET => (Direction::Open, String::new()),
        _ => match (peer, local) {
            (Some(peer), _) => (Direction::To, endpoint(peer, record.peer_port)),
            (None, Some(local)) => (Direction::On, endpoint(local, record.local_port)),
            (None, None) if failed(record) => (Direction::To, "?".to_owned()),
            (None, None) => return None,
        },
    })
}
