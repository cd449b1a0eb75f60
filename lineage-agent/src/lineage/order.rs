//! Puts frames of all CPUs and both rings into the order in which they happened.
//!
//! The reader promises a *watermark*: every frame with an earlier time has arrived. Up to it the
//! order is exact, so nothing is guessed and no window is tuned. Frames of one CPU are numbered
//! without gaps, so a gap is exactly a range of frames the kernel had no room for.

use lineage_common::{frame::Header, limits::CPUS_MAX};
use zerocopy::{FromBytes, IntoBytes};

/// A moment up to which everything is known.
#[derive(Debug, Clone, Default)]
pub struct Watermark {
    /// Every frame with a time before this one (boot time, nanoseconds) has been pushed.
    pub time: u64,
    /// By CPU: every frame with a number below this one has been pushed or was lost.
    pub numbers: Vec<u64>,
}

/// What comes out, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered<'a> {
    /// One frame, aligned to 8 bytes.
    Frame(&'a [u8]),
    /// Frames that were lost, before the frame that follows.
    Loss(Loss),
}

/// A range of one CPU's frames for which a ring had no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The CPU.
    pub cpu: u32,
    /// Number of the first frame lost.
    pub first: u64,
    /// How many were lost in a row.
    pub count: u64,
    /// When, at the latest: boot time in nanoseconds.
    pub time: u64,
}

/// Where a pending frame lies, and what it is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    time: u64,
    cpu: u32,
    number: u64,
    word: usize,
    len: usize,
}

/// Frames that have arrived and are not released yet.
#[derive(Debug, Default)]
pub struct Order {
    /// Bytes of pending frames; words keep each frame aligned for decoding in place.
    words: Vec<u64>,
    entries: Vec<Entry>,
    /// By CPU: the number after the last one released or reported lost.
    expected: Vec<u64>,
}

impl Order {
    /// Takes one frame. False when it has no whole header or names an impossible CPU: the caller
    /// counts it.
    pub fn push(&mut self, frame: &[u8]) -> bool {
        let word = self.words.len();
        self.words.resize(word + frame.len().div_ceil(8), 0);
        let slot = &mut self.words[word..].as_mut_bytes()[..frame.len()];
        slot.copy_from_slice(frame);
        match Header::ref_from_prefix(slot) {
            Ok((header, _)) if header.cpu < CPUS_MAX => {
                let Header {
                    time, cpu, number, ..
                } = *header;
                self.entries.push(Entry {
                    time,
                    cpu,
                    number,
                    word,
                    len: frame.len(),
                });
                true
            }
            _ => {
                self.words.truncate(word);
                false
            }
        }
    }

    /// Bytes that wait for a watermark.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// Releases everything before the watermark, in order, and the losses it proves.
    ///
    /// # Errors
    ///
    /// The first error of `sink`; the caller cannot go on, so what was not released yet is dropped.
    pub fn release<E>(
        &mut self,
        watermark: &Watermark,
        mut sink: impl FnMut(Ordered<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.entries.sort_unstable();
        let ready = self
            .entries
            .partition_point(|entry| entry.time < watermark.time);
        for entry in self.entries.drain(..ready) {
            if let Some(loss) = missing(&mut self.expected, entry.cpu, entry.number, entry.time) {
                sink(Ordered::Loss(loss))?;
            }
            let next = &mut self.expected[entry.cpu as usize];
            *next = (*next).max(entry.number.saturating_add(1));
            sink(Ordered::Frame(
                &self.words[entry.word..].as_bytes()[..entry.len],
            ))?;
        }
        self.compact();
        for (cpu, number) in (0..CPUS_MAX).zip(&watermark.numbers) {
            let expected = self.expected.get(cpu as usize).copied().unwrap_or(0);
            let lost = expected < *number && self.entries.iter().all(|entry| entry.cpu != cpu);
            if lost && let Some(loss) = missing(&mut self.expected, cpu, *number, watermark.time) {
                sink(Ordered::Loss(loss))?;
            }
        }
        Ok(())
    }

    /// Moves the frames still pending to the front.
    fn compact(&mut self) {
        let mut kept = Vec::new();
        for entry in &mut self.entries {
            let words = &self.words[entry.word..entry.word + entry.len.div_ceil(8)];
            entry.word = kept.len();
            kept.extend_from_slice(words);
        }
        self.words.clear();
        self.words.append(&mut kept);
    }
}

/// The frames missing before `number` on this CPU; none below `number` are expected afterwards.
fn missing(expected: &mut Vec<u64>, cpu: u32, number: u64, time: u64) -> Option<Loss> {
    let index = cpu as usize;
    if expected.len() <= index {
        expected.resize(index + 1, 0);
    }
    let first = expected[index];
    let count = number.checked_sub(first).filter(|count| *count > 0)?;
    expected[index] = number;
    Some(Loss {
        cpu,
        first,
        count,
        time,
    })
}

#[cfg(test)]
mod tests;
