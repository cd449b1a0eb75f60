//! Differences as lines for people, and as JSON for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::super::line::{Fit, Line, Screen, Style};
use super::Topic;
use super::compare::{Change, ChangeKind, Diff};
use super::rules::RULES;
use super::run::{Entry, Run};
use crate::counted::{counted, grouped};

/// What is shown of differences.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// What the runs are called.
    pub names: [&'a str; 2],
    /// Most differences of one topic.
    pub most: usize,
}

impl Diff {
    /// Writes the differences for people; nothing when there are none.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write(&self, out: &mut impl Write, screen: Screen, shown: Shown<'_>) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let mut line = Line::default();
        let sides = [("-", Style::Bad), ("+", Style::Good)];
        for ((run, name), (sign, style)) in self.runs.iter().zip(shown.names).zip(sides) {
            line.push(style, Fit::Keep, sign);
            line.push(Style::Bold, Fit::Shorten, name);
            line.push(Style::Dim, Fit::Keep, summary(run));
            line.write(out, screen)?;
        }
        for topic in Topic::ALL {
            let changes: Vec<_> = self
                .changes
                .iter()
                .filter(|change| change.topic == topic)
                .collect();
            if changes.is_empty() {
                continue;
            }
            out.write_all(b"\n")?;
            line.push(Style::Bold, Fit::Keep, topic.name());
            line.write(out, screen)?;
            let width = changes
                .iter()
                .map(|change| change.seq().to_string().len())
                .max();
            for change in changes.iter().take(shown.most) {
                change.push(&mut line, width.unwrap_or_default());
                line.write(out, screen)?;
            }
            if let Some(more) = changes
                .len()
                .checked_sub(shown.most)
                .filter(|more| *more > 0)
            {
                let more = format!(
                    "  … {}",
                    counted(more, "further difference", "further differences")
                );
                line.push(Style::Dim, Fit::Keep, more);
                line.write(out, screen)?;
            }
        }
        Ok(())
    }

    /// The differences as one JSON object: what is known of the runs `a` and `b`, the `rules` that made names alike, and
    /// the `differences`, each with what the runs did.
    #[must_use]
    pub fn json(&self) -> Value {
        let [a, b] = &self.runs;
        let rules: Vec<_> = match a.rules.exact {
            true => Vec::new(),
            false => RULES.iter().map(|(name, _)| *name).collect(),
        };
        json!({
            "a": run(a),
            "b": run(b),
            "equal": self.is_empty(),
            "rules": rules,
            "differences": self.changes.iter().map(Change::json).collect::<Vec<_>>(),
        })
    }
}

/// How much there is of a run, and what is missing.
fn summary(run: &Run) -> String {
    let mut said = counted(run.records, "record", "records");
    if run.lost > 0 {
        said += &format!(", {} lost", grouped(run.lost));
    } else if run.gaps {
        said += ", with gaps";
    }
    if run.uncompared > 0 {
        said += &format!(", {} not compared", grouped(run.uncompared));
    }
    said
}

fn run(run: &Run) -> Value {
    json!({
        "records": run.records,
        "lost_frames": run.lost,
        "gaps": run.gaps,
        "not_compared": run.uncompared,
    })
}

impl Change {
    /// The record to look at.
    fn seq(&self) -> u64 {
        let [before, after] = &self.entries;
        after
            .as_ref()
            .or(before.as_ref())
            .map_or(0, |entry| entry.seq)
    }

    fn push(&self, line: &mut Line, width: usize) {
        let (sign, style) = match self.kind {
            ChangeKind::New => ("+", Style::Good),
            ChangeKind::Changed => ("~", Style::Notable),
            ChangeKind::Gone => ("-", Style::Bad),
        };
        line.push(style, Fit::Keep, sign);
        line.push(Style::Dim, Fit::Keep, format!("{:>width$}", self.seq()));
        line.push(Style::Plain, Fit::Shorten, &*self.name);
        let note = match self.kind {
            ChangeKind::Changed => Style::Notable,
            _ => Style::Dim,
        };
        if !self.notes.is_empty() {
            line.push(note, Fit::Shorten, self.notes.join(", "));
        }
    }

    fn json(&self) -> Value {
        let kind = match self.kind {
            ChangeKind::New => "new",
            ChangeKind::Changed => "changed",
            ChangeKind::Gone => "gone",
        };
        let [a, b] = &self.entries;
        json!({
            "what": self.topic.name(),
            "change": kind,
            "name": &*self.name,
            "notes": self.notes,
            "a": a.as_ref().map(entry),
            "b": b.as_ref().map(entry),
        })
    }
}

fn entry(entry: &Entry) -> Value {
    json!({
        "host": &*entry.host,
        "seq": entry.seq,
        "times": entry.times,
        "bytes_read": entry.read,
        "bytes_written": entry.written,
        "blake3": entry.digests.iter().map(|digest| &**digest).collect::<Vec<_>>(),
        "ended": entry.ends.iter().map(|end| &**end).collect::<Vec<_>>(),
    })
}
