//! Which of many patterns match a path, without asking each.
//!
//! Nearly every pattern for a path ends with text (`*.safetensors`), so patterns are kept by the byte
//! they end with: a path is compared with the few that end as it does. Those that end with a wildcard
//! are compared with every path, and begin with text (`/dev/nvidia*`) when they are well chosen.

use super::glob::Pattern;

/// Patterns, each with the number of what it stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// By last byte; empty, or one entry for each byte.
    by_last: Vec<Vec<(Pattern, usize)>>,
    /// Those that may match whatever a path ends with.
    any: Vec<(Pattern, usize)>,
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
                None => self.any.push((part, number)),
            }
        }
    }

    /// Calls `found` with the number of each pattern that matches.
    pub(super) fn search(&self, path: &str, mut found: impl FnMut(usize)) {
        let last = path.bytes().last();
        let same = last.and_then(|byte| self.by_last.get(usize::from(byte)));
        for (pattern, number) in same.into_iter().flatten().chain(&self.any) {
            if pattern.matches(path) {
                found(*number);
            }
        }
    }
}
