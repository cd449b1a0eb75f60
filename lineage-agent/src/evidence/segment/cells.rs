//! Cells of a batch as values of fields, whatever type an engine made of the columns.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};

use super::super::schema::{FIELDS, Field, FieldType, Record, Value};
use super::read::SegmentError;

/// A column of a batch, as one of the types that can hold a field.
pub(super) enum Cells<'a> {
    Int(&'a arrow_array::Int64Array),
    Seconds(&'a arrow_array::TimestampSecondArray),
    Millis(&'a arrow_array::TimestampMillisecondArray),
    Micros(&'a arrow_array::TimestampMicrosecondArray),
    Nanos(&'a arrow_array::TimestampNanosecondArray),
    Text(&'a arrow_array::StringViewArray),
    Bytes(&'a arrow_array::BinaryViewArray),
}

/// The columns of the batch that hold fields, with the field's position in the registry.
pub(super) fn columns(batch: &RecordBatch) -> Result<Vec<(usize, Cells<'_>)>, SegmentError> {
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

/// A column as the field it is to hold.
pub(super) fn cells<'a>(
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

/// A value as the file has it: a time in the unit of its column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    Int(i64),
    Bytes(&'a [u8]),
}

impl<'a> Cells<'a> {
    /// The value of a row as the file has it, if there is one.
    pub(super) fn raw(&self, row: usize) -> Option<Raw<'a>> {
        fn int(
            array: &impl Array,
            row: usize,
            value: impl Fn(usize) -> i64,
        ) -> Option<Raw<'static>> {
            (!array.is_null(row)).then(|| Raw::Int(value(row)))
        }
        match self {
            Self::Int(array) => int(array, row, |row| array.value(row)),
            Self::Seconds(array) => int(array, row, |row| array.value(row)),
            Self::Millis(array) => int(array, row, |row| array.value(row)),
            Self::Micros(array) => int(array, row, |row| array.value(row)),
            Self::Nanos(array) => int(array, row, |row| array.value(row)),
            Self::Text(array) => {
                (!array.is_null(row)).then(|| Raw::Bytes(array.value(row).as_bytes()))
            }
            Self::Bytes(array) => (!array.is_null(row)).then(|| Raw::Bytes(array.value(row))),
        }
    }

    /// Sets the field of a record to the value of a row, if it has one.
    #[inline]
    pub(super) fn set(
        &self,
        row: usize,
        field: &Field,
        record: &mut Record<'a>,
    ) -> Result<(), SegmentError> {
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
            _ => return Ok(()),
        };
        // What is returned goes through memory, and to read it whole just after it was written in parts stalls the
        // processor for longer than all else here takes.
        record.set(field.id, value);
        Ok(())
    }
}
