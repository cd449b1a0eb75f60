//! The essential facts of a record, by kind.

use std::fmt::Write;

use super::super::filter::failed;
use super::super::line::{Fit, Line, Style};
use super::super::text;
use super::call;
use super::changes;
use super::ends;
use crate::counted::counted;
use crate::evidence::kinds;
use crate::evidence::schema::{FIELDS, Record, Value};
use crate::names::{self, OpenFlags};

/// `ENOENT`, negated.
const NOT_THERE: i64 = -2;

/// Adds the facts of a record of this kind to the line.
pub(in super::super) fn push(line: &mut Line, kind: &str, record: &Record<'_>) {
    match kind {
        kinds::LINEAGE_START | kinds::LINEAGE_END => lineage(line, kind, record),
        kinds::CONTEXT_CHANGE => changes::push(line, record),
        kinds::PROCESS_SNAPSHOT | kinds::PROCESS_EXEC => program(line, record),
        kinds::PROCESS_FORK => {
            created(line, "→", record.child_pid, record);
        }
        kinds::THREAD_START => {
            created(line, "starts", record.child_tid, record);
        }
        kinds::PROCESS_CGROUP => call::moved(line, record),
        kinds::PROCESS_EXIT => exit(line, record),
        kinds::THREAD_EXIT => {
            let tid = record.tid.unwrap_or_default();
            line.push(Style::Dim, Fit::Keep, format!("{tid} ends"));
            exit(line, record);
        }
        kinds::FILE_OPEN | kinds::FILE_INHERIT | kinds::FILE_SNAPSHOT => file(line, record),
        kinds::FILE_READ | kinds::FILE_WRITE => transfer(line, kind, record),
        kinds::FILE_MAP => mapping(line, record),
        kinds::PROCESS_EXECMEM => memory(line, record),
        kinds::FILE_CLOSE | kinds::NET_CLOSE => close(line, record),
        kinds::FILE_DIGEST => digest(line, record),
        kinds::NET_BIND
        | kinds::NET_CONNECT
        | kinds::NET_ACCEPT
        | kinds::NET_INHERIT
        | kinds::NET_SNAPSHOT
        | kinds::NET_LISTEN
        | kinds::NET_SOCKET
        | kinds::NET_PAIR
        | kinds::NET_SEND
        | kinds::NET_RECEIVE => ends::socket(line, kind, record),
        kinds::DESCRIPTOR_PASS | kinds::DESCRIPTOR_RECEIVE => ends::passed(line, record),
        kinds::EVIDENCE_LOSS => loss(line, record),
        _ if record.call.is_some() => call::push(line, record),
        _ => everything(line, record),
    }
    remarks(line, kind, record);
}

fn lineage(line: &mut Line, kind: &str, record: &Record<'_>) {
    let id = record.lineage.unwrap_or_default();
    let what = if kind == kinds::LINEAGE_START {
        "starts"
    } else {
        "ends"
    };
    line.push(Style::Bold, Fit::Keep, what);
    if let Some(detail) = record.detail {
        let told = told(detail).unwrap_or_else(|| detail.to_owned());
        let told = match left_out(detail) {
            Some(kinds) => format!("{told}, leaving out {kinds}"),
            None => told,
        };
        line.push(Style::Plain, Fit::Shorten, told);
    }
    line.push(Style::Dim, Fit::Drop, id);
}

/// The kinds of records that were not wanted, if there are such.
fn left_out(detail: &str) -> Option<String> {
    let detail: serde_json::Value = serde_json::from_str(detail).ok()?;
    let kinds: Vec<String> = serde_json::from_value(detail["left_out"].clone()).ok()?;
    Some(kinds.join(", "))
}

/// What the detail of a lineage's start or end says, if it is as the recorder writes it.
fn told(detail: &str) -> Option<String> {
    let detail: serde_json::Value = serde_json::from_str(detail).ok()?;
    let reason = detail["reason"].as_str();
    match (detail["how"].as_str(), reason, detail["running"].as_u64()) {
        (Some("launch"), ..) => {
            let command: Vec<String> = serde_json::from_value(detail["command"].clone()).ok()?;
            Some(format!("with {}", command_line(&command)))
        }
        (Some("delegate"), ..) => {
            let (pid, from) = (detail["pid"].as_u64()?, detail["from"].as_str()?);
            Some(format!(
                "under a narrower grant with process {pid} of {from}"
            ))
        }
        (Some("attach"), ..) => Some(format!("with running process {}", detail["pid"].as_u64()?)),
        (_, Some(reason), Some(running)) => {
            let why = match reason {
                "ended" => "with its last process",
                "signal" => "because recording was stopped",
                "command-ended" => "with the command",
                other => other,
            };
            let more = match running {
                0 => String::new(),
                _ => format!(
                    ", {} still running",
                    counted(running, "process", "processes")
                ),
            };
            Some(format!("{why}{more}"))
        }
        _ => None,
    }
}

/// The program and its arguments: the executable the kernel ran, then what the process was given
/// beyond its own name.
fn program(line: &mut Line, record: &Record<'_>) {
    let arguments = record.argv.map(text::arguments).unwrap_or_default();
    let program = record.exe.filter(|_| !failed(record)).or(record.filename);
    let program = program.or(arguments.first().map(String::as_str));
    failure(line, record);
    let Some(program) = program else {
        return line.push(Style::Dim, Fit::Keep, "?");
    };
    line.push(Style::Bold, Fit::Shorten, text::quoted(program));
    let own_name = arguments.first().map_or("", String::as_str);
    if !own_name.is_empty() && base_name(own_name) != base_name(program) {
        line.push(Style::Dim, Fit::Drop, format!("({own_name})"));
    }
    // Looking for a program along PATH fails in many places before it succeeds in one.
    if arguments.len() > 1 && record.result != Some(NOT_THERE) {
        line.push(Style::Plain, Fit::Shorten, command_line(&arguments[1..]));
    }
    on_host(line, record);
    if let Some(cwd) = record.cwd {
        line.push(Style::Dim, Fit::Drop, format!("in {cwd}"));
    }
}

/// What the host calls the file, where that is something else.
fn on_host(line: &mut Line, record: &Record<'_>) {
    if let Some(path) = record.host_path {
        line.push(Style::Dim, Fit::Drop, format!("on the host {path}"));
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn command_line(arguments: &[String]) -> String {
    let mut line = String::new();
    for argument in arguments {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&text::quoted(argument));
    }
    line
}

fn created(line: &mut Line, how: &str, id: Option<i64>, record: &Record<'_>) {
    failure(line, record);
    if let Some(id) = id {
        line.push(Style::Dim, Fit::Keep, how);
        line.push(Style::Plain, Fit::Keep, id.to_string());
    }
    call::flags(line, record);
}

fn exit(line: &mut Line, record: &Record<'_>) {
    if let Some(signal) = record.exit_signal.filter(|signal| *signal != 0) {
        let name = names::signal(signal).map_or_else(|| format!("signal {signal}"), str::to_owned);
        line.push(Style::Bad, Fit::Keep, name);
    } else if let Some(code) = record.exit_code {
        let style = if code == 0 {
            Style::Dim
        } else {
            Style::Notable
        };
        line.push(style, Fit::Keep, format!("status {code}"));
    }
}

fn file(line: &mut Line, record: &Record<'_>) {
    failure(line, record);
    let flags = record.flags.map(OpenFlags);
    let changes = flags.is_some_and(|flags| flags.writes() || flags.creates());
    let style = if changes && !failed(record) {
        Style::Change
    } else {
        Style::Plain
    };
    line.push(style, Fit::Shorten, record.path.unwrap_or("?"));
    call::target(line, record);
    on_host(line, record);
    if let Some(flags) = flags {
        // What may happen to the file is always shown, the rest where there is room.
        let fit = if changes { Fit::Keep } else { Fit::Drop };
        let (essential, rest) = flags.split();
        line.push(Style::Dim, fit, essential);
        if !rest.is_empty() {
            line.join(Style::Dim, Fit::Drop, rest);
        }
    }
    if let Some(offset) = record.offset.filter(|offset| *offset != 0) {
        line.push(Style::Dim, Fit::Drop, format!("at {offset}"));
    }
    ends::with(line, record);
    descriptor(line, record);
}

/// What is in a file: the beginning of its digest, or why there is none.
fn digest(line: &mut Line, record: &Record<'_>) {
    let detail: serde_json::Value = record
        .detail
        .and_then(|detail| serde_json::from_str(detail).ok())
        .unwrap_or_default();
    line.push(Style::Plain, Fit::Shorten, record.path.unwrap_or("?"));
    match record.blake3 {
        Some(digest) => line.push(Style::Good, Fit::Keep, text::short_digest(digest)),
        None => {
            let why = detail["reason"].as_str().unwrap_or("?");
            line.push(Style::Notable, Fit::Keep, format!("no digest: {why}"));
        }
    }
    let list = |key: &str| {
        let words = detail[key]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let words: Vec<_> = words.iter().filter_map(serde_json::Value::as_str).collect();
        words.join(", ")
    };
    let changed = list("changed");
    if !changed.is_empty() {
        line.push(Style::Dim, Fit::Drop, format!("({changed})"));
    }
    if let Some(error) = detail["error"].as_str() {
        line.push(Style::Bad, Fit::Keep, error);
    }
    for remark in ["recent", "other_device"] {
        if detail[remark] == true {
            line.push(Style::Notable, Fit::Drop, format!("[{remark}]"));
        }
    }
    if let Some(size) = record.size.and_then(|size| u64::try_from(size).ok()) {
        line.push(Style::Dim, Fit::Drop, text::bytes(size));
    }
    if let Some(cause) = record.cause {
        line.push(Style::Dim, Fit::Drop, format!("asked by {cause}"));
    }
}

fn mapping(line: &mut Line, record: &Record<'_>) {
    failure(line, record);
    line.push(Style::Plain, Fit::Shorten, record.path.unwrap_or("?"));
    if let Some(protection) = record.protection {
        line.push(Style::Dim, Fit::Keep, protection);
    }
    if let Some(call) = record.call {
        line.push(Style::Dim, Fit::Drop, call);
    }
}

/// Memory without a file: how it may be used now.
fn memory(line: &mut Line, record: &Record<'_>) {
    failure(line, record);
    if let Some(protection) = record.protection {
        line.push(Style::Notable, Fit::Keep, protection);
    }
    if let Some(call) = record.call {
        line.push(Style::Dim, Fit::Drop, call);
    }
}

/// The file, and how much of it went through the descriptor in this call.
fn transfer(line: &mut Line, kind: &str, record: &Record<'_>) {
    match (record.path, record.fd) {
        (Some(path), _) => line.push(Style::Plain, Fit::Shorten, path),
        (None, Some(fd)) => line.push(Style::Plain, Fit::Keep, format!("fd {fd}")),
        (None, None) => {}
    }
    moved(line, kind == kinds::FILE_WRITE, record);
    if let Some(opened) = record.opened {
        line.push(Style::Dim, Fit::Drop, format!("opened {opened}"));
    }
}

/// How many bytes the call moved.
pub(super) fn moved(line: &mut Line, out: bool, record: &Record<'_>) {
    let Some(bytes) = record.result.and_then(|bytes| u64::try_from(bytes).ok()) else {
        return;
    };
    let style = if out { Style::Change } else { Style::Plain };
    line.push(style, Fit::Keep, text::bytes(bytes));
}

fn close(line: &mut Line, record: &Record<'_>) {
    failure(line, record);
    if let Some(path) = record.path {
        line.push(Style::Plain, Fit::Shorten, path);
    } else if record.peer_addr.is_some() || record.local_addr.is_some() {
        ends::ends(line, record);
    } else if let Some(fd) = record.fd {
        line.push(Style::Plain, Fit::Keep, format!("fd {fd}"));
    }
    let moved = |count: Option<u64>| count.filter(|count| *count > 0).map(text::bytes);
    if let Some(read) = moved(record.bytes_read) {
        line.push(Style::Dim, Fit::Keep, "read");
        line.push(Style::Plain, Fit::Keep, read);
    }
    if let Some(written) = moved(record.bytes_written) {
        line.push(Style::Dim, Fit::Keep, "wrote");
        line.push(Style::Change, Fit::Keep, written);
    }
    if let Some(by) = record.closed_by.filter(|by| *by != "close") {
        line.push(Style::Dim, Fit::Drop, format!("by {by}"));
    }
    if let Some(opened) = record.opened {
        line.push(Style::Dim, Fit::Drop, format!("opened {opened}"));
    }
}

pub(super) fn descriptor(line: &mut Line, record: &Record<'_>) {
    if let Some(fd) = record.fd.filter(|fd| *fd >= 0) {
        line.push(Style::Dim, Fit::Drop, format!("= {fd}"));
    }
}

/// Why the call failed, first, so that it is always seen.
pub(super) fn failure(line: &mut Line, record: &Record<'_>) {
    let Some(result) = record.result.filter(|result| *result < 0) else {
        return;
    };
    let number = result.saturating_neg();
    let name = names::errno(number).map_or_else(|| format!("error {number}"), str::to_owned);
    let style = if failed(record) {
        Style::Bad
    } else {
        Style::Dim
    };
    line.push(style, Fit::Keep, name);
}

fn loss(line: &mut Line, record: &Record<'_>) {
    if let Some(count) = record.lost_count.filter(|count| *count > 0) {
        let mut what = counted(count, "event", "events");
        if let Some(cpu) = record.cpu {
            let _ = write!(what, " of CPU {cpu}");
        }
        if let Some(first) = record.lost_first {
            let _ = write!(what, ", from number {first}");
        }
        line.push(Style::Bad, Fit::Keep, what);
    }
    if let Some(detail) = record.detail {
        let what = text::what(detail).map(|(what, times)| text::times(&what, times));
        line.push(Style::Bad, Fit::Shorten, what.as_deref().unwrap_or(detail));
    }
}

/// What should not be overlooked: how far the facts can be trusted and what is missing.
fn remarks(line: &mut Line, kind: &str, record: &Record<'_>) {
    // Of a failed call the kernel keeps nothing: that its facts are claimed goes without saying.
    let claimed = record.origin.filter(|origin| *origin == "claimed");
    if let Some(origin) = claimed.filter(|_| !failed(record)) {
        line.push(Style::Dim, Fit::Drop, origin);
    }
    if let Some(labels) = record.recognised {
        line.push(Style::Notable, Fit::Keep, format!("<{labels}>"));
    }
    if let Some(notes) = record.notes {
        line.push(Style::Notable, Fit::Keep, format!("[{notes}]"));
    }
    if let Some(fields) = record.truncated {
        line.push(Style::Notable, Fit::Drop, format!("[cut: {fields}]"));
    }
    let other_thread = record.tid.filter(|tid| record.pid != Some(*tid));
    if let Some(tid) = other_thread.filter(|_| kind != kinds::THREAD_EXIT) {
        line.push(Style::Dim, Fit::Drop, format!("tid {tid}"));
    }
}

/// All fields of a kind this version does not know.
fn everything(line: &mut Line, record: &Record<'_>) {
    record.visit(|id, value| {
        let Some(field) = FIELDS.iter().find(|field| field.id == id) else {
            return;
        };
        if kinds::COMMON.contains(&field.name) || kinds::ACTOR.contains(&field.name) {
            return;
        }
        let value = match value {
            Value::U64(number) => number.to_string(),
            Value::I64(number) => number.to_string(),
            Value::Text(text) => text.to_owned(),
        };
        line.push(
            Style::Plain,
            Fit::Shorten,
            format!("{}={value}", field.name),
        );
    });
}
