//! Reads a BPF ring buffer in place.
//!
//! The layout is the kernel's ([`kernel/bpf/ringbuf.c`](https://elixir.bootlin.com/linux/v6.12/source/kernel/bpf/ringbuf.c#L76)):
//! a page with the consumer's position, a page with the producer's, then the data. Every entry is
//! an 8-byte header and its bytes, aligned to 8. The kernel offers the data twice in a row so that
//! no entry wraps; of the second time this maps just enough for one entry, because every mapped
//! page counts as this process's memory.
//!
//! Reading and freeing are two things: what was read stays where it is, and the kernel leaves it
//! alone, until it is freed.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use lineage_common::limits::FRAME_BYTES_MAX;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// `BPF_RINGBUF_BUSY_BIT`, `BPF_RINGBUF_DISCARD_BIT` (`include/uapi/linux/bpf.h`).
const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
/// `BPF_RINGBUF_HDR_SZ`
const HEADER_BYTES: usize = 8;

/// A shared memory mapping of a BPF map.
#[derive(Debug)]
pub(super) struct Mapping {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: the mapping is shared memory, valid in every thread; all access goes through atomics or
// through `&mut` of the owner.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `bytes` of `fd` from `offset`.
    pub(super) fn new(
        fd: BorrowedFd<'_>,
        bytes: usize,
        offset: u64,
        write: bool,
    ) -> rustix::io::Result<Self> {
        let protection = if write {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                MapFlags::SHARED,
                fd,
                offset,
            )?
        };
        Ok(Self {
            start: start.cast(),
            bytes,
        })
    }

    /// The aligned 64-bit word at byte `at`.
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= self.bytes);
        // SAFETY: in bounds and aligned, and the mapping lives as long as `self`.
        unsafe { AtomicU64::from_ptr(self.start.add(at).cast()) }
    }

    /// Entry header at byte `at`.
    fn half_word(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at + 4 <= self.bytes);
        // SAFETY: in bounds and aligned, and the mapping lives as long as `self`.
        unsafe { AtomicU32::from_ptr(self.start.add(at).cast()) }
    }

    /// `len` bytes at byte `at`.
    ///
    /// # Safety
    ///
    /// Nobody writes them while the reference lives.
    unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.bytes));
        // SAFETY: in bounds, and the mapping lives as long as `self`; the caller answers for the
        // rest.
        unsafe { std::slice::from_raw_parts(self.start.add(at), len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and no reference into it outlives it.
        let _ = unsafe { munmap(self.start.cast(), self.bytes) };
    }
}

/// The consumer's side of one ring.
#[derive(Debug)]
pub(super) struct Ring {
    fd: OwnedFd,
    consumer: Mapping,
    producer: Mapping,
    page: usize,
    size: usize,
    /// Position up to which everything was freed: what the kernel has to go by.
    freed: u64,
    /// Position up to which everything was read.
    read: u64,
}

impl Ring {
    /// Maps the ring of `size` data bytes behind `fd`.
    pub(super) fn new(fd: OwnedFd, size: usize) -> rustix::io::Result<Self> {
        let page = rustix::param::page_size();
        let consumer = Mapping::new(fd.as_fd(), page, 0, true)?;
        let again = size.min((HEADER_BYTES + FRAME_BYTES_MAX).next_multiple_of(page));
        let producer = Mapping::new(fd.as_fd(), page + size + again, page as u64, false)?;
        let position = consumer.word(0).load(Ordering::Acquire);
        Ok(Self {
            fd,
            consumer,
            producer,
            page,
            size,
            freed: position,
            read: position,
        })
    }

    /// For polling.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Reads on: position and length of the next entry, if one is complete.
    pub(super) fn next(&mut self) -> Option<(u64, u32)> {
        loop {
            let end = self.producer.word(0).load(Ordering::Acquire);
            if self.read == end {
                return None;
            }
            let header = self.header(self.read);
            if header & BUSY != 0 {
                return None;
            }
            let len = header & !(BUSY | DISCARD);
            let next = self.read + (HEADER_BYTES as u64 + u64::from(len)).next_multiple_of(8);
            if next > end {
                // Not what a kernel leaves there: nothing after it can be found.
                return None;
            }
            let position = std::mem::replace(&mut self.read, next);
            if header & DISCARD == 0 {
                return Some((position, len));
            }
        }
    }

    /// The bytes of an entry that was read and not freed yet; none of one too long to be a frame.
    ///
    /// # Panics
    ///
    /// When it is not such an entry.
    pub(super) fn bytes(&self, position: u64, len: u32) -> &[u8] {
        assert!(self.freed <= position && position + u64::from(len) < self.read);
        let len = len as usize;
        if len > FRAME_BYTES_MAX {
            return &[];
        }
        // SAFETY: an entry that is complete is left alone by the kernel until the consumer's
        // position has passed it, which takes `&mut self`.
        unsafe {
            self.producer
                .bytes(self.page + self.offset(position) + HEADER_BYTES, len)
        }
    }

    /// Frees what was read before `position`; all of it when that is `None`.
    pub(super) fn free(&mut self, before: Option<u64>) {
        self.freed = before.unwrap_or(self.read).clamp(self.freed, self.read);
        self.consumer.word(0).store(self.freed, Ordering::Release);
    }

    fn offset(&self, position: u64) -> usize {
        // The ring's size is a power of two below 4 GiB.
        #[expect(clippy::cast_possible_truncation, reason = "reduced modulo the size")]
        let offset = (position % self.size as u64) as usize;
        offset
    }

    fn header(&self, position: u64) -> u32 {
        self.producer
            .half_word(self.page + self.offset(position))
            .load(Ordering::Acquire)
    }
}
