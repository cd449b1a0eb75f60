//! Record bytes: the one canonical encoding of a record, which is what gets hashed.
//!
//! Encoding appends to a buffer the caller keeps; decoding borrows from the bytes. Neither
//! allocates.

use super::schema::{Record, Value};

/// First byte of every record.
pub const VERSION: u8 = 1;

/// Longest encoding of one record. The longest text is `argv`: 32 KiB of bytes that each take four
/// characters escaped, one of them doubled for JSON. The environment of a process found takes at most
/// 128 KiB more; paths add little to that.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;

const TAG_U64: u8 = 1;
const TAG_I64: u8 = 2;
const TAG_TEXT: u8 = 3;

/// Why a record cannot be encoded, or why bytes are not the encoding of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A field every record has is absent, or two that go together are not.
    #[error("a record lacks its {0}")]
    Lacks(&'static str),
    /// The record is not the one that comes next.
    #[error("record has {field} {found} where {expected} comes next")]
    OutOfOrder {
        /// `seq` or `lineage_seq`.
        field: &'static str,
        /// What the log expects.
        expected: u64,
        /// What the record has.
        found: u64,
    },
    /// Its cause is not before it, its `time` not its `time_ns`, or its lineage or context not
    /// written as the format says.
    #[error("record {seq} has a {field} that contradicts the rest of it")]
    Contradiction {
        /// The record.
        seq: u64,
        /// The field.
        field: &'static str,
    },
    /// Longer than [`RECORD_BYTES_MAX`].
    #[error("a record of {0} bytes is over the limit")]
    TooLong(usize),
    /// Not a canonical encoding.
    #[error("record bytes are malformed: {0}")]
    Malformed(&'static str),
}

/// Appends the canonical bytes of `record`.
///
/// # Errors
///
/// [`RecordError::TooLong`]; `out` is then as it was.
#[inline]
pub fn encode_into(record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let start = out.len();
    out.extend_from_slice(&[VERSION, 0, 0]);
    let mut fields: u16 = 0;
    record.visit(|id, value| {
        fields += 1;
        match value {
            Value::U64(value) => push_integer(out, id, TAG_U64, value.to_le_bytes()),
            Value::I64(value) => push_integer(out, id, TAG_I64, value.to_le_bytes()),
            Value::Text(text) => push_text(out, id, text),
        }
    });
    let bytes = out.len() - start;
    if bytes > RECORD_BYTES_MAX {
        out.truncate(start);
        return Err(RecordError::TooLong(bytes));
    }
    out[start + 1..start + 3].copy_from_slice(&fields.to_le_bytes());
    Ok(())
}

/// A record that stands by itself: its canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned(Box<[u8]>);

impl Owned {
    /// A copy of the record.
    ///
    /// # Errors
    ///
    /// [`RecordError::TooLong`]
    pub fn of(record: &Record<'_>) -> Result<Self, RecordError> {
        let mut bytes = Vec::new();
        encode_into(record, &mut bytes)?;
        Ok(Self(bytes.into()))
    }

    /// The record.
    ///
    /// # Panics
    ///
    /// Never: the bytes are what [`encode_into`] made.
    #[must_use]
    pub fn get(&self) -> Record<'_> {
        decode(&self.0).expect("what was encoded is decoded")
    }

    /// Its canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[inline]
fn push_integer(out: &mut Vec<u8>, id: u16, tag: u8, value: [u8; 8]) {
    let mut field = [0; 11];
    field[..2].copy_from_slice(&id.to_le_bytes());
    field[2] = tag;
    field[3..].copy_from_slice(&value);
    out.extend_from_slice(&field);
}

#[inline]
fn push_text(out: &mut Vec<u8>, id: u16, text: &str) {
    let mut head = [0; 7];
    head[..2].copy_from_slice(&id.to_le_bytes());
    head[2] = TAG_TEXT;
    // A longer text is over the record's limit, which the caller checks before using the bytes.
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    head[3..].copy_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(text.as_bytes());
}

/// A field's value as it is in canonical bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw<'a> {
    /// Little-endian.
    U64([u8; 8]),
    /// Little-endian.
    I64([u8; 8]),
    /// UTF-8, which has to be looked at before it is believed.
    Text(&'a [u8]),
}

/// What is said of a field that the registry does not have, or has of another type.
pub const UNKNOWN_FIELD: &str = "unknown field, or of another type";

/// The record these canonical bytes stand for, borrowing its text from them.
///
/// # Errors
///
/// [`RecordError::Malformed`] for anything but the one encoding of a record of this registry.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, RecordError> {
    let mut record = Record::default();
    each_field(bytes, |id, value| set(&mut record, id, value))?;
    Ok(record)
}

/// Calls `visit` with number and value of each field of a record, in their order.
///
/// # Errors
///
/// As [`decode`], but for what `visit` has to look at: whether the registry has the field, and of this type, and whether
/// a text is UTF-8.
#[inline]
pub fn each_field<'a>(
    bytes: &'a [u8],
    mut visit: impl FnMut(u16, Raw<'a>) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let mut fields = Fields::of(bytes)?;
    while let Some((id, value)) = fields.next()? {
        visit(id, value)?;
    }
    if fields.rest.is_empty() {
        Ok(())
    } else {
        Err(RecordError::Malformed("bytes after the last field"))
    }
}

fn set<'a>(record: &mut Record<'a>, id: u16, value: Raw<'a>) -> Result<(), RecordError> {
    let value = match value {
        Raw::U64(bytes) => Value::U64(u64::from_le_bytes(bytes)),
        Raw::I64(bytes) => Value::I64(i64::from_le_bytes(bytes)),
        Raw::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text),
            Err(_) => return Err(RecordError::Malformed("text is not UTF-8")),
        },
    };
    if record.set(id, value) {
        Ok(())
    } else {
        Err(RecordError::Malformed(UNKNOWN_FIELD))
    }
}

/// Reads the fields of a record one after the other.
struct Fields<'a> {
    rest: &'a [u8],
    left: u16,
    /// The number that the next field must be at least.
    least: u32,
}

impl<'a> Fields<'a> {
    #[inline]
    fn of(bytes: &'a [u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLong(bytes.len()));
        }
        let ([version, fields @ ..], rest) = bytes.split_first_chunk::<3>().ok_or(ENDS)?;
        if *version != VERSION {
            return Err(RecordError::Malformed("unknown version"));
        }
        Ok(Self {
            rest,
            left: u16::from_le_bytes(*fields),
            least: 0,
        })
    }

    #[inline]
    fn next(&mut self) -> Result<Option<(u16, Raw<'a>)>, RecordError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let ([low, high, tag], rest) = self.rest.split_first_chunk::<3>().ok_or(ENDS)?;
        let id = u16::from_le_bytes([*low, *high]);
        if u32::from(id) < self.least {
            return Err(RecordError::Malformed("fields not in ascending order"));
        }
        self.least = u32::from(id) + 1;
        let value = match *tag {
            TAG_U64 | TAG_I64 => {
                let (value, rest) = rest.split_first_chunk::<8>().ok_or(ENDS)?;
                self.rest = rest;
                if *tag == TAG_U64 {
                    Raw::U64(*value)
                } else {
                    Raw::I64(*value)
                }
            }
            TAG_TEXT => {
                let (len, rest) = rest.split_first_chunk::<4>().ok_or(ENDS)?;
                let (text, rest) = rest
                    .split_at_checked(u32::from_le_bytes(*len) as usize)
                    .ok_or(RecordError::Malformed("text ends after the record"))?;
                self.rest = rest;
                Raw::Text(text)
            }
            _ => return Err(RecordError::Malformed("unknown tag")),
        };
        Ok(Some((id, value)))
    }
}

const ENDS: RecordError = RecordError::Malformed("ends inside a field");

#[cfg(test)]
mod tests {
    use super::super::schema::{FIELDS, FieldType};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_specification() {
        let record = Record {
            seq: Some(0),
            time_ns: Some(1_700_000_000_123_456_789),
            kind: Some("lineage.start"),
            ..Record::default()
        };
        let mut bytes = Vec::new();
        encode_into(&record, &mut bytes).unwrap();
        assert_eq!(
            super::super::text::hex(&bytes),
            "010300010001000000000000000003000215cd853dfe9c97170400030d0000006c696e656167652e7374617274"
        );
        assert_eq!(decode(&bytes), Ok(record));
    }

    #[test]
    fn too_long_leaves_the_buffer_alone() {
        let text = "x".repeat(RECORD_BYTES_MAX);
        let record = Record {
            argv: Some(&text),
            ..Record::default()
        };
        let mut bytes = vec![7];
        assert!(matches!(
            encode_into(&record, &mut bytes),
            Err(RecordError::TooLong(_))
        ));
        assert_eq!(bytes, [7]);
    }

    /// Any subset of the fields with any values.
    fn values() -> impl Strategy<Value = Vec<Option<(u64, String)>>> {
        prop::collection::vec(prop::option::of((any::<u64>(), ".*")), FIELDS.len())
    }

    fn record(values: &[Option<(u64, String)>]) -> Record<'_> {
        let mut record = Record::default();
        for (field, value) in FIELDS.iter().zip(values) {
            let Some((number, text)) = value else {
                continue;
            };
            let value = match field.field_type {
                FieldType::U64 => Value::U64(*number),
                FieldType::I64 | FieldType::Micros => Value::I64(number.cast_signed()),
                FieldType::Text => Value::Text(text),
            };
            assert!(record.set(field.id, value));
        }
        record
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(values in values()) {
            let record = record(&values);
            let mut bytes = Vec::new();
            encode_into(&record, &mut bytes).unwrap();
            prop_assert_eq!(decode(&bytes), Ok(record));
        }

        #[test]
        fn only_one_encoding_is_accepted(values in values(), at: prop::sample::Index, bit in 0..8u8) {
            let mut bytes = Vec::new();
            encode_into(&record(&values), &mut bytes).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(other) = decode(&bytes) {
                let mut again = Vec::new();
                encode_into(&other, &mut again).unwrap();
                prop_assert_eq!(again, bytes);
            }
        }

        #[test]
        fn foreign_bytes_are_refused_without_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
