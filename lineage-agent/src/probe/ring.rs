//! Reads a BPF ring buffer in place.
//!
//! The layout is the kernel's ([`kernel/bpf/ringbuf.c`](https://elixir.bootlin.com/linux/v6.12/source/kernel/bpf/ringbuf.c#L76)):
//! a page with the consumer's position, a page with the producer's, then the data. Every entry is
//! an 8-byte header and its bytes, aligned to 8. The kernel offers the data twice in a row so that
//! no entry wraps; this maps them once and copies a wrapping entry in two parts, because every
//! mapped page counts as this process's memory.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

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

    /// Copies bytes that the kernel does not write at the moment.
    fn copy(&self, at: usize, to: &mut [u8]) {
        assert!(
            at.checked_add(to.len())
                .is_some_and(|end| end <= self.bytes)
        );
        // SAFETY: in bounds; the entry is committed, so the kernel leaves it alone until the
        // consumer's position has passed it.
        unsafe { std::ptr::copy_nonoverlapping(self.start.add(at), to.as_mut_ptr(), to.len()) };
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
    /// Position up to which everything was consumed.
    position: u64,
}

impl Ring {
    /// Maps the ring of `size` data bytes behind `fd`.
    pub(super) fn new(fd: OwnedFd, size: usize) -> rustix::io::Result<Self> {
        let page = rustix::param::page_size();
        let consumer = Mapping::new(fd.as_fd(), page, 0, true)?;
        let producer = Mapping::new(fd.as_fd(), page + size, page as u64, false)?;
        let position = consumer.word(0).load(Ordering::Acquire);
        Ok(Self {
            fd,
            consumer,
            producer,
            page,
            size,
            position,
        })
    }

    /// For polling.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Length of the next entry, if one is complete.
    pub(super) fn next_len(&mut self) -> Option<usize> {
        loop {
            if self.position == self.producer.word(0).load(Ordering::Acquire) {
                return None;
            }
            let header = self.header();
            if header & BUSY != 0 {
                return None;
            }
            let len = (header & !(BUSY | DISCARD)) as usize;
            if header & DISCARD == 0 {
                return Some(len);
            }
            self.advance(len);
        }
    }

    /// Copies the next entry, whose length [`Self::next_len`] gave, and frees its place.
    pub(super) fn take(&mut self, to: &mut [u8]) {
        let at = (self.offset() + HEADER_BYTES) % self.size;
        let (head, tail) = to.split_at_mut(to.len().min(self.size - at));
        self.producer.copy(self.page + at, head);
        self.producer.copy(self.page, tail);
        let len = to.len();
        self.advance(len);
    }

    fn offset(&self) -> usize {
        // The ring's size is a power of two below 4 GiB.
        #[expect(clippy::cast_possible_truncation, reason = "reduced modulo the size")]
        let offset = (self.position % self.size as u64) as usize;
        offset
    }

    fn header(&self) -> u32 {
        self.producer
            .half_word(self.page + self.offset())
            .load(Ordering::Acquire)
    }

    fn advance(&mut self, len: usize) {
        self.position += (HEADER_BYTES + len).next_multiple_of(8) as u64;
        self.consumer
            .word(0)
            .store(self.position, Ordering::Release);
    }
}
