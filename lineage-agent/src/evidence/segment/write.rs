//! Writing a segment: records into columns, a page at a time.
//!
//! The library writes the file; what is in the pages is put together here. A record says mostly what the one before
//! it said, and a column of it is then one run that gets longer: no copy, no hash, no row of its own.

mod bounds;
mod chunk;
mod column;
mod dictionary;
mod encode;

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use self::chunk::Packer;
use self::column::Column;
use super::super::record::{self, RecordError};
use super::super::schema::{FIELDS, Field, FieldType};
use super::super::tree::Hash;

/// Records in a row group.
const ROW_GROUP_RECORDS: u32 = 65_536;

/// Bytes that are held, over all columns, from which on a row group has fewer records: what keeps the memory of the
/// writer bounded when every record says much that no other says.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// Records in a page.
const PAGE_RECORDS: u32 = 8192;

/// Bytes of the records of a page, likewise.
const PAGE_BYTES: usize = 16 << 20;

/// Writes one segment.
pub struct SegmentWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Column>,
    packer: Packer,
    /// Rows of the page.
    rows: u32,
    /// Bytes of their records.
    bytes: usize,
    /// Rows in pages of the row group.
    group_rows: u32,
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It is not the canonical encoding of one.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What the Parquet library says, or the file.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

impl<W: Write + Send> SegmentWriter<W> {
    /// Starts a file.
    ///
    /// # Errors
    ///
    /// What the Parquet library returns.
    pub fn new(out: W) -> Result<Self, ParquetError> {
        let file = SerializedFileWriter::new(out, schema()?, properties())?;
        let descriptors = file.schema_descr().columns();
        let columns = FIELDS
            .iter()
            .zip(descriptors)
            .map(|(field, descriptor)| Column::new(field, descriptor.clone()))
            .collect();
        Ok(Self {
            file,
            columns,
            packer: Packer::new()?,
            rows: 0,
            bytes: 0,
            group_rows: 0,
        })
    }

    /// Appends the record with these canonical bytes. That its texts are UTF-8 is not looked at: whoever has the bytes
    /// knows by their hash that they are what was encoded.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; the file cannot be gone on with then.
    pub fn push(&mut self, encoded: &[u8]) -> Result<(), WriteError> {
        let (columns, row) = (&mut self.columns, self.rows);
        record::each_field(encoded, |id, value| {
            let column = columns.get_mut(index_of(id));
            column
                .and_then(|column| column.push(row, value))
                .ok_or(RecordError::Malformed(record::UNKNOWN_FIELD))
        })?;
        self.rows += 1;
        self.bytes += encoded.len();
        if self.rows == PAGE_RECORDS || self.bytes >= PAGE_BYTES {
            self.end_page()?;
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// What the Parquet library returns.
    pub fn finish(mut self, origin: &str, segment: u64, root: &Hash) -> Result<W, ParquetError> {
        self.end_page()?;
        self.end_group()?;
        for (key, value) in super::footer(origin, segment, root) {
            let entry = KeyValue::new(key.to_owned(), value);
            self.file.append_key_value_metadata(entry);
        }
        self.file.into_inner()
    }

    fn end_page(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(());
        }
        self.bytes = 0;
        let mut held = 0;
        for column in &mut self.columns {
            column.end_page(rows, &mut self.packer)?;
            held += column.held();
        }
        self.group_rows += rows;
        // One more page may be as full as this one.
        if self.group_rows + PAGE_RECORDS > ROW_GROUP_RECORDS || held >= ROW_GROUP_BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        if std::mem::take(&mut self.group_rows) == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let (bytes, close) = column.end_chunk(&mut self.packer)?;
            group.append_column(&Bytes::from(bytes), close)?;
        }
        group.close()?;
        Ok(())
    }
}

/// Position of a field's column; out of range when there is no such field.
#[inline]
fn index_of(id: u16) -> usize {
    const LAST: usize = FIELDS[FIELDS.len() - 1].id as usize;
    static INDEX: [usize; LAST + 1] = {
        let mut index = [usize::MAX; LAST + 1];
        let mut position = 0;
        while position < FIELDS.len() {
            index[FIELDS[position].id as usize] = position;
            position += 1;
        }
        index
    };
    INDEX.get(usize::from(id)).copied().unwrap_or(usize::MAX)
}

/// The columns, as `docs/evidence-format.md` has them.
fn schema() -> Result<TypePtr, ParquetError> {
    let columns = FIELDS.iter().map(|field| column(field).map(Arc::new));
    let schema = Type::group_type_builder("arrow_schema")
        .with_fields(columns.collect::<Result<_, _>>()?)
        .build()?;
    Ok(Arc::new(schema))
}

fn column(field: &Field) -> Result<Type, ParquetError> {
    let (physical, logical) = match field.field_type {
        FieldType::U64 | FieldType::I64 => (Physical::INT64, None),
        FieldType::Micros => (
            Physical::INT64,
            Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
        ),
        FieldType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    Type::primitive_type_builder(field.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .with_id(Some(i32::from(field.id)))
        .build()
}

fn properties() -> WriterPropertiesPtr {
    let properties = WriterProperties::builder()
        // Fixed, so that the same records give the same file whoever built the recorder.
        .set_created_by("lineage".to_owned())
        .set_offset_index_disabled(true)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        }]));
    Arc::new(properties.build())
}
