//! Bytes moved through descriptors: counted, and the first use of one that was inherited recorded.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    frame::{Kind, NO_CPU},
    layout::Action,
    limits::MESSAGES_MAX,
};

use crate::{
    atomic::add,
    descriptor, facts,
    probes::{
        ioctl, open,
        syscall::{Returned, argument},
    },
    read::user,
    skip::Skip,
    socket::{self, Address},
    task::{self, Actor},
};

/// Size of `struct mmsghdr` (`include/linux/socket.h`) and where its `msg_len` is.
const MESSAGE_BYTES: u64 = 64;
const MESSAGE_LEN: u64 = 56;

/// Counts bytes at a descriptor.
///
/// The file behind it is compared with the one that was there when it was recorded, which shows a
/// replacement by a call that is not followed. When another thread replaces the descriptor while
/// the call runs, the bytes count for the new file: the kernel keeps no trace of the old one.
#[inline(never)]
pub(crate) fn moved(actor: &Actor, fd: i32, read: u64, written: u64) -> Result<(), Skip> {
    let file = task::file(actor.thread, fd).ok_or(Skip::Unreadable)?;
    let known = match descriptor::find(actor, fd) {
        Some(known)
            // SAFETY: map values stay readable.
            if unsafe { (*known).opened_cpu } != NO_CPU
                && descriptor::leads_to(actor, known, file) =>
        {
            known
        }
        _ => {
            descriptor::replace(actor, fd, file);
            inherit(actor, fd, file)?;
            descriptor::find(actor, fd).ok_or(Skip::Unreadable)?
        }
    };
    // SAFETY: map values stay writable.
    unsafe {
        if read > 0 {
            add(&raw mut (*known).bytes_read, read);
        }
        if written > 0 {
            add(&raw mut (*known).bytes_written, written);
        }
    }
    Ok(())
}

/// Records the first use of a descriptor.
#[inline(never)]
fn inherit(actor: &Actor, fd: i32, file: u64) -> Result<(), Skip> {
    let identity = facts::identity(file).ok_or(Skip::Unreadable)?;
    if socket::is_socket(identity.mode) {
        return socket::record(actor, fd, Kind::NET_INHERIT, 0, &Address::NONE);
    }
    open::record(actor, fd, file, Kind::FILE_INHERIT)
}

/// A call that moves bytes from one descriptor into another, or several messages.
#[inline(always)]
pub(crate) fn several(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    if call.result < 0 {
        return Err(Skip::Untraced);
    }
    let (first, second) = (argument!(call, 0), argument!(call, 1));
    let bytes = call.result as u64;
    match action {
        Action::RECVMMSG | Action::SENDMMSG | Action::MQ_SEND => {
            let (read, written) = match action {
                Action::RECVMMSG => (messages(call), 0),
                Action::SENDMMSG => (0, messages(call)),
                _ => (0, argument!(call, 2)),
            };
            moved(actor, first as i32, read, written)
        }
        _ => {
            let (from, to, bytes) = match action {
                Action::SENDFILE => (second as i32, first, bytes),
                Action::SPLICE => (first as i32, argument!(call, 2), bytes),
                Action::IOCTL => {
                    let (from, bytes) = ioctl::cloned(actor, call).ok_or(Skip::Untraced)?;
                    (from, first, bytes)
                }
                _ => (first as i32, second, bytes),
            };
            let _ = moved(actor, from, bytes, 0);
            moved(actor, to as i32, 0, bytes)
        }
    }
}

/// Sum over the messages of one call, on the stack of [`messages`].
struct Messages {
    address: u64,
    bytes: u64,
}

/// Bytes of `sendmmsg`, `recvmmsg`: each message tells its own length, in the caller's memory.
#[inline(always)]
fn messages(call: &Returned) -> u64 {
    let mut messages = Messages {
        address: argument!(call, 1),
        bytes: 0,
    };
    let count = (call.result as u64).min(u64::from(MESSAGES_MAX));
    // SAFETY: the callback gets the state that lives as long as the call.
    unsafe {
        bpf_loop(
            count as u32,
            message as *mut c_void,
            (&raw mut messages).cast(),
            0,
        );
    }
    messages.bytes
}

unsafe extern "C" fn message(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `messages` holds on its stack.
    let messages = unsafe { &mut *context.cast::<Messages>() };
    let len: Option<u32> = user(messages.address + index * MESSAGE_BYTES + MESSAGE_LEN);
    messages.bytes += u64::from(len.unwrap_or(0));
    0
}
