//! Smallest and largest values, and what may be claimed of them.

use super::super::cells::Raw;
use super::super::footer::{BYTE_ARRAY, INT64};
use super::super::read::SegmentError;
use super::super::thrift::Scan;

/// A value, in the order of its type: numbers signed, texts byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Int(i64),
    Bytes(Vec<u8>),
}

impl From<Raw<'_>> for Value {
    fn from(raw: Raw<'_>) -> Self {
        match raw {
            Raw::Int(number) => Self::Int(number),
            Raw::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl Value {
    pub(super) fn is_above(&self, raw: Raw<'_>) -> bool {
        match (self, raw) {
            (Self::Int(own), Raw::Int(other)) => *own > other,
            (Self::Bytes(own), Raw::Bytes(other)) => own.as_slice() > other,
            _ => false,
        }
    }

    pub(super) fn is_below(&self, raw: Raw<'_>) -> bool {
        match (self, raw) {
            (Self::Int(own), Raw::Int(other)) => *own < other,
            (Self::Bytes(own), Raw::Bytes(other)) => own.as_slice() < other,
            _ => false,
        }
    }
}

/// Which end of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Min,
    Max,
}

/// A claim that no value is smaller, or larger.
#[derive(Debug)]
pub(super) struct Bound {
    side: Side,
    pub(super) value: Value,
    /// Whether it is itself among the values, where that is said.
    exact: Option<bool>,
}

/// Fewest bytes that are left of a text that is cut without saying so.
const CUT_BYTES_MIN: usize = 32;

/// Most bytes by which the end of a cut text is raised: one character.
const RAISED_BYTES_MAX: usize = 4;

impl Bound {
    pub(super) fn read(side: Side, bytes: &[u8], exact: Option<bool>, physical: i64) -> Scan<Self> {
        let value = match physical {
            INT64 => bytes
                .try_into()
                .map(|bytes| Value::Int(i64::from_le_bytes(bytes)))
                .map_err(|_| SegmentError::Refused("a statistic of the wrong length"))?,
            BYTE_ARRAY => Value::Bytes(bytes.to_vec()),
            _ => {
                return Err(SegmentError::Unsupported(
                    "statistics that are not read here",
                ));
            }
        };
        Ok(Self { side, value, exact })
    }

    /// Whether no value between these is beyond it.
    pub(super) fn encloses(&self, min: &Value, max: &Value) -> bool {
        match self.side {
            Side::Min => self.value <= *min,
            Side::Max => self.value >= *max,
        }
    }

    /// Whether it is true of values that begin and end here. It has to be one of them; only of a long
    /// text it may be the beginning, the last character raised when it is the upper end.
    pub(super) fn holds(&self, min: &Value, max: &Value) -> bool {
        let end = match self.side {
            Side::Min => min,
            Side::Max => max,
        };
        if self.value == *end {
            return true;
        }
        let (Value::Bytes(bound), Value::Bytes(end)) = (&self.value, end) else {
            return false;
        };
        let may_be_cut = match self.exact {
            Some(exact) => !exact,
            // Some engines take it for a value then; writers that cut keep more than this.
            None => bound.len() >= CUT_BYTES_MIN,
        };
        if !may_be_cut {
            return false;
        }
        match self.side {
            Side::Min => end.starts_with(bound),
            Side::Max => {
                let same = bound
                    .iter()
                    .zip(end)
                    .take_while(|(one, other)| one == other)
                    .count();
                bound > end && bound.len() - same <= RAISED_BYTES_MAX
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(side: Side, bound: &str, exact: Option<bool>) -> bool {
        let text = |text: &str| Value::Bytes(text.as_bytes().to_vec());
        let bound = Bound::read(side, bound.as_bytes(), exact, BYTE_ARRAY).unwrap();
        bound.holds(&text("/etc/hosts"), &text("/usr/lib"))
    }

    #[test]
    fn only_long_texts_are_cut() {
        assert!(holds(Side::Min, "/etc/hosts", Some(true)));
        assert!(holds(Side::Min, "/etc", Some(false)));
        assert!(!holds(Side::Min, "/etc", None), "short without saying so");
        assert!(!holds(Side::Min, "/etc", Some(true)));
        assert!(!holds(Side::Min, "/a", Some(false)), "no beginning of it");
        assert!(!holds(Side::Min, "/f", Some(false)), "above it");
        assert!(holds(Side::Max, "/usr/lib", None));
        assert!(holds(Side::Max, "/ust", Some(false)));
        assert!(holds(Side::Max, "/us\u{e9}", Some(false)));
        assert!(!holds(Side::Max, "/usr", Some(false)), "below it");
        assert!(!holds(Side::Max, "/zzzzzz", Some(false)), "far above it");
    }
}
