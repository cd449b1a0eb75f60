//! The different values of a column chunk, as its dictionary page has them.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

/// Bytes of the length before a text.
const LENGTH_BYTES: usize = 4;

/// How many of the values that came last are looked at first: in most columns one, or two in turns.
const RECENT: usize = 2;

/// A value that came lately.
#[derive(Clone, Copy, Default)]
struct Recent {
    place: u32,
    /// Where it is in the page; nowhere at first, where only a value without bytes is found, which has to be looked for.
    start: u32,
    end: u32,
}

/// Values in the order in which they came first, each once.
pub(super) struct Dictionary {
    /// One after the other in the encoding *PLAIN*: numbers little-endian, texts behind their length.
    page: Vec<u8>,
    /// Where each value ends there.
    ends: Vec<u32>,
    /// Bytes before each value that are not part of it.
    before: usize,
    places: HashTable<u32>,
    recent: [Recent; RECENT],
    hasher: RandomState,
}

impl Dictionary {
    /// A dictionary of texts.
    pub(super) fn of_texts() -> Self {
        Self::new(LENGTH_BYTES)
    }

    /// A dictionary of numbers, as eight bytes each.
    pub(super) fn of_numbers() -> Self {
        Self::new(0)
    }

    fn new(before: usize) -> Self {
        Self {
            page: Vec::new(),
            ends: Vec::new(),
            before,
            places: HashTable::new(),
            recent: [Recent::default(); RECENT],
            hasher: RandomState::default(),
        }
    }

    /// The place of a value, which is entered if it is new.
    #[inline]
    pub(super) fn place(&mut self, value: &[u8]) -> u32 {
        let [last, other] = self.recent;
        if self.is(last, value) {
            return last.place;
        }
        let found = if self.is(other, value) {
            other
        } else {
            self.find(value)
        };
        self.recent = [found, last];
        found.place
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Their page.
    pub(super) fn page(&self) -> &[u8] {
        &self.page
    }

    /// All values.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).filter_map(|place| self.get(place))
    }

    /// Forgets all values, and keeps the memory for as many.
    pub(super) fn clear(&mut self) {
        self.page.clear();
        self.ends.clear();
        self.places.clear();
        self.recent = [Recent::default(); RECENT];
    }

    #[inline]
    fn is(&self, recent: Recent, value: &[u8]) -> bool {
        let range = recent.start as usize..recent.end as usize;
        !value.is_empty() && self.page.get(range) == Some(value)
    }

    fn get(&self, place: usize) -> Option<&[u8]> {
        value_at(&self.page, &self.ends, self.before, place)
    }

    #[inline(never)]
    fn find(&mut self, value: &[u8]) -> Recent {
        let hash = self.hasher.hash_one(value);
        let (page, ends, before) = (&self.page, &self.ends, self.before);
        let is = |place: &u32| value_at(page, ends, before, *place as usize) == Some(value);
        if let Some(place) = self.places.find(hash, is) {
            return self.recent(*place, value.len());
        }
        let length = u32::try_from(value.len()).expect("values are parts of records");
        self.page
            .extend_from_slice(&length.to_le_bytes()[..self.before]);
        self.page.extend_from_slice(value);
        let place = u32::try_from(self.ends.len()).expect("there are no more than rows");
        let end = u32::try_from(self.page.len()).expect("row groups end before");
        self.ends.push(end);
        let (page, ends, before, hasher) = (&self.page, &self.ends, self.before, &self.hasher);
        self.places.insert_unique(hash, place, |place| {
            hasher.hash_one(value_at(page, ends, before, *place as usize).unwrap_or_default())
        });
        self.recent(place, value.len())
    }

    fn recent(&self, place: u32, length: usize) -> Recent {
        let end = self.ends[place as usize];
        Recent {
            place,
            start: end - u32::try_from(length).unwrap_or(end),
            end,
        }
    }
}

#[inline]
fn value_at<'a>(page: &'a [u8], ends: &[u32], before: usize, place: usize) -> Option<&'a [u8]> {
    let end = *ends.get(place)? as usize;
    let start = match place.checked_sub(1) {
        Some(last) => *ends.get(last)? as usize,
        None => 0,
    };
    page.get(start + before..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_place_where_they_came_first() {
        let mut texts = Dictionary::of_texts();
        let places: Vec<u32> = ["a", "", "bc", "a", "", "bc", "a"]
            .map(|text| texts.place(text.as_bytes()))
            .to_vec();
        assert_eq!(places, [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(texts.page(), b"\x01\0\0\0a\0\0\0\0\x02\0\0\0bc");
        assert_eq!(texts.len(), 3);
        for number in 0..10_000u64 {
            assert_eq!(u64::from(texts.place(&number.to_le_bytes())), number + 3);
        }
        assert_eq!(texts.place(&7u64.to_le_bytes()), 10);
        texts.clear();
        assert_eq!((texts.place(b"bc"), texts.len()), (0, 1));
    }
}
