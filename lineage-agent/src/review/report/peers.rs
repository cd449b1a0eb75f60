//! The other ends of connections: who spoke with them, how often, how much.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::super::filter::{endpoint, failed};
use super::strings::Strings;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Most ends; uses of further ones are counted.
const PEERS_MAX: usize = 50_000;

/// Most open sockets remembered at one time, for the bytes that their close tells.
const OPEN_MAX: usize = 262_144;

/// Ways that connections go.
const TO: u8 = 0;
const FROM: u8 = 1;
const ON: u8 = 2;

/// Columns of ends.
#[derive(Debug, Default, Serialize)]
pub(super) struct Peers {
    host: Vec<u32>,
    /// 0 to it, 1 from it, 2 on it.
    way: Vec<u8>,
    end: Vec<u32>,
    transport: Vec<u32>,
    times: Vec<u32>,
    failed: Vec<u32>,
    denied: Vec<u32>,
    /// Of sockets that were closed.
    bytes_sent: Vec<u64>,
    bytes_received: Vec<u64>,
    processes: Vec<u32>,
    first: Vec<Option<u32>>,
    /// Uses of ends beyond the limit.
    left_out: u64,
    #[serde(skip)]
    ids: HashMap<(u8, u32, u32), u32>,
    #[serde(skip)]
    used_by: HashSet<(u32, u32)>,
    /// By `seq` of the record that a close names.
    #[serde(skip)]
    open: HashMap<u64, u32>,
}

impl Peers {
    /// A new host begins.
    pub(super) fn begin(&mut self) {
        self.ids.clear();
        self.used_by.clear();
        self.open.clear();
    }

    /// Takes a record, and gives the end that it is about.
    pub(super) fn add(
        &mut self,
        record: &Record<'_>,
        host: u32,
        process: Option<u32>,
        row: Option<u32>,
        strings: &mut Strings,
    ) -> Option<u32> {
        if record.kind == Some(kinds::NET_CLOSE) {
            return self.close(record);
        }
        let peer = self.peer(record, host, row, strings)?;
        let at = peer as usize;
        let error = failed(record);
        let message = matches!(record.kind, Some(kinds::NET_SEND | kinds::NET_RECEIVE));
        let count = |column: &mut Vec<u32>, is: bool| {
            column[at] = column[at].saturating_add(u32::from(is));
        };
        count(&mut self.times, !message && !error);
        count(&mut self.failed, error);
        count(&mut self.denied, record.verdict == Some("deny"));
        if let Some(process) = process {
            count(&mut self.processes, self.used_by.insert((peer, process)));
        }
        if let Some(seq) = record.seq.filter(|_| self.open.len() < OPEN_MAX) {
            self.open.insert(seq, peer);
        }
        Some(peer)
    }

    fn close(&mut self, record: &Record<'_>) -> Option<u32> {
        let peer = self.open.remove(&record.opened?)?;
        let at = peer as usize;
        let sent = record.bytes_written.unwrap_or_default();
        let received = record.bytes_read.unwrap_or_default();
        self.bytes_sent[at] = self.bytes_sent[at].saturating_add(sent);
        self.bytes_received[at] = self.bytes_received[at].saturating_add(received);
        Some(peer)
    }

    fn peer(
        &mut self,
        record: &Record<'_>,
        host: u32,
        row: Option<u32>,
        strings: &mut Strings,
    ) -> Option<u32> {
        let transport = strings.id(record.transport?);
        let (way, end) = way(record)?;
        let end = strings.id(&end);
        let key = (way, end, transport);
        if let Some(known) = self.ids.get(&key) {
            return Some(*known);
        }
        if way != ON && is_of_connection(record) {
            // Who connected to here is known by address alone.
            let address = strings.optional(record.peer_addr);
            let connections = [(TO, end, transport), (FROM, address, transport)];
            if let Some(known) = connections.iter().find_map(|key| self.ids.get(key)) {
                return Some(*known);
            }
        }
        let id = u32::try_from(self.end.len()).ok()?;
        if self.end.len() == PEERS_MAX {
            self.left_out += 1;
            return None;
        }
        self.ids.insert(key, id);
        self.host.push(host);
        self.way.push(way);
        self.end.push(end);
        self.transport.push(transport);
        self.bytes_sent.push(0);
        self.bytes_received.push(0);
        self.first.push(row);
        let counts = [
            &mut self.times,
            &mut self.failed,
            &mut self.denied,
            &mut self.processes,
        ];
        for column in counts {
            column.push(0);
        }
        Some(id)
    }
}

/// Whether a message went through a connection; otherwise its address is its own.
fn is_of_connection(record: &Record<'_>) -> bool {
    let message = matches!(record.kind, Some(kinds::NET_SEND | kinds::NET_RECEIVE));
    message && record.origin != Some("claimed")
}

/// Which way a connection goes, and its end; `None` when it has none worth naming.
fn way(record: &Record<'_>) -> Option<(u8, String)> {
    let peer = record.peer_addr.filter(|addr| !addr.is_empty());
    let local = record.local_addr.filter(|addr| !addr.is_empty());
    let on = |local: &str| (ON, endpoint(local, record.local_port));
    Some(match record.kind.unwrap_or_default() {
        // Peers choose a new port each time: they are one by address.
        kinds::NET_ACCEPT => (FROM, peer?.to_owned()),
        kinds::NET_RECEIVE if peer.is_some() => (FROM, endpoint(peer?, record.peer_port)),
        kinds::NET_BIND | kinds::NET_LISTEN => on(local?),
        _ => match peer {
            Some(peer) => (TO, endpoint(peer, record.peer_port)),
            None => on(local?),
        },
    })
}
