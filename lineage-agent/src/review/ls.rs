//! `lineage ls`: one line per record.
//!
//! ```text
//! 2026-11-24 UTC
//! 412 12:03:04.512   4711 python3  exec     /usr/bin/python3 agent.py --model http://127.0.0.1:8000
//! 413 12:03:04.517   4711 python3  open     /etc/ld.so.cache O_RDONLY|O_CLOEXEC = 3
//! 414 12:03:04.530   4711 python3  connect  → 127.0.0.1:8000 tcp from 127.0.0.1:41822
//! ```
//!
//! The first column is `seq`, which names the record to other commands. Columns widen when a value
//! needs it and never shrink, so nothing has to be known in advance: records stream through.

mod call;
mod changes;
mod ends;
pub(super) mod facts;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use super::denial::Outcome;
use super::filter::failed;
use super::line::{Fit, Line, Screen, Style};
use super::text;
use crate::evidence::kinds::{self, Group};
use crate::evidence::schema::Record;

/// Prints records for people.
#[derive(Debug)]
pub struct Ls<W> {
    out: W,
    screen: Screen,
    line: Line,
    /// Day of the line before, counted from 1970.
    day: Option<i64>,
    seq_width: usize,
    pid_width: usize,
    comm_width: usize,
}

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Names of threads have at most 15 bytes, escaped ones more; longer than this is not aligned.
const COMM_WIDTH_MAX: usize = 15;

/// Columns of the longest verb.
const VERB_WIDTH: usize = 8;

impl<W: Write> Ls<W> {
    /// Prints to `out`.
    pub fn new(out: W, screen: Screen) -> Self {
        Self {
            out,
            screen,
            line: Line::default(),
            day: None,
            seq_width: 3,
            pid_width: 5,
            comm_width: 7,
        }
    }

    /// Prints one record; before it the date when it is another than that of the record before.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        let time = record.time.unwrap_or_default();
        self.date(time)?;
        let seq = record.seq.map_or_else(String::new, |seq| seq.to_string());
        let pid = record.pid.map_or_else(String::new, |pid| pid.to_string());
        let comm = text::shown(record.comm.unwrap_or_default());
        widen(&mut self.seq_width, seq.len());
        widen(&mut self.pid_width, pid.len());
        widen(&mut self.comm_width, text::width(&comm).min(COMM_WIDTH_MAX));
        let line = &mut self.line;
        line.push(Style::Dim, Fit::Keep, format!("{seq:>0$}", self.seq_width));
        line.push(Style::Plain, Fit::Keep, time_of_day(time));
        line.push(
            Style::Plain,
            Fit::Keep,
            format!("{pid:>0$}", self.pid_width),
        );
        line.push(Style::Plain, Fit::Keep, padded(&comm, self.comm_width));
        let name = record.kind.unwrap_or_default();
        line.push(
            style(name, record),
            Fit::Keep,
            padded(verb(name), VERB_WIDTH),
        );
        facts::push(line, name, record);
        if let Some(outcome) = Outcome::of(record) {
            let separator = if outcome.verb() == "denied" { "," } else { ":" };
            let denied = format!("✗ {}{separator} {outcome}", outcome.verb());
            // Which rule it was is worth a line of its own.
            if !line.has_room(&denied, self.screen) {
                line.write(&mut self.out, self.screen)?;
                line.push(Style::Plain, Fit::Keep, " ".repeat(self.seq_width));
            }
            line.push(Style::Bad, Fit::Shorten, denied);
        }
        line.write(&mut self.out, self.screen)
    }

    /// Says from which host the following records are, where there are several.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn host(&mut self, id: &str) -> io::Result<()> {
        self.day = None;
        self.line.push(Style::Bold, Fit::Keep, format!("host {id}"));
        self.line.write(&mut self.out, self.screen)
    }

    /// The writer, to flush it.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn date(&mut self, time: i64) -> io::Result<()> {
        let day = time.div_euclid(DAY_US);
        if self.day.replace(day) == Some(day) {
            return Ok(());
        }
        let date = format!("{} UTC", date(day));
        self.line.push(Style::Bold, Fit::Keep, date);
        self.line.write(&mut self.out, self.screen)
    }
}

fn widen(width: &mut usize, needed: usize) {
    *width = needed.max(*width);
}

fn padded(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(text::width(text));
    format!("{text}{:missing$}", "")
}

/// `YYYY-MM-DD` of a day counted from 1970; the number itself outside the calendar's years.
pub(super) fn date(day: i64) -> String {
    day.checked_mul(86_400)
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(
            || format!("day {day}"),
            |time| time.strftime("%Y-%m-%d").to_string(),
        )
}

/// `HH:MM:SS.mmm`.
pub(super) fn time_of_day(time: i64) -> String {
    let us = time.rem_euclid(DAY_US);
    let (seconds, ms) = (us / 1_000_000, us / 1000 % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{ms:03}")
}

/// Columns of a record that is told in passing.
const BRIEF_COLUMNS: usize = 160;

/// A record as a few words of text: who did what, to what.
pub(super) fn brief(record: &Record<'_>) -> String {
    let kind = record.kind.unwrap_or_default();
    let mut line = Line::default();
    if let Some(pid) = record.pid {
        let comm = record.comm.unwrap_or("?");
        line.push(Style::Plain, Fit::Keep, format!("{comm}[{pid}]"));
    }
    line.push(Style::Plain, Fit::Keep, verb(kind));
    facts::push(&mut line, kind, record);
    let mut out = Vec::new();
    let screen = Screen {
        columns: Some(BRIEF_COLUMNS),
        colour: false,
    };
    // Writing into a Vec cannot fail.
    let _ = line.write(&mut out, screen);
    String::from_utf8_lossy(out.trim_ascii_end()).into_owned()
}

/// What happened in one word.
pub(super) fn verb(kind: &str) -> &str {
    match kind {
        kinds::LINEAGE_START | kinds::LINEAGE_END => "lineage",
        kinds::CONTEXT_CHANGE => "context",
        kinds::THREAD_START | kinds::THREAD_EXIT => "thread",
        kinds::EVIDENCE_LOSS => "LOSS",
        other => other.split_once('.').map_or(other, |(_, what)| what),
    }
}

fn style(kind: &str, record: &Record<'_>) -> Style {
    if failed(record) || kind == kinds::EVIDENCE_LOSS {
        return Style::Bad;
    }
    match kinds::find(kind).map(|kind| kind.group) {
        Some(Group::Process) => Style::Good,
        Some(Group::Net) => Style::Net,
        Some(Group::Recorder) => Style::Bold,
        Some(Group::File) | None => Style::Plain,
    }
}
