//! Tables that are derived from evidence, as Parquet: for queries, and never evidence themselves.
//!
//! The same rows give the same bytes. A table says in its footer what it was made of.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Int64Builder, ListBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

/// Rows that go to the Parquet writer at a time.
const BATCH_ROWS: usize = 4096;

/// Rows in a row group, which the writer holds.
const ROW_GROUP_ROWS: usize = 1 << 18;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
}

/// A column with this name that holds this.
#[must_use]
pub const fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind }
}

/// What a column holds, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Whole numbers of 64 bits with a sign.
    Number,
    /// Microseconds since 1970 UTC.
    Time,
    /// Texts.
    Text,
    /// Lists of texts.
    Texts,
    /// True or false.
    Flag,
}

/// A value.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    /// Of a column of numbers or times.
    Number(i64),
    /// Of a column of texts.
    Text(&'a str),
    /// Of a column of lists.
    Texts(&'a [&'a str]),
    /// Of a column of flags.
    Flag(bool),
}

impl<'a> Cell<'a> {
    /// A number, if there is one that fits.
    #[must_use]
    pub fn number(number: Option<impl TryInto<i64>>) -> Self {
        let number = number.and_then(|number| number.try_into().ok());
        number.map_or(Self::Null, Self::Number)
    }

    /// A text, if there is one.
    #[must_use]
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

/// Writes a table.
pub struct TableWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
    columns: Vec<Builder>,
    rows: usize,
}

enum Builder {
    Number(Int64Builder),
    Time(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Texts(ListBuilder<StringBuilder>),
    Flag(BooleanBuilder),
}

impl<W: Write + Send> TableWriter<W> {
    /// Begins a table with these columns.
    ///
    /// # Errors
    ///
    /// What the writer returns, or the Parquet library in its place.
    pub fn new(out: W, columns: &[Column]) -> io::Result<Self> {
        let fields: Vec<_> = columns.iter().map(field).collect();
        let schema = Arc::new(Schema::new(fields));
        let options = ArrowWriterOptions::new()
            .with_properties(properties(columns))
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(out, Arc::clone(&schema), options);
        let writer = writer.map_err(io_error)?;
        Ok(Self {
            writer,
            schema,
            columns: columns.iter().map(Builder::new).collect(),
            rows: 0,
        })
    }

    /// Adds a row: a cell for each column. A cell that is of another kind than its column is nothing.
    ///
    /// # Errors
    ///
    /// What the writer returns, or the Parquet library in its place.
    pub fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (at, column) in self.columns.iter_mut().enumerate() {
            column.push(cells.get(at).copied().unwrap_or(Cell::Null));
        }
        self.rows += 1;
        if self.rows == BATCH_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends the table, with what it says about itself.
    ///
    /// # Errors
    ///
    /// What the writer returns, or the Parquet library in its place.
    pub fn finish(mut self, about: &[(&str, String)]) -> io::Result<W> {
        self.flush()?;
        for (key, value) in about {
            let entry = KeyValue::new((*key).to_owned(), value.clone());
            self.writer.append_key_value_metadata(entry);
        }
        self.writer.into_inner().map_err(io_error)
    }

    fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(());
        }
        let columns = self.columns.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        self.writer
            .write(&batch.map_err(io::Error::other)?)
            .map_err(io_error)
    }
}

/// What the library says, as what the writer said where it is that.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

impl Builder {
    fn new(column: &Column) -> Self {
        match column.kind {
            ColumnKind::Number => Self::Number(Int64Builder::new()),
            ColumnKind::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            ColumnKind::Text => Self::Text(StringBuilder::new()),
            ColumnKind::Texts => Self::Texts(ListBuilder::new(StringBuilder::new())),
            ColumnKind::Flag => Self::Flag(BooleanBuilder::new()),
        }
    }

    fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Number(column), Cell::Number(number)) => column.append_value(number),
            (Self::Number(column), _) => column.append_null(),
            (Self::Time(column), Cell::Number(time)) => column.append_value(time),
            (Self::Time(column), _) => column.append_null(),
            (Self::Text(column), Cell::Text(text)) => column.append_value(text),
            (Self::Text(column), _) => column.append_null(),
            (Self::Texts(column), Cell::Texts(texts)) => {
                column.append_value(texts.iter().map(|text| Some(*text)));
            }
            (Self::Texts(column), _) => column.append_null(),
            (Self::Flag(column), Cell::Flag(flag)) => column.append_value(flag),
            (Self::Flag(column), _) => column.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Number(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
            Self::Text(column) => Arc::new(column.finish()),
            Self::Texts(column) => Arc::new(column.finish()),
            Self::Flag(column) => Arc::new(column.finish()),
        }
    }
}

fn field(column: &Column) -> Field {
    let data_type = match column.kind {
        ColumnKind::Number => DataType::Int64,
        ColumnKind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Texts => DataType::new_list(DataType::Utf8, true),
        ColumnKind::Flag => DataType::Boolean,
    };
    Field::new(column.name, data_type, true)
}

fn properties(columns: &[Column]) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by("lineage".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for column in columns {
        if matches!(column.kind, ColumnKind::Number | ColumnKind::Time) {
            let path = ColumnPath::from(column.name);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}
