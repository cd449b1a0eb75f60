//! Writing a segment: records into columns, a batch at a time.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::super::schema::{FIELDS, FieldType, Record, Value};
use super::super::tree::Hash;

/// Records collected before they go to the Parquet writer: enough to amortise its work per batch,
/// little enough to stay small.
const BATCH_RECORDS: usize = 1024;

/// Text collected before it does, so that records with arguments as long as they may be do not
/// add up to hundreds of megabytes.
const BATCH_TEXT_BYTES: usize = 4 << 20;

/// Records in a row group: what keeps the writer's memory at some 30 MB.
const ROW_GROUP_RECORDS: usize = 65_536;

/// Records in a page: each column that holds something keeps one, and room to compress it.
const PAGE_RECORDS: usize = 8192;

/// Columns that rise steadily, where dictionaries only waste time.
const RISING: [&str; 6] = [
    "seq",
    "time",
    "time_ns",
    "lineage_seq",
    "cause",
    "lost_first",
];

/// Writes one segment.
pub struct SegmentWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    columns: Vec<Column>,
    rows: usize,
    text_bytes: usize,
}

enum Column {
    Int(Int64Builder, usize),
    Micros(TimestampMicrosecondBuilder, usize),
    Text(StringBuilder, usize),
}

impl<W: Write + Send> SegmentWriter<W> {
    /// Starts a file.
    ///
    /// # Errors
    ///
    /// What the Parquet library returns.
    pub fn new(out: W) -> Result<Self, ParquetError> {
        let options = ArrowWriterOptions::new()
            .with_properties(properties())
            .with_skip_arrow_metadata(true);
        Ok(Self {
            writer: ArrowWriter::try_new_with_options(out, schema(), options)?,
            columns: FIELDS
                .iter()
                .map(|field| Column::new(field.field_type))
                .collect(),
            rows: 0,
            text_bytes: 0,
        })
    }

    /// Appends a record.
    ///
    /// # Errors
    ///
    /// What the Parquet library returns.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), ParquetError> {
        let (columns, row) = (&mut self.columns, self.rows);
        let text_bytes = &mut self.text_bytes;
        record.visit(|id, value| {
            if let Value::Text(text) = value {
                *text_bytes += text.len();
            }
            if let Some(column) = columns.get_mut(index_of(id)) {
                column.push(row, value);
            }
        });
        self.rows += 1;
        if self.rows == BATCH_RECORDS || self.text_bytes >= BATCH_TEXT_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// What the Parquet library returns.
    pub fn finish(mut self, origin: &str, segment: u64, root: &Hash) -> Result<W, ParquetError> {
        if self.rows > 0 {
            self.flush()?;
        }
        for (key, value) in super::footer(origin, segment, root) {
            let entry = KeyValue::new(key.to_owned(), value);
            self.writer.append_key_value_metadata(entry);
        }
        self.writer.into_inner()
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.rows);
        self.text_bytes = 0;
        let columns: Vec<ArrayRef> = self
            .columns
            .iter_mut()
            .map(|column| column.finish(rows))
            .collect();
        let batch = RecordBatch::try_new(schema(), columns)
            .map_err(|error| ParquetError::External(Box::new(error)))?;
        self.writer.write(&batch)
    }
}

impl Column {
    fn new(field_type: FieldType) -> Self {
        match field_type {
            FieldType::U64 | FieldType::I64 => {
                Self::Int(Int64Builder::with_capacity(BATCH_RECORDS), 0)
            }
            FieldType::Micros => {
                let builder = TimestampMicrosecondBuilder::with_capacity(BATCH_RECORDS);
                Self::Micros(builder.with_timezone("UTC"), 0)
            }
            FieldType::Text => Self::Text(StringBuilder::new(), 0),
        }
    }

    /// Sets the value of a row; rows skipped since the last one are null.
    #[inline]
    fn push(&mut self, row: usize, value: Value<'_>) {
        match (self, value) {
            (Self::Int(builder, filled), value @ (Value::U64(_) | Value::I64(_))) => {
                let value = match value {
                    Value::U64(value) => value.cast_signed(),
                    Value::I64(value) => value,
                    Value::Text(_) => return,
                };
                builder.append_nulls(row - *filled);
                builder.append_value(value);
                *filled = row + 1;
            }
            (Self::Micros(builder, filled), Value::I64(value)) => {
                builder.append_nulls(row - *filled);
                builder.append_value(value);
                *filled = row + 1;
            }
            (Self::Text(builder, filled), Value::Text(value)) => {
                builder.append_nulls(row - *filled);
                builder.append_value(value);
                *filled = row + 1;
            }
            // The registry gives record and column the same type.
            _ => {}
        }
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            Self::Int(builder, filled) => {
                builder.append_nulls(rows - std::mem::take(filled));
                Arc::new(builder.finish())
            }
            Self::Micros(builder, filled) => {
                builder.append_nulls(rows - std::mem::take(filled));
                Arc::new(builder.finish())
            }
            Self::Text(builder, filled) => {
                builder.append_nulls(rows - std::mem::take(filled));
                Arc::new(builder.finish())
            }
        }
    }
}

/// Position of a field's column; out of range when there is no such field.
#[inline]
fn index_of(id: u16) -> usize {
    static INDEX: LazyLock<Vec<usize>> = LazyLock::new(|| {
        let last = FIELDS.last().map_or(0, |field| usize::from(field.id));
        let mut index = vec![usize::MAX; last + 1];
        for (position, field) in FIELDS.iter().enumerate() {
            index[usize::from(field.id)] = position;
        }
        index
    });
    INDEX.get(usize::from(id)).copied().unwrap_or(usize::MAX)
}

fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let fields: Vec<Field> = FIELDS
            .iter()
            .map(|field| {
                let data_type = match field.field_type {
                    FieldType::U64 | FieldType::I64 => DataType::Int64,
                    FieldType::Micros => {
                        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
                    }
                    FieldType::Text => DataType::Utf8,
                };
                let id = (PARQUET_FIELD_ID_META_KEY.to_owned(), field.id.to_string());
                Field::new(field.name, data_type, true).with_metadata(HashMap::from([id]))
            })
            .collect();
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}

fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        // Fixed, so that the same records give the same file whoever built the recorder.
        .set_created_by("lineage".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_RECORDS))
        .set_data_page_row_count_limit(PAGE_RECORDS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        }]));
    for field in FIELDS {
        let column = || ColumnPath::from(field.name);
        // The encoding is the one used without dictionary, or once that is too large.
        properties = match field.field_type {
            FieldType::Text => {
                properties.set_column_encoding(column(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            }
            _ => properties.set_column_encoding(column(), Encoding::DELTA_BINARY_PACKED),
        };
        if RISING.contains(&field.name) {
            properties = properties.set_column_dictionary_enabled(column(), false);
        }
    }
    properties.build()
}
