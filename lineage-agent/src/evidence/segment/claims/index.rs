//! Page indexes: where each page is, and what it holds.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::super::footer::{Column, Range};
use super::super::pages::PAGES_MAX;
use super::super::read::SegmentError;
use super::super::thrift::{Compact, Kind, Scan, unknown};
use super::bounds::{Bound, Side, Value};
use super::{Claim, PageClaims, disagree};

/// Largest index read.
const INDEX_BYTES_MAX: u64 = 16 << 20;

fn read(file: &File, range: Range) -> Scan<Vec<u8>> {
    let length = usize::try_from(range.length)
        .ok()
        .filter(|_| range.length <= INDEX_BYTES_MAX)
        .ok_or(SegmentError::Unsupported("a page index that is too large"))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}

/// `OffsetIndex` of `parquet.thrift`, against where each page is, its length and its first row.
pub(super) fn check_offsets(
    file: &File,
    range: Range,
    places: &[[u64; 3]],
    pages: &mut [PageClaims],
) -> Scan<()> {
    let bytes = read(file, range)?;
    let mut reader = Compact::new(&bytes);
    let (mut told, mut text_bytes) = (Vec::new(), Vec::new());
    reader.structure(|reader, id, kind| {
        match id {
            1 => reader.structures(kind, PAGES_MAX, |reader| {
                let mut place = [0; 3];
                reader.structure(|reader, id, kind| {
                    match id {
                        1 => place[0] = reader.size64(kind)?,
                        2 => place[1] = reader.size32(kind)?,
                        3 => place[2] = reader.size64(kind)?,
                        _ => unknown()?,
                    }
                    Ok(())
                })?;
                told.push(place);
                Ok(())
            })?,
            2 => text_bytes = reader.sizes(kind, PAGES_MAX)?,
            _ => unknown()?,
        }
        Ok(())
    })?;
    if reader.position() != bytes.len() || told != places {
        return disagree("its index says that its pages are elsewhere");
    }
    for (page, bytes) in pages.iter_mut().zip(text_bytes) {
        page.claims.push(Claim {
            text_bytes: Some(bytes),
            ..Claim::default()
        });
    }
    Ok(())
}

/// `ColumnIndex` of `parquet.thrift`.
#[derive(Default)]
struct ColumnIndex<'a> {
    only_nulls: Vec<bool>,
    min: Vec<&'a [u8]>,
    max: Vec<&'a [u8]>,
    /// 0 none, 1 ascending, 2 descending.
    order: i64,
    nulls: Vec<u64>,
    levels: Vec<u64>,
}

/// Adds what the column index claims of each page.
pub(super) fn add_claims(
    file: &File,
    range: Range,
    column: &Column<'_>,
    pages: &mut [PageClaims],
) -> Scan<()> {
    let bytes = read(file, range)?;
    let index = ColumnIndex::parse(&bytes)?;
    let count = pages.len();
    let whole = [index.only_nulls.len(), index.min.len(), index.max.len()] == [count; 3]
        && (index.nulls.is_empty() || index.nulls.len() == count)
        && [0, count, 2 * count].contains(&index.levels.len());
    if !whole {
        return disagree("its index has another number of pages");
    }
    let levels = index.levels.len().checked_div(count).unwrap_or(0);
    let mut before: Option<(Value, Value)> = None;
    for (at, page) in pages.iter_mut().enumerate() {
        let mut claim = Claim {
            nulls: index.nulls.get(at).copied(),
            only_nulls: index.only_nulls[at],
            of_page: true,
            levels: index.levels[at * levels..(at + 1) * levels].to_vec(),
            ..Claim::default()
        };
        if !index.only_nulls[at] {
            let min = Bound::read(Side::Min, index.min[at], None, column.physical)?;
            let max = Bound::read(Side::Max, index.max[at], None, column.physical)?;
            let ends = (min.value.clone(), max.value.clone());
            if before.is_some_and(|before| !is_in_order(index.order, &before, &ends)) {
                return disagree("its index claims an order that its pages do not have");
            }
            before = Some(ends);
            claim.bounds = vec![min, max];
        }
        page.claims.push(claim);
    }
    Ok(())
}

fn is_in_order(order: i64, one: &(Value, Value), next: &(Value, Value)) -> bool {
    match order {
        0 => true,
        1 => one.0 <= next.0 && one.1 <= next.1,
        2 => one.0 >= next.0 && one.1 >= next.1,
        _ => false,
    }
}

impl<'a> ColumnIndex<'a> {
    fn parse(bytes: &'a [u8]) -> Scan<Self> {
        let mut index = Self::default();
        let mut reader = Compact::new(bytes);
        reader.structure(|reader, id, kind| {
            match id {
                1 => reader.list(kind, PAGES_MAX, |reader, kind| {
                    index.only_nulls.push(reader.listed_boolean(kind)?);
                    Ok(())
                })?,
                2 => index.min = texts(reader, kind)?,
                3 => index.max = texts(reader, kind)?,
                4 => index.order = reader.int32(kind)?,
                5 => index.nulls = reader.sizes(kind, PAGES_MAX)?,
                // Nothing repeats in flat columns, so this says nothing.
                6 => drop(reader.sizes(kind, 2 * PAGES_MAX)?),
                7 => index.levels = reader.sizes(kind, 2 * PAGES_MAX)?,
                _ => unknown()?,
            }
            Ok(())
        })?;
        if reader.position() != bytes.len() {
            return disagree("its index has bytes left over");
        }
        Ok(index)
    }
}

fn texts<'a>(reader: &mut Compact<'a>, kind: Kind) -> Scan<Vec<&'a [u8]>> {
    let mut texts = Vec::new();
    reader.list(kind, PAGES_MAX, |reader, kind| {
        texts.push(reader.bytes(kind)?);
        Ok(())
    })?;
    Ok(texts)
}
