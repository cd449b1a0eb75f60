//! The facts of a call that is recorded as it is: on what, with which arguments.

use serde_json::Value;

use super::super::line::{Fit, Line, Style};
use super::super::text::whole_path;
use super::facts::failure;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Adds the facts of such a record to the line.
pub(super) fn push(line: &mut Line, record: &Record<'_>) {
    failure(line, record);
    if let Some(path) = record.path {
        line.push(Style::Change, Fit::Shorten, whole_path(record.dir, path));
    }
    if let Some(target) = record.target {
        // Of what is shared, and of `mount`, the other one is where it comes from, and what that
        // mounts need not be a file. What `move_mount` and `pivot_root` move goes there.
        let (arrow, dir) = match (record.kind, record.call) {
            (Some(kinds::FILE_IOCTL), _) => ("←", record.target_dir),
            (Some(kinds::FILE_MOUNT), Some("mount")) => ("←", None),
            _ => ("→", record.target_dir),
        };
        line.push(Style::Dim, Fit::Keep, arrow);
        line.push(Style::Change, Fit::Shorten, whole_path(dir, target));
    }
    target(line, record);
    if let Some(count) = record.count.filter(|count| *count > 1) {
        line.push(Style::Plain, Fit::Keep, format!("{count} times"));
    }
    if let Some(size) = record.size {
        line.push(Style::Plain, Fit::Keep, format!("to {size} bytes"));
    }
    if let Some(mode) = record.mode.filter(|_| record.ino.is_none()) {
        line.push(Style::Dim, Fit::Keep, format!("{mode:04o}"));
    }
    let mut told = became(record);
    let detail = record.detail.map(serde_json::from_str);
    if let Some(Ok(Value::Object(detail))) = detail {
        let detail = detail.iter().filter(|(_, value)| !is_empty(value));
        told.extend(detail.map(|(name, value)| format!("{name}={}", plain(value))));
    }
    if !told.is_empty() {
        line.push(Style::Plain, Fit::Shorten, told.join(" "));
    }
    if let Some(call) = record.call {
        line.push(Style::Dim, Fit::Drop, call);
    }
}

/// What the process became by the call, of what has a column.
fn became(record: &Record<'_>) -> Vec<String> {
    let columns = match record.kind {
        Some(kinds::PROCESS_NAMESPACE) => vec![
            ("mnt_ns", record.mnt_ns),
            ("net_ns", record.net_ns),
            ("user_ns", record.user_ns),
        ],
        Some(kinds::PROCESS_CREDENTIALS) => vec![
            ("uid", record.uid),
            ("gid", record.gid),
            ("euid", record.euid),
            ("egid", record.egid),
        ],
        _ => Vec::new(),
    };
    let known = columns.into_iter();
    known
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)))
        .collect()
}

/// Whether there is nothing to tell.
fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Adds the process that a file stands for.
pub(super) fn target(line: &mut Line, record: &Record<'_>) {
    if let Some(pid) = record.target_pid {
        line.push(Style::Dim, Fit::Keep, "→");
        line.push(Style::Change, Fit::Keep, format!("process {pid}"));
    }
}

/// Adds the flags that the detail tells of: how a process was created.
pub(super) fn flags(line: &mut Line, record: &Record<'_>) {
    let detail: Option<Value> = record
        .detail
        .and_then(|detail| serde_json::from_str(detail).ok());
    if let Some(flags) = detail.as_ref().and_then(|detail| detail.get("flags")) {
        line.push(Style::Dim, Fit::Shorten, plain(flags));
    }
}

/// Adds the facts of a move to another control group: who was moved, and where to.
pub(super) fn moved(line: &mut Line, record: &Record<'_>) {
    let detail: Value = record
        .detail
        .and_then(|detail| serde_json::from_str(detail).ok())
        .unwrap_or_default();
    if let Some(pid) = record.target_pid {
        line.push(Style::Dim, Fit::Keep, "process");
        line.push(Style::Change, Fit::Keep, pid.to_string());
    }
    if let Some(tid) = detail["thread"].as_u64() {
        line.push(Style::Dim, Fit::Keep, format!("thread {tid}"));
    }
    line.push(Style::Dim, Fit::Keep, "→");
    let path = detail["path"].as_str().unwrap_or("?");
    line.push(Style::Change, Fit::Shorten, path);
    if let Some(hierarchy) = detail["hierarchy"].as_u64() {
        line.push(Style::Dim, Fit::Drop, format!("hierarchy {hierarchy}"));
    }
    if let Some(container) = detail["container"].as_str() {
        line.push(Style::Plain, Fit::Shorten, container);
    }
    if let Some(pid) = detail["by"].as_u64() {
        line.push(Style::Dim, Fit::Keep, format!("by process {pid}"));
    }
}

/// A value without the quotes of JSON, several joined by `|`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join("|"),
        other => other.to_string(),
    }
}
