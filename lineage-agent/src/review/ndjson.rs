//! `--ndjson`: one JSON object per record, for programs.
//!
//! Keys are the names of the field registry, in its order; absent fields are left out. Numbers are
//! JSON numbers, `time` is RFC 3339 with microseconds in UTC, `argv` an array of strings, `detail`
//! the JSON it holds. Where the evidence of several hosts is listed, `host` comes first. Every other text is exactly the column's. Characters that a terminal might
//! obey are written as `\uXXXX`, which is the same JSON.

use std::io::{self, Write};

use super::ls::date;
use crate::evidence::escape::is_hidden;
use crate::evidence::schema::{FIELDS, FieldType, Record, Value};

/// Prints records as JSON.
#[derive(Debug)]
pub struct Ndjson<W> {
    out: W,
    line: Vec<u8>,
    /// What every line begins with.
    start: String,
    /// Day last printed, counted from 1970, and its date.
    day: (i64, String),
}

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

impl<W: Write> Ndjson<W> {
    /// Prints to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self {
            out,
            line: Vec::with_capacity(1024),
            start: "{".to_owned(),
            day: (0, date(0)),
        }
    }

    /// Says from which host the following records are, where there are several.
    pub fn host(&mut self, id: &str) {
        let mut id_text = Vec::new();
        string(&mut id_text, id);
        self.start = format!("{{\"host\":{}", String::from_utf8_lossy(&id_text));
    }

    /// Prints one record.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        line.extend_from_slice(self.start.as_bytes());
        record.visit_all(|index, value| {
            let Some(value) = value else { return };
            let field = &FIELDS[index];
            if line.len() > 1 {
                line.push(b',');
            }
            line.push(b'"');
            line.extend_from_slice(field.name.as_bytes());
            line.extend_from_slice(b"\":");
            match (field.field_type, value) {
                (FieldType::Micros, Value::I64(us)) => self.time(&mut line, us),
                (_, Value::Text(text)) if field.name == "argv" && is_string_array(text) => {
                    line.extend_from_slice(text.as_bytes());
                }
                (_, Value::Text(text)) if field.name == "detail" => document(&mut line, text),
                (_, Value::Text(text)) => string(&mut line, text),
                (_, Value::U64(number)) => decimal(&mut line, number),
                (_, Value::I64(number)) => signed(&mut line, number),
            }
        });
        line.extend_from_slice(b"}\n");
        let written = self.out.write_all(&line);
        self.line = line;
        written
    }

    /// The writer, to flush it.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// `"2026-11-24T12:03:04.512345Z"`.
    fn time(&mut self, line: &mut Vec<u8>, us: i64) {
        let day = us.div_euclid(DAY_US);
        if self.day.0 != day {
            self.day = (day, date(day));
        }
        let us = us.rem_euclid(DAY_US).unsigned_abs();
        let seconds = us / 1_000_000;
        line.push(b'"');
        line.extend_from_slice(self.day.1.as_bytes());
        line.push(b'T');
        digits(line, seconds / 3600, 2);
        line.push(b':');
        digits(line, seconds / 60 % 60, 2);
        line.push(b':');
        digits(line, seconds % 60, 2);
        line.push(b'.');
        digits(line, us % 1_000_000, 6);
        line.extend_from_slice(b"Z\"");
    }
}

fn signed(line: &mut Vec<u8>, number: i64) {
    if number < 0 {
        line.push(b'-');
    }
    decimal(line, number.unsigned_abs());
}

fn decimal(line: &mut Vec<u8>, number: u64) {
    digits(line, number, 1);
}

/// The number in at least `least` digits.
fn digits(line: &mut Vec<u8>, mut number: u64, least: usize) {
    let mut buffer = [b'0'; 20];
    let mut start = buffer.len();
    while number > 0 {
        start -= 1;
        buffer[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    line.extend_from_slice(&buffer[start.min(buffer.len() - least)..]);
}

pub(super) fn string(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        line.extend_from_slice(text.as_bytes());
    } else {
        for character in text.chars() {
            match character {
                '"' | '\\' => line.extend_from_slice(&[b'\\', character as u8]),
                _ => escaped(line, character),
            }
        }
    }
    line.push(b'"');
}

/// The character, or its UTF-16 units as `\uXXXX`.
fn escaped(line: &mut Vec<u8>, character: char) {
    if is_hidden(character) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing into a Vec cannot fail.
            let _ = write!(line, "\\u{unit:04x}");
        }
    } else {
        line.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// JSON as it is, on one line and safe to show; a text that is no JSON becomes a string.
fn document(line: &mut Vec<u8>, text: &str) {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => push_value(line, &value),
        Err(_) => string(line, text),
    }
}

/// JSON on one line and safe to show.
pub(super) fn push_value(line: &mut Vec<u8>, value: &serde_json::Value) {
    // Outside strings JSON has no characters that need escaping.
    let text = value.to_string();
    text.chars().for_each(|character| escaped(line, character));
}

/// Whether the text is an array of strings exactly as the evidence format writes it, and so is
/// JSON that can stand in a line as it is.
fn is_string_array(text: &str) -> bool {
    let Some(inner) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    else {
        return false;
    };
    if inner.is_empty() {
        return true;
    }
    let mut characters = inner.chars();
    loop {
        if characters.next() != Some('"') {
            return false;
        }
        loop {
            match characters.next() {
                Some('"') => break,
                Some('\\') if matches!(characters.next(), Some('"' | '\\')) => {}
                Some('\\') | None => return false,
                Some(character) if is_hidden(character) => return false,
                Some(_) => {}
            }
        }
        match characters.next() {
            None => return true,
            Some(',') => {}
            Some(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(record: &Record<'_>) -> String {
        let mut out = Ndjson::new(Vec::new());
        out.record(record).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn fields_stand_under_their_names_in_order() {
        let record = Record {
            seq: Some(0),
            time: Some(1_795_500_000_000_042),
            time_ns: Some(1_795_500_000_000_042_999),
            kind: Some("process.exec"),
            argv: Some(r#"["sh","-c","echo \"x\" \\x1b"]"#),
            result: Some(-2),
            path: Some("/tmp/ünï\\xff \"q\""),
            detail: Some(r#"{"a": [1, "\u001b"]}"#),
            bytes_read: Some(u64::MAX),
            ..Record::default()
        };
        assert_eq!(
            printed(&record),
            concat!(
                r#"{"seq":0,"time":"2026-11-24T06:00:00.000042Z","time_ns":1795500000000042999,"#,
                r#""kind":"process.exec","result":-2,"path":"/tmp/ünï\\xff \"q\"","#,
                r#""bytes_read":18446744073709551615,"argv":["sh","-c","echo \"x\" \\x1b"],"#,
                r#""detail":{"a":[1,"\u001b"]}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn foreign_text_is_still_json_and_never_obeyed() {
        let hostile = "]\x1b[2J\u{9b}\u{202e}\n\u{e0001}\\\"";
        let record = Record {
            comm: Some(hostile),
            argv: Some(hostile),
            detail: Some(hostile),
            ..Record::default()
        };
        let line = printed(&record);
        assert!(!line.trim_end().chars().any(is_hidden), "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        for name in ["comm", "argv", "detail"] {
            assert_eq!(value[name], hostile);
        }
    }

    #[test]
    fn only_arrays_of_strings_pass_as_they_are() {
        for good in ["[]", r#"[""]"#, r#"["a","b"]"#, r#"["\"\\"]"#, r#"["漢"]"#] {
            assert!(is_string_array(good), "{good}");
            serde_json::from_str::<Vec<String>>(good).unwrap();
        }
        for bad in [
            "",
            "[",
            "[1]",
            "[\"a]",
            "[\"a\",]",
            "[\"a\" ,\"b\"]",
            "[\"\x1b\"]",
            "[\"\\n\"]",
        ] {
            assert!(!is_string_array(bad), "{bad}");
        }
    }

    #[test]
    fn numbers_at_their_limits() {
        let record = Record {
            result: Some(i64::MIN),
            time: Some(i64::MIN),
            seq: Some(0),
            ..Record::default()
        };
        let value: serde_json::Value = serde_json::from_str(&printed(&record)).unwrap();
        assert_eq!(value["result"], i64::MIN);
        assert_eq!(value["seq"], 0);
        assert!(value["time"].is_string());
    }
}
