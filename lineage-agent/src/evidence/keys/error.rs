//! What can be wrong with keys.

use std::io;
use std::path::PathBuf;

/// Why keys cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such key.
    #[error("no key at {}", .0.display())]
    Missing(PathBuf),
    /// This user may not look whether there are keys.
    #[error("open {}: permission denied (run as root)", .0.display())]
    Denied(PathBuf),
    /// Part of the keys is gone, or was never made.
    #[error(
        "{} holds something, but no complete keys: put back what is missing; only if nothing was ever recorded with them, remove the directory",
        .0.display()
    )]
    Incomplete(PathBuf),
    /// There is a key already.
    #[error("{} already holds keys", .0.display())]
    Exists(PathBuf),
    /// Others may read or change it.
    #[error("{} has mode {mode:04o}: others could use it; `chmod go=` it if you trust it still", path.display())]
    Loose {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to user {uid}, not to the user running this", path.display())]
    ForeignOwner {
        /// The file or directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Not what it should be.
    #[error("{} is malformed: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// Not an Ed25519 secret key in PKCS#8 PEM.
    #[error("{} is no Ed25519 secret key in PKCS#8 PEM: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What whoever read it says.
        reason: String,
    },
    /// The enrolment promised this many epochs and they are over.
    #[error(
        "the {0} epochs enrolled are over: enrol again with `lineage key new` in another directory and pin the new root"
    )]
    Ended(u32),
    /// The seed of this epoch is erased, as it should be.
    #[error("the key of epoch {0} is erased")]
    Erased(u32),
    /// An enrolment needs epochs of some length.
    #[error("an enrolment has between 1 and 1048576 epochs of at least a second")]
    Plan,
    /// The kernel gave no random bytes.
    #[error("get random bytes: {0}")]
    Random(#[source] io::Error),
    /// The operating system refused something.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is larger than any key.
    #[error("{} is too large to be a key", .0.display())]
    TooLarge(PathBuf),
}

impl From<super::super::error::Error> for KeyError {
    fn from(error: super::super::error::Error) -> Self {
        use super::super::error::Error;
        match error {
            Error::Io {
                operation,
                path,
                source,
            } => Self::Io {
                operation,
                path,
                source,
            },
            Error::TooLarge { path, .. } => Self::TooLarge(path),
            Error::Conflict(path) => Self::Exists(path),
            Error::Key(error) => error,
            // The file operations used here return no other.
            other => Self::Io {
                operation: "use",
                path: PathBuf::new(),
                source: io::Error::other(other),
            },
        }
    }
}
