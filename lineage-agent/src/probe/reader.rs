//! Takes frames out of both rings, and knows up to which moment they are complete.
//!
//! Each CPU numbers its frames and counts them as produced or lost right after. To learn that
//! every frame before a moment *W* has arrived, read the clock (*W*), then wait until on every CPU
//! as many frames are counted as are numbered, and note how many it put into each ring. Frames
//! numbered later have a later time; the noted ones have arrived once as many were taken from that
//! ring. Nothing is guessed from how long a frame may take.
//!
//! Every drain begins with such a look, and several can be open: what waits for its moment are the
//! frames of one drain or, when this has fallen behind, of the rings. They wait there, uncopied, and
//! are freed when their turn has come.

use std::{
    collections::VecDeque, mem::MaybeUninit, os::fd::OwnedFd, sync::atomic::Ordering,
    time::Duration,
};

use lineage_common::frame::Kind;
use rustix::{
    event::{Timespec, epoll},
    time::{ClockId, clock_gettime},
};

use super::{
    counters::Counters,
    ring::{Mapping, Ring},
};
use crate::batch::{Batch, Frames, Place, Watermark};

/// Most bytes of a ring that one [`Reader::drain`] reads, so that what was read is freed while the
/// rings still have room.
const DRAIN_BYTES_MAX: u64 = 1024 * 1024;

/// How far the probes' clock may be behind the system call's for an instant: theirs is readable
/// from any context and not strictly ordered while the timekeeper is updated
/// ([`kernel/time/timekeeping.c`](https://elixir.bootlin.com/linux/v6.12/source/kernel/time/timekeeping.c#L485)).
const CLOCK_SLACK_NS: u64 = 100_000;

/// Most looks that are open at one time.
const LOOKS_MAX: usize = 64;

/// Control and bulk.
const RINGS: usize = 2;

/// What a [`Reader::drain`] learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// `None` when this drain established no new moment.
    pub watermark: Option<Watermark>,
    /// Whether frames were left in a ring because there were many: drain again at once.
    pub more: bool,
}

/// What a CPU had put into each ring at a moment, and the moment.
#[derive(Debug)]
struct Look {
    watermark: Watermark,
    produced: Vec<[u64; RINGS]>,
}

/// The reading end of the probes. Can be moved to a thread of its own.
#[derive(Debug)]
pub struct Reader {
    rings: [Ring; RINGS],
    counters: Counters,
    /// Its first word is 1 while this waits: otherwise the probes need not wake it.
    waiting: Mapping,
    /// Watches the rings for wake-ups, not for data, which is there most of the time.
    wakeups: OwnedFd,
    /// Frames taken from each ring, by the CPU that made them.
    taken: Vec<[u64; RINGS]>,
    /// The looks whose frames have not all arrived, oldest first.
    looks: VecDeque<Look>,
    /// Entries too short to be a frame or of a CPU that cannot be: none, unless memory is corrupt.
    malformed: u64,
}

impl Reader {
    pub(super) fn new(
        control: Ring,
        bulk: Ring,
        counters: Counters,
        waiting: Mapping,
    ) -> rustix::io::Result<Self> {
        let wakeups = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for ring in [&control, &bulk] {
            let events = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&wakeups, ring.fd(), epoll::EventData::new_u64(0), events)?;
        }
        let taken = vec![[0; RINGS]; counters.cpus()];
        Ok(Self {
            rings: [control, bulk],
            counters,
            waiting,
            wakeups,
            taken,
            looks: VecDeque::with_capacity(LOOKS_MAX),
            malformed: 0,
        })
    }

    /// Begins anew with empty rings: the counters were set to 0.
    pub(super) fn restart(&mut self) {
        for ring in &mut self.rings {
            while ring.next().is_some() {}
            ring.free(None);
        }
        self.taken.fill([0; RINGS]);
        self.looks.clear();
        self.malformed = 0;
    }

    /// Waits until an eighth of a ring is unread or the timeout has passed. Frames are not worth a
    /// wake-up each, so the timeout is the longest one stays in a ring.
    ///
    /// # Errors
    ///
    /// What `epoll_wait` returns; an interruption is not an error.
    pub fn wait(&self, timeout: Duration) -> rustix::io::Result<()> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut events = [MaybeUninit::uninit(); RINGS];
        self.waiting.word(0).store(1, Ordering::SeqCst);
        let waited = epoll::wait(&self.wakeups, &mut events, Some(&timeout));
        self.waiting.word(0).store(0, Ordering::SeqCst);
        match waited {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Adds what is in the rings to `batch`. It stays there until [`Self::free`].
    pub fn drain(&mut self, batch: &mut Batch) -> Drained {
        if self.looks.len() < LOOKS_MAX
            && let Some(look) = self.look()
        {
            self.looks.push_back(look);
        }
        let mut more = false;
        for ring in 0..RINGS {
            more |= self.drain_ring(ring, batch);
        }
        let arrived = self.looks.partition_point(|look| look.arrived(&self.taken));
        let newest = self.looks.drain(..arrived).next_back();
        Drained {
            watermark: newest.map(|look| look.watermark),
            more,
        }
    }

    /// Frees what was drained, but for what `kept` lists.
    pub fn free(&mut self, kept: &Batch) {
        let mut first = [None; RINGS];
        for Place { ring, position, .. } in kept.entries().iter().map(|entry| entry.place) {
            let first: &mut Option<u64> = &mut first[ring as usize];
            *first = Some(first.map_or(position, |first| first.min(position)));
        }
        for (ring, first) in self.rings.iter_mut().zip(first) {
            ring.free(first);
        }
    }

    /// The counters of all CPUs.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Ring entries that were no frame; each also shows as a gap in its CPU's numbers.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Frames put into the rings and not drained yet.
    #[must_use]
    pub fn unread(&self) -> u64 {
        let produced: u64 = (0..self.counters.cpus())
            .flat_map(|cpu| self.counters.read(cpu).produced)
            .sum();
        produced.saturating_sub(self.taken.iter().flatten().sum())
    }

    /// Notes a moment and what every CPU had produced by then.
    fn look(&self) -> Option<Look> {
        let now = clock_gettime(ClockId::Boottime);
        let now = u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000
            + u64::try_from(now.tv_nsec).unwrap_or(0);
        let mut produced = Vec::with_capacity(self.counters.cpus());
        let mut numbers = Vec::with_capacity(self.counters.cpus());
        for cpu in 0..self.counters.cpus() {
            let settled = self.counters.settled(cpu)?;
            let mut rings = [0; RINGS];
            for (kind, count) in settled.produced.iter().enumerate() {
                rings[ring_of(kind)] += count;
            }
            produced.push(rings);
            numbers.push(settled.number);
        }
        let time = now.saturating_sub(CLOCK_SLACK_NS);
        Some(Look {
            watermark: Watermark { time, numbers },
            produced,
        })
    }

    /// Reads one ring until it is empty or enough was read; whether there is more.
    fn drain_ring(&mut self, ring: usize, batch: &mut Batch) -> bool {
        let source = &mut self.rings[ring];
        let mut read = 0;
        while let Some((position, len)) = source.next() {
            #[expect(clippy::cast_possible_truncation, reason = "two rings")]
            let place = Place {
                position,
                len,
                ring: ring as u32,
            };
            let cpu = batch.push(source.bytes(position, len), place);
            match cpu.and_then(|cpu| self.taken.get_mut(cpu as usize)) {
                Some(taken) => taken[ring] += 1,
                None => self.malformed += 1,
            }
            read += u64::from(len);
            if read >= DRAIN_BYTES_MAX {
                return true;
            }
        }
        false
    }
}

impl Frames for Reader {
    fn frame(&self, place: &Place) -> &[u8] {
        self.rings[place.ring as usize].bytes(place.position, place.len)
    }
}

impl Look {
    fn arrived(&self, taken: &[[u64; RINGS]]) -> bool {
        self.produced
            .iter()
            .zip(taken)
            .all(|(produced, taken)| (0..RINGS).all(|ring| taken[ring] >= produced[ring]))
    }
}

/// The ring a kind goes to: 0 for control, 1 for bulk.
fn ring_of(kind: usize) -> usize {
    usize::from(kind > usize::from(Kind::THREAD_EXIT.0))
}
