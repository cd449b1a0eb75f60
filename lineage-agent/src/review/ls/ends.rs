//! The facts of sockets: which ends they have, and what went between them.

use super::super::filter::{endpoint, failed};
use super::super::line::{Fit, Line, Style};
use super::facts::{descriptor, failure, moved};
use crate::evidence::kinds;
use crate::evidence::schema::Record;

pub(super) fn socket(line: &mut Line, kind: &str, record: &Record<'_>) {
    failure(line, record);
    match kind {
        kinds::NET_BIND | kinds::NET_LISTEN => address(
            line,
            "on",
            Fit::Shorten,
            record.local_addr,
            record.local_port,
        ),
        kinds::NET_ACCEPT | kinds::NET_RECEIVE => {
            address(line, "←", Fit::Shorten, record.peer_addr, record.peer_port);
            address(line, "on", Fit::Drop, record.local_addr, record.local_port);
        }
        _ => ends(line, record),
    }
    if let Some(transport) = record.transport {
        // Of what has no address it is all there is to say.
        let alone = record.peer_addr.or(record.local_addr).is_none();
        let (style, fit) = match alone {
            true => (Style::Net, Fit::Keep),
            false => (Style::Dim, Fit::Drop),
        };
        line.push(style, fit, transport);
    }
    if let kinds::NET_SEND | kinds::NET_RECEIVE = kind {
        moved(line, kind == kinds::NET_SEND, record);
    }
    with(line, record);
    if !failed(record) {
        descriptor(line, record);
    }
}

/// Which other process is at the other end.
pub(super) fn with(line: &mut Line, record: &Record<'_>) {
    if let Some(pid) = record.peer_pid.filter(|pid| record.pid != Some(*pid)) {
        line.push(Style::Dim, Fit::Drop, format!("with process {pid}"));
    }
}

/// What a descriptor leads to that went with a message, and between whom.
pub(super) fn passed(line: &mut Line, record: &Record<'_>) {
    failure(line, record);
    let sent = record.kind == Some(kinds::DESCRIPTOR_PASS);
    if let Some(path) = record.path {
        line.push(Style::Plain, Fit::Shorten, path);
    } else if record.peer_addr.is_some() || record.local_addr.is_some() {
        ends(line, record);
    } else {
        line.push(Style::Plain, Fit::Keep, record.transport.unwrap_or("?"));
    }
    if let Some(pid) = record.peer_pid.filter(|pid| record.pid != Some(*pid)) {
        let way = if sent { "→" } else { "←" };
        line.push(Style::Change, Fit::Keep, format!("{way} process {pid}"));
    }
    descriptor(line, record);
}

/// Both ends, the other one first.
pub(super) fn ends(line: &mut Line, record: &Record<'_>) {
    if record.peer_addr.is_some() {
        address(line, "→", Fit::Shorten, record.peer_addr, record.peer_port);
        address(
            line,
            "from",
            Fit::Drop,
            record.local_addr,
            record.local_port,
        );
    } else {
        address(
            line,
            "on",
            Fit::Shorten,
            record.local_addr,
            record.local_port,
        );
    }
}

fn address(line: &mut Line, how: &str, fit: Fit, addr: Option<&str>, port: Option<i64>) {
    let Some(addr) = addr.filter(|addr| !addr.is_empty()) else {
        return;
    };
    let end = endpoint(addr, port);
    if fit == Fit::Drop {
        line.push(Style::Dim, fit, format!("{how} {end}"));
    } else {
        line.push(Style::Dim, Fit::Keep, how);
        line.push(Style::Net, fit, end);
    }
}
