//! The footer of a Parquet file, read by ourselves before the library sees it: bounded, and only what
//! a plain writer of flat tables writes.
//!
//! Two things depend on it. The library allocates and recurses as a footer tells it to, so its counts
//! are bounded here. And what an engine shows is decided by the footer as much as by the pages, so
//! everything in it that an engine may act on is either checked or refused.

mod chunk;
mod group;
mod schema;

use std::fs::File;
use std::os::unix::fs::FileExt as _;

pub(super) use chunk::{Chunk, Range, Statistics, statistics};
pub(super) use group::Group;
pub(super) use schema::{BYTE_ARRAY, Column, INT64};

use super::read::SegmentError;
use super::thrift::{Compact, Scan, unknown};
use super::{FOOTER_BYTES_MAX, RECORDS_MAX};

/// What a file begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";

/// Most row groups: those of the largest segment are 256.
const GROUPS_MAX: u64 = 1 << 16;

/// Most key-value pairs.
const KEY_VALUES_MAX: u64 = 64;

/// Reads the bytes of the footer, and where it begins.
pub(super) fn read(file: &File) -> Scan<(Vec<u8>, u64)> {
    let bytes = file.metadata()?.len();
    let (mut head, mut tail) = ([0; 4], [0; 8]);
    let Some(at) = bytes.checked_sub(8) else {
        return Err(SegmentError::Refused("too short to be Parquet"));
    };
    file.read_exact_at(&mut head, 0)?;
    file.read_exact_at(&mut tail, at)?;
    if head != *MAGIC || !tail.ends_with(MAGIC) {
        return Err(SegmentError::Refused(
            "it does not begin and end as Parquet",
        ));
    }
    let length = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
    let start = at
        .checked_sub(u64::from(length))
        .filter(|start| *start >= MAGIC.len() as u64)
        .ok_or(SegmentError::Refused("its footer is larger than it"))?;
    if u64::from(length) > FOOTER_BYTES_MAX {
        return Err(SegmentError::Unsupported("its footer is too large"));
    }
    let mut footer = vec![0; length as usize];
    file.read_exact_at(&mut footer, start)?;
    Ok((footer, start))
}

/// What a footer says.
#[derive(Debug, Default)]
pub(super) struct Footer<'a> {
    pub(super) rows: u64,
    pub(super) columns: Vec<Column<'a>>,
    pub(super) groups: Vec<Group<'a>>,
    /// The Arrow schema that engines built on Arrow go by.
    pub(super) arrow_schema: Option<&'a [u8]>,
}

impl<'a> Footer<'a> {
    /// `FileMetaData` of `parquet.thrift`.
    pub(super) fn parse(bytes: &'a [u8], start: u64) -> Scan<Self> {
        let mut footer = Self::default();
        let mut orders = None;
        let mut reader = Compact::new(bytes);
        reader.structure(|reader, id, kind| {
            match id {
                1 => drop(reader.int32(kind)?),
                2 => footer.columns = schema::read(reader, kind)?,
                3 => footer.rows = reader.size64(kind)?,
                4 => reader.structures(kind, GROUPS_MAX, |reader| {
                    let group = Group::read(reader, &footer.columns, footer.groups.len())?;
                    footer.groups.push(group);
                    Ok(())
                })?,
                5 => footer.arrow_schema = key_values(reader, kind)?,
                6 => drop(reader.bytes(kind)?),
                7 => orders = Some(column_orders(reader, kind)?),
                8 | 9 => return Err(SegmentError::Unsupported("it is encrypted")),
                _ => unknown()?,
            }
            Ok(())
        })?;
        if reader.position() != bytes.len() {
            return Err(SegmentError::Refused("its footer has bytes left over"));
        }
        if footer.columns.is_empty() || orders.is_some_and(|orders| orders != footer.columns.len())
        {
            return Err(SegmentError::Refused("its footer contradicts itself"));
        }
        let mut rows = footer.groups.iter().map(|group| group.rows);
        if rows.try_fold(0, u64::checked_add) != Some(footer.rows) {
            let what = "rows of the row groups do not add up to those of the file";
            return Err(SegmentError::Disagree(what.to_owned()));
        }
        if footer.rows > RECORDS_MAX {
            return Err(SegmentError::TooMany(footer.rows));
        }
        footer.check_places(start)?;
        Ok(footer)
    }

    /// Everything the footer points to lies between the magic and the footer, and nothing is used
    /// twice.
    fn check_places(&self, start: u64) -> Scan<()> {
        let groups = self.groups.iter();
        let chunks = groups.flat_map(|group| group.chunks.iter());
        let mut ranges: Vec<Range> = chunks.flat_map(Chunk::ranges).collect();
        ranges.retain(|range| range.length > 0);
        ranges.sort_unstable_by_key(|range| range.start);
        let mut end = MAGIC.len() as u64;
        for range in ranges {
            if range.start < end {
                let what = "two parts of it overlap";
                return Err(SegmentError::Disagree(what.to_owned()));
            }
            end = (range.start.checked_add(range.length))
                .filter(|end| *end <= start)
                .ok_or(SegmentError::Refused("a part of it is outside the file"))?;
        }
        Ok(())
    }
}

/// The key-value pairs: those that engines are known to act on are checked or refused, as are
/// those nobody knows.
fn key_values<'a>(reader: &mut Compact<'a>, kind: super::thrift::Kind) -> Scan<Option<&'a [u8]>> {
    let mut seen = Vec::new();
    let mut arrow_schema = None;
    reader.structures(kind, KEY_VALUES_MAX, |reader| {
        let (mut key, mut value) = ("", None);
        reader.structure(|reader, id, kind| {
            match id {
                1 => key = reader.text(kind)?,
                2 => value = Some(reader.bytes(kind)?),
                _ => unknown()?,
            }
            Ok(())
        })?;
        if seen.contains(&key) || !(key == ARROW_SCHEMA || key.starts_with("lineage.")) {
            return Err(SegmentError::Unsupported(
                "its footer holds key-value pairs that some engines act on",
            ));
        }
        seen.push(key);
        if key == ARROW_SCHEMA {
            arrow_schema = value;
        }
        Ok(())
    })?;
    Ok(arrow_schema)
}

const ARROW_SCHEMA: &str = "ARROW:schema";

/// How many columns have an order; all of them the one of their type.
fn column_orders(reader: &mut Compact<'_>, kind: super::thrift::Kind) -> Scan<usize> {
    let mut count = 0;
    reader.structures(kind, schema::COLUMNS_MAX, |reader| {
        count += 1;
        reader.structure(|reader, id, kind| match id {
            1 => reader.empty(kind),
            _ => unknown(),
        })
    })?;
    Ok(count)
}
