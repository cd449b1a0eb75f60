//! The pages of a column chunk: compressed, one after the other, until the row group is full.

use std::io::Write as _;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::dictionary::Dictionary;
use super::encode::{Runs, hybrid};

/// How hard is tried to make pages small: more gains little, and costs much.
const LEVEL: i32 = 1;

/// What pages are packed with: one for all columns.
pub(super) struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    body: Vec<u8>,
}

impl Packer {
    pub(super) fn new() -> Result<Self, ParquetError> {
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(LEVEL)?,
            body: Vec::new(),
        })
    }

    /// Begins a data page: which rows have a value.
    pub(super) fn begin(&mut self, levels: &Runs) {
        self.body.clear();
        // The length of the levels comes before them.
        self.body.extend_from_slice(&[0; 4]);
        hybrid(levels, 1, &mut self.body);
        let length = u32::try_from(self.body.len() - 4).expect("levels take a bit for each row");
        self.body[..4].copy_from_slice(&length.to_le_bytes());
    }

    /// What the page holds so far, to add to it.
    pub(super) fn body(&mut self) -> &mut Vec<u8> {
        &mut self.body
    }

    fn packed(&mut self) -> Result<Bytes, ParquetError> {
        Ok(self.compressor.compress(&self.body)?.into())
    }
}

/// The pages of a chunk so far.
#[derive(Default)]
pub(super) struct Chunk {
    dictionary: Vec<u8>,
    pages: Vec<u8>,
    /// Bytes of all pages before they were packed, with their headers.
    unpacked: usize,
    rows: u64,
    present: u64,
    /// How many data pages there are in each encoding.
    encodings: Vec<(Encoding, i32)>,
}

impl Chunk {
    /// Whether there is no page yet.
    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Bytes of the pages.
    pub(super) fn held(&self) -> usize {
        self.pages.len()
    }

    /// Rows without a value.
    pub(super) fn nulls(&self) -> u64 {
        self.rows - self.present
    }

    /// The encoding of the last page.
    pub(super) fn last_encoding(&self) -> Option<Encoding> {
        self.encodings.last().map(|(encoding, _)| *encoding)
    }

    /// Adds the page that was put together, of which so many rows have a value.
    pub(super) fn write_page(
        &mut self,
        levels: &Runs,
        present: u32,
        encoding: Encoding,
        packer: &mut Packer,
    ) -> Result<(), ParquetError> {
        let rows = levels.iter().map(|(_, count)| count).sum();
        let page = Page::DataPage {
            buf: packer.packed()?,
            num_values: rows,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.unpacked += write(page, packer.body.len(), &mut self.pages)?;
        self.rows += u64::from(rows);
        self.present += u64::from(present);
        match self.encodings.last_mut() {
            Some((last, count)) if *last == encoding => *count += 1,
            _ => self.encodings.push((encoding, 1)),
        }
        Ok(())
    }

    /// Writes a dictionary, unless it has no values, and clears it.
    pub(super) fn write_dictionary(
        &mut self,
        dictionary: &mut Dictionary,
        packer: &mut Packer,
    ) -> Result<(), ParquetError> {
        if dictionary.len() > 0 {
            packer.body.clear();
            packer.body.extend_from_slice(dictionary.page());
            let page = Page::DictionaryPage {
                buf: packer.packed()?,
                num_values: u32::try_from(dictionary.len()).unwrap_or(u32::MAX),
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            self.unpacked += write(page, packer.body.len(), &mut self.dictionary)?;
        }
        dictionary.clear();
        Ok(())
    }

    /// All bytes of the chunk, and what the footer says of it.
    pub(super) fn finish(
        self,
        descriptor: &ColumnDescPtr,
        statistics: Statistics,
    ) -> Result<(Vec<u8>, ColumnCloseResult), ParquetError> {
        let has_dictionary = !self.dictionary.is_empty();
        let size = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        let data_at = size(self.dictionary.len());
        let mut bytes = self.dictionary;
        bytes.extend_from_slice(&self.pages);
        let told = |page_type, encoding, count| PageEncodingStats {
            page_type,
            encoding,
            count,
        };
        let mut encodings = vec![Encoding::RLE];
        let mut counts = Vec::new();
        if has_dictionary {
            encodings.push(Encoding::PLAIN);
            counts.push(told(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1));
        }
        for (encoding, count) in self.encodings {
            encodings.push(encoding);
            counts.push(told(PageType::DATA_PAGE, encoding, count));
        }
        let metadata = ColumnChunkMetaData::builder(descriptor.clone())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
            .set_encodings(encodings)
            .set_page_encoding_stats(counts)
            .set_total_compressed_size(size(bytes.len()))
            .set_total_uncompressed_size(size(self.unpacked))
            .set_num_values(i64::try_from(self.rows).unwrap_or(i64::MAX))
            .set_data_page_offset(data_at)
            .set_dictionary_page_offset(has_dictionary.then_some(0))
            .set_statistics(statistics)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((bytes, close))
    }
}

/// Writes a page of so many bytes unpacked; its bytes unpacked, with its header.
fn write(page: Page, unpacked: usize, out: &mut Vec<u8>) -> Result<usize, ParquetError> {
    let mut out = TrackedWrite::new(out);
    let written =
        SerializedPageWriter::new(&mut out).write_page(CompressedPage::new(page, unpacked))?;
    out.flush()?;
    Ok(written.uncompressed_size)
}
