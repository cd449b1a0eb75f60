//! Reading a segment: rows back into records, from a file nobody vouches for.

use std::cell::Cell;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};

use arrow_schema::{DataType, Field as ArrowField, Schema};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;

use super::super::schema::{FIELDS, Record};
use super::cells::columns;
use super::footer::{self, Footer};
use super::{RECORDS_MAX, claims, pages};

/// Rows decoded at a time.
pub(super) const BATCH_ROWS: usize = 4096;

/// What a file claims about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub rows: u64,
    /// Columns the registry does not have, and second ones of a name.
    pub foreign_columns: Vec<String>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The Parquet library refused.
    #[error("not readable as Parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// The file cannot be read.
    #[error("not readable: {0}")]
    Io(#[from] std::io::Error),
    /// Reading it could take any amount of memory, or it is not Parquet at all.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// It uses something of Parquet that cannot be read here within bounds; that says nothing about
    /// what is in it.
    #[error("not readable here: {0}")]
    Unsupported(&'static str),
    /// Programs that read it would not all see the same records.
    #[error("{0}")]
    Disagree(String),
    /// The Parquet library panicked.
    #[error("the Parquet reader gave up: {0}")]
    Panic(String),
    /// A column has a type that cannot hold its field.
    #[error("column {column} has type {found}")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// A value that no record can have had.
    #[error("column {column} holds a value that is not {expected}")]
    Value {
        /// The column.
        column: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// More rows than a segment may have.
    #[error("{0} rows are more than a segment may have")]
    TooMany(u64),
}

/// A Parquet file of records.
pub struct SegmentFile {
    reader: ParquetRecordBatchReader,
    shape: Shape,
}

impl SegmentFile {
    /// Opens a file and reads its footer.
    ///
    /// # Errors
    ///
    /// [`SegmentError`]
    pub fn open(file: &File) -> Result<Self, SegmentError> {
        Self::open_with(file, |_, builder| builder)
    }

    /// Opens a file to visit only these rows, ascending numbers from 0; those it does not have are left
    /// out.
    ///
    /// # Errors
    ///
    /// [`SegmentError`]
    pub fn open_rows(file: &File, rows: &[u64]) -> Result<Self, SegmentError> {
        Self::open_with(file, |footer, builder| {
            let (groups, selection) = selection(footer, rows);
            builder
                .with_row_groups(groups)
                .with_row_selection(selection)
        })
    }

    fn open_with(
        file: &File,
        narrow: impl FnOnce(
            &Footer<'_>,
            ParquetRecordBatchReaderBuilder<File>,
        ) -> ParquetRecordBatchReaderBuilder<File>,
    ) -> Result<Self, SegmentError> {
        isolated(|| {
            let (bytes, start) = footer::read(file)?;
            let footer = Footer::parse(&bytes, start)?;
            pages::check(file, &footer)?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
                file.try_clone()?,
                metadata(&bytes)?,
            );
            let (rows, foreign_columns) = (footer.rows, foreign_columns(&footer));
            let builder = narrow(&footer, builder);
            let reader = builder.with_batch_size(BATCH_ROWS).build()?;
            Ok(Self {
                reader,
                shape: Shape {
                    rows,
                    foreign_columns,
                },
            })
        })
    }

    /// Compares what a file claims of its values, beside them, with the values: statistics, indexes
    /// and filters, by which engines leave out rows. Costs a second look at every value.
    ///
    /// # Errors
    ///
    /// [`SegmentError`]; [`SegmentError::Disagree`] when a claim is false.
    pub fn check_claims(file: &File) -> Result<(), SegmentError> {
        isolated(|| {
            let (bytes, start) = footer::read(file)?;
            let footer = Footer::parse(&bytes, start)?;
            claims::check(file, &footer, &metadata(&bytes)?)
        })
    }

    /// What the file claims about itself.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Calls `visit` with every row as a record, in file order, until it breaks.
    ///
    /// # Errors
    ///
    /// [`SegmentError`]; rows before the fault have been visited.
    pub fn records<B>(
        mut self,
        mut visit: impl FnMut(&Record<'_>) -> std::ops::ControlFlow<B>,
    ) -> Result<Option<B>, SegmentError> {
        let mut rows = 0;
        loop {
            let reader = &mut self.reader;
            let Some(batch) = isolated(|| Ok(reader.next().transpose().map_err(external)?))? else {
                return Ok(None);
            };
            rows += batch.num_rows() as u64;
            if rows > RECORDS_MAX {
                return Err(SegmentError::TooMany(rows));
            }
            let columns = columns(&batch)?;
            for row in 0..batch.num_rows() {
                let mut record = Record::default();
                for (column, cells) in &columns {
                    cells.set(row, &FIELDS[*column], &mut record)?;
                }
                if let std::ops::ControlFlow::Break(value) = visit(&record) {
                    return Ok(Some(value));
                }
            }
        }
    }
}

/// The row groups that hold these rows, and the rows within those.
fn selection(footer: &Footer<'_>, rows: &[u64]) -> (Vec<usize>, RowSelection) {
    let (mut groups, mut selectors) = (Vec::new(), Vec::new());
    let (mut rest, mut start) = (rows, 0);
    for (index, group) in footer.groups.iter().enumerate() {
        let end = start + group.rows;
        let (here, after) = rest.split_at(rest.partition_point(|row| *row < end));
        rest = after;
        if !here.is_empty() {
            groups.push(index);
            let mut next = start;
            for row in here.iter().filter(|row| **row >= start) {
                if let Some(gap) = row.checked_sub(next) {
                    selectors.push(RowSelector::skip(gap as usize));
                    selectors.push(RowSelector::select(1));
                    next = row + 1;
                }
            }
            selectors.push(RowSelector::skip((end - next) as usize));
        }
        start = end;
    }
    (groups, selectors.into())
}

/// Columns that are no fields, and second columns of a name: engines differ in which they show.
fn foreign_columns(footer: &Footer<'_>) -> Vec<String> {
    let foreign = footer
        .columns
        .iter()
        .filter(|column| column.field.is_none());
    foreign.map(|column| column.name.to_owned()).collect()
}

/// The footer, with text columns to be read as views into their pages: a dictionary with one huge
/// value cannot be multiplied by the rows that name it.
fn metadata(footer: &[u8]) -> Result<ArrowReaderMetadata, SegmentError> {
    // The Arrow schema some engines store beside the Parquet schema could ask for any type.
    let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let found = Arc::new(ParquetMetaDataReader::decode_metadata(footer)?);
    let found = ArrowReaderMetadata::try_new(found, options())?;
    let fields: Vec<ArrowField> = found
        .schema()
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 => field.as_ref().clone().with_data_type(DataType::Utf8View),
            DataType::Binary => field.as_ref().clone().with_data_type(DataType::BinaryView),
            _ => field.as_ref().clone(),
        })
        .collect();
    let options = options().with_schema(Arc::new(Schema::new(fields)));
    Ok(ArrowReaderMetadata::try_new(
        Arc::clone(found.metadata()),
        options,
    )?)
}

pub(super) fn external(error: arrow_schema::ArrowError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

thread_local! {
    /// Whether this thread is inside the Parquet library.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs the Parquet library, which has been seen to panic on damaged files. Such a panic is an error
/// like any other and says nothing by itself.
fn isolated<T>(read: impl FnOnce() -> Result<T, SegmentError>) -> Result<T, SegmentError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !INSIDE.get() {
                usual(info);
            }
        }));
    });
    INSIDE.set(true);
    // A reader that panicked is not used again.
    let result = panic::catch_unwind(AssertUnwindSafe(read));
    INSIDE.set(false);
    result.unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        Err(SegmentError::Panic(reason))
    })
}
