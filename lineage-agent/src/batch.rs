//! Frames on their way from the rings to the fold, and the moment up to which they are complete.

use lineage_common::{frame::Header, limits::CPUS_MAX};
use zerocopy::{FromBytes, IntoBytes};

/// Frames back to back, each aligned to 8 bytes so that it can be decoded in place.
#[derive(Debug, Default)]
pub struct Batch {
    words: Vec<u64>,
    /// One entry per frame, in the order of arrival until [`Self::sort`].
    index: Vec<Entry>,
}

/// Where a frame is, and what orders it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub time: u64,
    /// The CPU that numbered it, below [`CPUS_MAX`].
    pub cpu: u32,
    /// Its number on that CPU.
    pub number: u64,
    /// Its first word in the batch.
    word: usize,
    /// Its length in bytes.
    len: usize,
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
    /// Adds a frame of `len` bytes, which `fill` writes. `None`, and nothing is kept, when it has
    /// no whole header or names an impossible CPU.
    pub fn push(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> Option<Entry> {
        let word = self.words.len();
        self.words.resize(word + len.div_ceil(8), 0);
        let frame = &mut self.words[word..].as_mut_bytes()[..len];
        fill(frame);
        let entry = match Header::ref_from_prefix(frame) {
            Ok((header, _)) if header.cpu < CPUS_MAX => {
                let Header {
                    time, cpu, number, ..
                } = *header;
                Entry {
                    time,
                    cpu,
                    number,
                    word,
                    len,
                }
            }
            _ => {
                self.words.truncate(word);
                return None;
            }
        };
        self.index.push(entry);
        Some(entry)
    }

    /// The frames' order keys and places.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.index
    }

    /// A frame's bytes, aligned to 8.
    ///
    /// # Panics
    ///
    /// When `entry` is of another batch.
    #[must_use]
    pub fn frame(&self, entry: &Entry) -> &[u8] {
        &self.words[entry.word..].as_bytes()[..entry.len]
    }

    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<u64>() * self.words.len()
    }

    /// Puts the entries into the order of time, then CPU, then number. The frames of each CPU and
    /// ring arrive in order, so this merges a few sorted runs.
    pub fn sort(&mut self) {
        self.index.sort();
    }

    /// How many entries of a sorted batch are earlier than `time`.
    #[must_use]
    pub fn before(&self, time: u64) -> usize {
        self.index.partition_point(|entry| entry.time < time)
    }

    /// Forgets the first `count` frames of a sorted batch; the others move to the front, in the
    /// order of arrival.
    pub fn drop_first(&mut self, count: usize) {
        self.index.drain(..count);
        self.index.sort_unstable_by_key(|entry| entry.word);
        let mut kept = 0;
        for entry in &mut self.index {
            let words = entry.len.div_ceil(8);
            self.words.copy_within(entry.word..entry.word + words, kept);
            entry.word = kept;
            kept += words;
        }
        self.words.truncate(kept);
    }
}
