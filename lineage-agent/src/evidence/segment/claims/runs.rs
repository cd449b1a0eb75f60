//! Whether runs hold what they should: of definition levels, and of places in a dictionary.
//!
//! Both are written in runs of two kinds, "RLE/bit-packing hybrid" of
//! [Encodings.md](https://github.com/apache/parquet-format/blob/master/Encodings.md). Where a level is above the highest
//! one, or a run goes beyond the values of its page, some programs give up, some take a value for a null, and some do not
//! notice: they would not all see the same records.

use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader as _};
use parquet::file::serialized_reader::SerializedPageReader;

use super::super::read::SegmentError;
use super::super::thrift::Scan;
use super::{Place, disagree};

/// Checks the pages of a chunk, unpacked.
pub(super) fn check(place: &Place<'_>) -> Scan<()> {
    let group = place.metadata.metadata().row_group(place.group);
    let chunk = group.column(place.column);
    let file = Arc::new(place.file.try_clone()?);
    let rows = usize::try_from(group.num_rows()).unwrap_or(0);
    let mut pages = SerializedPageReader::new(file, chunk, rows, None)?;
    let optional = match chunk.column_descr().max_def_level() {
        0 => false,
        1 => true,
        _ => return Err(SegmentError::Unsupported("values within values")),
    };
    let mut dictionary = 0;
    while let Some(page) = pages.get_next_page()? {
        let (levels, values) = match &page {
            Page::DictionaryPage { num_values, .. } => {
                dictionary = *num_values;
                continue;
            }
            Page::DataPage { buf, .. } if !optional => (&[][..], &buf[..]),
            Page::DataPage { buf, .. } => prefixed(buf).ok_or_else(malformed)?,
            Page::DataPageV2 {
                buf,
                def_levels_byte_len,
                ..
            } => buf
                .split_at_checked(*def_levels_byte_len as usize)
                .ok_or_else(malformed)?,
        };
        let all = page.num_values();
        let present = if optional {
            ones(levels, all).ok_or_else(malformed)?
        } else {
            all
        };
        let by_dictionary = [Encoding::RLE_DICTIONARY, Encoding::PLAIN_DICTIONARY];
        if by_dictionary.contains(&page.encoding()) && !fits(values, present, dictionary) {
            return disagree("places in its dictionary are not written as they should be");
        }
    }
    Ok(())
}

fn malformed() -> SegmentError {
    SegmentError::Disagree("which values are null is not written as it should be".to_owned())
}

/// Levels with their length before them, and what follows.
fn prefixed(page: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = page.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// How many of so many levels, of which each is 0 or 1, are 1.
fn ones(levels: &[u8], count: u32) -> Option<u32> {
    let mut ones = 0;
    let rest = each(levels, 1, count, |level, times| {
        ones += if level == 1 { times } else { 0 };
        level <= 1
    });
    rest.filter(|rest| rest.is_empty()).map(|_| ones)
}

/// Whether so many places are in a dictionary of so many values.
fn fits(bytes: &[u8], count: u32, dictionary: u32) -> bool {
    if count == 0 {
        // Some writers leave the width out, too.
        return bytes.len() <= 1;
    }
    let Some((width, runs)) = bytes.split_first() else {
        return false;
    };
    let rest = each(runs, u32::from(*width), count, |at, _| at < dictionary);
    rest.is_some_and(<[u8]>::is_empty)
}

/// Calls `good` with each value of runs of so many values, and how often it is there; what follows the last one. `None`
/// when a value is not good, a run is cut or empty, or one of a single value goes beyond the last one.
fn each(
    mut bytes: &[u8],
    width: u32,
    mut left: u32,
    mut good: impl FnMut(u32, u32) -> bool,
) -> Option<&[u8]> {
    if width > u32::BITS {
        return None;
    }
    while left > 0 {
        let (header, rest) = varint(bytes)?;
        let length = header >> 1;
        if header & 1 == 0 {
            let (value, rest) = rest.split_at_checked(width.div_ceil(8) as usize)?;
            let value = value
                .iter()
                .rfold(0, |value, byte| value << 8 | u64::from(*byte));
            let fits = value >> width == 0 && (1..=left).contains(&length);
            if !fits || !good(u32::try_from(value).ok()?, length) {
                return None;
            }
            left -= length;
            bytes = rest;
        } else {
            // Groups of eight. Some writers fill the last ones up to a number that suits them; all programs leave out what
            // they have no use for, if it is there.
            if length == 0 {
                return None;
            }
            let (packed, rest) = rest.split_at_checked(length as usize * width as usize)?;
            let here = left.min(length.saturating_mul(8));
            // Of no bits a few bytes tell as many values as they like.
            let fits = if width == 0 {
                good(0, here)
            } else {
                (0..here).all(|at| good(bits(packed, at as usize * width as usize, width), 1))
            };
            if !fits {
                return None;
            }
            left -= here;
            bytes = rest;
        }
    }
    Some(bytes)
}

/// So many bits from a bit on, the lowest first.
fn bits(bytes: &[u8], from: usize, width: u32) -> u32 {
    let mut word = [0; 8];
    let there = bytes.get(from / 8..).unwrap_or_default();
    let length = there.len().min(word.len());
    word[..length].copy_from_slice(&there[..length]);
    let value = u64::from_le_bytes(word) >> (from % 8) & ((1u64 << width) - 1);
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A number in base 128, the lowest digits first.
fn varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn levels_are_counted() {
        // Ten times 1; then, in groups of eight, 1 0 1 and five to spare.
        assert_eq!(ones(&[20, 1], 10), Some(10));
        assert_eq!(ones(&[20, 1, 3, 0b1111_1101], 13), Some(12));
        assert_eq!(ones(&[5, 1, 0], 3), Some(1));
        assert_eq!(ones(&[], 0), Some(0));
    }

    #[test]
    fn levels_that_programs_take_for_different_ones_are_not() {
        for (levels, count, why) in [
            (&[20, 5][..], 10, "above the highest"),
            (&[20, 128], 10, "above the highest"),
            (&[20, 1], 9, "a run of more"),
            (&[20, 1], 11, "too few"),
            (&[0, 1, 20, 1], 10, "an empty run"),
            (&[1, 20, 1], 10, "no group"),
            (&[5, 1], 8, "a group that is cut"),
            (&[20, 1, 0], 10, "bytes behind"),
            (&[20], 10, "cut"),
            (
                &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
                10,
                "a long header",
            ),
        ] {
            assert_eq!(ones(levels, count), None, "{why}");
        }
    }

    #[test]
    fn places_are_in_the_dictionary() {
        // Width 3: eight places 0 to 7, the lowest bits first.
        let packed = [3, 3, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        assert!(fits(&packed, 8, 8));
        assert!(!fits(&packed, 8, 7));
        assert!(fits(&packed, 7, 7), "what is to spare is nothing");
        assert!(fits(&[9, 4, 0x2c, 1], 2, 301));
        assert!(!fits(&[9, 4, 0x2c, 1], 2, 300));
        assert!(!fits(&[9, 4, 0, 2], 2, 1000), "wider than it says");
        assert!(fits(&[0, 4], 2, 1), "one value needs no bits");
        // At once, and not value by value.
        assert!(fits(&[0, 0xff, 0xff, 0xff, 0xff, 0xf], u32::MAX, 1));
        assert!(!fits(&[33, 4, 0, 0, 0, 0, 0], 2, 1));
        assert!(fits(&[], 0, 0) && fits(&[0], 0, 0));
    }

    proptest! {
        #[test]
        fn foreign_bytes_do_no_harm(bytes: Vec<u8>, count: u32, dictionary: u32) {
            let _ = ones(&bytes, count);
            let _ = fits(&bytes, count, dictionary);
        }
    }
}
