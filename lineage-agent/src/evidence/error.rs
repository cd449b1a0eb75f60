//! What can go wrong at the boundary of the evidence: one error for all of this folder.

use std::io;
use std::path::PathBuf;

use super::keys::KeyError;
use super::record::RecordError;
use super::segment::SegmentError;
use super::text::TextError;

/// Why evidence cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb: `create`, `sync`, …
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A name that must be written once holds other bytes already. Going on could publish two
    /// versions of the same thing, so nothing goes on.
    #[error("{} already exists with other contents", .0.display())]
    Conflict(PathBuf),
    /// A file is named by a digest that its contents do not have.
    #[error("{} has been altered: its BLAKE3 is not its name", .0.display())]
    Altered(PathBuf),
    /// A file is larger than the format allows.
    #[error("{} has {bytes} bytes, more than the {bytes_max} the format allows", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A file does not follow the format.
    #[error("{} is malformed: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: TextError,
    },
    /// A record cannot be encoded, or bytes are not a record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Keys are missing, unsafe, spent or busy.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Another process writes to this evidence.
    #[error("{} is being written by another process", .0.display())]
    Busy(PathBuf),
    /// A new log needs an empty directory.
    #[error("{} already holds evidence of this host", .0.display())]
    Exists(PathBuf),
    /// The log ended with `shutdown`; nothing may follow.
    #[error("the log in {} is complete; record into a new directory", .0.display())]
    Closed(PathBuf),
    /// There is no log of this host to go on with.
    #[error("{} holds no evidence of host {host}", path.display())]
    Absent {
        /// The evidence directory.
        path: PathBuf,
        /// The host looked for.
        host: String,
    },
    /// There is a log to go on with, of another host: its keys are others.
    #[error("{} holds evidence of host {host}, whose keys are not the ones used (--keys)", path.display())]
    OtherHost {
        /// The evidence directory.
        path: PathBuf,
        /// A host it has evidence of.
        host: String,
    },
    /// The Parquet library refused.
    #[error("{operation} the segment {}: {source}", path.display())]
    Parquet {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The library's answer.
        source: parquet::errors::ParquetError,
    },
    /// A segment cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SegmentError,
    },
    /// Parts of what was sealed are not there.
    #[error("{} lacks {missing}", path.display())]
    Incomplete {
        /// The host's directory.
        path: PathBuf,
        /// What is missing, for people.
        missing: String,
    },
    /// A spool contradicts itself or the evidence before it.
    #[error("{} is damaged at byte {at}: {reason}", path.display())]
    Spool {
        /// The spool.
        path: PathBuf,
        /// Offset of the frame.
        at: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// Sealing or syncing failed before; the first failure's text.
    #[error("the evidence writer stopped: {0}")]
    Stopped(String),
}

impl Error {
    /// Makes an [`Error::Io`] of what a call on `path` returned.
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }

    /// Whether the cause is a full disk or an exhausted quota.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// Result of everything in this folder.
pub type Result<T, E = Error> = std::result::Result<T, E>;
