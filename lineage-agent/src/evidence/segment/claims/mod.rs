//! What a file claims of its values, beside the values: statistics, indexes, bloom filters.
//!
//! Engines leave out rows, pages and whole row groups by them, and answer queries out of them alone.
//! So in a file that is not the one the recorder wrote, they are compared with the values, chunk by
//! chunk. What cannot be compared makes the file one that is not read.

mod arrow;
mod bloom;
mod bounds;
mod index;
mod runs;

use std::collections::HashSet;
use std::fs::File;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};

use self::bloom::Bloom;
use self::bounds::{Bound, Side, Value};
use super::cells::{Raw, cells};
use super::footer::{Chunk, Column, Footer, Statistics};
use super::pages::Pages;
use super::read::{BATCH_ROWS, SegmentError, external};
use super::thrift::Scan;

/// Most distinct values that are counted.
const DISTINCT_MAX: u64 = 1 << 20;

/// Compares all that the file claims with its values.
pub(super) fn check(file: &File, footer: &Footer<'_>, metadata: &ArrowReaderMetadata) -> Scan<()> {
    if let Some(schema) = footer.arrow_schema {
        arrow::check(schema, &footer.columns)?;
    }
    for (index, group) in footer.groups.iter().enumerate() {
        for (at, (chunk, column)) in group.chunks.iter().zip(&footer.columns).enumerate() {
            let place = Place {
                file,
                metadata,
                group: index,
                column: at,
            };
            check_chunk(&place, chunk, column).map_err(|error| error.of(column, index))?;
        }
    }
    Ok(())
}

/// A chunk in its file.
struct Place<'a> {
    file: &'a File,
    metadata: &'a ArrowReaderMetadata,
    group: usize,
    column: usize,
}

fn disagree<T>(what: &str) -> Scan<T> {
    Err(SegmentError::Disagree(what.to_owned()))
}

/// What is claimed of some values.
#[derive(Debug, Default)]
struct Claim {
    nulls: Option<u64>,
    /// That there are only nulls.
    only_nulls: bool,
    bounds: Vec<Bound>,
    /// Whether the bounds are claimed of a page. By those pages are left out, but no query is answered,
    /// and some writers give every page the bounds of its chunk.
    of_page: bool,
    text_bytes: Option<u64>,
    levels: Vec<u64>,
}

/// The claims about the values of one page.
struct PageClaims {
    values: u64,
    claims: Vec<Claim>,
}

fn check_chunk(place: &Place<'_>, chunk: &Chunk<'_>, column: &Column<'_>) -> Scan<()> {
    let Some(field) = column.field else {
        // Nobody signed what is in it; that is a finding of its own.
        return Ok(());
    };
    runs::check(place)?;
    let pages = page_claims(place.file, chunk, column)?;
    let of_all = Claim {
        text_bytes: chunk.sizes.text_bytes,
        levels: chunk.sizes.levels.clone(),
        ..Claim::of(&chunk.statistics, column)?
    };
    let bloom = chunk.bloom.map(|range| Bloom::read(place.file, range));
    let bloom = bloom.transpose()?;
    let mut distinct = Distinct::new(chunk.statistics.distinct)?;

    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
        place.file.try_clone()?,
        place.metadata.clone(),
    );
    let mask = ProjectionMask::leaves(builder.parquet_schema(), [place.column]);
    let reader = builder
        .with_projection(mask)
        .with_row_groups(vec![place.group])
        .with_batch_size(BATCH_ROWS)
        .build()?;
    let mut all = Seen::default();
    let mut pages = pages.into_iter().filter(|page| page.values > 0);
    let mut page = pages.next();
    let mut seen = Seen::default();
    for batch in reader {
        let batch = batch.map_err(external)?;
        let cells = cells(batch.column(0), field.name, field.field_type)?;
        for row in 0..batch.num_rows() {
            let value = cells.raw(row);
            seen.push(value);
            if let Some(value) = value {
                distinct.push(value)?;
                if bloom.as_ref().is_some_and(|bloom| !bloom.has(value)) {
                    return disagree("its bloom filter lacks a value");
                }
            }
            if page.as_ref().is_some_and(|page| page.values == seen.values) {
                let done = std::mem::take(&mut seen);
                let claims = page.iter().flat_map(|page| &page.claims);
                claims
                    .into_iter()
                    .try_for_each(|claim| claim.check(&done))?;
                all.add(done);
                page = pages.next();
            }
        }
    }
    if page.is_some() || seen.values > 0 || all.values != chunk.values {
        return disagree("it has other rows than its pages say");
    }
    distinct.finish()?;
    of_all.check(&all)
}

/// What page headers and indexes claim, page by page.
fn page_claims(file: &File, chunk: &Chunk<'_>, column: &Column<'_>) -> Scan<Vec<PageClaims>> {
    let mut pages = Vec::new();
    let mut places = Vec::new();
    let mut row = 0u64;
    Pages::new(file).data(chunk, |page| {
        let mut claim = Claim {
            of_page: true,
            ..Claim::of(&page.statistics, column)?
        };
        if let Some(nulls) = page.nulls {
            claim.levels = vec![nulls, page.values.saturating_sub(nulls)];
        }
        places.push([page.start, page.length(), row]);
        row = row.saturating_add(page.values);
        pages.push(PageClaims {
            values: page.values,
            claims: vec![claim],
        });
        Ok(())
    })?;
    if let Some(range) = chunk.offset_index {
        index::check_offsets(file, range, &places, &mut pages)?;
    }
    if let Some(range) = chunk.column_index {
        index::add_claims(file, range, column, &mut pages)?;
    }
    Ok(pages)
}

impl Claim {
    fn of(statistics: &Statistics<'_>, column: &Column<'_>) -> Scan<Self> {
        let told = [
            (Side::Min, statistics.min, statistics.min_exact),
            (Side::Min, statistics.old_min, statistics.min_exact),
            (Side::Max, statistics.max, statistics.max_exact),
            (Side::Max, statistics.old_max, statistics.max_exact),
        ];
        let mut bounds = Vec::new();
        for (side, bytes, exact) in told {
            if let Some(bytes) = bytes {
                bounds.push(Bound::read(side, bytes, exact, column.physical)?);
            }
        }
        Ok(Self {
            nulls: statistics.nulls,
            bounds,
            ..Self::default()
        })
    }

    fn check(&self, seen: &Seen) -> Scan<()> {
        let values = seen.values - seen.nulls;
        if self.nulls.is_some_and(|nulls| nulls != seen.nulls) || (self.only_nulls && values > 0) {
            return disagree("another number of nulls is claimed than there are");
        }
        let levels = match self.levels[..] {
            [] => true,
            [all] => (all, 0) == (values, seen.nulls),
            [nulls, rest] => (nulls, rest) == (seen.nulls, values),
            _ => false,
        };
        if !levels
            || self
                .text_bytes
                .is_some_and(|bytes| bytes != seen.text_bytes)
        {
            return disagree("other sizes are claimed than its values have");
        }
        let holds = |bound: &Bound| match &seen.ends {
            None => self.of_page,
            Some((min, max)) if self.of_page => bound.encloses(min, max),
            Some((min, max)) => bound.holds(min, max),
        };
        if !self.bounds.iter().all(holds) {
            return disagree("another smallest or largest value is claimed than it has");
        }
        Ok(())
    }
}

/// What there is.
#[derive(Debug, Default)]
struct Seen {
    /// Nulls included.
    values: u64,
    nulls: u64,
    text_bytes: u64,
    /// Smallest and largest.
    ends: Option<(Value, Value)>,
}

impl Seen {
    fn push(&mut self, value: Option<Raw<'_>>) {
        self.values += 1;
        let Some(value) = value else {
            self.nulls += 1;
            return;
        };
        if let Raw::Bytes(bytes) = value {
            self.text_bytes += bytes.len() as u64;
        }
        match &mut self.ends {
            None => self.ends = Some((value.into(), value.into())),
            Some((min, max)) => {
                if min.is_above(value) {
                    *min = value.into();
                } else if max.is_below(value) {
                    *max = value.into();
                }
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.values += other.values;
        self.nulls += other.nulls;
        self.text_bytes += other.text_bytes;
        self.ends = match (self.ends.take(), other.ends) {
            (Some((min, max)), Some((other_min, other_max))) => {
                Some((min.min(other_min), max.max(other_max)))
            }
            (ends, others) => ends.or(others),
        };
    }
}

/// Distinct values, counted as far as their number is claimed.
struct Distinct {
    claimed: Option<u64>,
    seen: HashSet<[u8; 16]>,
}

impl Distinct {
    fn new(claimed: Option<u64>) -> Scan<Self> {
        if claimed > Some(DISTINCT_MAX) {
            return Err(SegmentError::Unsupported(
                "a count of more distinct values than are counted here",
            ));
        }
        Ok(Self {
            claimed,
            seen: HashSet::new(),
        })
    }

    fn push(&mut self, value: Raw<'_>) -> Scan<()> {
        let Some(claimed) = self.claimed else {
            return Ok(());
        };
        let hash = match value {
            Raw::Int(number) => blake3::hash(&number.to_le_bytes()),
            Raw::Bytes(bytes) => blake3::hash(bytes),
        };
        if let Some((half, _)) = hash.as_bytes().split_first_chunk() {
            self.seen.insert(*half);
        }
        if self.seen.len() as u64 > claimed {
            return disagree("it has more distinct values than are claimed");
        }
        Ok(())
    }

    fn finish(&self) -> Scan<()> {
        if self
            .claimed
            .is_some_and(|claimed| claimed != self.seen.len() as u64)
        {
            return disagree("it has fewer distinct values than are claimed");
        }
        Ok(())
    }
}
