//! What matches the paths that were asked about last: programs open the same files over and over, and to compare a
//! path with patterns takes as long as everything else that is done about a record.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

/// Paths that are remembered. Each has one place, and one that comes later takes it.
const PLACES: usize = 512;

/// Longest path that is.
const PATH_BYTES_MAX: usize = 512;

/// Patterns that matched, by kind of record and path.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// None at first.
    places: Vec<Place>,
    hasher: RandomState,
    /// What was found for a path that is too long.
    other: Vec<usize>,
}

#[derive(Debug, Clone, Default)]
struct Place {
    /// Empty when nobody has it.
    kind: &'static str,
    path: String,
    found: Vec<usize>,
}

impl Remembered {
    /// The numbers of the patterns that match, which `search` appends when they are not remembered. Always the same
    /// recognisers must be asked.
    pub(super) fn of(
        &mut self,
        kind: &'static str,
        path: &str,
        search: impl FnOnce(&mut Vec<usize>),
    ) -> &[usize] {
        if path.len() > PATH_BYTES_MAX {
            self.other.clear();
            search(&mut self.other);
            return &self.other;
        }
        self.places.resize(PLACES, Place::default());
        let hash = self.hasher.hash_one(path);
        #[expect(clippy::cast_possible_truncation, reason = "reduced to the places")]
        let place = &mut self.places[hash as usize % PLACES];
        if place.kind != kind || place.path != path {
            place.kind = kind;
            path.clone_into(&mut place.path);
            place.found.clear();
            search(&mut place.found);
        }
        &place.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_of_each_kind_is_searched_for_once_in_a_row() {
        let mut remembered = Remembered::default();
        let mut searches = 0;
        let mut ask = |kind, path: &str| {
            let found = remembered.of(kind, path, |found| {
                searches += 1;
                found.push(path.len());
            });
            assert_eq!(found, [path.len()]);
        };
        let long = "x".repeat(PATH_BYTES_MAX + 1);
        for (kind, path) in [
            ("file.open", "/a"),
            ("file.open", "/a"),
            ("file.read", "/a"),
            ("file.read", "/a"),
            ("file.read", &long),
            ("file.read", &long),
        ] {
            ask(kind, path);
        }
        assert_eq!(searches, 4);
    }
}
