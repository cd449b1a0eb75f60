//! The pages of a column chunk: that they are where the footer says, of the kinds it says, and small
//! enough to be unpacked.
//!
//! The library believes the sizes in page headers. They are read here first.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::footer::{Chunk, Column, Footer, Statistics, statistics};
use super::read::SegmentError;
use super::thrift::{Compact, Kind, Scan, unknown};

/// What the pages being read at one time may hold unpacked, over all columns.
const PAGES_BYTES_MAX: u64 = 512 << 20;

/// Longest page header; statistics can make it long.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Length of most page headers.
const HEADER_BYTES_USUAL: usize = 512;

/// Most pages of a chunk.
pub(super) const PAGES_MAX: u64 = 1 << 16;

const DATA_PAGE: i64 = 0;
const DICTIONARY_PAGE: i64 = 2;
const DATA_PAGE_V2: i64 = 3;

/// Codecs that are read here: none, Snappy, Zstandard, LZ4_RAW.
const CODECS: [i64; 4] = [0, 1, 6, 7];

const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
/// Run lengths, the only encoding of definition levels that is written.
const LEVELS: i64 = 3;
const DELTA_BINARY_PACKED: i64 = 5;
const DELTA_LENGTH_BYTE_ARRAY: i64 = 6;
const RLE_DICTIONARY: i64 = 8;
const BYTE_STREAM_SPLIT: i64 = 9;

/// Encodings of values that are read here. In DELTA_BYTE_ARRAY, which is not, a few bytes stand for as
/// many long values as they like.
const ENCODINGS: [i64; 6] = [
    PLAIN,
    PLAIN_DICTIONARY,
    DELTA_BINARY_PACKED,
    DELTA_LENGTH_BYTE_ARRAY,
    RLE_DICTIONARY,
    BYTE_STREAM_SPLIT,
];

/// A page as its header has it.
#[derive(Debug, Default)]
pub(super) struct Page<'a> {
    kind: i64,
    /// Where its header begins.
    pub(super) start: u64,
    /// Bytes of the header.
    header: u64,
    packed: u64,
    unpacked: u64,
    /// Rows, nulls included.
    pub(super) values: u64,
    pub(super) nulls: Option<u64>,
    rows: Option<u64>,
    encoding: i64,
    pub(super) statistics: Statistics<'a>,
}

impl Page<'_> {
    /// Bytes of header and page.
    pub(super) fn length(&self) -> u64 {
        self.header.saturating_add(self.packed)
    }
}

/// Checks the pages of all chunks.
pub(super) fn check(file: &File, footer: &Footer<'_>) -> Scan<()> {
    let mut pages = Pages::new(file);
    for (index, group) in footer.groups.iter().enumerate() {
        let mut unpacked = 0u64;
        for (chunk, column) in group.chunks.iter().zip(&footer.columns) {
            let largest = pages
                .check(chunk)
                .map_err(|error| error.of(column, index))?;
            unpacked = unpacked.saturating_add(largest);
        }
        if unpacked > PAGES_BYTES_MAX {
            return Err(SegmentError::Unsupported("its pages are too large"));
        }
    }
    Ok(())
}

impl SegmentError {
    /// Says which chunk it is about, where it says that readers disagree.
    pub(super) fn of(self, column: &Column<'_>, group: usize) -> Self {
        match self {
            Self::Disagree(what) => {
                Self::Disagree(format!("row group {group}, column {}: {what}", column.name))
            }
            other => other,
        }
    }
}

fn disagree<T>(what: &str) -> Scan<T> {
    Err(SegmentError::Disagree(what.to_owned()))
}

/// Adds to the number of pages of a kind and an encoding. Some writers count data pages of version 2 as
/// those of version 1.
fn add(counts: &mut Vec<(i64, i64, u64)>, (kind, encoding, pages): (i64, i64, u64)) {
    let kind = if kind == DATA_PAGE_V2 {
        DATA_PAGE
    } else {
        kind
    };
    match counts
        .iter_mut()
        .find(|count| (count.0, count.1) == (kind, encoding))
    {
        Some(count) => count.2 = count.2.saturating_add(pages),
        None => counts.push((kind, encoding, pages)),
    }
}

/// Reads page headers through a window on the file.
pub(super) struct Pages<'a> {
    file: &'a File,
    start: u64,
    window: Vec<u8>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self {
            file,
            start: 0,
            window: Vec::new(),
        }
    }

    /// Checks the pages of a chunk; bytes unpacked of its dictionary and its largest data page.
    fn check(&mut self, chunk: &Chunk<'_>) -> Scan<u64> {
        if !CODECS.contains(&chunk.codec) {
            return Err(SegmentError::Unsupported(
                "a compression that is not read here",
            ));
        }
        let (mut dictionary, mut largest, mut unpacked, mut values) = (0, 0, 0u64, 0u64);
        let mut counts: Vec<(i64, i64, u64)> = Vec::new();
        self.each(chunk, |page| {
            unpacked = unpacked
                .saturating_add(page.unpacked)
                .saturating_add(page.header);
            if page.kind == DICTIONARY_PAGE {
                dictionary = page.unpacked;
            } else {
                if !chunk.encodings.contains(&page.encoding) {
                    return disagree("a page is encoded as the footer does not say");
                }
                largest = page.unpacked.max(largest);
                values = values.saturating_add(page.values);
            }
            add(&mut counts, (page.kind, page.encoding, 1));
            Ok(())
        })?;
        if values != chunk.values || unpacked != chunk.unpacked {
            return disagree("its pages do not add up to what the footer says");
        }
        if let Some(told) = &chunk.page_counts {
            let mut sums = Vec::new();
            told.iter().for_each(|count| add(&mut sums, *count));
            let mut told = sums;
            told.sort_unstable();
            counts.sort_unstable();
            if told != counts {
                return disagree("its pages are not the ones the footer counts");
            }
        }
        Ok(dictionary + largest)
    }

    /// Calls `visit` with every data page of a chunk that [`check`] has passed.
    pub(super) fn data(
        &mut self,
        chunk: &Chunk<'_>,
        mut visit: impl FnMut(&Page<'_>) -> Scan<()>,
    ) -> Scan<()> {
        self.each(chunk, |page| match page.kind {
            DICTIONARY_PAGE => Ok(()),
            _ => visit(page),
        })
    }

    /// Calls `visit` with every page of a chunk: they fill it exactly, the dictionary first.
    fn each(
        &mut self,
        chunk: &Chunk<'_>,
        mut visit: impl FnMut(&Page<'_>) -> Scan<()>,
    ) -> Scan<()> {
        let mut at = chunk.pages.start;
        let end = at.saturating_add(chunk.pages.length);
        let (mut count, mut has_dictionary) = (0, false);
        while at < end {
            let page = self.page(at, end)?;
            count += 1;
            if count > PAGES_MAX {
                return Err(SegmentError::Unsupported("a column of too many pages"));
            }
            let next = at.saturating_add(page.length());
            if next > end {
                return disagree("a page reaches beyond it");
            }
            page.check(count == 1, has_dictionary)?;
            has_dictionary |= page.kind == DICTIONARY_PAGE;
            visit(&page)?;
            at = next;
            // Some readers go to the dictionary, some to the data, and read on from there.
            if count == 1 && chunk.data.is_some_and(|data| data != at) {
                return disagree("its data does not follow its dictionary");
            }
        }
        if has_dictionary != (chunk.data.is_some() && count > 0) {
            return disagree("the footer and its pages differ on whether it has a dictionary");
        }
        Ok(())
    }

    fn page(&mut self, at: u64, end: u64) -> Scan<Page<'_>> {
        let rest = usize::try_from(end - at).unwrap_or(usize::MAX);
        let short = rest.min(HEADER_BYTES_USUAL);
        let is_short = Page::parse(self.bytes(at, short, rest)?, at).is_ok();
        let length = if is_short {
            short
        } else {
            rest.min(HEADER_BYTES_MAX)
        };
        Page::parse(self.bytes(at, length, rest)?, at)
    }

    /// Bytes of the file, of which there are `rest`.
    fn bytes(&mut self, at: u64, length: usize, rest: usize) -> Scan<&[u8]> {
        let skip = at
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| self.window.len().saturating_sub(*skip) >= length);
        let skip = if let Some(skip) = skip {
            skip
        } else {
            // Some more, so that short pages do not read the same bytes again.
            self.window.resize(rest.min(2 * length), 0);
            self.start = at;
            self.file.read_exact_at(&mut self.window, at)?;
            0
        };
        Ok(&self.window[skip..skip + length])
    }
}

impl<'a> Page<'a> {
    /// `PageHeader` of `parquet.thrift`.
    fn parse(bytes: &'a [u8], start: u64) -> Scan<Self> {
        let mut page = Self {
            kind: -1,
            start,
            ..Self::default()
        };
        let mut described = 0;
        let mut reader = Compact::new(bytes);
        reader.structure(|reader, id, kind| {
            match id {
                1 => page.kind = reader.int32(kind)?,
                2 => page.unpacked = reader.size32(kind)?,
                3 => page.packed = reader.size32(kind)?,
                // Its checksum: a reader that checks it says so when it is wrong.
                4 => drop(reader.int32(kind)?),
                5 | 7 | 8 => {
                    described = id;
                    page.describe(reader, id, kind)?;
                }
                _ => unknown()?,
            }
            Ok(())
        })?;
        page.header = reader.position() as u64;
        match (page.kind, described) {
            (DATA_PAGE, 5) | (DICTIONARY_PAGE, 7) | (DATA_PAGE_V2, 8) => Ok(page),
            _ => Err(SegmentError::Refused("a page header is malformed")),
        }
    }

    /// `DataPageHeader`, `DictionaryPageHeader` and `DataPageHeaderV2`.
    fn describe(&mut self, reader: &mut Compact<'a>, of: i64, kind: Kind) -> Scan<()> {
        let is_levels = |encoding| {
            if encoding == LEVELS {
                return Ok(());
            }
            Err(SegmentError::Unsupported("levels that are not read here"))
        };
        reader.inner(kind, |reader, id, kind| {
            match (of, id) {
                (_, 1) => self.values = reader.size32(kind)?,
                (5 | 7, 2) | (8, 4) => self.encoding = reader.int32(kind)?,
                (5, 3) => is_levels(reader.int32(kind)?)?,
                // How often flat values repeat takes no bytes, however it is encoded.
                (5, 4) => drop(reader.int32(kind)?),
                (5, 5) | (8, 8) => self.statistics = statistics(reader, kind)?,
                (7, 3) | (8, 7) => drop(reader.boolean(kind)?),
                (8, 2) => self.nulls = Some(reader.size32(kind)?),
                (8, 3) => self.rows = Some(reader.size32(kind)?),
                (8, 5) => drop(reader.size32(kind)?),
                (8, 6) => {
                    if reader.size32(kind)? > 0 {
                        return disagree("levels of values that do not repeat");
                    }
                }
                _ => unknown()?,
            }
            Ok(())
        })
    }

    /// Whether it may stand here.
    fn check(&self, is_first: bool, has_dictionary: bool) -> Scan<()> {
        if self.kind == DICTIONARY_PAGE {
            if !is_first {
                return disagree("a dictionary among its pages");
            }
            if ![PLAIN, PLAIN_DICTIONARY].contains(&self.encoding) {
                return Err(SegmentError::Refused("a dictionary in an unknown encoding"));
            }
            return Ok(());
        }
        if !ENCODINGS.contains(&self.encoding) {
            return Err(SegmentError::Unsupported(
                "an encoding that is not read here",
            ));
        }
        let by_dictionary = [PLAIN_DICTIONARY, RLE_DICTIONARY].contains(&self.encoding);
        if by_dictionary && !has_dictionary {
            return Err(SegmentError::Refused("a page lacks its dictionary"));
        }
        if self.rows.is_some_and(|rows| rows != self.values) {
            return disagree("a page has more values than rows");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_sizes_and_encoding() {
        // type 0, unpacked 100, packed 60, data page {values 5, encoding 8, levels 3, 3}.
        let bytes = [
            0x15, 0, 0x15, 200, 1, 0x15, 120, 0x2c, 0x15, 10, 0x15, 16, 0x15, 6, 0x15, 6, 0, 0,
        ];
        let page = Page::parse(&bytes, 4).unwrap();
        assert_eq!(
            (page.unpacked, page.packed, page.values, page.encoding),
            (100, 60, 5, 8)
        );
        assert_eq!(page.length(), 60 + bytes.len() as u64);
    }

    proptest! {
        #[test]
        fn foreign_bytes_do_no_harm(bytes: Vec<u8>) {
            let _ = Page::parse(&bytes, 4);
        }
    }
}
