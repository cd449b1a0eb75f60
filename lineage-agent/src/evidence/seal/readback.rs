//! Whether the spool that a segment is sealed from is what was written to it.
//!
//! A disk or a hand may have changed it since, and what is sealed cannot be put right later. The hashes of all records
//! tell, but to take them once more is a good part of what sealing costs. Who has written the records remembers instead a
//! sum of them, under a key that never leaves this process. It is no cryptographic one: whoever could change the spool
//! and keep the sum would have evidence sealed that no verifier takes, because the root is of what was recorded.

use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;

use super::super::hasher::RecordHasher;
use super::super::tree::Hash;

/// A sum over records, in their order.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    key: RandomState,
    sum: u64,
}

impl Sum {
    /// Takes an encoded record in.
    #[inline]
    pub fn add(&mut self, record: &[u8]) {
        self.sum = self.key.hash_one((self.sum, record));
    }

    /// The sum over no records, with the same key.
    fn restart(&self) -> Self {
        Self {
            key: self.key.clone(),
            sum: 0,
        }
    }
}

/// Reads records back.
pub(super) enum Readback<'a> {
    /// Those whose sum is known.
    Summed { known: &'a Sum, read: Sum },
    /// Those that a recorder left which is not there any more.
    Hashed(Box<RecordHasher>),
}

impl<'a> Readback<'a> {
    pub(super) fn new(known: Option<&'a Sum>) -> Self {
        match known {
            Some(known) => Self::Summed {
                known,
                read: known.restart(),
            },
            None => Self::Hashed(Box::default()),
        }
    }

    /// Takes in what was read.
    #[inline]
    pub(super) fn add(&mut self, record: &[u8]) {
        match self {
            Self::Summed { read, .. } => read.add(record),
            Self::Hashed(hasher) => hasher.push_encoded(record),
        }
    }

    /// Whether these were the records with this root.
    pub(super) fn is(self, root: &Hash) -> bool {
        match self {
            Self::Summed { known, read } => known.sum == read.sum,
            Self::Hashed(hasher) => hasher.finish().root() == *root,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(key: &Sum, records: &[&[u8]]) -> u64 {
        let mut sum = key.restart();
        records.iter().for_each(|record| sum.add(record));
        sum.sum
    }

    #[test]
    fn other_records_have_another_sum() {
        let key = Sum::default();
        let known = sum(&key, &[b"a", b"bc"]);
        assert_eq!(known, sum(&key, &[b"a", b"bc"]));
        let others: [&[&[u8]]; 5] = [&[], &[b"a"], &[b"bc", b"a"], &[b"ab", b"c"], &[b"a", b"bd"]];
        for other in others {
            assert_ne!(known, sum(&key, other));
        }
        assert_ne!(known, sum(&Sum::default(), &[b"a", b"bc"]));
    }
}
