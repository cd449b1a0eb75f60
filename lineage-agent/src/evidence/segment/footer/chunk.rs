//! A column chunk: where its pages are, and all that is claimed of its values.

use super::super::read::SegmentError;
use super::super::thrift::{Compact, Kind, Scan, unknown};
use super::schema::{BYTE_ARRAY, Column};

/// Bytes of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Range {
    pub(in super::super) start: u64,
    pub(in super::super) length: u64,
}

/// `ColumnChunk` and `ColumnMetaData` of `parquet.thrift`.
#[derive(Debug, Default)]
pub(in super::super) struct Chunk<'a> {
    /// Its pages, from the dictionary on if there is one.
    pub(in super::super) pages: Range,
    /// Where the data pages begin, when a dictionary comes before them.
    pub(in super::super) data: Option<u64>,
    pub(in super::super) codec: i64,
    pub(in super::super) values: u64,
    /// Bytes of its pages unpacked, headers included.
    pub(in super::super) unpacked: u64,
    pub(in super::super) encodings: Vec<i64>,
    /// Page type, encoding, number of such pages.
    pub(in super::super) page_counts: Option<Vec<(i64, i64, u64)>>,
    pub(in super::super) statistics: Statistics<'a>,
    pub(in super::super) sizes: Sizes,
    pub(in super::super) bloom: Option<Range>,
    pub(in super::super) offset_index: Option<Range>,
    pub(in super::super) column_index: Option<Range>,
}

/// `Statistics` of `parquet.thrift`.
#[derive(Debug, Default, Clone, Copy)]
pub(in super::super) struct Statistics<'a> {
    pub(in super::super) nulls: Option<u64>,
    pub(in super::super) distinct: Option<u64>,
    /// Smallest and largest value.
    pub(in super::super) min: Option<&'a [u8]>,
    pub(in super::super) max: Option<&'a [u8]>,
    pub(in super::super) min_exact: Option<bool>,
    pub(in super::super) max_exact: Option<bool>,
    /// Fields of old, by which some engines still go.
    pub(in super::super) old_min: Option<&'a [u8]>,
    pub(in super::super) old_max: Option<&'a [u8]>,
}

/// `SizeStatistics` of `parquet.thrift`.
#[derive(Debug, Default, Clone)]
pub(in super::super) struct Sizes {
    pub(in super::super) text_bytes: Option<u64>,
    /// Nulls and values, or values alone where there can be no nulls.
    pub(in super::super) levels: Vec<u64>,
}

/// Most encodings, and kinds of pages.
const ENCODINGS_MAX: u64 = 32;

impl<'a> Chunk<'a> {
    pub(super) fn read(reader: &mut Compact<'a>, column: &Column<'_>) -> Scan<Self> {
        let mut chunk = None;
        let mut offset_index = (None, None);
        let mut column_index = (None, None);
        reader.structure(|reader, id, kind| {
            match id {
                1 => {
                    let what = format!("column {} is in another file", column.name);
                    return Err(SegmentError::Disagree(what));
                }
                // Every writer has its own idea of the chunk's offset, so no reader uses it.
                2 => drop(reader.int64(kind)?),
                3 => chunk = Some(Self::read_meta(reader, kind, column)?),
                4 => offset_index.0 = Some(reader.size64(kind)?),
                5 => offset_index.1 = Some(reader.size32(kind)?),
                6 => column_index.0 = Some(reader.size64(kind)?),
                7 => column_index.1 = Some(reader.size32(kind)?),
                8 | 9 => return Err(SegmentError::Unsupported("it is encrypted")),
                _ => unknown()?,
            }
            Ok(())
        })?;
        let mut chunk = chunk.ok_or(SegmentError::Refused("a column lacks its description"))?;
        chunk.offset_index = both(offset_index)?;
        chunk.column_index = both(column_index)?;
        Ok(chunk)
    }

    fn read_meta(reader: &mut Compact<'a>, kind: Kind, column: &Column<'_>) -> Scan<Self> {
        let mut chunk = Self::default();
        let (mut physical, mut path) = (None, Vec::new());
        let (mut dictionary, mut data, mut bloom) = (None, None, (None, None));
        reader.inner(kind, |reader, id, kind| {
            match id {
                1 => physical = Some(reader.int32(kind)?),
                2 => reader.list(kind, ENCODINGS_MAX, |reader, kind| {
                    chunk.encodings.push(reader.int32(kind)?);
                    Ok(())
                })?,
                3 => reader.list(kind, 2, |reader, kind| {
                    path.push(reader.text(kind)?);
                    Ok(())
                })?,
                4 => chunk.codec = reader.int32(kind)?,
                5 => chunk.values = reader.size64(kind)?,
                6 => chunk.unpacked = reader.size64(kind)?,
                7 => chunk.pages.length = reader.size64(kind)?,
                9 => data = Some(reader.size64(kind)?),
                11 => dictionary = Some(reader.size64(kind)?),
                12 => chunk.statistics = statistics(reader, kind)?,
                13 => chunk.page_counts = Some(page_counts(reader, kind)?),
                14 => bloom.0 = Some(reader.size64(kind)?),
                15 => bloom.1 = Some(reader.size32(kind)?),
                16 => chunk.sizes = sizes(reader, kind)?,
                _ => unknown()?,
            }
            Ok(())
        })?;
        let disagree = |what| SegmentError::Disagree(format!("column {}: {what}", column.name));
        if physical != Some(column.physical) || path != [column.name] {
            return Err(disagree("its pages are those of another column"));
        }
        let data = data.ok_or(SegmentError::Refused("a column lacks its pages"))?;
        chunk.data = dictionary.is_some().then_some(data);
        chunk.pages.start = dictionary.unwrap_or(data);
        if data < chunk.pages.start {
            return Err(disagree("its dictionary is behind its data"));
        }
        chunk.bloom = match bloom {
            (Some(start), Some(length)) => Some(Range { start, length }),
            (None, None) => None,
            _ => {
                return Err(SegmentError::Unsupported(
                    "a bloom filter of unknown length",
                ));
            }
        };
        if chunk.sizes.text_bytes.is_some() && physical != Some(BYTE_ARRAY) {
            return Err(disagree("bytes of text are counted where there is none"));
        }
        Ok(chunk)
    }

    /// Every part of the file that is its.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range> + use<> {
        let others = [self.bloom, self.offset_index, self.column_index];
        std::iter::once(self.pages).chain(others.into_iter().flatten())
    }
}

fn both(range: (Option<u64>, Option<u64>)) -> Scan<Option<Range>> {
    match range {
        (Some(start), Some(length)) => Ok(Some(Range { start, length })),
        (None, None) => Ok(None),
        _ => Err(SegmentError::Refused("half of an index's place")),
    }
}

/// `Statistics`, of a chunk or a page.
pub(in super::super) fn statistics<'a>(
    reader: &mut Compact<'a>,
    kind: Kind,
) -> Scan<Statistics<'a>> {
    let mut found = Statistics::default();
    reader.inner(kind, |reader, id, kind| {
        match id {
            1 => found.old_max = Some(reader.bytes(kind)?),
            2 => found.old_min = Some(reader.bytes(kind)?),
            3 => found.nulls = Some(reader.size64(kind)?),
            4 => found.distinct = Some(reader.size64(kind)?),
            5 => found.max = Some(reader.bytes(kind)?),
            6 => found.min = Some(reader.bytes(kind)?),
            7 => found.max_exact = Some(reader.boolean(kind)?),
            8 => found.min_exact = Some(reader.boolean(kind)?),
            _ => unknown()?,
        }
        Ok(())
    })?;
    Ok(found)
}

fn page_counts(reader: &mut Compact<'_>, kind: Kind) -> Scan<Vec<(i64, i64, u64)>> {
    let mut counts = Vec::new();
    reader.structures(kind, ENCODINGS_MAX, |reader| {
        let mut count = (0, 0, 0);
        reader.structure(|reader, id, kind| {
            match id {
                1 => count.0 = reader.int32(kind)?,
                2 => count.1 = reader.int32(kind)?,
                3 => count.2 = reader.size32(kind)?,
                _ => unknown()?,
            }
            Ok(())
        })?;
        counts.push(count);
        Ok(())
    })?;
    Ok(counts)
}

fn sizes(reader: &mut Compact<'_>, kind: Kind) -> Scan<Sizes> {
    let mut sizes = Sizes::default();
    reader.inner(kind, |reader, id, kind| {
        match id {
            1 => sizes.text_bytes = Some(reader.size64(kind)?),
            // Nothing repeats in flat columns, so this says nothing.
            2 => drop(reader.sizes(kind, 2)?),
            3 => sizes.levels = reader.sizes(kind, 2)?,
            _ => unknown()?,
        }
        Ok(())
    })?;
    Ok(sizes)
}
