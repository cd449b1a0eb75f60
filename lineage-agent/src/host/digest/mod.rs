//! Digests of exactly the files that events were about.
//!
//! An event names a file by what the kernel had at that moment: device, inode, size and both times.
//! Some time later a thread of the lowest priority looks for that file in all the places where it
//! could still be had: what the process runs, holds open or has mapped, its path below the process's root, its
//! path on the host. Whatever is found there counts only if it is the same file in the same version,
//! before it is read and after. So a name that leads elsewhere meanwhile, a link put in the way, a
//! file written to, or a process id used again lead to a reason, never to the digest of another
//! content.
//!
//! What this cannot see: a change that leaves both times as they are, which only memory that is
//! mapped for writing allows, and a change within the same tick of the kernel's clock as the one
//! before; see [`tick_ns`].

mod open;
mod pool;
mod priority;
mod read;
#[cfg(test)]
mod tests;

use lineage_common::frame::Version;
use rustix::time::{ClockId, clock_getres};

use crate::evidence::tree::Hash;

pub use pool::{Pool, Progress};

/// Largest file read, in bytes; a longer one is not of this time.
pub const FILE_BYTES_MAX: i64 = 1 << 40;

/// A file in one version, as the kernel had it at an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device, as `st_dev` has it.
    pub dev: i64,
    /// Inode number.
    pub ino: u64,
    /// Size, times, generation.
    pub version: Version,
}

/// A file to read, and where it may be.
#[derive(Debug)]
pub struct Wanted {
    /// What the caller calls it.
    pub ticket: u64,
    /// The file.
    pub identity: Identity,
    /// The process that used it.
    pub pid: u32,
    /// The process that created that one.
    pub parent: Option<u32>,
    /// How the process held it.
    pub held: Held,
    /// Only if this name leads to it, as the process sees names; otherwise there is [`Reason::Unwanted`].
    pub named: Option<Box<[u8]>>,
    /// Its path as the process saw it.
    pub path: Box<[u8]>,
    /// Its path as the host sees it.
    pub host_path: Box<[u8]>,
}

/// How a process holds a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// As its program.
    Program,
    /// As this descriptor.
    Descriptor(i32),
    /// Mapped from the first address to below the second.
    Mapping((u64, u64)),
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Which file.
    pub ticket: u64,
    /// Boot time in nanoseconds at which it was known.
    pub time_ns: u64,
    /// The digest, or why there is none.
    pub result: Result<Found, Reason>,
}

/// A digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// BLAKE3 of the content.
    pub digest: Hash,
    /// stat(2) shows another device than the kernel has, as on btrfs and some overlays: everything
    /// else was compared.
    pub other_device: bool,
}

/// Why there is no digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is no regular file.
    NotRegular,
    /// Its file system makes up the content when it is read (procfs and the like).
    MadeUp,
    /// It is larger than [`FILE_BYTES_MAX`].
    TooLarge,
    /// Too many files waited to be read.
    QueueFull,
    /// It could not be found any more: the process does not hold it, and its path leads nowhere, or
    /// the process has ended and its path leads to another file.
    Gone,
    /// Its path below the root of the process, which lives, leads to another file by now.
    Replaced,
    /// It is there in another version; these of its properties differ.
    Changed(Vec<&'static str>),
    /// It cannot be opened or read: the error number.
    Unreadable(i32),
    /// Reading it did not come forward for too long.
    Stuck,
    /// Recording ended before it was read.
    NotWaited,
    /// The name by which it was wanted does not lead to it.
    Unwanted,
}

impl Reason {
    /// A word for records.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotRegular => "not-regular",
            Self::MadeUp => "made-up",
            Self::TooLarge => "too-large",
            Self::QueueFull => "queue-full",
            Self::Gone => "gone",
            Self::Replaced => "replaced",
            Self::Changed(_) => "changed",
            Self::Unreadable(_) => "unreadable",
            Self::Stuck => "stuck",
            Self::NotWaited => "not-waited",
            Self::Unwanted => "unwanted",
        }
    }
}

/// How long a tick of the clock is that files' times are taken from, nanoseconds. A file that changes
/// twice within one keeps its times.
#[must_use]
pub fn tick_ns() -> i64 {
    clock_getres(ClockId::RealtimeCoarse)
        .tv_nsec
        .clamp(1, 1_000_000_000)
}
