//! Programs and things in words, as the commands that follow flows tell of them.

use super::filter::endpoint;
use super::flow::{Flow, Node, NodeKind, Rule};
use super::line::{Fit, Line, Style};
use super::ls::facts;
use super::reach::{Reach, Step};
use super::text;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Begins a line: the `seq` of the record that tells it, and the level below the beginning.
pub(super) fn begin(line: &mut Line, seq: u64, width: usize, level: usize) {
    line.push(Style::Dim, Fit::Keep, format!("{seq:>width$}"));
    if level > 0 {
        line.push(Style::Plain, Fit::Keep, " ".repeat(2 * level - 1));
    }
}

/// Adds a program by its name, process id and arguments.
pub(super) fn program(line: &mut Line, reach: &Reach<'_>, program: Node) {
    let Some(record) = reach.record(program.seq()) else {
        let missing = format!("the program of record {}, which is missing", program.seq());
        return line.push(Style::Bad, Fit::Keep, missing);
    };
    let record = record.get();
    let comm = record.comm.unwrap_or("?");
    let named = |pid: Option<i64>| {
        let pid = pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
        format!("{comm}[{pid}]")
    };
    match record.kind {
        Some(kinds::LINEAGE_START) => {
            facts::push(line, kinds::LINEAGE_START, &record);
        }
        Some(kinds::PROCESS_FORK) => {
            line.push(Style::Good, Fit::Keep, named(record.child_pid));
            line.push(Style::Dim, Fit::Keep, "is a copy of");
            line.push(Style::Good, Fit::Keep, named(record.pid));
        }
        kind => {
            line.push(Style::Good, Fit::Keep, named(record.pid));
            let found = kind == Some(kinds::PROCESS_SNAPSHOT);
            let verb = if found { "was found as" } else { "ran" };
            line.push(Style::Dim, Fit::Keep, verb);
            facts::push(line, kinds::PROCESS_EXEC, &record);
        }
    }
}

/// Adds what went in or out: a file, a connection, a device.
pub(super) fn thing(line: &mut Line, reach: &Reach<'_>, step: &Step, thing: Node) {
    let flow = &step.flow;
    let Some(record) = reach.record(flow.record) else {
        return line.push(Style::Bad, Fit::Keep, "what a missing record says");
    };
    let record = record.get();
    match thing.kind() {
        NodeKind::Sent | NodeKind::Received => {
            // Of what went both ways the record has one, and the ends are the same.
            let way = match thing.kind() {
                NodeKind::Sent => "→",
                _ => "←",
            };
            let peer = record.peer_addr.filter(|peer| !peer.is_empty());
            let peer = peer.map(|peer| endpoint(peer, record.peer_port));
            let transport = record.transport.unwrap_or("socket");
            let peer = peer.unwrap_or_else(|| transport.to_owned());
            line.push(Style::Net, Fit::Shorten, format!("{way} {peer}"));
        }
        _ => {
            // Of what was renamed, what it is called since.
            let path = record.target.or(record.path).or(record.exe);
            line.push(Style::Bold, Fit::Shorten, path.unwrap_or("?"));
        }
    }
    if let Some(bytes) = all_bytes(reach, flow) {
        // Of several descriptors it is known of one.
        let all = match step.times {
            1 => "in all",
            _ => "the last time",
        };
        line.push(Style::Dim, Fit::Drop, format!("{bytes} {all}"));
    } else if let Some(bytes) = bytes(&record) {
        line.push(Style::Dim, Fit::Drop, bytes);
    }
    if matches!(flow.rule, Rule::Map | Rule::MapShared) {
        line.push(Style::Dim, Fit::Drop, "(mapped: what of it is not known)");
    } else {
        until(line, flow);
    }
}

/// Adds until when a flow goes on, if that is known and after the record that tells of it.
pub(super) fn until(line: &mut Line, flow: &Flow) {
    if flow.first < flow.last && flow.last != u64::MAX {
        line.push(Style::Dim, Fit::Drop, format!("(and until {})", flow.last));
    }
}

/// Bytes that went through a descriptor until it was closed, where a flow goes on until then.
fn all_bytes(reach: &Reach<'_>, flow: &Flow) -> Option<String> {
    if flow.first >= flow.last || flow.last == u64::MAX {
        return None;
    }
    let end = reach.record(flow.last)?;
    let end = end.get();
    let closed = matches!(end.kind, Some(kinds::FILE_CLOSE | kinds::NET_CLOSE));
    let moved = match flow.rule {
        Rule::Read => end.bytes_read,
        Rule::Write => end.bytes_written,
        _ => None,
    };
    moved.filter(|_| closed).map(text::bytes)
}

/// Bytes that the call of a record moved.
fn bytes(record: &Record<'_>) -> Option<String> {
    let moves = matches!(
        record.kind,
        Some(kinds::FILE_READ | kinds::FILE_WRITE | kinds::NET_SEND | kinds::NET_RECEIVE)
    );
    let result = record.result.filter(|_| moves)?;
    u64::try_from(result).ok().map(text::bytes)
}

/// Adds why names are missing, when more records would have to be read than are kept.
pub(super) fn full(line: &mut Line) {
    let said = "so much is told here that not all records of it were read: see less with --depth or --most";
    line.push(Style::Notable, Fit::Keep, said);
}
