//! The open descriptors of tracked processes, and how they end.
//!
//! A descriptor enters the table when it is opened, connected, accepted, bound or first used, with
//! the `struct file` behind it: a later use that finds another file there knows that the
//! descriptor was replaced in a way the probes did not see, and closes the old one first.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    frame::{Close, Flags, Kind, NO_CPU},
    limits::DESCRIPTOR_MAX,
    task::{Descriptor, DescriptorKey},
};

use crate::{
    atomic::{add, fetch_add_half, or_half},
    emit::{BODY, Frame, Sent, What},
    maps::{self, DESCRIPTORS},
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
    pub(crate) socket: bool,
}

/// The key of a descriptor of the acting process.
#[inline(always)]
pub(crate) fn key(actor: &Actor, fd: i32) -> DescriptorKey {
    DescriptorKey {
        // SAFETY: the entry of a tracked process stays while one of its threads runs.
        start: unsafe { (*actor.task).start },
        pid: actor.pid,
        fd,
    }
}

/// Puts a descriptor into the table, with the frame that recorded it, if one did.
///
/// Not inlined: its stack is free again afterwards.
#[inline(never)]
pub(crate) fn remember(actor: &Actor, fd: i32, target: &Target, sent: Option<Sent>) {
    let (opened_number, opened_cpu) = match sent {
        Some(sent) => (sent.number, sent.cpu),
        None => (0, NO_CPU),
    };
    let descriptor = Descriptor {
        file: target.file,
        bytes_read: 0,
        bytes_written: 0,
        ino: target.ino,
        opened_number,
        opened_cpu,
        dev: target.dev,
        socket: u32::from(target.socket),
        reserved: 0,
    };
    if DESCRIPTORS.insert(key(actor, fd), descriptor, 0).is_err() {
        full();
        return;
    }
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    unsafe {
        fetch_add_half(&raw mut (*actor.task).descriptors, 1);
        let bits = fd as u32;
        if (*actor.task).descriptor_bits & bits != bits {
            or_half(&raw mut (*actor.task).descriptor_bits, bits);
        }
    }
}

/// After a call on a socket was recorded: enters its descriptor, or notes the new frame with it.
#[inline(always)]
pub(crate) fn recorded(actor: &Actor, fd: i32, target: &Target, sent: Option<Sent>) {
    let Some(descriptor) = DESCRIPTORS.get_ptr_mut(key(actor, fd)) else {
        remember(actor, fd, target, sent);
        return;
    };
    if let Some(sent) = sent {
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

/// Makes room for `file` at a descriptor: when the table has another file there, that one was
/// closed without a probe seeing it.
#[inline(always)]
pub(crate) fn replace(actor: &Actor, fd: i32, file: u64) {
    if let Some(old) = DESCRIPTORS.get_ptr(key(actor, fd)) {
        // SAFETY: map values stay readable.
        if unsafe { (*old).file } != file {
            let _ = close(actor, fd, Flags::BY_REPLACE, 0);
        }
    }
}

/// Ends a descriptor that is in the table: takes it out and records its close, with its totals.
///
/// # Errors
///
/// [`Skip::Untracked`] when it is not in the table, and nothing is recorded.
#[inline(never)]
pub(crate) fn close(actor: &Actor, fd: i32, flags: Flags, result: i64) -> Result<(), Skip> {
    let key = key(actor, fd);
    let Some(descriptor) = DESCRIPTORS.get_ptr(key) else {
        return Err(Skip::Untracked);
    };
    // SAFETY: map values stay readable.
    let kind = if unsafe { (*descriptor).socket } != 0 {
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
        (*body).reserved = 0;
    }
    if DESCRIPTORS.remove(key).is_ok() {
        // SAFETY: the entry of a tracked process stays while one of its threads runs.
        unsafe { fetch_add_half(&raw mut (*actor.task).descriptors, u32::MAX) };
    }
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
    let body = frame.body::<Close>();
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        (*body).bytes_read = 0;
        (*body).bytes_written = 0;
        (*body).ino = 0;
        (*body).opened_number = 0;
        (*body).opened_cpu = NO_CPU;
        (*body).dev = 0;
        (*body).fd = fd;
        (*body).reserved = 0;
    }
    let what = What {
        kind: Kind::FILE_CLOSE,
        flags: Flags(0),
        result,
    };
    frame.send(actor, what, CLOSE_LEN);
    Ok(())
}

/// Why many descriptors end at once.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Sweep {
    /// The process ended: all.
    Exit,
    /// It executed another program: those that are gone.
    Exec,
    /// `close_range`: all of the range.
    Range,
}

/// State of a sweep, on the stack of [`sweep`].
struct Sweeping {
    actor: Actor,
    first: u32,
    why: Sweep,
}

/// Ends the descriptors from `first` to `last` that are in the table.
#[inline(never)]
pub(crate) fn sweep(actor: &Actor, first: u32, last: u32, why: Sweep) {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let (count, bits) = unsafe { ((*actor.task).descriptors, (*actor.task).descriptor_bits) };
    let last = last.min(bits).min(DESCRIPTOR_MAX);
    if count == 0 || first > last {
        return;
    }
    let mut sweeping = Sweeping {
        actor: *actor,
        first,
        why,
    };
    // SAFETY: the callback gets the state that lives as long as the call.
    unsafe {
        bpf_loop(
            last - first + 1,
            sweep_one as *mut c_void,
            (&raw mut sweeping).cast(),
            0,
        );
    }
}

unsafe extern "C" fn sweep_one(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `sweep` holds on its stack.
    let sweeping = unsafe { &*context.cast::<Sweeping>() };
    let actor = &sweeping.actor;
    let fd = (sweeping.first + index as u32) as i32;
    let Some(descriptor) = DESCRIPTORS.get_ptr(key(actor, fd)) else {
        return 0;
    };
    // SAFETY: map values stay readable.
    let file = unsafe { (*descriptor).file };
    let flags = match sweeping.why {
        Sweep::Exit => Flags::BY_EXIT,
        Sweep::Range => Flags::BY_RANGE,
        Sweep::Exec if task::file(task::current(), fd) == Some(file) => return 0,
        Sweep::Exec => Flags::BY_EXEC,
    };
    let _ = close(actor, fd, flags, 0);
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    i64::from(unsafe { (*actor.task).descriptors } == 0)
}
