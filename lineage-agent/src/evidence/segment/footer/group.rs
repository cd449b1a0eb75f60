//! A row group: one chunk of every column, in the schema's order.

use super::super::read::SegmentError;
use super::super::thrift::{Compact, Kind, Scan, unknown};
use super::chunk::Chunk;
use super::schema::{COLUMNS_MAX, Column};

/// `RowGroup` of `parquet.thrift`.
#[derive(Debug, Default)]
pub(in super::super) struct Group<'a> {
    pub(in super::super) rows: u64,
    pub(in super::super) chunks: Vec<Chunk<'a>>,
}

/// What engines go by when they divide a file among themselves.
#[derive(Debug, Default)]
struct Division {
    unpacked: Option<u64>,
    offset: Option<u64>,
    packed: Option<u64>,
    ordinal: Option<i64>,
    sorted_otherwise: bool,
}

impl<'a> Group<'a> {
    pub(super) fn read(
        reader: &mut Compact<'a>,
        columns: &[Column<'_>],
        index: usize,
    ) -> Scan<Self> {
        let mut group = Self::default();
        let mut division = Division::default();
        reader.structure(|reader, id, kind| {
            match id {
                1 => reader.structures(kind, COLUMNS_MAX, |reader| {
                    let column = columns.get(group.chunks.len());
                    let column = column.ok_or(SegmentError::Refused("a column too many"))?;
                    group.chunks.push(Chunk::read(reader, column)?);
                    Ok(())
                })?,
                2 => division.unpacked = Some(reader.size64(kind)?),
                3 => group.rows = reader.size64(kind)?,
                4 => division.sorted_otherwise = !is_sorted_by_seq(reader, kind, columns)?,
                5 => division.offset = Some(reader.size64(kind)?),
                6 => division.packed = Some(reader.size64(kind)?),
                7 => division.ordinal = Some(reader.int16(kind)?),
                _ => unknown()?,
            }
            Ok(())
        })?;
        if group.chunks.len() != columns.len() {
            return Err(SegmentError::Refused("a row group lacks columns"));
        }
        let disagree = |what: &str| SegmentError::Disagree(format!("row group {index}: {what}"));
        for (chunk, column) in group.chunks.iter().zip(columns) {
            if chunk.values != group.rows {
                let what = format!(
                    "{} rows, but {} values of column {}",
                    group.rows, chunk.values, column.name
                );
                return Err(disagree(&what));
            }
        }
        if !division.is_right(&group, index) {
            return Err(disagree(
                "its order, place or size is not that of its columns",
            ));
        }
        Ok(group)
    }

    fn sum(&self, of: impl Fn(&Chunk<'a>) -> u64) -> u64 {
        self.chunks.iter().map(of).fold(0, u64::saturating_add)
    }
}

impl Division {
    fn is_right(&self, group: &Group<'_>, index: usize) -> bool {
        let start = group.chunks.iter().map(|chunk| chunk.pages.start).min();
        self.unpacked
            .is_none_or(|bytes| bytes == group.sum(|chunk| chunk.unpacked))
            && self
                .packed
                .is_none_or(|bytes| bytes == 0 || bytes == group.sum(|chunk| chunk.pages.length))
            && self
                .offset
                .is_none_or(|offset| offset == 0 || Some(offset) == start)
            && self
                .ordinal
                .is_none_or(|ordinal| usize::try_from(ordinal) == Ok(index))
            && !self.sorted_otherwise
    }
}

/// Whether the order it claims is by `seq`, which is the order of the records.
fn is_sorted_by_seq(reader: &mut Compact<'_>, kind: Kind, columns: &[Column<'_>]) -> Scan<bool> {
    let mut keys = Vec::new();
    reader.structures(kind, 16, |reader| {
        let (mut column, mut descending) = (0, false);
        reader.structure(|reader, id, kind| {
            match id {
                1 => column = reader.size32(kind)?,
                2 => descending = reader.boolean(kind)?,
                3 => drop(reader.boolean(kind)?),
                _ => unknown()?,
            }
            Ok(())
        })?;
        keys.push((column, descending));
        Ok(())
    })?;
    let seq = columns.iter().position(|column| column.name == "seq");
    // `seq` alone orders the records: what follows it decides nothing.
    Ok(match keys.first() {
        Some((column, descending)) => seq.map(|seq| seq as u64) == Some(*column) && !descending,
        None => true,
    })
}
