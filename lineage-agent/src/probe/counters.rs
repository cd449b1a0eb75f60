//! What each CPU produced and lost, read in place.

use std::{
    os::fd::BorrowedFd,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
};

use lineage_common::frame::{CpuCounters, Kind};
use zerocopy::{FromZeros, IntoBytes};

use super::ring::Mapping;

/// Words of [`CpuCounters`].
const WORDS: usize = size_of::<CpuCounters>() / 8;
/// Word of [`CpuCounters::number`].
const NUMBER: usize = 0;
/// First word of [`CpuCounters::produced`].
const PRODUCED: usize = 1;
/// First word of [`CpuCounters::lost`].
const LOST: usize = PRODUCED + Kind::COUNT;

const _: () = {
    assert!(std::mem::offset_of!(CpuCounters, number) == 8 * NUMBER);
    assert!(std::mem::offset_of!(CpuCounters, produced) == 8 * PRODUCED);
    assert!(std::mem::offset_of!(CpuCounters, lost) == 8 * LOST);
};

/// The counters of all CPUs. Clones share the mapping.
#[derive(Debug, Clone)]
pub struct Counters {
    mapping: Arc<Mapping>,
    cpus: usize,
}

/// A CPU's counters with nothing in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    /// The next frame's number.
    pub(super) number: u64,
    /// Frames put into a ring, by kind.
    pub(super) produced: [u64; Kind::COUNT],
}

impl Counters {
    pub(super) fn new(fd: BorrowedFd<'_>, cpus: usize) -> rustix::io::Result<Self> {
        let bytes = (cpus * size_of::<CpuCounters>()).next_multiple_of(rustix::param::page_size());
        Ok(Self {
            mapping: Arc::new(Mapping::new(fd, bytes, 0, false)?),
            cpus,
        })
    }

    /// How many CPUs the machine can have; the numbers in frames are below it.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    /// A copy of one CPU's counters. They move on while it is made.
    ///
    /// # Panics
    ///
    /// When `cpu` is not below [`Self::cpus`].
    #[must_use]
    pub fn read(&self, cpu: usize) -> CpuCounters {
        let mut words = [0u64; WORDS];
        for (index, word) in words.iter_mut().enumerate() {
            *word = self.word(cpu, index);
        }
        let mut counters = CpuCounters::new_zeroed();
        counters.as_mut_bytes().copy_from_slice(words.as_bytes());
        counters
    }

    /// What this CPU had produced at a moment when it was not between numbering and counting a
    /// frame. `None` when it was, at every of a few looks.
    pub(super) fn settled(&self, cpu: usize) -> Option<Settled> {
        const LOOKS: usize = 64;
        for _ in 0..LOOKS {
            let mut produced = [0; Kind::COUNT];
            let mut counted = 0;
            for (kind, produced) in produced.iter_mut().enumerate() {
                *produced = self.word(cpu, PRODUCED + kind);
                counted += *produced + self.word(cpu, LOST + kind);
            }
            // The number is read last: had a frame been numbered and not yet counted, it would be
            // ahead. Counters only grow, so equality means nothing was in flight at this read.
            fence(Ordering::SeqCst);
            if self.word(cpu, NUMBER) == counted {
                return Some(Settled {
                    number: counted,
                    produced,
                });
            }
            std::hint::spin_loop();
        }
        None
    }

    fn word(&self, cpu: usize, index: usize) -> u64 {
        assert!(cpu < self.cpus);
        self.mapping
            .word(8 * (cpu * WORDS + index))
            .load(Ordering::Acquire)
    }
}
