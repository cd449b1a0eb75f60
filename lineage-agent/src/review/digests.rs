//! What is in the files that records name.

use std::collections::HashMap;

use crate::evidence::schema::Record;

/// Most digests kept; files beyond are drawn without.
const DIGESTS_MAX: usize = 100_000;

/// One version of a file: device, inode, generation, size, times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId([i64; 6]);

impl FileId {
    /// The file a record is about, if it says which.
    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        Some(Self([
            record.dev?,
            record.ino?,
            record.generation?,
            record.size?,
            record.mtime_ns?,
            record.ctime_ns?,
        ]))
    }
}

/// Digests by file. Of several hosts together: those on which a file agrees in all of that are copies of
/// one disk.
#[derive(Debug, Default)]
pub(super) struct Digests(HashMap<FileId, Box<str>>);

impl Digests {
    /// Takes a `file.digest`.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        if let (Some(file), Some(digest)) = (FileId::of(record), record.blake3)
            && self.0.len() < DIGESTS_MAX
        {
            self.0.insert(file, digest.into());
        }
    }

    /// The digest of a file, in hex.
    pub(super) fn of(&self, file: Option<FileId>) -> Option<&str> {
        self.0.get(&file?).map(|digest| &**digest)
    }
}
