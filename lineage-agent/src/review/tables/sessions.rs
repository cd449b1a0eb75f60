//! The table of sessions: one row for each lineage, with how it began and ended and how much happened in it.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::Value;

use super::texts::{Id, Texts};
use crate::evidence::kinds;
use crate::evidence::schema::Record;
use crate::evidence::table::ColumnKind::{Number, Text, Time};
use crate::evidence::table::{Cell, Column, TableWriter, column};
use crate::review::filter::failed;

/// Most lineages of a host.
const SESSIONS_MAX: usize = 1 << 20;

/// The columns.
const COLUMNS: [Column; 18] = [
    column("lineage", Text),
    column("seq", Number),
    column("last_seq", Number),
    column("how", Text),
    column("command", Text),
    column("process_uid", Text),
    column("uid", Number),
    column("context", Text),
    column("started", Time),
    column("ended", Time),
    column("reason", Text),
    column("records", Number),
    column("contexts", Number),
    column("processes", Number),
    column("programs", Number),
    column("connections", Number),
    column("denied", Number),
    column("failed", Number),
];

/// What is counted of a lineage, in the order of the columns.
const COUNTS: usize = 7;

/// The lineages of a host.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// In the order of their first records.
    list: Vec<Session>,
    ids: HashMap<Box<str>, u32>,
    pub(super) left_out: u64,
}

#[derive(Debug, Default)]
struct Session {
    lineage: Id,
    first: u64,
    last: u64,
    how: Id,
    command: Id,
    process: Id,
    uid: Option<i64>,
    context: Id,
    started: Option<i64>,
    ended: Option<i64>,
    reason: Id,
    counts: [u64; COUNTS],
}

impl Sessions {
    /// Takes a record.
    pub(super) fn add(&mut self, record: &Record<'_>, texts: &mut Texts) {
        let (Some(seq), Some(lineage)) = (record.seq, record.lineage) else {
            return;
        };
        let Some(session) = self.session(lineage, seq, texts) else {
            return;
        };
        session.last = seq;
        session.started = session.started.or(record.time);
        session.context = session.context.or_else(|| texts.id(record.context));
        let kind = record.kind.unwrap_or_default();
        let error = failed(record);
        let done = |kinds: &[&str]| kinds.contains(&kind) && !error;
        let counted = [
            true,
            matches!(kind, kinds::LINEAGE_START | kinds::CONTEXT_CHANGE),
            done(&[kinds::PROCESS_FORK, kinds::PROCESS_SNAPSHOT]),
            done(&[kinds::PROCESS_EXEC]),
            done(&[kinds::NET_CONNECT, kinds::NET_ACCEPT]),
            record.verdict == Some("deny"),
            error,
        ];
        for (count, one) in session.counts.iter_mut().zip(counted) {
            *count += u64::from(one);
        }
        match kind {
            kinds::LINEAGE_START => {
                let detail = told(record);
                session.how = texts.id(detail["how"].as_str());
                let command = Some(&detail["command"]).filter(|command| command.is_array());
                session.command = texts.id(command.map(Value::to_string).as_deref());
            }
            kinds::LINEAGE_END => {
                session.ended = record.time;
                session.reason = texts.id(told(record)["reason"].as_str());
            }
            kinds::PROCESS_SNAPSHOT if session.process.is_none() => {
                session.process = texts.id(record.process_uid);
                session.uid = record.uid;
            }
            _ => {}
        }
    }

    fn session(&mut self, lineage: &str, seq: u64, texts: &mut Texts) -> Option<&mut Session> {
        let at = match self.ids.get(lineage) {
            Some(at) => *at as usize,
            None if self.list.len() < SESSIONS_MAX => {
                let at = self.list.len();
                self.ids.insert(lineage.into(), u32::try_from(at).ok()?);
                self.list.push(Session {
                    lineage: texts.id(Some(lineage)),
                    first: seq,
                    ..Session::default()
                });
                at
            }
            None => {
                self.left_out += 1;
                return None;
            }
        };
        self.list.get_mut(at)
    }

    /// Writes the table, in the order of first records.
    pub(super) fn write<W: Write + Send>(
        &self,
        out: W,
        texts: &Texts,
        about: &[(&str, String)],
    ) -> io::Result<W> {
        let mut table = TableWriter::new(out, &COLUMNS)?;
        let text = |id| Cell::text(texts.get(id));
        for session in &self.list {
            let begin = [
                text(session.lineage),
                Cell::number(Some(session.first)),
                Cell::number(Some(session.last)),
                text(session.how),
                text(session.command),
                text(session.process),
                Cell::number(session.uid),
                text(session.context),
                Cell::number(session.started),
                Cell::number(session.ended),
                text(session.reason),
            ];
            let counts = session.counts.map(|count| Cell::number(Some(count)));
            table.row(&[&begin[..], &counts[..]].concat())?;
        }
        table.finish(about)
    }
}

/// `detail` of a record.
fn told(record: &Record<'_>) -> Value {
    let detail = record.detail.unwrap_or_default();
    serde_json::from_str(detail).unwrap_or_default()
}
