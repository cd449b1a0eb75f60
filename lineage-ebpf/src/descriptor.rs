//! The open descriptors of tracked processes, and how they end.
//!
//! A descriptor enters the table when it is opened, connected, accepted, bound or first used, with
//! the `struct file` behind it. The low ones of a process lie in a block of its own, where no search
//! is needed; the others, and those of processes for which no block was left, in a map. A later use that finds another file there knows that the
//! descriptor was replaced in a way the probes did not see, and closes the old one first.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    frame::{Close, Flags, Kind, NO_CPU},
    limits::DESCRIPTOR_MAX,
    task::{BLOCK_DESCRIPTORS, Descriptor, DescriptorKey},
};

use crate::{
    atomic::{add, and_half, fetch_add_half, or_half},
    emit::{BODY, Frame, Sent, What},
    facts,
    maps::{self, DESCRIPTORS},
    read::mask_32,
    skip::Skip,
    task::{self, Actor},
};

/// Length of a close's frame.
const CLOSE_LEN: u64 = BODY + size_of::<Close>() as u64;

/// What a descriptor leads to.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) file: u64,
    pub(crate) ino: u64,
    pub(crate) dev: u32,
    /// [`Descriptor::REGULAR`] or [`Descriptor::SOCKET`] and [`Descriptor::ADDRESSED`].
    pub(crate) leads_to: u32,
}

impl Target {
    /// Whether it is a socket.
    #[inline(always)]
    pub(crate) fn is_socket(&self) -> bool {
        self.leads_to & Descriptor::SOCKET != 0
    }

    /// Whether it is a socket that takes an address with each message.
    #[inline(always)]
    pub(crate) fn is_addressed(&self) -> bool {
        self.leads_to & Descriptor::ADDRESSED != 0
    }
}

/// The key of a descriptor of the acting process.
#[inline(always)]
fn key(actor: &Actor, fd: i32) -> DescriptorKey {
    DescriptorKey {
        // SAFETY: the entry of a tracked process stays while one of its threads runs.
        start: unsafe { (*actor.task).start },
        pid: actor.pid(),
        fd,
    }
}

/// The bit of a descriptor that has a place in a block.
#[inline(always)]
fn bit(fd: i32) -> u32 {
    1 << (fd as u32 % u32::BITS)
}

/// The place of a descriptor in the block of its process, used or not.
#[inline(always)]
fn place(actor: &Actor, fd: i32) -> Option<*mut Descriptor> {
    if fd as u32 >= BLOCK_DESCRIPTORS as u32 {
        return None;
    }
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let block = maps::block(unsafe { (*actor.task).block })?;
    // SAFETY: masked to the length of a block.
    Some(unsafe { block.cast::<Descriptor>().add(mask_32(fd as u64) as usize) })
}

/// A descriptor of the acting process, if it is in the table.
#[inline(always)]
pub(crate) fn find(actor: &Actor, fd: i32) -> Option<*mut Descriptor> {
    let Some(place) = place(actor, fd) else {
        return DESCRIPTORS.get_ptr_mut(key(actor, fd));
    };
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    if unsafe { (*actor.task).low } & bit(fd) == 0 {
        return None;
    }
    Some(place)
}

/// Puts a descriptor into the table, with the frame that recorded it, if one did. The target is that in
/// the scratch of this CPU.
#[inline(always)]
pub(crate) fn remember(actor: &Actor, fd: i32, target: &Target, sent: &Sent) {
    let Some(place) = place(actor, fd) else {
        remember_high(fd, sent.number, sent.cpu);
        return;
    };
    // SAFETY: the place is this descriptor's, and nobody reads it before its bit is set.
    unsafe {
        fill(place, target, sent);
        or_half(&raw mut (*actor.task).low, bit(fd));
    }
}

/// [`remember`], in the map. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn remember_high(fd: i32, number: u64, cpu: u32) -> u64 {
    let (Ok(actor), Some(scratch)) = (Actor::current(), maps::scratch(maps::cpu())) else {
        return 1;
    };
    // SAFETY: the scratch is this CPU's, and no other probe on it touches this part; all fields are
    // filled.
    let descriptor = unsafe {
        let descriptor = &raw mut (*scratch).descriptor;
        fill(descriptor, &(*scratch).target, &Sent { number, cpu });
        &*descriptor
    };
    if DESCRIPTORS.insert(key(&actor, fd), descriptor, 0).is_err() {
        full();
        return 1;
    }
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    unsafe {
        fetch_add_half(&raw mut (*actor.task).descriptors, 1);
        let bits = fd as u32;
        if (*actor.task).descriptor_bits & bits != bits {
            or_half(&raw mut (*actor.task).descriptor_bits, bits);
        }
    }
    0
}

/// Whether a descriptor is in the table or can be put into it: what has no room is not recorded at each
/// use anew.
#[inline(always)]
pub(crate) fn has_room(actor: &Actor, fd: i32) -> bool {
    if place(actor, fd).is_some() || find(actor, fd).is_some() {
        return true;
    }
    let Some(scratch) = maps::scratch(maps::cpu()) else {
        return false;
    };
    // Nobody looks for a number below 0.
    let nobodys = key(actor, fd | i32::MIN);
    // SAFETY: the scratch is this CPU's, and no other probe on it touches this part.
    let anything = unsafe { &(*scratch).descriptor };
    if DESCRIPTORS.insert(nobodys, anything, 0).is_err() {
        full();
        return false;
    }
    _ = DESCRIPTORS.remove(nobodys);
    true
}

#[inline(always)]
unsafe fn fill(descriptor: *mut Descriptor, target: &Target, sent: &Sent) {
    // SAFETY: by contract of the caller.
    unsafe {
        (*descriptor).file = target.file;
        (*descriptor).bytes_read = 0;
        (*descriptor).bytes_written = 0;
        (*descriptor).ino = target.ino;
        (*descriptor).opened_number = sent.number;
        (*descriptor).opened_cpu = sent.cpu;
        (*descriptor).dev = target.dev;
        (*descriptor).used = target.leads_to;
        (*descriptor).turn = 0;
        (*descriptor).drawn = 0;
        (*descriptor).mapped = 0;
        (*descriptor).inode = 0;
        (*descriptor).mtime_ns = 0;
    }
}

/// Whether a descriptor in the table is a socket that takes an address with each message.
#[inline(always)]
pub(crate) fn addressed(actor: &Actor, fd: i32) -> bool {
    // SAFETY: map values stay readable.
    find(actor, fd)
        .is_some_and(|descriptor| unsafe { (*descriptor).used } & Descriptor::ADDRESSED != 0)
}

/// Notes the ways in which the file of a descriptor is mapped; whether one of them is new, or nothing can
/// be noted.
#[inline(always)]
pub(crate) fn mapped(actor: &Actor, fd: i32, ways: u32) -> bool {
    let Some(descriptor) = find(actor, fd) else {
        return true;
    };
    // SAFETY: map values stay writable.
    unsafe {
        if (*descriptor).mapped & ways == ways {
            return false;
        }
        or_half(&raw mut (*descriptor).mapped, ways);
    }
    true
}

/// Takes a descriptor out of the table.
#[inline(always)]
fn forget(actor: &Actor, fd: i32) {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    unsafe {
        if place(actor, fd).is_some() {
            and_half(&raw mut (*actor.task).low, !bit(fd));
        } else if DESCRIPTORS.remove(key(actor, fd)).is_ok() {
            fetch_add_half(&raw mut (*actor.task).descriptors, u32::MAX);
        }
    }
}

/// After a call on a socket was recorded: enters its descriptor, or notes the new frame with it.
#[inline(always)]
pub(crate) fn recorded(actor: &Actor, fd: i32, target: &Target, sent: &Sent) {
    let Some(descriptor) = find(actor, fd) else {
        remember(actor, fd, target, sent);
        return;
    };
    if sent.cpu != NO_CPU {
        // SAFETY: map values stay writable.
        unsafe {
            (*descriptor).opened_number = sent.number;
            (*descriptor).opened_cpu = sent.cpu;
        }
    }
}

#[inline(always)]
fn full() {
    if let Some(counters) = maps::counters(maps::cpu()) {
        // SAFETY: map values live as long as the program.
        unsafe { add(&raw mut (*counters).descriptors_full, 1) };
    }
}

/// Makes room at a descriptor that a call has just made: what the table has there was closed
/// without a probe seeing it. Even at the same address it is another file: the kernel uses the
/// memory of a closed one again at once.
#[inline(always)]
pub(crate) fn made(actor: &Actor, fd: i32) {
    if find(actor, fd).is_some() {
        replaced(fd);
    }
}

/// Ends what the table has at a descriptor, which another file has taken; 0 when it has nothing. A
/// global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn replaced(fd: i32) -> u64 {
    match Actor::current() {
        Ok(actor) => u64::from(close(&actor, fd, Flags::BY_REPLACE, 0) != Err(Skip::Untracked)),
        Err(_) => 0,
    }
}

/// The `struct file` of this type at a descriptor of which only the caller's memory says that the call
/// has made it; 0 when it has not: the table knows what is there.
#[inline(never)]
pub(crate) fn just_made(actor: &Actor, fd: i32, file_type: u32) -> u64 {
    let Some(file) = task::file(actor.files, fd) else {
        return 0;
    };
    let Some(identity) = facts::identity(file) else {
        return 0;
    };
    // SAFETY: map values stay readable.
    let known = find(actor, fd).is_some_and(|known| unsafe {
        (*known).ino == identity.ino && (*known).dev == identity.dev
    });
    if known || identity.mode & TYPE_MASK != file_type {
        return 0;
    }
    file
}

/// `S_IFMT` (`include/uapi/linux/stat.h`).
const TYPE_MASK: u32 = 0o170_000;

/// Makes room for `file` at a descriptor that was there: when the table has another file, that one
/// was closed without a probe seeing it.
#[inline(always)]
pub(crate) fn replace(actor: &Actor, fd: i32, file: u64) {
    if let Some(old) = find(actor, fd)
        && !leads_to(actor, old, file)
    {
        replaced(fd);
    }
}

/// Notes that the process makes calls that are not followed and can put other files at its descriptors.
#[inline(always)]
pub(crate) fn unfollowed(actor: &Actor) {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    unsafe { (*actor.task).shared = 1 };
}

/// Whether a descriptor in the table leads to `file`. Where another process can close and open
/// descriptors of this one, the address is not enough. Of the same file, opened again at the same
/// address, this makes one.
#[inline(always)]
pub(crate) fn leads_to(actor: &Actor, descriptor: *mut Descriptor, file: u64) -> bool {
    // SAFETY: map values stay readable.
    unsafe { (*descriptor).file == file && ((*actor.task).shared == 0 || is_of(descriptor, file)) }
}

/// Whether a descriptor in the table leads to the inode of `file`. Not inlined: its stack is free otherwise.
#[inline(never)]
fn is_of(descriptor: *mut Descriptor, file: u64) -> bool {
    // SAFETY: map values stay readable.
    facts::identity(file).is_some_and(|identity| unsafe {
        identity.ino == (*descriptor).ino
            && identity.dev == (*descriptor).dev
            && ((*descriptor).inode == 0 || identity.inode == (*descriptor).inode)
    })
}

/// Ends a descriptor that is in the table: takes it out and records its close, with its totals.
///
/// # Errors
///
/// [`Skip::Untracked`] when it is not in the table, and nothing is recorded.
#[inline(never)]
pub(crate) fn close(actor: &Actor, fd: i32, flags: Flags, result: i64) -> Result<(), Skip> {
    let Some(descriptor) = find(actor, fd) else {
        return Err(Skip::Untracked);
    };
    // SAFETY: map values stay readable.
    let kind = if unsafe { (*descriptor).used } & Descriptor::SOCKET != 0 {
        Kind::NET_CLOSE
    } else {
        Kind::FILE_CLOSE
    };
    let frame = Frame::take(kind)?;
    let body = frame.body::<Close>();
    // SAFETY: map values stay readable; the body is ours until the frame is sent.
    unsafe {
        (*body).bytes_read = (*descriptor).bytes_read;
        (*body).bytes_written = (*descriptor).bytes_written;
        (*body).ino = (*descriptor).ino;
        (*body).opened_number = (*descriptor).opened_number;
        (*body).opened_cpu = (*descriptor).opened_cpu;
        (*body).dev = (*descriptor).dev;
        (*body).fd = fd;
        (*body).last = fd;
    }
    forget(actor, fd);
    let what = What {
        kind,
        flags,
        result,
    };
    frame.send(actor, what, CLOSE_LEN);
    Ok(())
}

/// Records a close of a descriptor of which nothing is known.
#[inline(never)]
pub(crate) fn close_unknown(actor: &Actor, fd: i32, result: i64) -> Result<(), Skip> {
    let frame = Frame::take(Kind::FILE_CLOSE)?;
    unknown(&frame, fd, fd);
    let what = What {
        kind: Kind::FILE_CLOSE,
        flags: Flags(0),
        result,
    };
    frame.send(actor, what, CLOSE_LEN);
    Ok(())
}

/// Tells of an attached process that descriptors of which nothing is known were closed by another
/// call than `close`: the agent may have found them.
#[inline(never)]
pub(crate) fn closed_unknown(
    actor: &Actor,
    first: i32,
    last: i32,
    flags: Flags,
) -> Result<(), Skip> {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    if unsafe { (*actor.task).threads } != 0 {
        return Err(Skip::Untracked);
    }
    let frame = Frame::take(Kind::FILE_CLOSE)?;
    unknown(&frame, first, last);
    let what = What {
        kind: Kind::FILE_CLOSE,
        flags,
        result: 0,
    };
    frame.send(actor, what, CLOSE_LEN);
    Ok(())
}

/// Fills the body for descriptors of which nothing is known.
#[inline(always)]
fn unknown(frame: &Frame, first: i32, last: i32) {
    let body = frame.body::<Close>();
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        (*body).bytes_read = 0;
        (*body).bytes_written = 0;
        (*body).ino = 0;
        (*body).opened_number = 0;
        (*body).opened_cpu = NO_CPU;
        (*body).dev = 0;
        (*body).fd = first;
        (*body).last = last;
    }
}

/// Why many descriptors end at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sweep(pub(crate) u32);

impl Sweep {
    /// The process ended: all.
    pub(crate) const EXIT: Self = Self(0);
    /// It executed another program: those that are gone.
    pub(crate) const EXEC: Self = Self(1);
    /// `close_range`: all of the range.
    pub(crate) const RANGE: Self = Self(2);
}

/// State of a sweep, on the stack of [`sweep`].
struct Sweeping {
    actor: Actor,
    first: u32,
    why: Sweep,
}

/// Ends the descriptors of the acting process from `first` to `last` that are in the table, for a reason
/// that is a [`Sweep`]. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn sweep(first: u32, last: u32, why: u32) -> u64 {
    let Ok(actor) = Actor::current() else {
        return 1;
    };
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let (high, bits) = unsafe { ((*actor.task).descriptors, (*actor.task).descriptor_bits) };
    let end = if high == 0 {
        BLOCK_DESCRIPTORS as u32 - 1
    } else {
        bits | (BLOCK_DESCRIPTORS as u32 - 1)
    };
    let last = last.min(end).min(DESCRIPTOR_MAX);
    if none_left(&actor) || first > last {
        return 0;
    }
    let why = Sweep(why);
    let mut sweeping = Sweeping { actor, first, why };
    // SAFETY: the callback gets the state that lives as long as the call.
    unsafe {
        bpf_loop(
            last - first + 1,
            sweep_one as *mut c_void,
            (&raw mut sweeping).cast(),
            0,
        );
    }
    0
}

unsafe extern "C" fn sweep_one(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `sweep` holds on its stack.
    let sweeping = unsafe { &*context.cast::<Sweeping>() };
    let actor = &sweeping.actor;
    let fd = (sweeping.first + index as u32) as i32;
    let Some(descriptor) = find(actor, fd) else {
        return 0;
    };
    // SAFETY: map values stay readable.
    let file = unsafe { (*descriptor).file };
    let stays = || task::file(actor.files, fd) == Some(file);
    let flags = match sweeping.why {
        Sweep::EXIT => Flags::BY_EXIT,
        Sweep::RANGE => Flags::BY_RANGE,
        _ if stays() => {
            // What the new program does with it is its own.
            // SAFETY: map values stay writable.
            unsafe {
                and_half(&raw mut (*descriptor).used, !Descriptor::USES);
                (*descriptor).mapped = 0;
            }
            return 0;
        }
        _ => Flags::BY_EXEC,
    };
    let _ = close(actor, fd, flags, 0);
    i64::from(none_left(actor))
}

/// Whether the process has nothing in the table.
#[inline(always)]
fn none_left(actor: &Actor) -> bool {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    unsafe { (*actor.task).low == 0 && (*actor.task).descriptors == 0 }
}
