//! Reading a segment: rows back into records, from a file nobody vouches for.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field as ArrowField, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use super::super::schema::{FIELDS, FieldType, Record, Value};
use super::RECORDS_MAX;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 4096;

/// What a file claims about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub rows: u64,
    /// Columns the registry does not have.
    pub foreign_columns: Vec<String>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The Parquet library refused.
    #[error("not readable as Parquet: {0}")]
    Parquet(#[from] ParquetError),
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
        isolated(|| {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
                file.try_clone().map_err(ParquetError::from)?,
                metadata(file)?,
            );
            let rows = builder.metadata().file_metadata().num_rows();
            let rows = u64::try_from(rows).unwrap_or(u64::MAX);
            if rows > RECORDS_MAX {
                return Err(SegmentError::TooMany(rows));
            }
            let foreign_columns = builder
                .schema()
                .fields()
                .iter()
                .filter(|column| !FIELDS.iter().any(|field| field.name == column.name()))
                .map(|column| column.name().clone())
                .collect();
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
                for (column, reader) in &columns {
                    let field = &FIELDS[*column];
                    if let Some(value) = reader.value(row, field)? {
                        record.set(field.id, value);
                    }
                }
                if let std::ops::ControlFlow::Break(value) = visit(&record) {
                    return Ok(Some(value));
                }
            }
        }
    }
}

/// The footer, with text columns to be read as views into their pages: a dictionary with one huge
/// value cannot be multiplied by the rows that name it.
fn metadata(file: &File) -> Result<ArrowReaderMetadata, SegmentError> {
    // The Arrow schema some engines store beside the Parquet schema could ask for any type.
    let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let found = ArrowReaderMetadata::load(file, options())?;
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

fn external(error: arrow_schema::ArrowError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Runs the Parquet library, which has been seen to panic on damaged files.
fn isolated<T>(read: impl FnOnce() -> Result<T, SegmentError>) -> Result<T, SegmentError> {
    // A reader that panicked is not used again.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        Err(SegmentError::Panic(reason))
    })
}

/// A column of a batch, as one of the types that can hold a field.
enum Cells<'a> {
    Int(&'a arrow_array::Int64Array),
    /// With what turns the stored number into microseconds.
    Seconds(&'a arrow_array::TimestampSecondArray),
    Millis(&'a arrow_array::TimestampMillisecondArray),
    Micros(&'a arrow_array::TimestampMicrosecondArray),
    Nanos(&'a arrow_array::TimestampNanosecondArray),
    Text(&'a arrow_array::StringViewArray),
    Bytes(&'a arrow_array::BinaryViewArray),
}

/// The columns of the batch that hold fields, with the field's position in the registry.
fn columns(batch: &RecordBatch) -> Result<Vec<(usize, Cells<'_>)>, SegmentError> {
    let mut columns = Vec::with_capacity(FIELDS.len());
    for (position, field) in FIELDS.iter().enumerate() {
        if let Some(array) = batch.column_by_name(field.name)
            && array.null_count() < array.len()
        {
            columns.push((position, cells(array, field.name, field.field_type)?));
        }
    }
    Ok(columns)
}

fn cells<'a>(
    array: &'a ArrayRef,
    name: &str,
    field_type: FieldType,
) -> Result<Cells<'a>, SegmentError> {
    match (array.data_type(), field_type) {
        (DataType::Int64, _) if field_type != FieldType::Text => {
            Ok(Cells::Int(array.as_primitive::<Int64Type>()))
        }
        (DataType::Timestamp(unit, _), FieldType::Micros) => Ok(match unit {
            TimeUnit::Second => Cells::Seconds(array.as_primitive::<TimestampSecondType>()),
            TimeUnit::Millisecond => {
                Cells::Millis(array.as_primitive::<TimestampMillisecondType>())
            }
            TimeUnit::Microsecond => {
                Cells::Micros(array.as_primitive::<TimestampMicrosecondType>())
            }
            TimeUnit::Nanosecond => Cells::Nanos(array.as_primitive::<TimestampNanosecondType>()),
        }),
        (DataType::Utf8View, FieldType::Text) => Ok(Cells::Text(array.as_string_view())),
        (DataType::BinaryView, FieldType::Text) => Ok(Cells::Bytes(array.as_binary_view())),
        (found, _) => Err(SegmentError::Type {
            column: name.to_owned(),
            found: found.to_string(),
        }),
    }
}

impl<'a> Cells<'a> {
    #[inline]
    fn value(
        &self,
        row: usize,
        field: &super::super::schema::Field,
    ) -> Result<Option<Value<'a>>, SegmentError> {
        let micros = || SegmentError::Value {
            column: field.name,
            expected: "a whole number of microseconds",
        };
        let number = |value: i64| match field.field_type {
            FieldType::U64 => Value::U64(value.cast_unsigned()),
            _ => Value::I64(value),
        };
        let value = match self {
            Self::Int(array) if !array.is_null(row) => number(array.value(row)),
            Self::Micros(array) if !array.is_null(row) => number(array.value(row)),
            Self::Millis(array) if !array.is_null(row) => {
                number(array.value(row).checked_mul(1000).ok_or_else(micros)?)
            }
            Self::Seconds(array) if !array.is_null(row) => {
                number(array.value(row).checked_mul(1_000_000).ok_or_else(micros)?)
            }
            Self::Nanos(array) if !array.is_null(row) => {
                let value = array.value(row);
                if value % 1000 != 0 {
                    return Err(micros());
                }
                number(value / 1000)
            }
            Self::Text(array) if !array.is_null(row) => Value::Text(array.value(row)),
            Self::Bytes(array) if !array.is_null(row) => {
                let text = std::str::from_utf8(array.value(row));
                Value::Text(text.map_err(|_| SegmentError::Value {
                    column: field.name,
                    expected: "UTF-8",
                })?)
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }
}
