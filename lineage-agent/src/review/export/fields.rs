//! The fields of a record, and which of them have found a place in what is exported: so the rest can go along as it
//! is, and nothing is left out by mistake.

use serde_json::{Map, Value as Json};

use crate::evidence::schema::{FIELDS, Field, FieldType, Record, Value};

/// One bit for each field.
type Set = u128;
const _: () = assert!(FIELDS.len() <= Set::BITS as usize);

/// A record that is being taken apart.
pub(super) struct Fields<'r, 'a> {
    /// The record itself, for what shows in more than one place.
    pub(super) record: &'r Record<'a>,
    taken: Set,
}

impl<'r, 'a> Fields<'r, 'a> {
    /// All fields are there to be taken.
    pub(super) fn new(record: &'r Record<'a>) -> Self {
        Self { record, taken: 0 }
    }

    /// These have their place already.
    pub(super) fn placed(&mut self, names: &[&str]) {
        for name in names {
            self.find(name);
        }
    }

    /// Takes a text.
    pub(super) fn text(&mut self, name: &str) -> Option<&'a str> {
        match self.find(name)? {
            Value::Text(text) => Some(text),
            Value::U64(_) | Value::I64(_) => None,
        }
    }

    /// Takes a number. One that is beyond 63 bits stays.
    pub(super) fn number(&mut self, name: &str) -> Option<i64> {
        let before = self.taken;
        let number = match self.find(name)? {
            Value::I64(number) => Some(number),
            Value::U64(number) => i64::try_from(number).ok(),
            Value::Text(_) => None,
        };
        if number.is_none() {
            self.taken = before;
        }
        number
    }

    /// Looks at a number that may not find a place.
    pub(super) fn record_number(&self, name: &str) -> Option<i64> {
        Fields::new(self.record).number(name)
    }

    /// What was not taken, by name.
    pub(super) fn rest(&self) -> Map<String, Json> {
        let mut rest = Map::new();
        self.record.visit_all(|index, value| {
            if let Some(value) = value
                && self.taken & (1 << index) == 0
            {
                let field = &FIELDS[index];
                rest.insert(field.name.to_owned(), json(field, value));
            }
        });
        rest
    }

    fn find(&mut self, name: &str) -> Option<Value<'a>> {
        let index = FIELDS.iter().position(|field| field.name == name)?;
        self.taken |= 1 << index;
        self.record.get(FIELDS[index].id)
    }
}

/// A value as `--ndjson` has it: the two columns that hold JSON are JSON.
fn json(field: &Field, value: Value<'_>) -> Json {
    match value {
        Value::U64(number) => number.into(),
        Value::I64(number) => number.into(),
        Value::Text(text) => {
            let document =
                field.field_type == FieldType::Text && ["argv", "detail"].contains(&field.name);
            let parsed = document.then(|| serde_json::from_str(text).ok()).flatten();
            parsed.unwrap_or_else(|| text.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_not_in_the_rest() {
        let record = Record {
            seq: Some(7),
            argv: Some(r#"["a"]"#),
            path: Some("/x"),
            bytes_read: Some(u64::MAX),
            result: Some(-2),
            ..Record::default()
        };
        let mut fields = Fields::new(&record);
        assert_eq!(fields.number("seq"), Some(7));
        assert_eq!(fields.text("path"), Some("/x"));
        assert_eq!(fields.text("target"), None);
        assert_eq!(fields.number("bytes_read"), None);
        fields.placed(&["result"]);
        assert_eq!(
            Json::Object(fields.rest()),
            serde_json::json!({ "bytes_read": u64::MAX, "argv": ["a"] })
        );
    }
}
