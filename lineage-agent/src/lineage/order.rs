//! Puts frames of all CPUs and both rings into the order in which they happened.
//!
//! The reader promises a *watermark*: every frame with an earlier time has arrived. Up to it the
//! order is exact, so nothing is guessed and no window is tuned. Frames of one CPU are numbered
//! without gaps, so a gap is exactly a range of frames the kernel had no room for.

use lineage_common::limits::CPUS_MAX;

use crate::batch::{Batch, Frames, Watermark};

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

/// Frames that have arrived and are not released yet.
#[derive(Debug, Default)]
pub struct Order {
    /// Where the reader puts what arrives.
    pub arrived: Batch,
    /// By CPU: the number after the last one released or reported lost.
    expected: Vec<u64>,
}

impl Order {
    /// Releases everything before the watermark, in order, and the losses it proves. `frames` has
    /// what [`Self::arrived`] lists; what is not listed any more afterwards can be freed.
    ///
    /// # Errors
    ///
    /// The first error of `sink`; the caller cannot go on, so what was not released yet is dropped.
    pub fn release<E>(
        &mut self,
        watermark: &Watermark,
        frames: &impl Frames,
        mut sink: impl FnMut(Ordered<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.arrived.sort();
        let ready = self.arrived.before(watermark.time);
        for entry in &self.arrived.entries()[..ready] {
            if let Some(loss) = missing(&mut self.expected, entry.cpu, entry.number, entry.time) {
                sink(Ordered::Loss(loss))?;
            }
            let next = &mut self.expected[entry.cpu as usize];
            *next = (*next).max(entry.number.saturating_add(1));
            sink(Ordered::Frame(frames.frame(&entry.place)))?;
        }
        self.arrived.drop_first(ready);
        for (cpu, number) in (0..CPUS_MAX).zip(&watermark.numbers) {
            let expected = self.expected.get(cpu as usize).copied().unwrap_or(0);
            let lost =
                expected < *number && self.arrived.entries().iter().all(|entry| entry.cpu != cpu);
            if lost && let Some(loss) = missing(&mut self.expected, cpu, *number, watermark.time) {
                sink(Ordered::Loss(loss))?;
            }
        }
        Ok(())
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
