//! The Arrow schema that engines built on Arrow store beside the Parquet schema, and by which they
//! show columns as other types. It must not make of a column what the format does not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::super::schema::FieldType;
use super::super::footer::Column;
use super::super::read::SegmentError;
use super::super::thrift::Scan;

const MALFORMED: SegmentError = SegmentError::Unsupported("its Arrow schema is malformed");

/// Types of Arrow, as its format numbers them.
const INT: u8 = 2;
const TIMESTAMP: u8 = 10;
/// Binary and Utf8, then large and as views.
const TEXTS: [u8; 6] = [4, 5, 19, 20, 23, 24];

/// Checks that every column is shown as what it is.
pub(super) fn check(base64: &[u8], columns: &[Column<'_>]) -> Scan<()> {
    let message = STANDARD.decode(base64).map_err(|_| MALFORMED)?;
    // A mark, the length, then the message; without the mark in files of old.
    let bytes = match message.split_first_chunk::<4>().ok_or(MALFORMED)? {
        ([0xff, 0xff, 0xff, 0xff], rest) => rest.get(4..).ok_or(MALFORMED)?,
        (_, rest) => rest,
    };
    schema(bytes, columns).ok_or(MALFORMED)?
}

/// Walks message, schema and fields; `None` when it is malformed.
fn schema(bytes: &[u8], columns: &[Column<'_>]) -> Option<Scan<()>> {
    let message = Table::root(bytes)?;
    let schema = message.table(2)?;
    let is_little_endian = schema.number::<2>(0)? == 0;
    let fields = schema.list(1)?;
    if !is_little_endian || message.number::<1>(1)? != 1 || fields.len() != columns.len() {
        return None;
    }
    for (at, column) in columns.iter().enumerate() {
        let field = fields.table(at)?;
        let kind = u8::try_from(field.number::<1>(2)?).ok()?;
        let is_shown = match column.field.map(|field| field.field_type) {
            None => true,
            Some(FieldType::Text) => TEXTS.contains(&kind),
            Some(FieldType::U64 | FieldType::I64) => is_int64(&field, kind)?,
            Some(FieldType::Micros) => kind == TIMESTAMP || is_int64(&field, kind)?,
        };
        let has_children = field.list(5).is_some_and(|children| children.len() > 0);
        if field.text(0)? != column.name.as_bytes() || !is_shown || has_children {
            let what = format!(
                "column {}: its Arrow schema makes something else of it",
                column.name
            );
            return Some(Err(SegmentError::Disagree(what)));
        }
        if has_extension(&field)? {
            return Some(Err(SegmentError::Unsupported(
                "its Arrow schema has types of its own",
            )));
        }
    }
    Some(Ok(()))
}

fn is_int64(field: &Table<'_>, kind: u8) -> Option<bool> {
    if kind != INT {
        return Some(false);
    }
    let int = field.table(3)?;
    Some((int.number::<4>(0)?, int.number::<1>(1)?) == (64, 1))
}

/// Whether its metadata names an extension type.
fn has_extension(field: &Table<'_>) -> Option<bool> {
    let Some(pairs) = field.list(6) else {
        return Some(false);
    };
    for at in 0..pairs.len() {
        if pairs.table(at)?.text(0)?.starts_with(b"ARROW:extension") {
            return Some(true);
        }
    }
    Some(false)
}

/// A table of a flat buffer.
#[derive(Clone, Copy)]
struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

fn unsigned<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    let (found, _) = bytes.get(at..)?.split_first_chunk::<N>()?;
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(found);
    usize::try_from(u64::from_le_bytes(wide)).ok()
}

impl<'a> Table<'a> {
    fn root(bytes: &'a [u8]) -> Option<Self> {
        let at = unsigned::<4>(bytes, 0)?;
        Some(Self { bytes, at })
    }

    /// Where a field's value is; `None` when it has its default.
    fn field(&self, index: usize) -> Option<usize> {
        let back = unsigned::<4>(self.bytes, self.at)?;
        // The table of offsets lies before or behind, by a signed number of bytes.
        let back = i64::from(u32::try_from(back).ok()?.cast_signed());
        let offsets = usize::try_from(i64::try_from(self.at).ok()? - back).ok()?;
        let at = 4 + 2 * index;
        if at + 2 > unsigned::<2>(self.bytes, offsets)? {
            return None;
        }
        let offset = unsigned::<2>(self.bytes, offsets.checked_add(at)?)?;
        (offset > 0).then(|| self.at.checked_add(offset))?
    }

    /// A number; 0 when it has its default.
    fn number<const N: usize>(&self, index: usize) -> Option<usize> {
        match self.field(index) {
            Some(at) => unsigned::<N>(self.bytes, at),
            None => Some(0),
        }
    }

    fn follow(&self, index: usize) -> Option<usize> {
        let at = self.field(index)?;
        at.checked_add(unsigned::<4>(self.bytes, at)?)
    }

    fn table(&self, index: usize) -> Option<Self> {
        let at = self.follow(index)?;
        Some(Self { at, ..*self })
    }

    fn text(&self, index: usize) -> Option<&'a [u8]> {
        let at = self.follow(index)?;
        let length = unsigned::<4>(self.bytes, at)?;
        self.bytes.get(at + 4..)?.get(..length)
    }

    fn list(&self, index: usize) -> Option<Tables<'a>> {
        let at = self.follow(index)?;
        Some(Tables {
            bytes: self.bytes,
            at: at.checked_add(4)?,
            len: unsigned::<4>(self.bytes, at)?,
        })
    }
}

/// A list of tables.
struct Tables<'a> {
    bytes: &'a [u8],
    at: usize,
    len: usize,
}

impl<'a> Tables<'a> {
    fn len(&self) -> usize {
        self.len
    }

    fn table(&self, index: usize) -> Option<Table<'a>> {
        let at = self.at.checked_add(index.checked_mul(4)?)?;
        Some(Table {
            bytes: self.bytes,
            at: at.checked_add(unsigned::<4>(self.bytes, at)?)?,
        })
    }
}
