//! Records as the tests look at them: by field name, with failures that show what was there.

use std::collections::HashSet;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::LazyLock;

use lineage_agent::evidence::schema::FIELDS;
use serde_json::{Map, Value, json};

/// What a record must say of a file's version, from stat(2).
#[must_use]
pub fn version(file: &Metadata) -> Value {
    let nanoseconds = |seconds: i64, rest: i64| seconds * 1_000_000_000 + rest;
    json!({
        "size": file.len(),
        "mtime_ns": nanoseconds(file.mtime(), file.mtime_nsec()),
        "ctime_ns": nanoseconds(file.ctime(), file.ctime_nsec()),
    })
}

/// One record: its fields by ascending name. The names are the schema's, not copies: some tests hold
/// a hundred thousand records.
#[derive(Clone, PartialEq)]
pub struct Row(Box<[(&'static str, Value)]>);

impl Row {
    /// Takes the fields. Fails on one that is not in the schema.
    #[must_use]
    pub fn new(fields: Map<String, Value>) -> Self {
        static NAMES: LazyLock<HashSet<&'static str>> =
            LazyLock::new(|| FIELDS.iter().map(|field| field.name).collect());
        let known = |name: &str| {
            let field = NAMES.get(name);
            *field.unwrap_or_else(|| panic!("no such field: {name}"))
        };
        let mut fields: Vec<_> = fields
            .into_iter()
            .map(|(name, value)| (known(&name), value))
            .collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        Self(fields.into())
    }

    /// The names of the fields it has.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// A field's value; `Null` when the record does not have it.
    #[must_use]
    pub fn get(&self, field: &str) -> &Value {
        match self.0.binary_search_by_key(&field, |(name, _)| *name) {
            Ok(at) => &self.0[at].1,
            Err(_) => &Value::Null,
        }
    }

    /// A text field the record must have.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.get(field)
            .as_str()
            .unwrap_or_else(|| panic!("no text {field} in {self:?}"))
    }

    /// A number the record must have.
    #[must_use]
    pub fn int(&self, field: &str) -> i64 {
        self.get(field)
            .as_i64()
            .unwrap_or_else(|| panic!("no number {field} in {self:?}"))
    }

    /// Whether the record has exactly these values; `Null` means that a field must be absent.
    #[must_use]
    pub fn has(&self, expected: &Value) -> bool {
        pairs(expected).all(|(field, value)| self.get(field) == value)
    }

    /// Fails unless the record has exactly these values.
    pub fn expect(&self, expected: &Value) {
        for (field, value) in pairs(expected) {
            assert_eq!(self.get(field), value, "{field} of {self:?}");
        }
    }

    /// The arguments as bytes.
    #[must_use]
    pub fn argv(&self) -> Vec<Vec<u8>> {
        let list = self.get("argv").as_array();
        let list = list.unwrap_or_else(|| panic!("no argv in {self:?}"));
        list.iter()
            .map(|argument| unescape(argument.as_str().expect("a string")))
            .collect()
    }

    /// A text field as the kernel's bytes.
    #[must_use]
    pub fn bytes(&self, field: &str) -> Vec<u8> {
        unescape(self.text(field))
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self
            .0
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        formatter.write_str(&Value::Object(fields.collect()).to_string())
    }
}

/// All records of one recording, by ascending `seq`.
pub struct Rows(pub Vec<Row>);

impl Rows {
    /// All records of this kind with these values.
    #[must_use]
    pub fn all(&self, kind: &str, values: &Value) -> Vec<&Row> {
        let found = self.0.iter().filter(|row| row.get("kind") == kind);
        found.filter(|row| row.has(values)).collect()
    }

    /// The only record of this kind with these values. Fails if there is none or another.
    pub fn only(&self, kind: &str, values: &Value) -> &Row {
        let found = self.all(kind, values);
        match found.as_slice() {
            [row] => row,
            others => panic!(
                "{} records {kind} with {values}; of this kind there are {:#?}",
                others.len(),
                self.all(kind, &Value::Object(Map::new()))
            ),
        }
    }

    /// Fails if there is a record of this kind with these values.
    pub fn none(&self, kind: &str, values: &Value) {
        let found = self.all(kind, values);
        assert!(found.is_empty(), "unexpected: {found:#?}");
    }

    /// The record at this position.
    #[must_use]
    pub fn at(&self, seq: i64) -> &Row {
        let row = usize::try_from(seq).ok().and_then(|seq| self.0.get(seq));
        row.unwrap_or_else(|| panic!("no record {seq}"))
    }

    /// The record that caused this one.
    #[must_use]
    pub fn cause(&self, row: &Row) -> &Row {
        self.at(row.int("cause"))
    }
}

fn pairs(values: &Value) -> impl Iterator<Item = (&String, &Value)> {
    values
        .as_object()
        .expect("expected values are an object")
        .iter()
}

/// Takes back the escape of `docs/evidence-format.md`, independently of the agent's own.
///
/// # Panics
///
/// On a malformed escape.
#[must_use]
pub fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).expect("a hex digit");
                bytes.push(u8::try_from(digit(high) * 16 + digit(low)).expect("two digits"));
                tail
            }
            (b'\\', _) => panic!("malformed escape in {text}"),
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    bytes
}
