//! A record as lines for people, and as JSON for programs.

use std::io::{self, Write};

use serde_json::{Map, Value as Json, json};

use super::super::line::{Fit, Line, Screen, Style};
use super::super::ls::{Ls, brief};
use super::super::ndjson::Ndjson;
use super::super::text;
use super::super::when::utc;
use super::found::{Show, references};
use super::{Row, decision, meaning};
use crate::evidence::kinds;
use crate::evidence::record::Owned;
use crate::evidence::schema::{FIELDS, FieldType, Value};

/// Fewest columns that values get.
const VALUE_COLUMNS_MIN: usize = 20;

/// Columns between name, source and value.
const GAP: usize = 2;

/// Rows under a title.
type Section = (String, Vec<Row>);

/// A part of a line.
type Part = (Style, String);

impl Show {
    /// Writes the record for people: its line, and all its fields in sections.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        Ls::new(&mut *out, screen).record(&self.record.get())?;
        let sections = self.sections();
        let rows = || sections.iter().flat_map(|(_, rows)| rows);
        let widest = |width: fn(&Row) -> usize| rows().map(width).max().unwrap_or_default();
        let (names, sources) = (widest(|row| row.name.len()), widest(|row| row.source.len()));
        let mut table = Table {
            out,
            screen,
            names,
            sources,
            line: Line::default(),
        };
        for (title, rows) in &sections {
            table.section(title, rows)?;
        }
        Ok(())
    }

    /// The record as one JSON object: the `record`, the `source` and the `meaning` of its fields by their names, the
    /// records that are `related` by the fields that name them, the `digest` record of its file, the `decision` in
    /// words, and what governed.
    #[must_use]
    pub fn json(&self) -> Json {
        let record = self.record.get();
        let (mut sources, mut meanings) = (Map::new(), Map::new());
        for row in self.fields(|_| true) {
            sources.insert(row.name.to_owned(), row.source.into());
            if let Some(meaning) = row.meaning {
                meanings.insert(row.name.to_owned(), meaning.into());
            }
        }
        let related = references(&record).filter_map(|(name, seq)| {
            let record = self.related.get(&seq)?;
            Some((name.to_owned(), object(record)))
        });
        let decision = decision::rows(&record, self.context.as_ref()).into_iter();
        let decision: Map<_, _> = decision
            .map(|row| (row.name.replace(' ', "_"), row.value.into()))
            .collect();
        json!({
            "record": object(&self.record),
            "source": sources,
            "meaning": meanings,
            "related": related.collect::<Map<_, _>>(),
            "digest": self.digest.as_ref().map(object),
            "decision": (!decision.is_empty()).then_some(decision),
            "governed_by": self.context.as_ref().map(super::context::Context::json),
        })
    }

    fn sections(&self) -> Vec<Section> {
        let record = self.record.get();
        let kind = record.kind.unwrap_or_default();
        let common = |name: &str| kinds::COMMON.contains(&name);
        let actor = |name: &str| kinds::ACTOR.contains(&name);
        let sections = [
            ("record".to_owned(), self.fields(common)),
            ("process".to_owned(), self.fields(actor)),
            (
                kind.to_owned(),
                self.fields(|name| !common(name) && !actor(name)),
            ),
            ("what is in the file".to_owned(), self.digest_rows()),
            (
                "decision".to_owned(),
                decision::rows(&record, self.context.as_ref()),
            ),
            (
                "what governed".to_owned(),
                self.context
                    .as_ref()
                    .map_or_else(Vec::new, super::context::Context::rows),
            ),
        ];
        sections
            .into_iter()
            .filter(|(_, rows)| !rows.is_empty())
            .collect()
    }

    /// The fields with such names that the record has.
    fn fields(&self, wanted: impl Fn(&str) -> bool) -> Vec<Row> {
        let record = self.record.get();
        let mut rows = Vec::new();
        record.visit_all(|index, value| {
            let field = &FIELDS[index];
            let Some(value) = value.filter(|_| wanted(field.name)) else {
                return;
            };
            let told = references(&record).find(|(name, _)| *name == field.name);
            let meaning = match told {
                Some((_, seq)) => Some(self.referred(seq)),
                None => meaning::of(field, value, &record, self.began_ns),
            };
            rows.push(Row {
                name: field.name,
                source: meaning::source(field, &record),
                value: plain(field.name, field.field_type, value),
                meaning,
            });
        });
        rows
    }

    /// What the record of this `seq` says.
    fn referred(&self, seq: u64) -> String {
        let record = self.related.get(&seq);
        record.map_or_else(
            || "that record is not here".to_owned(),
            |record| brief(&record.get()),
        )
    }

    fn digest_rows(&self) -> Vec<Row> {
        let Some(digest) = self.digest.as_ref().map(Owned::get) else {
            return Vec::new();
        };
        let seq = digest.seq.unwrap_or_default();
        let value = match (digest.blake3, digest.detail) {
            (Some(hash), _) => Row::told("blake3", hash),
            (None, detail) => Row::told("no digest", detail.unwrap_or("?")),
        };
        vec![value, Row::told("told by", format!("record {seq}"))]
    }
}

/// A record as a JSON object.
fn object(record: &Owned) -> Json {
    let mut out = Ndjson::new(Vec::new());
    // Writing into a Vec cannot fail.
    let _ = out.record(&record.get());
    serde_json::from_slice(&out.into_inner()).unwrap_or_default()
}

/// A value as it is recorded; lists of arguments and JSON are made to be read.
fn plain(name: &str, field_type: FieldType, value: Value<'_>) -> String {
    match (name, value) {
        (_, Value::I64(us)) if field_type == FieldType::Micros => {
            let time = utc(us.saturating_mul(1000));
            format!("{} UTC", time.strip_suffix("000").unwrap_or(&time))
        }
        (_, Value::I64(number)) => number.to_string(),
        (_, Value::U64(number)) => number.to_string(),
        ("argv", Value::Text(argv)) => {
            let arguments = text::arguments(argv);
            let quoted: Vec<_> = arguments
                .iter()
                .map(|argument| text::quoted(argument))
                .collect();
            quoted.join(" ")
        }
        ("detail", Value::Text(detail)) => serde_json::from_str::<Json>(detail)
            .and_then(|document| serde_json::to_string_pretty(&document))
            .unwrap_or_else(|_| detail.to_owned()),
        (_, Value::Text(text)) => text.to_owned(),
    }
}

struct Table<'o, W> {
    out: &'o mut W,
    screen: Screen,
    line: Line,
    /// Columns of the names.
    names: usize,
    /// Columns of the sources.
    sources: usize,
}

impl<W: Write> Table<'_, W> {
    fn section(&mut self, title: &str, rows: &[Row]) -> io::Result<()> {
        self.out.write_all(b"\n")?;
        self.line.push(Style::Bold, Fit::Keep, title);
        self.line.write(self.out, self.screen)?;
        for row in rows {
            self.row(row)?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row) -> io::Result<()> {
        let (names, sources) = (self.names, self.sources);
        let margin = GAP + names + GAP + sources + GAP;
        let room = self.screen.columns.map_or(usize::MAX, |columns| {
            columns.saturating_sub(margin).max(VALUE_COLUMNS_MIN)
        });
        let mut lines: Vec<Vec<Part>> = Vec::new();
        for line in row.value.split('\n') {
            // What is indented stays so when it is wrapped.
            let indent = line.len() - line.trim_start_matches(' ').len();
            let shown = text::shown(&line[indent..]);
            let columns = room.saturating_sub(indent).max(VALUE_COLUMNS_MIN);
            let wrapped = text::wrapped(&shown, columns).into_iter();
            lines.extend(wrapped.map(|line| vec![(Style::Plain, format!("{:indent$}{line}", ""))]));
        }
        if let Some(meaning) = &row.meaning {
            let meaning = text::shown(meaning);
            let used = |line: &Vec<Part>| {
                line.iter()
                    .map(|(_, text)| text::width(text))
                    .sum::<usize>()
            };
            let needed = text::width(&meaning) + GAP;
            match lines.as_mut_slice() {
                [line] if used(line).saturating_add(needed) <= room => {
                    line.push((Style::Dim, format!("  {meaning}")));
                }
                _ => lines.extend(
                    text::wrapped(&meaning, room)
                        .into_iter()
                        .map(|line| vec![(Style::Dim, line)]),
                ),
            }
        }
        self.lines(row, lines, margin)
    }

    /// Writes the lines of a value, the first behind its name.
    fn lines(&mut self, row: &Row, lines: Vec<Vec<Part>>, margin: usize) -> io::Result<()> {
        let (names, sources) = (self.names, self.sources);
        let head = format!("  {:names$}", row.name);
        self.line.push(Style::Plain, Fit::Keep, head);
        let style = match row.source {
            "claimed" => Style::Notable,
            _ => Style::Dim,
        };
        self.line
            .join(style, Fit::Keep, format!("  {:sources$}  ", row.source));
        for (index, line) in lines.into_iter().enumerate() {
            if index > 0 {
                self.line.push(Style::Plain, Fit::Keep, " ".repeat(margin));
            }
            for (style, text) in line {
                self.line.join(style, Fit::Keep, text);
            }
            self.line.write(self.out, self.screen)?;
        }
        Ok(())
    }
}
