//! Bloom filters: a value that is not in one is not looked for in its chunk.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use parquet::bloom_filter::Sbbf;

use super::super::cells::Raw;
use super::super::footer::Range;
use super::super::read::SegmentError;
use super::super::thrift::{Compact, Scan, unknown};

/// Largest filter read: some ten million values.
const FILTER_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a block, the unit a filter is made of.
const BLOCK_BYTES: u64 = 32;

/// The split-block filter of Parquet.
pub(super) struct Bloom(Sbbf);

impl Bloom {
    /// `BloomFilterHeader` of `parquet.thrift`, and the filter behind it.
    pub(super) fn read(file: &File, range: Range) -> Scan<Self> {
        let length = usize::try_from(range.length)
            .ok()
            .filter(|_| range.length <= FILTER_BYTES_MAX)
            .ok_or(SegmentError::Unsupported(
                "a bloom filter that is too large",
            ))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.start)?;
        let mut size = 0;
        let mut reader = Compact::new(&bytes);
        reader.structure(|reader, id, kind| {
            match id {
                1 => size = reader.size32(kind)?,
                // Algorithm, hash and compression: there is one of each.
                2..=4 => reader.inner(kind, |reader, id, kind| match id {
                    1 => reader.empty(kind),
                    _ => unknown(),
                })?,
                _ => unknown()?,
            }
            Ok(())
        })?;
        let filter = bytes.get(reader.position()..).unwrap_or_default();
        if filter.is_empty() || filter.len() as u64 != size || !size.is_multiple_of(BLOCK_BYTES) {
            return Err(SegmentError::Refused("a bloom filter of the wrong length"));
        }
        Ok(Self(Sbbf::new(filter)))
    }

    pub(super) fn has(&self, value: Raw<'_>) -> bool {
        match value {
            Raw::Int(number) => self.0.check(&number),
            Raw::Bytes(bytes) => self.0.check(bytes),
        }
    }
}
