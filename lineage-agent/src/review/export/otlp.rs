//! OpenTelemetry traces as OTLP/JSON, one `TracesData` a line, as the OTLP file exporter writes and collectors read.
//!
//! A lineage is a trace, a program a span in it, and the program that forked its process the span's parent. What a
//! program was told of a trace of others (`traceparent`) is only a link, as nobody vouches for it. Denials and
//! connections are events of the span, up to the number that OpenTelemetry has as its default.

mod spans;

use std::io::Write;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use self::spans::{attribute, event, span_id, trace_id, trace_link};
use super::program::{Began, Program, ProgramId, Programs};
use super::{Exporter, Place, Result};
use crate::evidence::kinds;
use crate::evidence::schema::Record;
use crate::review::ndjson::push_value;
use crate::review::text::arguments;

/// Most events of a span; further ones are counted in `droppedEventsCount`.
const EVENTS_MAX: usize = 128;

/// Most bytes of the arguments of a program.
const ARGUMENTS_BYTES_MAX: usize = 16_384;

/// What is kept of a program until its span is written.
#[derive(Debug, Default)]
struct Kept {
    events: Vec<Json>,
    dropped: u64,
    /// A record of it is wanted.
    wanted: bool,
    /// It did more than to get ready for an exec.
    acted: bool,
    /// Attributes of the resource that the record of its beginning has.
    resource: Vec<Json>,
    links: Vec<Json>,
    /// How it ended: status and signal.
    exit: Option<(Option<i64>, Option<i64>)>,
    /// What the process ran before has a span.
    follows: bool,
}

/// Writes spans.
pub(super) struct Otlp<W> {
    out: W,
    line: Vec<u8>,
    host: Vec<Json>,
    now_ns: i64,
    programs: Programs<Kept>,
}

impl<W: Write> Otlp<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            line: Vec::with_capacity(4096),
            host: Vec::new(),
            now_ns: 0,
            programs: Programs::new(),
        }
    }

    /// Writes the span of a program that has ended, or of one that the evidence leaves running.
    fn write(&mut self, program: &Program<Kept>, next: Option<&Arc<str>>) -> Result<()> {
        let replaced = next.is_some();
        let ready = program.began == Began::Fork && replaced && !program.own.acted;
        if !program.own.wanted || ready {
            return Ok(());
        }
        if let Some(next) = next.and_then(|uid| self.programs.get(uid)) {
            next.own.follows = true;
        }
        let ended = replaced || program.own.exit.is_some();
        let line = json!({ "resourceSpans": [{
            "resource": { "attributes": self.resource(program) },
            "scopeSpans": [{
                "scope": { "name": "lineage", "version": env!("CARGO_PKG_VERSION") },
                "spans": [span(program, self.now_ns, ended)],
            }],
        }]});
        self.line.clear();
        push_value(&mut self.line, &line);
        self.line.push(b'\n');
        Ok(self.out.write_all(&self.line)?)
    }

    fn resource(&self, program: &Program<Kept>) -> Vec<Json> {
        let mut attributes = vec![attribute("service.name", program.name())];
        attributes.extend_from_slice(&self.host);
        if let Some(pid) = program.pid {
            attributes.push(attribute("process.pid", pid));
        }
        if let Some(pid) = program.ppid {
            attributes.push(attribute("process.parent_pid", pid));
        }
        if !program.exe.is_empty() {
            attributes.push(attribute("process.executable.name", program.name()));
            attributes.push(attribute("process.executable.path", &*program.exe));
        }
        attributes.extend_from_slice(&program.own.resource);
        attributes
    }

    fn end_all(&mut self) -> Result<()> {
        for program in self.programs.end_all() {
            self.write(&program, None)?;
        }
        Ok(())
    }

    /// Keeps of a record what its program's span will say.
    fn keep(&mut self, record: &Record<'_>, wanted: bool) {
        let Some(program) = record.process_uid.and_then(|uid| self.programs.get(uid)) else {
            return;
        };
        let kept = &mut program.own;
        kept.wanted |= wanted;
        match record.kind {
            Some(kinds::PROCESS_SNAPSHOT) => kept.resource = resource(record),
            Some(kinds::PROCESS_EXIT) => kept.exit = Some((record.exit_code, record.exit_signal)),
            Some(kinds::PROCESS_FORK) => kept.acted = true,
            _ => {}
        }
        if let (true, Some(event)) = (wanted, event(record)) {
            kept.acted = true;
            if kept.events.len() < EVENTS_MAX {
                kept.events.push(event);
            } else {
                kept.dropped += 1;
            }
        }
    }
}

impl<W: Write> Exporter for Otlp<W> {
    fn host(&mut self, at: &Place<'_>) -> Result<()> {
        self.end_all()?;
        self.host = vec![
            attribute("host.id", at.host.as_str()),
            attribute("os.type", "linux"),
        ];
        if let Some((hostname, _)) = &at.named {
            self.host.push(attribute("host.name", hostname.as_str()));
        }
        Ok(())
    }

    fn record(&mut self, _: &Place<'_>, record: &Record<'_>, wanted: bool) -> Result<()> {
        self.now_ns = record.time_ns.unwrap_or(self.now_ns);
        let exit = record.kind == Some(kinds::PROCESS_EXIT);
        if exit {
            self.keep(record, wanted);
        }
        let step = self.programs.step(record)?;
        for uid in &step.began {
            let Some(program) = self.programs.get(uid) else {
                continue;
            };
            program.own.wanted = wanted;
            if record.process_uid == Some(&**uid) {
                program.own.resource = resource(record);
                program.own.links.extend(trace_link(record));
            }
        }
        if let Some(program) = &step.ended {
            self.write(program, step.began.first())?;
        }
        if !exit {
            self.keep(record, wanted);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.end_all()?;
        Ok(self.out.flush()?)
    }
}

/// Attributes of a resource that follow from the record of a program's beginning.
fn resource(record: &Record<'_>) -> Vec<Json> {
    let mut attributes = Vec::new();
    if let Some(argv) = record.argv {
        let mut left = ARGUMENTS_BYTES_MAX;
        let words: Vec<Json> = arguments(argv)
            .into_iter()
            .take_while(|word| {
                let fits = word.len() < left;
                left = left.saturating_sub(word.len() + 1);
                fits
            })
            .map(|word| json!({ "stringValue": word }))
            .collect();
        let value = json!({ "arrayValue": { "values": words } });
        attributes.push(json!({ "key": "process.command_args", "value": value }));
    }
    if let Some(cwd) = record.cwd {
        attributes.push(attribute("process.working_directory", cwd));
    }
    for (name, number) in [
        ("process.real_user.id", record.uid),
        ("process.user.id", record.euid),
    ] {
        if let Some(number) = number {
            attributes.push(attribute(name, number));
        }
    }
    attributes
}

fn span(program: &Program<Kept>, now_ns: i64, ended: bool) -> Json {
    let kept = &program.own;
    let mut attributes = vec![
        attribute("lineage.id", &*program.lineage),
        attribute("lineage.process_uid", &*program.id.uid),
        attribute("lineage.exec", program.id.exec),
        attribute("lineage.seq", program.seq),
        attribute(
            "lineage.began",
            match program.began {
                Began::Exec => "exec",
                Began::Fork => "fork",
                Began::Found => "found",
            },
        ),
    ];
    let mut status = json!({});
    match kept.exit {
        Some((code, signal)) => {
            if let Some(code) = code {
                attributes.push(attribute("process.exit.code", code));
            }
            if let Some(signal) = signal {
                attributes.push(attribute("lineage.exit_signal", signal));
            }
            if code.unwrap_or_default() != 0 || signal.unwrap_or_default() != 0 {
                status = json!({ "code": 2 });
            }
        }
        None if !ended => attributes.push(attribute("lineage.running", true)),
        None => {}
    }
    let mut span = json!({
        "traceId": trace_id(&program.lineage),
        "spanId": span_id(&program.id),
        "name": program.name(),
        "kind": 1,
        "startTimeUnixNano": nanoseconds(program.began_ns),
        "endTimeUnixNano": nanoseconds(now_ns.max(program.began_ns)),
        "attributes": attributes,
        "status": status,
    });
    let mut links = kept.links.clone();
    match &program.parent {
        Some((parent, lineage)) if *lineage == program.lineage => {
            span["parentSpanId"] = span_id(parent).into();
        }
        // It was forked in another lineage, which is another trace.
        Some((parent, lineage)) => links.push(link("fork", lineage, parent)),
        None => {}
    }
    if let (true, Some(previous)) = (kept.follows, &program.previous) {
        links.push(link("exec", &program.lineage, previous));
    }
    if !links.is_empty() {
        span["links"] = links.into();
    }
    if !kept.events.is_empty() {
        span["events"] = kept.events.clone().into();
    }
    if kept.dropped > 0 {
        span["droppedEventsCount"] = kept.dropped.min(u64::from(u32::MAX)).into();
    }
    span
}

fn link(how: &str, lineage: &str, to: &ProgramId) -> Json {
    json!({
        "traceId": trace_id(lineage),
        "spanId": span_id(to),
        "attributes": [attribute("lineage.link", how)],
    })
}

/// 64-bit numbers are strings in OTLP/JSON; times there have no sign.
fn nanoseconds(ns: i64) -> String {
    ns.max(0).to_string()
}

#[cfg(test)]
mod tests;
