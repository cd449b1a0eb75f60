//! Records into a tree, many at a time: for whoever recomputes a record root.

use super::record::{self, RecordError};
use super::schema::Record;
use super::tree::{BATCH, RecordTree, record_leaves};

/// Encodes and hashes records in order.
#[derive(Debug, Default)]
pub struct RecordHasher {
    tree: RecordTree,
    /// Encodings not hashed yet, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl RecordHasher {
    /// Appends a record.
    ///
    /// # Errors
    ///
    /// [`RecordError::TooLong`]
    #[inline]
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        record::encode_into(record, &mut self.bytes)?;
        self.end();
        Ok(())
    }

    /// Appends a record that is encoded already.
    #[inline]
    pub fn push_encoded(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.end();
    }

    /// Records so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size() + self.ends.len() as u64
    }

    /// The tree over all of them.
    #[must_use]
    pub fn finish(mut self) -> RecordTree {
        self.flush();
        self.tree
    }

    #[inline]
    fn end(&mut self) {
        self.ends.push(self.bytes.len());
        if self.ends.len() == BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut records: [&[u8]; BATCH] = [&[]; BATCH];
        let mut start = 0;
        for (record, end) in records.iter_mut().zip(&self.ends) {
            *record = &self.bytes[start..*end];
            start = *end;
        }
        let mut leaves = [[0; 32]; BATCH];
        let leaves = &mut leaves[..self.ends.len()];
        record_leaves(&records[..self.ends.len()], leaves);
        self.tree.push_all(leaves);
        self.bytes.clear();
        self.ends.clear();
    }
}
