//! The smallest and the largest value of a column chunk, by which engines leave out row groups.

use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

use super::dictionary::Dictionary;

/// Bytes of a text that is told as a bound: of longer ones something below or above.
const BOUND_BYTES_MAX: usize = 64;

/// Bounds of texts, by their bytes.
#[derive(Default)]
pub(super) struct Texts {
    bounds: Option<(Vec<u8>, Vec<u8>)>,
}

impl Texts {
    /// Takes a text in.
    #[inline]
    pub(super) fn add(&mut self, text: &[u8]) {
        match &mut self.bounds {
            None => self.bounds = Some((text.to_vec(), text.to_vec())),
            Some((min, max)) => {
                if text < min.as_slice() {
                    text.clone_into(min);
                } else if text > max.as_slice() {
                    text.clone_into(max);
                }
            }
        }
    }

    /// What the footer says of them, and of so many nulls.
    pub(super) fn finish(self, nulls: u64) -> Statistics {
        // Without an upper bound none is told: engines want both.
        let both = self
            .bounds
            .and_then(|(min, max)| Some((below(min), above(max)?)));
        let exact = both.as_ref().map(|(min, max)| (min.is_exact, max.is_exact));
        let (min_is_exact, max_is_exact) = exact.unwrap_or_default();
        let (min, max) = both.unzip();
        let bytes = |bound: Option<Bound>| bound.map(|bound| ByteArray::from(bound.bytes));
        Statistics::ByteArray(
            ValueStatistics::new(bytes(min), bytes(max), None, Some(nulls), false)
                .with_min_is_exact(min_is_exact)
                .with_max_is_exact(max_is_exact),
        )
    }
}

/// A bound of texts.
struct Bound {
    bytes: Vec<u8>,
    is_exact: bool,
}

/// A text that is not larger.
fn below(text: Vec<u8>) -> Bound {
    match cut(&text) {
        None => Bound {
            bytes: text,
            is_exact: true,
        },
        Some(cut) => Bound {
            bytes: cut.as_bytes().to_vec(),
            is_exact: false,
        },
    }
}

/// A text that is not smaller, if there is one that is short.
fn above(text: Vec<u8>) -> Option<Bound> {
    let Some(cut) = cut(&text) else {
        return Some(Bound {
            bytes: text,
            is_exact: true,
        });
    };
    // The last character that another one comes after, in its place that other one.
    cut.char_indices().rev().find_map(|(at, last)| {
        let next = (last..=char::MAX).nth(1)?;
        let mut bytes = cut.as_bytes()[..at].to_vec();
        bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
        Some(Bound {
            bytes,
            is_exact: false,
        })
    })
}

/// The whole characters at the beginning of a text that is too long.
fn cut(text: &[u8]) -> Option<&str> {
    let beginning = text.get(..BOUND_BYTES_MAX)?;
    if text.len() == BOUND_BYTES_MAX {
        return None;
    }
    let valid = match std::str::from_utf8(beginning) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    std::str::from_utf8(&beginning[..valid]).ok()
}

/// What the footer says of numbers with these bounds, and of so many nulls.
pub(super) fn of_numbers(bounds: Option<(i64, i64)>, nulls: u64) -> Statistics {
    let (min, max) = bounds.unzip();
    Statistics::int64(min, max, None, Some(nulls), false)
}

/// The bounds of a dictionary of numbers.
pub(super) fn of_dictionary(dictionary: &Dictionary) -> Option<(i64, i64)> {
    let numbers = dictionary
        .values()
        .filter_map(|value| value.try_into().map(i64::from_le_bytes).ok());
    numbers.fold(None, |bounds, number| {
        let (min, max) = bounds.unwrap_or((number, number));
        Some((number.min(min), number.max(max)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_have_short_bounds() {
        let of = |text: &str| {
            let (min, max) = (below(text.into()), above(text.into())?);
            let text_of = |bytes| String::from_utf8(bytes).unwrap();
            assert_eq!(min.is_exact, max.is_exact);
            Some((text_of(min.bytes), text_of(max.bytes), min.is_exact))
        };
        let of_some = |text: &str| of(text).unwrap();
        let short = "a".repeat(64);
        assert_eq!(of_some(&short), (short.clone(), short.clone(), true));
        let (min, max, exact) = of_some(&"a".repeat(65));
        assert_eq!((min, max, exact), (short, "a".repeat(63) + "b", false));
        // Characters are not cut in the middle, and the one after the last has the next number.
        let (min, max, _) = of_some(&("a".repeat(61) + "ππ"));
        assert_eq!((min, max), ("a".repeat(61) + "π", "a".repeat(61) + "ρ"));
        // There is none after the last character of all.
        let (_, max, _) = of_some(&("b".to_owned() + &"\u{10ffff}".repeat(16)));
        assert_eq!(max, "c");
        assert_eq!(of(&"\u{10ffff}".repeat(17)), None);
    }
}
