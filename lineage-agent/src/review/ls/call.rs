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
        // Of what is shared the other file is where it comes from.
        let arrow = if record.kind == Some(kinds::FILE_IOCTL) {
            "←"
        } else {
            "→"
        };
        line.push(Style::Dim, Fit::Keep, arrow);
        let target = whole_path(record.target_dir, target);
        line.push(Style::Change, Fit::Shorten, target);
    }
    if let Some(pid) = record.target_pid {
        line.push(Style::Dim, Fit::Keep, "→");
        line.push(Style::Change, Fit::Keep, format!("process {pid}"));
    }
    if let Some(count) = record.count.filter(|count| *count > 1) {
        line.push(Style::Plain, Fit::Keep, format!("{count} times"));
    }
    if let Some(size) = record.size {
        line.push(Style::Plain, Fit::Keep, format!("to {size} bytes"));
    }
    if let Some(mode) = record.mode.filter(|_| record.ino.is_none()) {
        line.push(Style::Dim, Fit::Keep, format!("{mode:04o}"));
    }
    let detail = record.detail.map(serde_json::from_str);
    if let Some(Ok(Value::Object(told))) = detail {
        let told: Vec<String> = told
            .iter()
            .map(|(name, value)| format!("{name}={}", plain(value)))
            .collect();
        line.push(Style::Plain, Fit::Shorten, told.join(" "));
    }
    if let Some(call) = record.call {
        line.push(Style::Dim, Fit::Drop, call);
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
