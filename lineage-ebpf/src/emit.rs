//! From the scratch into a ring: numbering, sending, counting.
//!
//! A frame is put together first and numbered last, so between the number and its counter there is
//! nothing that can fail or take long. A number, once taken, is always counted, as produced or as
//! lost: a hole in a CPU's numbers is exactly a range of lost frames.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_ktime_get_boot_ns, bpf_ringbuf_output, bpf_ringbuf_query},
};
use lineage_common::{
    frame::{Flags, Header, Kind, NO_CPU},
    policy::{Outcome, PATH_KEY_BYTES, Ruling},
};

use crate::{
    atomic::{add, exchange, fetch_add},
    maps::{self, Scratch},
    read::{mask_frame, offset, store, typed},
    skip::Skip,
    task::Actor,
};

/// Bytes of the header: where a body starts.
pub(crate) const BODY: u64 = size_of::<Header>() as u64;

/// One in this many frames of a CPU looks whether the reader has to be woken.
const WAKE_CHECK_FRAMES: u64 = 16;

/// A frame being put together. Ends with [`Frame::send`] or [`Frame::release`].
///
/// One pointer, because all functions of a probe share 512 bytes of stack.
#[must_use]
pub(crate) struct Frame {
    pub(crate) scratch: *mut Scratch,
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

impl Sent {
    /// There was no frame.
    pub(crate) const NOTHING: Self = Self {
        number: 0,
        cpu: NO_CPU,
    };
}

impl Frame {
    /// Takes this CPU's scratch. When it is in use (a probe interrupted another), the frame of
    /// `kind` is counted as lost.
    #[inline(always)]
    pub(crate) fn take(kind: Kind) -> Result<Self, Skip> {
        let cpu = maps::cpu();
        let scratch = maps::scratch(cpu).ok_or(Skip::Unreadable)?;
        // SAFETY: map values live as long as the program.
        if unsafe { (&raw const (*scratch).busy).read_volatile() } != 0 {
            interrupted(cpu, kind.0);
            return Err(Skip::Lost);
        }
        // SAFETY: the scratch is ours now.
        unsafe {
            (&raw mut (*scratch).busy).write_volatile(1);
            (*scratch).cpu = cpu;
            (*scratch).outcome = Outcome::UNGOVERNED;
            (*scratch).ruling = Ruling::NONE;
            (*scratch).generation = 0;
            (*scratch).judged_len = 0;
            (*scratch).judged_at = 0;
        }
        Ok(Self { scratch })
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
    pub(crate) fn send(self, actor: &Actor, what: What, len: u64) -> Sent {
        // SAFETY: the scratch is ours until it is released.
        let header = unsafe { (&raw mut (*self.scratch).frame).cast::<Header>() };
        // SAFETY: as above; the header comes first in the frame.
        unsafe {
            (*header).len = mask_frame(len) as u32;
            (*header).kind = what.kind;
            (*header).flags = what.flags;
            (*header).result = what.result;
            (*header).start = (*actor.task).start;
            (*header).pid = actor.pid();
            (*header).tid = actor.tid();
            (*header).lineage = (*actor.task).lineage;
            (*header).exec = (*actor.task).exec;
            // Word by word from the task: less than half the cost of the helper.
            let comm = (&raw mut (*header).comm).cast::<u64>();
            comm.write(typed(actor.thread, offset!(task_comm)));
            comm.add(1)
                .write(typed(actor.thread, offset!(task_comm) + 8));
            deliver((*self.scratch).cpu);
        }
        // SAFETY: as above.
        let sent = unsafe {
            Sent {
                number: (*header).number,
                cpu: (*header).cpu,
            }
        };
        self.release();
        sent
    }
}

/// Puts a part of whole words behind the others of the frame in the scratch, at `at`; returns where it
/// ends. It need not be aligned there.
///
/// # Safety
///
/// The scratch is the caller's.
#[inline(always)]
pub(crate) unsafe fn append<T>(scratch: *mut Scratch, at: u64, part: *const T) -> u64 {
    // SAFETY: by contract, and the frame has room for more than any mask allows.
    unsafe {
        let to = (&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(mask_frame(at) as usize);
        for index in 0..size_of::<T>() / 8 {
            store(to.add(index * 8), part.cast::<u64>().add(index).read());
        }
    }
    at + size_of::<T>() as u64
}

/// Counts a frame as lost because its probe interrupted another one. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn interrupted(cpu: u32, kind: u16) -> u64 {
    if let Some(counters) = maps::counters(cpu) {
        // SAFETY: map values live as long as the program.
        unsafe { add(&raw mut (*counters).busy, 1) };
    }
    lost(cpu, Kind(kind));
    0
}

/// Counts a frame as lost that could not be put together.
#[inline(always)]
pub(crate) fn lost(cpu: u32, kind: Kind) -> Skip {
    if let Some(counters) = maps::counters(cpu) {
        // SAFETY: map values live as long as the program.
        unsafe {
            add(&raw mut (*counters).number, 1);
            add(by_kind(&raw mut (*counters).lost, kind), 1);
        }
    }
    Skip::Lost
}

/// Numbers, sends and counts the frame in the scratch of `cpu`, which is this one; not 0 when there is
/// none. A global function, see [`crate`]: every frame comes through here.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn deliver(cpu: u32) -> u64 {
    let (Some(counters), Some(scratch)) = (maps::counters(cpu), maps::scratch(cpu)) else {
        return 1;
    };
    // SAFETY: the scratch and the counters are this CPU's; the length is masked to the room.
    unsafe {
        let header = (&raw mut (*scratch).frame).cast::<Header>();
        (*header).cpu = cpu;
        (*header).ruling = (*scratch).ruling;
        (*header).outcome = (*scratch).outcome;
        (*header).generation = (*scratch).generation;
        (*header).judged_len = 0;
        (*header).judged_at = 0;
        if maps::governs() {
            append_judged(scratch);
        }
        let number = fetch_add(&raw mut (*counters).number, 1);
        (*header).number = number;
        (*header).time = bpf_ktime_get_boot_ns();
        let kind = (*header).kind;
        let (ring, wake_bytes) = maps::ring(kind);
        let flags = wakeup(ring, wake_bytes, number);
        let len = mask_frame(u64::from((*header).len));
        // Plain, because only this CPU writes it. The number is not: the reader relies on it being
        // visible before the clock is read.
        let counter = if bpf_ringbuf_output(ring, header.cast(), len, flags) == 0 {
            by_kind(&raw mut (*counters).produced, kind)
        } else {
            by_kind(&raw mut (*counters).lost, kind)
        };
        counter.write_volatile(counter.read_volatile() + 1);
    }
    0
}

/// Says where in the frame is what was judged, or puts it behind the rest.
#[inline(always)]
unsafe fn append_judged(scratch: *mut Scratch) {
    // SAFETY: the scratch is the caller's; the frame has room for twice the mask.
    unsafe {
        let (judged, at) = ((*scratch).judged_len, (*scratch).judged_at);
        if judged == 0 && at == 0 {
            return;
        }
        let header = (&raw mut (*scratch).frame).cast::<Header>();
        (*header).judged_len = judged;
        (*header).judged_at = at;
        if at != 0 {
            return;
        }
        let at = mask_frame(u64::from((*header).len));
        let to = (&raw mut (*scratch).frame).cast::<u8>().add(at as usize);
        let from = &raw const (*scratch).waiting.path;
        // In words, beyond the end: what is there is not sent.
        for word in 0..PATH_KEY_BYTES / 8 {
            store(to.add(word * 8), (*from)[word]);
        }
        (*header).len = at as u32 + judged;
    }
}

/// Wakes the reader only when it waits and much is unread. A wake-up is an interrupt to this CPU
/// itself, which in a virtual machine costs more than ten frames.
#[inline(always)]
unsafe fn wakeup(ring: *mut core::ffi::c_void, wake_bytes: u64, number: u64) -> u64 {
    let quiet = u64::from(BPF_RB_NO_WAKEUP);
    if !number.is_multiple_of(WAKE_CHECK_FRAMES) {
        return quiet;
    }
    let Some(waits) = maps::reader() else {
        return quiet;
    };
    // SAFETY: the map is a ring buffer, and the word is one of a map.
    unsafe {
        if waits.read_volatile() == 0
            || bpf_ringbuf_query(ring, u64::from(BPF_RB_AVAIL_DATA)) < wake_bytes
            || exchange(waits, 0) == 0
        {
            return quiet;
        }
    }
    u64::from(BPF_RB_FORCE_WAKEUP)
}

/// The counter of a kind.
#[inline(always)]
unsafe fn by_kind(counters: *mut [u64; Kind::COUNT], kind: Kind) -> *mut u64 {
    // SAFETY: kinds are below the length of the array.
    unsafe {
        counters
            .cast::<u64>()
            .add(usize::from(kind.0) % Kind::COUNT)
    }
}
