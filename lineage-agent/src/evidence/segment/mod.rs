//! Segments: Parquet files of records.
//!
//! Nothing about the file proves anything; the record root over the bytes rebuilt from its rows
//! does. So the writer is free to choose encodings, and the reader takes whatever another engine
//! made of the file.

mod cells;
mod claims;
mod footer;
mod pages;
mod read;
mod thrift;
mod write;

pub use read::{SegmentError, SegmentFile, Shape};
pub use write::{SegmentWriter, WriteError};

use super::schema::FIELDS;
use super::text::hex;
use super::tree::Hash;

/// Largest Parquet file read.
pub const PARQUET_BYTES_MAX: u64 = 4 << 30;

/// Largest footer read. As written, that of a million records takes 120 KB, and that of the most a
/// segment may have 1.9 MB.
pub const FOOTER_BYTES_MAX: u64 = 2 << 20;

/// Most records in a segment.
pub const RECORDS_MAX: u64 = 1 << 24;

/// The registry's canonical text: `<id> <name> <type>` per field.
#[must_use]
pub fn registry_text() -> String {
    use super::schema::FieldType;
    FIELDS
        .iter()
        .map(|field| {
            let word = match field.field_type {
                FieldType::U64 => "u64",
                FieldType::I64 => "i64",
                FieldType::Micros => "micros",
                FieldType::Text => "text",
            };
            format!("{} {} {word}\n", field.id, field.name)
        })
        .collect()
}

/// BLAKE3 of the registry's text.
#[must_use]
pub fn registry_digest() -> Hash {
    *blake3::hash(registry_text().as_bytes()).as_bytes()
}

/// Name of a segment's files.
#[must_use]
pub fn segment_name(segment: u64) -> String {
    format!("{segment:010}")
}

/// The UTC date of a moment, as the directory `date=…` has it.
#[must_use]
pub fn date(time_ns: i64) -> String {
    match jiff::Timestamp::from_nanosecond(time_ns.into()) {
        Ok(time) => time.strftime("%Y-%m-%d").to_string(),
        // 64 bits of nanoseconds end in 2262, jiff's years in 9999.
        Err(_) => "0000-00-00".to_owned(),
    }
}

/// What the footer mirrors, for people who look at the file alone.
pub(super) fn footer(origin: &str, segment: u64, root: &Hash) -> [(&'static str, String); 3] {
    [
        ("lineage.origin", origin.to_owned()),
        ("lineage.segment", segment.to_string()),
        ("lineage.root", hex(root)),
    ]
}

#[cfg(test)]
mod tests;
