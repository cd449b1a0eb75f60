//! Thrift's compact protocol, as far as Parquet uses it, read more strictly than any engine does.
//!
//! Engines differ in what they make of a field that is there twice, of a number that is too long, or
//! of bytes that are left over. Here all of that is refused, so that what is read is what they read.

use super::read::SegmentError;

/// Something read, or why the file is refused.
pub(super) type Scan<T> = Result<T, SegmentError>;

const MALFORMED: SegmentError = SegmentError::Refused("its Thrift structures are malformed");

/// The type of a field or element, as the protocol numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

const TRUE: Kind = Kind(1);
const FALSE: Kind = Kind(2);
const I8: Kind = Kind(3);
const I16: Kind = Kind(4);
const I32: Kind = Kind(5);
const I64: Kind = Kind(6);
const BINARY: Kind = Kind(8);
const LIST: Kind = Kind(9);
const STRUCT: Kind = Kind(12);

/// A field that this version does not know: what it does to a reader that does cannot be told.
pub(super) fn unknown<T>() -> Scan<T> {
    Err(SegmentError::Unsupported(
        "it has fields this version does not know",
    ))
}

/// Bytes that are being read.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    rest: &'a [u8],
    whole: usize,
}

impl<'a> Compact<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            whole: bytes.len(),
        }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.whole - self.rest.len()
    }

    /// Calls `field` with every field of a structure; it has to read the value. Ids must ascend, as
    /// they do in what every writer writes.
    pub(super) fn structure(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, Kind) -> Scan<()>,
    ) -> Scan<()> {
        let mut id = 0;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Ok(());
            }
            let next = match byte >> 4 {
                0 => self.zigzag()?,
                delta => id + i64::from(delta),
            };
            if next <= id || next > i64::from(i16::MAX) {
                return Err(MALFORMED);
            }
            id = next;
            field(self, id, Kind(byte & 0x0f))?;
        }
    }

    /// A structure in a field.
    pub(super) fn inner(
        &mut self,
        kind: Kind,
        field: impl FnMut(&mut Self, i64, Kind) -> Scan<()>,
    ) -> Scan<()> {
        need(kind, STRUCT)?;
        self.structure(field)
    }

    /// A structure without fields, which Thrift's unions of words are made of.
    pub(super) fn empty(&mut self, kind: Kind) -> Scan<()> {
        self.inner(kind, |_, _, _| unknown())
    }

    /// Calls `element` for every element of a list; it has to read it.
    pub(super) fn list(
        &mut self,
        kind: Kind,
        count_max: u64,
        mut element: impl FnMut(&mut Self, Kind) -> Scan<()>,
    ) -> Scan<()> {
        need(kind, LIST)?;
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        if count > count_max {
            return Err(SegmentError::Unsupported("it has more parts than are read"));
        }
        (0..count).try_for_each(|_| element(self, Kind(head & 0x0f)))
    }

    /// A list of structures, each read by `element`.
    pub(super) fn structures(
        &mut self,
        kind: Kind,
        count_max: u64,
        mut element: impl FnMut(&mut Self) -> Scan<()>,
    ) -> Scan<()> {
        self.list(kind, count_max, |reader, kind| {
            need(kind, STRUCT)?;
            element(reader)
        })
    }

    pub(super) fn boolean(&mut self, kind: Kind) -> Scan<bool> {
        match kind {
            TRUE => Ok(true),
            FALSE => Ok(false),
            _ => Err(MALFORMED),
        }
    }

    /// A truth value in a list, where it takes a byte.
    pub(super) fn listed_boolean(&mut self, kind: Kind) -> Scan<bool> {
        match (kind, self.byte()?) {
            (TRUE | FALSE, 1) => Ok(true),
            (TRUE | FALSE, 0 | 2) => Ok(false),
            _ => Err(MALFORMED),
        }
    }

    pub(super) fn int8(&mut self, kind: Kind) -> Scan<i64> {
        need(kind, I8)?;
        Ok(i64::from(self.byte()?.cast_signed()))
    }

    pub(super) fn int16(&mut self, kind: Kind) -> Scan<i64> {
        need(kind, I16)?;
        self.within(i64::from(i16::MAX))
    }

    pub(super) fn int32(&mut self, kind: Kind) -> Scan<i64> {
        need(kind, I32)?;
        self.within(i64::from(i32::MAX))
    }

    pub(super) fn int64(&mut self, kind: Kind) -> Scan<i64> {
        need(kind, I64)?;
        self.zigzag()
    }

    /// A size or count: 32 bits, not negative.
    pub(super) fn size32(&mut self, kind: Kind) -> Scan<u64> {
        u64::try_from(self.int32(kind)?).map_err(|_| MALFORMED)
    }

    /// A size, count or offset: 64 bits, not negative.
    pub(super) fn size64(&mut self, kind: Kind) -> Scan<u64> {
        u64::try_from(self.int64(kind)?).map_err(|_| MALFORMED)
    }

    /// Counts in a list.
    pub(super) fn sizes(&mut self, kind: Kind, count_max: u64) -> Scan<Vec<u64>> {
        let mut sizes = Vec::new();
        self.list(kind, count_max, |reader, kind| {
            sizes.push(reader.size64(kind)?);
            Ok(())
        })?;
        Ok(sizes)
    }

    pub(super) fn bytes(&mut self, kind: Kind) -> Scan<&'a [u8]> {
        need(kind, BINARY)?;
        let length = usize::try_from(self.varint()?).map_err(|_| MALFORMED)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self, kind: Kind) -> Scan<&'a str> {
        std::str::from_utf8(self.bytes(kind)?).map_err(|_| MALFORMED)
    }

    fn byte(&mut self) -> Scan<u8> {
        let (first, rest) = self.rest.split_first().ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(*first)
    }

    /// A number in its one shortest form.
    fn varint(&mut self) -> Scan<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part || (byte == 0 && shift > 0) {
                return Err(MALFORMED);
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(MALFORMED)
    }

    fn zigzag(&mut self) -> Scan<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn within(&mut self, max: i64) -> Scan<i64> {
        let value = self.zigzag()?;
        if (-max - 1..=max).contains(&value) {
            return Ok(value);
        }
        Err(MALFORMED)
    }
}

fn need(found: Kind, expected: Kind) -> Scan<()> {
    if found == expected {
        return Ok(());
    }
    Err(MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8]) -> Option<i64> {
        let mut found = None;
        let mut reader = Compact::new(bytes);
        let read = reader.structure(|reader, id, kind| {
            assert_eq!(id, 1);
            found = Some(reader.int32(kind)?);
            Ok(())
        });
        read.ok().and(found)
    }

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(number(&[0x15, 0xc8, 0x01, 0]), Some(100));
        assert_eq!(number(&[0x15, 0xc8, 0x81, 0x00, 0]), None, "too long");
        assert_eq!(
            number(&[0x15, 0xff, 0xff, 0xff, 0xff, 0x1f, 0]),
            None,
            "33 bits"
        );
        assert_eq!(number(&[0x16, 2, 0]), None, "another type");
    }

    #[test]
    fn a_field_is_there_once() {
        // The second field repeats id 1 in the long form.
        assert_eq!(number(&[0x15, 2, 0x05, 2, 4, 0]), None);
        assert_eq!(number(&[0x15, 2]), None, "cut");
    }
}
