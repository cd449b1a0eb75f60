//! Events of the Open Cybersecurity Schema Framework, version 1.8.0: one JSON object a line, one event for each record
//! whose kind has a class there.
//!
//! What a class has a place for stands there; every other field goes along in `unmapped` under its own name. The
//! profile `record_integrity` (1.9) is not used: its attestation is over the event's own bytes, and what is signed here
//! is the record that the event was made from. `metadata.uid` names that.

mod objects;

use std::io::Write;

use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use super::{Exporter, Place, Result};
use crate::evidence::kinds::{self, Ocsf as Class};
use crate::evidence::schema::Record;
use crate::names;
use crate::review::filter::{self, endpoint};
use crate::review::ndjson::push_value;

/// The version of the schema.
const VERSION: &str = "1.8.0";

/// Failed, of Network Activity.
const FAIL: u32 = 4;

/// Unload, of Module Activity.
const UNLOAD: u32 = 2;

/// Writes events.
pub(super) struct Ocsf<W> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Ocsf<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            line: Vec::with_capacity(4096),
        }
    }
}

impl<W: Write> Exporter for Ocsf<W> {
    fn host(&mut self, _: &Place<'_>) -> Result<()> {
        Ok(())
    }

    fn record(&mut self, at: &Place<'_>, record: &Record<'_>, wanted: bool) -> Result<()> {
        let class = record.kind.and_then(class_of);
        if let (Some(class), true) = (class, wanted) {
            self.line.clear();
            push_value(&mut self.line, &event(at, class, record));
            self.line.push(b'\n');
            self.out.write_all(&self.line)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

fn class_of(kind: &str) -> Option<Class> {
    kinds::find(kind)?.ocsf
}

/// The event of one record.
fn event(at: &Place<'_>, class: Class, record: &Record<'_>) -> Json {
    let mut fields = Fields::new(record);
    let mut event = Map::new();
    kind(&mut event, class, record);
    if let Some(time_ns) = record.time_ns {
        event.insert("time".to_owned(), time_ns.div_euclid(1_000_000).into());
    } else {
        event.insert("time".to_owned(), 0.into());
    }
    severity(&mut event, record);
    event.insert("message".to_owned(), message(record).into());
    status(&mut event, &mut fields);
    event.insert("device".to_owned(), objects::device(at));
    let mut profiles = Vec::new();
    if matches!(class.class, Class::NETWORK | Class::EVIDENCE_INFO) {
        profiles.push("host");
    }
    objects::of_class(&mut event, class, at, &mut fields);
    if record.verdict.is_some() {
        profiles.push("security_control");
        decision(&mut event, &mut fields);
    }
    let metadata = metadata(at, &profiles, &mut fields);
    event.insert("metadata".to_owned(), metadata);
    event.insert("unmapped".to_owned(), Json::Object(fields.rest()));
    Json::Object(event)
}

/// Category, class, activity and type.
fn kind(event: &mut Map<String, Json>, class: Class, record: &Record<'_>) {
    let opened = (class.class, class.activity) == (Class::NETWORK, 1);
    let activity = match record.call {
        _ if opened && filter::failed(record) => FAIL,
        Some("delete_module") => UNLOAD,
        _ => class.activity,
    };
    let class = Class { activity, ..class };
    let numbers = [
        ("category_uid", class.class / 1000),
        ("class_uid", class.class),
        ("activity_id", class.activity),
        ("type_uid", class.type_uid()),
    ];
    for (name, number) in numbers {
        event.insert(name.to_owned(), number.into());
    }
    if let Some(name) = class_name(class.class) {
        event.insert("class_name".to_owned(), name.into());
    }
    if class.activity == Class::OTHER {
        let kind = record.kind.unwrap_or_default();
        event.insert("activity_name".to_owned(), kind.into());
    }
}

fn class_name(class: u32) -> Option<&'static str> {
    Some(match class {
        Class::PROCESS => "Process Activity",
        Class::FILE => "File System Activity",
        Class::MEMORY => "Memory Activity",
        Class::MODULE => "Module Activity",
        Class::NETWORK => "Network Activity",
        Class::EVIDENCE_INFO => "Live Evidence Info",
        _ => return None,
    })
}

/// What is denied is worth more attention, most when it happened all the same.
fn severity(event: &mut Map<String, Json>, record: &Record<'_>) {
    let (id, name) = match (record.verdict, record.effect) {
        (Some("deny"), Some("would-deny")) => (2, "Low"),
        (Some("deny"), Some("prevented" | "killed-before-run")) => (3, "Medium"),
        (Some("deny"), _) => (4, "High"),
        _ => (1, "Informational"),
    };
    event.insert("severity_id".to_owned(), id.into());
    event.insert("severity".to_owned(), name.into());
}

fn status(event: &mut Map<String, Json>, fields: &mut Fields<'_, '_>) {
    let Some(result) = fields.record.result else {
        return;
    };
    let failed = filter::failed(fields.record);
    let (id, name) = if failed {
        (2, "Failure")
    } else {
        (1, "Success")
    };
    event.insert("status_id".to_owned(), id.into());
    event.insert("status".to_owned(), name.into());
    if failed {
        let number = result.saturating_neg();
        let code = names::errno(number).map_or_else(|| number.to_string(), str::to_owned);
        event.insert("status_code".to_owned(), code.into());
    }
}

/// What happened in one line.
fn message(record: &Record<'_>) -> String {
    let mut message = String::new();
    if let Some(comm) = record.comm {
        message += comm;
    }
    if let Some(pid) = record.pid {
        message += &format!("[{pid}] ");
    }
    message += record.kind.unwrap_or_default();
    let of_exec = (record.kind == Some(kinds::PROCESS_EXEC))
        .then_some(record.exe)
        .flatten();
    let peer = record
        .peer_addr
        .or(record.local_addr)
        .map(|addr| match record.peer_addr {
            Some(_) => endpoint(addr, record.peer_port),
            None => endpoint(addr, record.local_port),
        });
    if let Some(what) = record.path.or(of_exec) {
        message += &format!(" {what}");
    } else if let Some(peer) = peer {
        message += &format!(" {peer}");
    }
    message
}

/// What the policy said, and what came of it.
fn decision(event: &mut Map<String, Json>, fields: &mut Fields<'_, '_>) {
    let (verdict, effect) = (fields.text("verdict"), fields.text("effect"));
    // Action: what the policy did. Disposition: what became of the act.
    let (action, disposition) = match (verdict, effect) {
        (Some("allow"), _) => ((1, "Allowed"), (1, "Allowed")),
        (_, Some("would-deny")) => ((3, "Observed"), (17, "Logged")),
        (_, Some("prevented" | "killed-before-run")) => ((2, "Denied"), (2, "Blocked")),
        (_, Some("killed-after-effect")) => ((2, "Denied"), (99, "killed-after-effect")),
        (_, effect) => ((2, "Denied"), (99, effect.unwrap_or("unknown"))),
    };
    event.insert("action_id".to_owned(), action.0.into());
    event.insert("action".to_owned(), action.1.into());
    event.insert("disposition_id".to_owned(), disposition.0.into());
    event.insert("disposition".to_owned(), disposition.1.into());
    // Of these the exact words are worth keeping, as the schema's are wider.
    let mut words = Map::new();
    for (name, value) in [("verdict", verdict), ("effect", effect)] {
        if let Some(value) = value {
            words.insert(name.to_owned(), value.into());
        }
    }
    if let Some(rule) = fields.text("rule") {
        let name = rule.split_once(':').map_or(rule, |(policy, _)| policy);
        words.insert("rule".to_owned(), rule.into());
        let policy = json!({ "name": name, "uid": rule, "is_applied": true, "data": words });
        event.insert("policy".to_owned(), policy);
    } else {
        let policy = json!({ "type": "lineage", "is_applied": true, "data": words });
        event.insert("policy".to_owned(), policy);
    }
}

fn metadata(at: &Place<'_>, profiles: &[&str], fields: &mut Fields<'_, '_>) -> Json {
    let mut metadata = Map::new();
    metadata.insert("version".to_owned(), VERSION.into());
    let product = json!({
        "name": "lineage",
        "vendor_name": "lineage",
        "version": env!("CARGO_PKG_VERSION"),
    });
    metadata.insert("product".to_owned(), product);
    metadata.insert("profiles".to_owned(), profiles.into());
    let sequence = fields.record.seq.unwrap_or_default();
    metadata.insert("uid".to_owned(), format!("{}/{sequence}", at.host).into());
    if let Some(sequence) = fields.number("seq") {
        metadata.insert("sequence".to_owned(), sequence.into());
    }
    for (field, name) in [("lineage", "correlation_uid"), ("kind", "event_code")] {
        if let Some(text) = fields.text(field) {
            metadata.insert(name.to_owned(), text.into());
        }
    }
    if let Some(labels) = fields.text("recognised") {
        let labels: Vec<&str> = labels.split(',').collect();
        metadata.insert("labels".to_owned(), labels.into());
    }
    if fields.record.truncated.is_some() {
        metadata.insert("is_truncated".to_owned(), true.into());
    }
    // `time` says it in milliseconds, `time_ns` goes along as it is.
    fields.placed(&["time"]);
    Json::Object(metadata)
}

#[cfg(test)]
mod tests;
