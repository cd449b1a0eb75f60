//! Which of many patterns match a path, without asking each.
//!
//! Nearly every pattern for a path ends with text (`*.safetensors`), so patterns are kept by the byte
//! they end with: a path is compared with the few that end as it does. Those that end with a wildcard
//! begin with text (`/dev/nvidia*`) when they are well chosen, and are kept by that. Only what has
//! neither is compared with every path.

use super::pattern::Pattern;
use crate::glob::Pairs;

/// Bytes a path begins with that tell much: `/dev/`, `/srv/`, `/home`.
const FIRST_BYTES: usize = 5;

/// Patterns with their numbers.
type Numbered = Vec<(Pattern, usize)>;

/// Patterns, each with the number of what it stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// By last byte; empty, or one entry for each byte.
    by_last: Vec<Numbered>,
    /// Those that may match whatever a path ends with, by the bytes it begins with, in their order.
    by_first: Vec<([u8; FIRST_BYTES], Numbered)>,
    /// All others.
    any: Numbered,
}

impl Index {
    /// Adds a pattern that stands for this number.
    pub(super) fn add(&mut self, pattern: Pattern, number: usize) {
        for (last, part) in pattern.by_last_byte() {
            match last {
                Some(byte) => {
                    self.by_last.resize_with(256, Vec::new);
                    self.by_last[usize::from(byte)].push((part, number));
                }
                None => match part.first_bytes() {
                    Some(first) => self.of_first(first).push((part, number)),
                    None => self.any.push((part, number)),
                },
            }
        }
    }

    fn of_first(&mut self, first: [u8; FIRST_BYTES]) -> &mut Numbered {
        let found = self
            .by_first
            .binary_search_by(|(bytes, _)| bytes.cmp(&first));
        let place = found.unwrap_or_else(|place| {
            self.by_first.insert(place, (first, Vec::new()));
            place
        });
        &mut self.by_first[place].1
    }

    /// Calls `found` with the number of each pattern that matches.
    pub(super) fn search(&self, path: &str, mut found: impl FnMut(usize)) {
        let last = path.bytes().last();
        let same = last.and_then(|byte| self.by_last.get(usize::from(byte)));
        let first = path.as_bytes().first_chunk();
        let begun = first.and_then(|first| {
            let found = self
                .by_first
                .binary_search_by(|(bytes, _)| bytes.cmp(first));
            found.ok().map(|place| &self.by_first[place].1)
        });
        let both = same.into_iter().chain(begun).flatten();
        let asked = both.chain(&self.any);
        let mut pairs = None;
        for (pattern, number) in asked {
            let pairs = pairs.get_or_insert_with(|| Pairs::of(path));
            if pattern.matches_with(path, pairs) {
                found(*number);
            }
        }
    }
}
