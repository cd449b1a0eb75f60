//! One column of a row group: values until a page is full, pages until the group is.

use parquet::basic::Encoding;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

use super::bounds;
use super::chunk::{Chunk, Packer};
use super::dictionary::Dictionary;
use super::encode::{Runs, delta, hybrid, width};
use crate::evidence::record::Raw;
use crate::evidence::schema::{Field, FieldType};

/// Bytes of a dictionary from which on values are written as they are: there is little to save then.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// Columns that rise steadily, where dictionaries only waste time.
const RISING: [&str; 6] = [
    "seq",
    "time",
    "time_ns",
    "lineage_seq",
    "cause",
    "lost_first",
];

/// A column of a row group.
pub(super) struct Column {
    descriptor: ColumnDescPtr,
    values: Values,
    /// Of each row of the page, up to the run that goes on: 1 if it has a value.
    levels: Runs,
    /// The rows of the page in a row that had a value last: from this one, up to that one.
    run: (u32, u32),
    /// How many rows before them have a value.
    present: u32,
    chunk: Chunk,
}

/// The values of a page.
enum Values {
    /// Numbers that rise, and the bounds of all of the chunk.
    Rising {
        page: Vec<i64>,
        bounds: Option<(i64, i64)>,
    },
    /// Places in a dictionary of the chunk; and the last number, if there was one, with its place.
    Numbers {
        dictionary: Dictionary,
        page: Runs,
        last: Option<([u8; 8], u32)>,
    },
    /// Likewise; and texts as they are, when the dictionary has become too large.
    Texts {
        dictionary: Dictionary,
        page: Runs,
        plain: Option<Texts>,
    },
}

/// Texts of a page, and the bounds of those of the chunk.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    lengths: Vec<i64>,
    bounds: bounds::Texts,
}

impl Column {
    pub(super) fn new(field: &Field, descriptor: ColumnDescPtr) -> Self {
        let values = match field.field_type {
            FieldType::Text => Values::Texts {
                dictionary: Dictionary::of_texts(),
                page: Runs::default(),
                plain: None,
            },
            _ if RISING.contains(&field.name) => Values::Rising {
                page: Vec::new(),
                bounds: None,
            },
            _ => Values::Numbers {
                dictionary: Dictionary::of_numbers(),
                page: Runs::default(),
                last: None,
            },
        };
        Self {
            descriptor,
            values,
            levels: Runs::default(),
            run: (0, 0),
            present: 0,
            chunk: Chunk::default(),
        }
    }

    /// Sets the value of a row of the page; rows skipped since the last one are null. `None`, and nothing is set, when
    /// the column holds values of another type.
    #[inline]
    pub(super) fn push(&mut self, row: u32, value: Raw<'_>) -> Option<()> {
        match (&mut self.values, value) {
            (Values::Rising { page, .. }, Raw::U64(bytes) | Raw::I64(bytes)) => {
                page.push(i64::from_le_bytes(bytes));
            }
            (
                Values::Numbers {
                    dictionary,
                    page,
                    last,
                },
                Raw::U64(bytes) | Raw::I64(bytes),
            ) => {
                let place = match last {
                    Some((same, place)) if *same == bytes => *place,
                    _ => dictionary.place(&bytes),
                };
                *last = Some((bytes, place));
                page.push(place, 1);
            }
            (
                Values::Texts {
                    dictionary,
                    page,
                    plain,
                },
                Raw::Text(text),
            ) => match plain {
                None => page.push(dictionary.place(text), 1),
                Some(plain) => {
                    plain.bytes.extend_from_slice(text);
                    plain.lengths.push(i64::try_from(text.len()).ok()?);
                    plain.bounds.add(text);
                }
            },
            _ => return None,
        }
        if row != self.run.1 {
            self.end_run(row);
        }
        self.run.1 = row + 1;
        Some(())
    }

    /// Ends the run of rows with values: the next one that may have one is this.
    fn end_run(&mut self, row: u32) {
        let (start, end) = std::mem::replace(&mut self.run, (row, row));
        self.levels.push(1, end - start);
        self.levels.push(0, row - end);
        self.present += end - start;
    }

    /// Ends a page of so many rows. Nulls before the first value of the chunk wait for a page that has values.
    pub(super) fn end_page(&mut self, rows: u32, packer: &mut Packer) -> Result<(), ParquetError> {
        self.end_run(rows);
        self.run = (0, 0);
        if self.present == 0 && self.chunk.is_empty() {
            return Ok(());
        }
        self.write_page(packer)
    }

    /// Ends the chunk, and with it what it remembers.
    pub(super) fn end_chunk(
        &mut self,
        packer: &mut Packer,
    ) -> Result<(Vec<u8>, ColumnCloseResult), ParquetError> {
        if self.chunk.is_empty() {
            self.write_page(packer)?;
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        let bounds = match &mut self.values {
            Values::Rising { bounds, .. } => bounds::of_numbers(bounds.take(), chunk.nulls()),
            Values::Numbers {
                dictionary, last, ..
            } => {
                *last = None;
                let bounds = bounds::of_dictionary(dictionary);
                chunk.write_dictionary(dictionary, packer)?;
                bounds::of_numbers(bounds, chunk.nulls())
            }
            Values::Texts {
                dictionary, plain, ..
            } => {
                let mut texts = plain.take().unwrap_or_default().bounds;
                dictionary.values().for_each(|text| texts.add(text));
                chunk.write_dictionary(dictionary, packer)?;
                texts.finish(chunk.nulls())
            }
        };
        chunk.finish(&self.descriptor, bounds)
    }

    /// Bytes that are held until the chunk ends.
    pub(super) fn held(&self) -> usize {
        let dictionary = match &self.values {
            Values::Rising { .. } => 0,
            Values::Numbers { dictionary, .. } | Values::Texts { dictionary, .. } => {
                dictionary.page().len()
            }
        };
        dictionary + self.chunk.held()
    }

    fn write_page(&mut self, packer: &mut Packer) -> Result<(), ParquetError> {
        packer.begin(&self.levels);
        let encoding = if self.present == 0 {
            // As the pages before, so that it need not be among the encodings for nothing.
            self.chunk.last_encoding().unwrap_or(Encoding::PLAIN)
        } else {
            self.values.encoding()
        };
        self.values.write(encoding, packer.body());
        self.chunk
            .write_page(&self.levels, self.present, encoding, packer)?;
        self.levels.clear();
        self.present = 0;
        self.values.end_page();
        Ok(())
    }
}

impl Values {
    fn encoding(&self) -> Encoding {
        match self {
            Self::Rising { .. } => Encoding::DELTA_BINARY_PACKED,
            Self::Texts { plain: Some(_), .. } => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Self::Numbers { .. } | Self::Texts { .. } => Encoding::RLE_DICTIONARY,
        }
    }

    /// Appends the values of the page.
    fn write(&mut self, encoding: Encoding, out: &mut Vec<u8>) {
        match (self, encoding) {
            (_, Encoding::PLAIN) => {}
            (Self::Rising { page, bounds }, _) => {
                for value in page.iter() {
                    let (min, max) = bounds.get_or_insert((*value, *value));
                    (*min, *max) = ((*min).min(*value), (*max).max(*value));
                }
                delta(page, out);
            }
            (Self::Texts { plain, .. }, Encoding::DELTA_LENGTH_BYTE_ARRAY) => {
                let Texts { bytes, lengths, .. } = plain.get_or_insert_default();
                delta(lengths, out);
                out.extend_from_slice(bytes);
            }
            (
                Self::Numbers {
                    dictionary, page, ..
                }
                | Self::Texts {
                    dictionary, page, ..
                },
                _,
            ) => {
                let width = width((dictionary.len() as u64).saturating_sub(1));
                out.push(u8::try_from(width).unwrap_or(u8::MAX));
                hybrid(page, width, out);
            }
        }
    }

    /// Forgets the values of the page, and gives up a dictionary that saves too little.
    fn end_page(&mut self) {
        match self {
            Self::Rising { page, .. } => page.clear(),
            Self::Numbers { page, .. } => page.clear(),
            Self::Texts {
                dictionary,
                page,
                plain,
            } => {
                page.clear();
                if let Some(plain) = plain {
                    plain.bytes.clear();
                    plain.lengths.clear();
                } else if dictionary.page().len() >= DICTIONARY_BYTES_MAX {
                    *plain = Some(Texts::default());
                }
            }
        }
    }
}
