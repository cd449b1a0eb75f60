//! Identifiers, attributes, links and events of spans.

use serde_json::{Value as Json, json};

use super::super::program::ProgramId;
use super::nanoseconds;
use crate::evidence::schema::Record;
use crate::evidence::text::hex;
use crate::evidence::{digest, kinds};
use crate::names;
use crate::review::filter;

/// A value of an attribute, as OTLP/JSON writes it.
pub(super) trait AttributeValue {
    fn json(self) -> Json;
}

impl AttributeValue for &str {
    fn json(self) -> Json {
        json!({ "stringValue": self })
    }
}

impl AttributeValue for i64 {
    fn json(self) -> Json {
        json!({ "intValue": self.to_string() })
    }
}

impl AttributeValue for u64 {
    fn json(self) -> Json {
        // There are no larger ones in evidence that verifies.
        i64::try_from(self).unwrap_or(i64::MAX).json()
    }
}

impl AttributeValue for bool {
    fn json(self) -> Json {
        json!({ "boolValue": self })
    }
}

/// An attribute.
pub(super) fn attribute(name: &str, value: impl AttributeValue) -> Json {
    json!({ "key": name, "value": value.json() })
}

/// The trace of a lineage: the digits of its UUID, or of a digest of what is none.
pub(super) fn trace_id(lineage: &str) -> String {
    let digits: String = lineage.chars().filter(|it| *it != '-').collect();
    if is_id(&digits, 32) {
        digits
    } else {
        hex(&digest::of(lineage.as_bytes())[..16])
    }
}

/// The span of a program: the beginning of a digest of its name.
pub(super) fn span_id(program: &ProgramId) -> String {
    let name = format!("{}/{}", program.uid, program.exec);
    hex(&digest::of(name.as_bytes())[..8])
}

/// Lowercase hex digits that are not all zero, as W3C Trace Context wants its ids.
fn is_id(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
        && text.bytes().any(|it| it != b'0')
}

/// A link to the trace that the program was told to be a part of.
pub(super) fn trace_link(record: &Record<'_>) -> Option<Json> {
    let mut parts = record.traceparent?.split('-');
    let (_, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    if !is_id(trace, 32) || !is_id(span, 16) {
        return None;
    }
    let mut link = json!({
        "traceId": trace,
        "spanId": span,
        "attributes": [
            attribute("lineage.link", "traceparent"),
            attribute("lineage.claimed", true),
        ],
    });
    let state = record.tracestate.filter(|it| it.is_ascii());
    if let Some(state) = state {
        link["traceState"] = state.into();
    }
    Some(link)
}

/// The event of a record: a denial or a connection.
pub(super) fn event(record: &Record<'_>) -> Option<Json> {
    let denied = record.verdict == Some("deny");
    let connected = matches!(record.kind, Some(kinds::NET_CONNECT | kinds::NET_ACCEPT));
    if !denied && !connected {
        return None;
    }
    let kind = record.kind.unwrap_or_default();
    let mut attributes = vec![
        attribute("lineage.kind", kind),
        attribute("lineage.seq", record.seq.unwrap_or_default()),
    ];
    let texts = [
        ("lineage.verdict", record.verdict),
        ("lineage.effect", record.effect),
        ("lineage.rule", record.rule),
        ("lineage.reason", record.reason),
        ("lineage.judged", record.judged),
        ("file.path", record.path),
        ("network.transport", transport(record)),
        ("network.local.address", record.local_addr),
        ("network.peer.address", record.peer_addr),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            attributes.push(attribute(name, text));
        }
    }
    let ports = [
        ("network.local.port", record.local_port),
        ("network.peer.port", record.peer_port),
    ];
    for (name, port) in ports {
        if let Some(port) = port {
            attributes.push(attribute(name, port));
        }
    }
    if let (true, Some(result)) = (filter::failed(record), record.result) {
        let number = result.saturating_neg();
        let name = names::errno(number).map_or_else(|| number.to_string(), str::to_owned);
        attributes.push(attribute("error.type", &*name));
    }
    Some(json!({
        "timeUnixNano": nanoseconds(record.time_ns.unwrap_or_default()),
        "name": if denied { "lineage.denied" } else { kind },
        "attributes": attributes,
    }))
}

/// The word that semantic conventions have for a transport.
fn transport<'a>(record: &Record<'a>) -> Option<&'a str> {
    let transport = record.transport?;
    Some(if transport.starts_with("unix-") {
        "unix"
    } else {
        transport
    })
}
