//! A look at a Parquet file before the library gets it: what would make it use memory without
//! bound is refused.
//!
//! The library believes the sizes in page headers. They are read here first, with just enough of
//! Thrift's compact protocol to find them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;

use super::read::SegmentError;

/// Largest footer: some ten thousand row groups of all our columns.
const FOOTER_BYTES_MAX: u64 = 256 << 20;

/// What the pages being read at one time may hold uncompressed, over all columns.
const PAGES_BYTES_MAX: u64 = 512 << 20;

/// Bytes of a page header that are looked at; statistics can make it long.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// An encoding in which a few bytes stand for as many long values as they like.
const DELTA_BYTE_ARRAY: i64 = 7;

/// What a file begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";

/// Checks both ends of the file, where readers differ in what they tolerate, and the length of the
/// footer, which is loaded whole.
pub(super) fn check_footer(file: &File) -> Result<(), SegmentError> {
    let bytes = file.metadata()?.len();
    let (mut head, mut tail) = ([0; 4], [0; 8]);
    let Some(at) = bytes.checked_sub(8) else {
        return Err(SegmentError::Refused("too short to be Parquet"));
    };
    file.read_exact_at(&mut head, 0)?;
    file.read_exact_at(&mut tail, at)?;
    if head != *MAGIC || !tail.ends_with(MAGIC) {
        return Err(SegmentError::Refused(
            "it does not begin and end as Parquet",
        ));
    }
    let length = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
    if u64::from(length) > FOOTER_BYTES_MAX.min(bytes) {
        return Err(SegmentError::Refused("its footer is too large"));
    }
    Ok(())
}

/// Checks compression and page sizes of all columns.
pub(super) fn check_pages(file: &File, metadata: &ParquetMetaData) -> Result<(), SegmentError> {
    let file_bytes = file.metadata()?.len();
    for group in metadata.row_groups() {
        let mut pages = 0u64;
        for column in group.columns() {
            if !matches!(
                column.compression(),
                Compression::UNCOMPRESSED
                    | Compression::SNAPPY
                    | Compression::ZSTD(_)
                    | Compression::LZ4_RAW
            ) {
                return Err(SegmentError::Unsupported(
                    "a compression that is not read here",
                ));
            }
            let start = column
                .dictionary_page_offset()
                .unwrap_or_else(|| column.data_page_offset());
            let range = u64::try_from(start)
                .ok()
                .zip(u64::try_from(column.compressed_size()).ok())
                .and_then(|(start, length)| Some((start, start.checked_add(length)?)))
                .filter(|(_, end)| *end <= file_bytes)
                .ok_or(SegmentError::Refused("a column is outside the file"))?;
            pages = pages.saturating_add(largest_pages(file, range)?);
        }
        if pages > PAGES_BYTES_MAX {
            return Err(SegmentError::Refused("its pages are too large"));
        }
    }
    Ok(())
}

/// Uncompressed bytes of a chunk's dictionary and its largest data page.
fn largest_pages(file: &File, (start, end): (u64, u64)) -> Result<u64, SegmentError> {
    let (mut at, mut dictionary, mut largest) = (start, 0, 0);
    let mut buffer = vec![0; HEADER_BYTES_MAX];
    while at < end {
        let len =
            usize::try_from(end - at).map_or(HEADER_BYTES_MAX, |rest| rest.min(HEADER_BYTES_MAX));
        file.read_exact_at(&mut buffer[..len], at)?;
        let header = PageHeader::parse(&buffer[..len])
            .ok_or(SegmentError::Refused("a page header is malformed"))?;
        if header.encoding == Some(DELTA_BYTE_ARRAY) {
            return Err(SegmentError::Unsupported(
                "an encoding that is not read here",
            ));
        }
        if header.is_dictionary {
            dictionary = header.uncompressed;
        } else {
            largest = header.uncompressed.max(largest);
        }
        at = at
            .saturating_add(header.length)
            .saturating_add(header.compressed);
    }
    Ok(dictionary + largest)
}

/// What matters of a page header.
#[derive(Debug, Default, PartialEq, Eq)]
struct PageHeader {
    is_dictionary: bool,
    uncompressed: u64,
    compressed: u64,
    encoding: Option<i64>,
    /// Bytes of the header itself.
    length: u64,
}

impl PageHeader {
    /// `PageHeader` of `parquet.thrift`: 1 type, 2 uncompressed size, 3 compressed size, 5 data
    /// page, 7 dictionary page, 8 data page v2.
    fn parse(bytes: &[u8]) -> Option<Self> {
        const DICTIONARY_PAGE: i64 = 2;
        let mut reader = Compact(bytes);
        let mut header = Self::default();
        let mut id = 0;
        while let Some(field_type) = reader.field(&mut id)? {
            match (id, field_type) {
                (1, I32) => header.is_dictionary = reader.integer()? == DICTIONARY_PAGE,
                (2, I32) => header.uncompressed = u64::try_from(reader.integer()?).ok()?,
                (3, I32) => header.compressed = u64::try_from(reader.integer()?).ok()?,
                (5 | 7, STRUCT) => header.encoding = reader.encoding(2)?,
                (8, STRUCT) => header.encoding = reader.encoding(4)?,
                _ => reader.skip(field_type, 0)?,
            }
        }
        header.length = (bytes.len() - reader.0.len()) as u64;
        Some(header)
    }
}

const I32: u8 = 5;
const STRUCT: u8 = 12;

/// Deepest nesting skipped.
const DEPTH_MAX: u32 = 8;

/// Thrift's compact protocol.
struct Compact<'a>(&'a [u8]);

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn take(&mut self, bytes: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    /// The next field's type, with its id in `id`; `Some(None)` at the end of the structure.
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *id = match byte >> 4 {
            0 => self.integer()?,
            delta => id.checked_add(i64::from(delta))?,
        };
        Some(Some(byte & 0x0f))
    }

    /// The value of field `wanted` of a structure.
    fn encoding(&mut self, wanted: i64) -> Option<Option<i64>> {
        let (mut id, mut found) = (0, None);
        while let Some(field_type) = self.field(&mut id)? {
            if (id, field_type) == (wanted, I32) {
                found = Some(self.integer()?);
            } else {
                self.skip(field_type, 1)?;
            }
        }
        Some(found)
    }

    fn skip(&mut self, field_type: u8, depth: u32) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match field_type {
            1 | 2 => Some(()),
            3 => self.take(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.take(8),
            8 => {
                let length = self.varint()?;
                self.take(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => u64::from(count),
                };
                (0..count).try_for_each(|_| match head & 0x0f {
                    // In a list a truth value takes a byte.
                    1 | 2 => self.take(1),
                    element => self.skip(element, depth + 1),
                })
            }
            STRUCT => {
                let mut id = 0;
                while let Some(field_type) = self.field(&mut id)? {
                    self.skip(field_type, depth + 1)?;
                }
                Some(())
            }
            // Page headers have no maps.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_sizes_and_encoding() {
        // type 0, uncompressed 100, compressed 60, data page {values 5, encoding 8, …}.
        let bytes = [
            0x15, 0, 0x15, 200, 1, 0x15, 120, 0x2c, 0x15, 10, 0x15, 16, 0x15, 6, 0x15, 6, 0, 0,
        ];
        let header = PageHeader::parse(&bytes).unwrap();
        assert_eq!(
            header,
            PageHeader {
                is_dictionary: false,
                uncompressed: 100,
                compressed: 60,
                encoding: Some(8),
                length: bytes.len() as u64,
            }
        );
    }

    proptest! {
        #[test]
        fn foreign_bytes_do_no_harm(bytes: Vec<u8>) {
            let _ = PageHeader::parse(&bytes);
        }
    }
}
