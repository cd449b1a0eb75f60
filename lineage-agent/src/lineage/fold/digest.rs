//! Records of what is in files.

use lineage_common::frame::Version;

use super::{Fold, Sink, file::set_version, utc};
use crate::evidence::{kinds, schema::Record};

/// What came of reading a file that a record is about.
#[derive(Debug, Clone, Copy)]
pub struct Digest<'a> {
    /// The lineage of the record that asked for it, by its number.
    pub lineage: u32,
    /// That record.
    pub cause: u64,
    /// Boot time in nanoseconds at which it was known.
    pub time_ns: u64,
    /// The file, as that record has it.
    pub path: &'a str,
    /// Device, as `st_dev` has it.
    pub dev: i64,
    /// Inode number.
    pub ino: u64,
    /// The version that record is about.
    pub version: Version,
    /// BLAKE3 of the content, in hex.
    pub content: Option<&'a str>,
    /// Why there is none, or how sure it is, as JSON.
    pub detail: Option<&'a str>,
}

impl Fold {
    /// Records a digest, or why there is none.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn digest<S: Sink>(&mut self, digest: &Digest<'_>, sink: &mut S) -> Result<(), S::Error> {
        let Some(lineage) = self.lineages.get_mut(digest.lineage as usize) else {
            return Ok(());
        };
        let lineage_seq = lineage.records;
        lineage.records += 1;
        let time_ns = utc(digest.time_ns, self.utc_offset_ns);
        let mut record = Record {
            seq: Some(sink.next_seq()),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some(kinds::FILE_DIGEST),
            origin: Some("agent"),
            lineage: Some(&lineage.uid),
            lineage_seq: Some(lineage_seq),
            cause: Some(digest.cause),
            context: Some(&lineage.context),
            path: Some(digest.path),
            dev: Some(digest.dev),
            ino: Some(digest.ino.cast_signed()),
            detail: digest.detail,
            ..Record::default()
        };
        record.blake3 = digest.content;
        set_version(&mut record, &digest.version);
        sink.append(&record)
    }
}
