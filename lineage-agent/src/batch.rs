//! Frames on their way from the rings to the fold, and the moment up to which they are complete.
//!
//! Frames stay in their ring until their turn has come; what is sorted is where they are.

use lineage_common::{frame::Header, limits::CPUS_MAX};
use zerocopy::FromBytes;

/// Where frames are until their turn has come.
pub trait Frames {
    /// A frame's bytes, aligned to 8 so that they can be decoded in place.
    fn frame(&self, place: &Place) -> &[u8];
}

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Position in the ring: bytes since its beginning, not reduced to its size.
    pub position: u64,
    /// Length in bytes.
    pub len: u32,
    /// The ring.
    pub ring: u32,
}

/// What orders a frame, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub time: u64,
    /// The CPU that numbered it, below [`CPUS_MAX`].
    pub cpu: u32,
    /// Its number on that CPU.
    pub number: u64,
    /// Where it is.
    pub place: Place,
}

/// Frames that have arrived, in the order of arrival until [`Self::sort`].
#[derive(Debug, Default)]
pub struct Batch {
    entries: Vec<Entry>,
}

/// A moment up to which everything is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// Every frame with an earlier time (`CLOCK_BOOTTIME` in nanoseconds) has arrived or was lost.
    pub time: u64,
    /// By CPU: so has every frame with a number below this one.
    pub numbers: Vec<u64>,
}

impl Batch {
    /// Adds the frame that is at `place`; returns the CPU that made it. `None`, and it is not kept,
    /// when it has no whole header or names an impossible CPU.
    pub fn push(&mut self, frame: &[u8], place: Place) -> Option<u32> {
        let (header, _) = Header::ref_from_prefix(frame).ok()?;
        let Header {
            time, cpu, number, ..
        } = *header;
        if cpu >= CPUS_MAX {
            return None;
        }
        self.entries.push(Entry {
            time,
            cpu,
            number,
            place,
        });
        Some(cpu)
    }

    /// The frames' order keys and places.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Puts the entries into the order of time, then CPU, then number. The frames of each CPU and
    /// ring arrive in order, so this merges a few sorted runs.
    pub fn sort(&mut self) {
        self.entries.sort();
    }

    /// How many entries of a sorted batch are earlier than `time`.
    #[must_use]
    pub fn before(&self, time: u64) -> usize {
        self.entries.partition_point(|entry| entry.time < time)
    }

    /// Forgets the first `count` entries.
    pub fn drop_first(&mut self, count: usize) {
        self.entries.drain(..count);
    }
}
