//! A TOML document with places: what stands where, for errors that say so.

use std::{cell::Cell, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::{Problem, RecogniserError},
    pattern::Pattern,
};

/// The document, for lines and errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    /// How many texts the patterns of all files may stand for yet.
    pub(super) room: &'a Cell<usize>,
}

/// A table of the document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    document: Document<'a>,
    entries: &'a DeTable<'a>,
    /// Where it begins.
    place: usize,
    /// What it is, for errors.
    pub(super) name: &'static str,
}

/// A key with its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    document: Document<'a>,
    pub(super) key: &'a str,
    place: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Document<'a> {
    /// Parses the text.
    pub(super) fn parse(self) -> Result<DeTable<'a>, RecogniserError> {
        DeTable::parse(self.text)
            .map(Spanned::into_inner)
            .map_err(|error| {
                let span = error.span().unwrap_or(Range { start: 0, end: 0 });
                let problem = Problem::Syntax(error.message().to_owned());
                let line = self.text.get(..span.start).unwrap_or(self.text);
                let begun = line.rfind('\n').map_or(0, |at| at + 1);
                let rest = &self.text[begun..];
                let line = rest.lines().next().unwrap_or_default().trim();
                let shown = line.chars().take(40).collect::<String>();
                self.error(span.start, &format!("at `{shown}`"), problem)
            })
    }

    /// The outermost table.
    pub(super) fn table(self, entries: &'a DeTable<'a>) -> Table<'a> {
        Table {
            document: self,
            entries,
            place: 0,
            name: "the file",
        }
    }

    fn error(self, place: usize, key: &str, problem: Problem) -> RecogniserError {
        let before = self.text.get(..place).unwrap_or(self.text);
        RecogniserError {
            file: self.file.to_owned(),
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            key: key.to_owned(),
            problem,
        }
    }
}

impl<'a> Table<'a> {
    /// All keys, in the order of the alphabet.
    pub(super) fn items(self) -> impl Iterator<Item = Item<'a>> {
        self.entries.iter().map(move |(key, value)| Item {
            document: self.document,
            key: key.get_ref(),
            place: key.span().start,
            value: value.get_ref(),
        })
    }

    /// The key, if it is there.
    pub(super) fn get(self, key: &str) -> Option<Item<'a>> {
        self.items().find(|item| item.key == key)
    }

    /// The key, which must be there.
    pub(super) fn require(self, key: &'static str) -> Result<Item<'a>, RecogniserError> {
        self.get(key)
            .ok_or_else(|| self.error(Problem::Missing(key)))
    }

    /// Something is wrong with the table as a whole.
    pub(super) fn error(self, problem: Problem) -> RecogniserError {
        self.document.error(self.place, self.name, problem)
    }
}

impl<'a> Item<'a> {
    /// Something is wrong with it.
    pub(super) fn error(self, problem: Problem) -> RecogniserError {
        let key = format!("key `{}`", self.key);
        self.document.error(self.place, &key, problem)
    }

    pub(super) fn boolean(self) -> Result<bool, RecogniserError> {
        match self.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.error(Problem::Type("true or false"))),
        }
    }

    pub(super) fn string(self) -> Result<&'a str, RecogniserError> {
        match self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.error(Problem::Type("text in quotes"))),
        }
    }

    /// A list of texts, or one text.
    pub(super) fn strings(self) -> Result<Vec<Item<'a>>, RecogniserError> {
        let items = self.list();
        for item in &items {
            item.string()
                .map_err(|_| item.error(Problem::Type("text in quotes, or a list of them")))?;
        }
        if items.is_empty() {
            return Err(self.error(Problem::Empty));
        }
        Ok(items)
    }

    /// A list of patterns, or one.
    pub(super) fn patterns(self) -> Result<Vec<Pattern>, RecogniserError> {
        let pattern = |item: Item<'_>| item.pattern(item.string()?);
        self.strings()?.into_iter().map(pattern).collect()
    }

    /// The pattern in a text of it.
    pub(super) fn pattern(self, text: &str) -> Result<Pattern, RecogniserError> {
        let pattern = Pattern::new(text).map_err(|error| self.error(error.into()))?;
        let room = self.document.room;
        match room.get().checked_sub(pattern.pieces()) {
            Some(left) => room.set(left),
            None => return Err(self.error(Problem::Pieces)),
        }
        Ok(pattern)
    }

    /// A list of whole numbers, or one.
    pub(super) fn numbers(self) -> Result<Vec<i64>, RecogniserError> {
        let number = |item: Item<'_>| match item.value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let expected = || self.error(Problem::Type("a whole number, or a list of them"));
        let items = self.list();
        if items.is_empty() {
            return Err(self.error(Problem::Empty));
        }
        items
            .into_iter()
            .map(|item| number(item).ok_or_else(expected))
            .collect()
    }

    /// A list of tables: `[[key]]`.
    pub(super) fn tables(self, name: &'static str) -> Result<Vec<Table<'a>>, RecogniserError> {
        let DeValue::Array(array) = self.value else {
            return Err(self.error(Problem::Type(
                "tables in double brackets, as in [[recogniser]]",
            )));
        };
        array
            .iter()
            .map(|value| match value.get_ref() {
                DeValue::Table(entries) => Ok(Table {
                    document: self.document,
                    entries,
                    place: value.span().start,
                    name,
                }),
                _ => Err(self.error(Problem::Type(
                    "tables in double brackets, as in [[recogniser]]",
                ))),
            })
            .collect()
    }

    /// The elements of a list, each at its own place; or the value itself.
    fn list(self) -> Vec<Item<'a>> {
        match self.value {
            DeValue::Array(array) => array
                .iter()
                .map(|value| Item {
                    place: value.span().start,
                    value: value.get_ref(),
                    ..self
                })
                .collect(),
            _ => vec![self],
        }
    }
}
