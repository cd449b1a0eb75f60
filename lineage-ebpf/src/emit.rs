//! From the scratch into a ring: numbering, sending, counting.
//!
//! A frame is put together first and numbered last, so between the number and its counter there is
//! nothing that can fail or take long. A number, once taken, is always counted, as produced or as
//! lost: a hole in a CPU's numbers is exactly a range of lost frames.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{
        bpf_get_current_comm, bpf_ktime_get_boot_ns, bpf_ringbuf_output, bpf_ringbuf_query,
    },
};
use lineage_common::frame::{CpuCounters, Flags, Header, Kind};

use crate::{
    maps::{self, Ring, Scratch},
    read::mask_frame,
    skip::Skip,
    task::Actor,
};

/// Bytes of the header: where a body starts.
pub(crate) const BODY: u64 = size_of::<Header>() as u64;

/// One in this many frames of a CPU looks whether the reader has to be woken.
const WAKE_CHECK_FRAMES: u64 = 16;

/// A frame being put together. Ends with [`Frame::send`] or [`Frame::release`].
#[must_use]
pub(crate) struct Frame {
    pub(crate) scratch: *mut Scratch,
    counters: *mut CpuCounters,
    cpu: u32,
}

/// What happened, for the header.
#[derive(Clone, Copy)]
pub(crate) struct What {
    pub(crate) kind: Kind,
    pub(crate) flags: Flags,
    pub(crate) result: i64,
}

/// Where a frame ended up: what a descriptor remembers of its opening.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) cpu: u32,
}

impl Frame {
    /// Takes this CPU's scratch. When it is in use (a probe interrupted another), the frame of
    /// `kind` is counted as lost.
    #[inline(always)]
    pub(crate) fn take(kind: Kind) -> Result<Self, Skip> {
        let cpu = maps::cpu();
        let (Some(counters), Some(scratch)) = (maps::counters(cpu), maps::scratch(cpu)) else {
            return Err(Skip::Unreadable);
        };
        // SAFETY: map values live as long as the program.
        unsafe {
            if exchange(&raw mut (*scratch).busy, 1) != 0 {
                add(&raw mut (*counters).busy);
                add(&raw mut (*counters).number);
                add(lost(counters, kind));
                return Err(Skip::Lost);
            }
        }
        Ok(Self {
            scratch,
            counters,
            cpu,
        })
    }

    /// The body, to be filled completely: it holds what the last frame left.
    #[inline(always)]
    pub(crate) fn body<T>(&self) -> *mut T {
        // SAFETY: the scratch is larger than any header and body.
        unsafe {
            (&raw mut (*self.scratch).frame)
                .cast::<u8>()
                .add(BODY as usize)
                .cast()
        }
    }

    /// Gives the scratch back without a frame.
    #[inline(always)]
    pub(crate) fn release(self) {
        // SAFETY: the scratch is ours.
        unsafe { (&raw mut (*self.scratch).busy).write_volatile(0) };
    }

    /// Numbers and sends the frame, whose first `len` bytes but the header are complete.
    #[inline(always)]
    pub(crate) fn send(self, ring: Ring, actor: &Actor, what: What, len: u64) -> Sent {
        // SAFETY: the scratch and the counters are this CPU's; the length is masked to the room.
        let number = unsafe {
            let data = (&raw mut (*self.scratch).frame).cast::<u8>();
            let header = data.cast::<Header>();
            let len = mask_frame(len);
            (*header).len = len as u32;
            (*header).kind = what.kind;
            (*header).flags = what.flags;
            (*header).start = (*actor.task).start;
            (*header).result = what.result;
            (*header).cpu = self.cpu;
            (*header).pid = actor.pid;
            (*header).tid = actor.tid;
            (*header).lineage = (*actor.task).lineage;
            (*header).exec = (*actor.task).exec;
            (*header).reserved = 0;
            bpf_get_current_comm((&raw mut (*header).comm).cast(), 16);

            let number = fetch_add(&raw mut (*self.counters).number);
            (*header).number = number;
            (*header).time = bpf_ktime_get_boot_ns();
            let (map, wake_bytes) = ring.map();
            let failed = bpf_ringbuf_output(map, data.cast(), len, wakeup(map, wake_bytes, number));
            if failed == 0 {
                add(produced(self.counters, what.kind));
            } else {
                add(lost(self.counters, what.kind));
            }
            number
        };
        let sent = Sent {
            number,
            cpu: self.cpu,
        };
        self.release();
        sent
    }
}

/// Wakes the reader only when much is unread: a wake-up per frame costs more than the frame.
#[inline(always)]
unsafe fn wakeup(map: *mut core::ffi::c_void, wake_bytes: u64, number: u64) -> u64 {
    if number % WAKE_CHECK_FRAMES != 0 {
        return u64::from(BPF_RB_NO_WAKEUP);
    }
    // SAFETY: the map is a ring buffer.
    let unread = unsafe { bpf_ringbuf_query(map, u64::from(BPF_RB_AVAIL_DATA)) };
    if unread < wake_bytes {
        u64::from(BPF_RB_NO_WAKEUP)
    } else {
        u64::from(BPF_RB_FORCE_WAKEUP)
    }
}

#[inline(always)]
unsafe fn produced(counters: *mut CpuCounters, kind: Kind) -> *mut u64 {
    // SAFETY: kinds are below the length of the array.
    unsafe {
        (&raw mut (*counters).produced)
            .cast::<u64>()
            .add(usize::from(kind.0) % Kind::COUNT)
    }
}

#[inline(always)]
unsafe fn lost(counters: *mut CpuCounters, kind: Kind) -> *mut u64 {
    // SAFETY: kinds are below the length of the array.
    unsafe {
        (&raw mut (*counters).lost)
            .cast::<u64>()
            .add(usize::from(kind.0) % Kind::COUNT)
    }
}

// The compiler has no atomics for this target. They are needed: on kernels where a probe can be
// preempted, another task's probe may run on the same CPU in between.

/// Adds one.
#[inline(always)]
unsafe fn add(word: *mut u64) {
    // SAFETY: the caller passes an aligned word of a map.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) word, in(reg) 1u64,
            options(nostack));
    }
}

/// Adds one and returns what was there before.
#[inline(always)]
unsafe fn fetch_add(word: *mut u64) -> u64 {
    let mut value = 1u64;
    // SAFETY: the caller passes an aligned word of a map.
    unsafe {
        core::arch::asm!("{1} = atomic_fetch_add((u64 *)({0} + 0), {1})", in(reg) word,
            inout(reg) value, options(nostack));
    }
    value
}

/// Replaces the value and returns what was there before.
#[inline(always)]
unsafe fn exchange(word: *mut u64, value: u64) -> u64 {
    let mut value = value;
    // SAFETY: the caller passes an aligned word of a map.
    unsafe {
        core::arch::asm!("{1} = xchg_64({0} + 0, {1})", in(reg) word, inout(reg) value,
            options(nostack));
    }
    value
}
