//! The schema: a root and its columns, nothing nested.

use super::super::super::schema::{FIELDS, Field, FieldType};
use super::super::read::SegmentError;
use super::super::thrift::{Compact, Kind, Scan, unknown};

/// Most columns.
pub(super) const COLUMNS_MAX: u64 = 1024;

/// Physical types of Parquet that fields have.
pub(in super::super) const INT64: i64 = 2;
pub(in super::super) const BYTE_ARRAY: i64 = 6;

/// A column of the schema.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Column<'a> {
    pub(in super::super) name: &'a str,
    /// The field it holds; none when the registry does not have it, or has a column for it already.
    pub(in super::super) field: Option<&'static Field>,
    pub(in super::super) physical: i64,
}

/// `SchemaElement` of `parquet.thrift`.
#[derive(Debug, Default)]
struct Element<'a> {
    physical: Option<i64>,
    repetition: Option<i64>,
    name: &'a str,
    children: u64,
    converted: Option<i64>,
    field_id: Option<i64>,
    logical: Option<Logical>,
    is_decimal: bool,
}

/// `LogicalType`, as far as fields have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logical {
    String,
    /// Adjusted to UTC, in the unit of this number.
    Timestamp(bool, i64),
    Integer(i64, bool),
    Other,
}

/// Reads the schema.
pub(super) fn read<'a>(reader: &mut Compact<'a>, kind: Kind) -> Scan<Vec<Column<'a>>> {
    let mut root: Option<Element<'a>> = None;
    let mut columns: Vec<Column<'a>> = Vec::new();
    reader.structures(kind, COLUMNS_MAX + 1, |reader| {
        let element = element(reader)?;
        if root.is_none() {
            root = Some(element);
            return Ok(());
        }
        let field = FIELDS
            .iter()
            .find(|field| field.name == element.name)
            .filter(|_| columns.iter().all(|column| column.name != element.name));
        columns.push(element.column(field)?);
        Ok(())
    })?;
    // Some writers give the root a repetition, to which nobody pays attention.
    let whole = root.is_some_and(|root| {
        root.physical.is_none() && root.logical.is_none() && root.children == columns.len() as u64
    });
    if whole {
        return Ok(columns);
    }
    Err(SegmentError::Refused("its schema is malformed"))
}

impl<'a> Element<'a> {
    fn column(self, field: Option<&'static Field>) -> Scan<Column<'a>> {
        let type_error = || SegmentError::Type {
            column: self.name.to_owned(),
            found: self.described(),
        };
        if self.children > 0 || self.is_decimal || !matches!(self.repetition, Some(0 | 1)) {
            return Err(type_error());
        }
        let physical = self.physical.ok_or_else(type_error)?;
        if let Some(field) = field {
            if !self.holds(field.field_type) {
                return Err(type_error());
            }
            if self.field_id.is_some_and(|id| id != i64::from(field.id)) {
                let what = format!("column {} has the id of another field", self.name);
                return Err(SegmentError::Disagree(what));
            }
        }
        Ok(Column {
            name: self.name,
            field,
            physical,
        })
    }

    /// Whether physical, logical and converted type are, together, ones the format has for a field.
    fn holds(&self, field_type: FieldType) -> bool {
        let is_number = matches!(self.logical, None | Some(Logical::Integer(64, true)))
            && matches!(self.converted, None | Some(18));
        match field_type {
            FieldType::Text => {
                self.physical == Some(BYTE_ARRAY)
                    && matches!(self.logical, None | Some(Logical::String))
                    && matches!(self.converted, None | Some(0))
            }
            FieldType::U64 | FieldType::I64 => self.physical == Some(INT64) && is_number,
            FieldType::Micros => {
                // Converted TIMESTAMP_MILLIS is 9, TIMESTAMP_MICROS 10; the units are 1, 2, 3.
                let is_time = match self.logical {
                    None => matches!(self.converted, Some(9 | 10)),
                    Some(Logical::Timestamp(true, unit)) => {
                        self.converted.is_none_or(|converted| converted == unit + 8)
                    }
                    Some(_) => false,
                };
                self.physical == Some(INT64) && (is_number || is_time)
            }
        }
    }

    /// What it is, for people.
    fn described(&self) -> String {
        if self.children > 0 {
            return "nested".to_owned();
        }
        format!(
            "{:?}, logical {:?}, converted {:?}, repetition {:?}",
            self.physical, self.logical, self.converted, self.repetition
        )
    }
}

fn element<'a>(reader: &mut Compact<'a>) -> Scan<Element<'a>> {
    let mut element = Element::default();
    reader.structure(|reader, id, kind| {
        match id {
            1 => element.physical = Some(reader.int32(kind)?),
            2 => drop(reader.int32(kind)?),
            3 => element.repetition = Some(reader.int32(kind)?),
            4 => element.name = reader.text(kind)?,
            5 => element.children = reader.size32(kind)?,
            6 => element.converted = Some(reader.int32(kind)?),
            7 | 8 => {
                reader.int32(kind)?;
                element.is_decimal = true;
            }
            9 => element.field_id = Some(reader.int32(kind)?),
            10 => element.logical = Some(logical(reader, kind)?),
            _ => unknown()?,
        }
        Ok(())
    })?;
    Ok(element)
}

fn logical(reader: &mut Compact<'_>, kind: Kind) -> Scan<Logical> {
    let mut found = None;
    reader.inner(kind, |reader, id, kind| {
        let logical = match id {
            1 => {
                reader.empty(kind)?;
                Logical::String
            }
            8 => timestamp(reader, kind)?,
            10 => integer(reader, kind)?,
            // Types without parameters; no field has them.
            4 | 6 | 11..=15 => {
                reader.empty(kind)?;
                Logical::Other
            }
            _ => {
                return Err(SegmentError::Unsupported(
                    "a column of a type this version does not know",
                ));
            }
        };
        // A union has one member.
        if found.replace(logical).is_some() {
            return Err(SegmentError::Refused("its schema is malformed"));
        }
        Ok(())
    })?;
    found.ok_or(SegmentError::Refused("its schema is malformed"))
}

fn timestamp(reader: &mut Compact<'_>, kind: Kind) -> Scan<Logical> {
    let (mut adjusted, mut unit) = (false, 0);
    reader.inner(kind, |reader, id, kind| {
        match id {
            1 => adjusted = reader.boolean(kind)?,
            2 => reader.inner(kind, |reader, id, kind| {
                unit = if unit == 0 { id } else { -1 };
                reader.empty(kind)
            })?,
            _ => unknown()?,
        }
        Ok(())
    })?;
    Ok(Logical::Timestamp(
        adjusted && (1..=3).contains(&unit),
        unit,
    ))
}

fn integer(reader: &mut Compact<'_>, kind: Kind) -> Scan<Logical> {
    let (mut bits, mut signed) = (0, false);
    reader.inner(kind, |reader, id, kind| {
        match id {
            1 => bits = reader.int8(kind)?,
            2 => signed = reader.boolean(kind)?,
            _ => unknown()?,
        }
        Ok(())
    })?;
    Ok(Logical::Integer(bits, signed))
}
