//! Whom messages go to and come from, where each has an address of its own.
//!
//! The kernel keeps no trace of it until the call returns, so the address is what the caller's memory
//! holds then: for a message sent what the caller wrote there, for one received what the kernel did.
//! Of each process, socket and address the first message is recorded.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    frame::{Flags, Kind},
    layout::Action,
    limits::{ADDRESS_BYTES_MAX, MESSAGES_MAX},
};

use crate::{
    descriptor,
    emit::{Frame, What},
    maps::PEERS,
    probes::{
        syscall::{Returned, argument},
        transfer,
    },
    read::{copy_user_to, mask_name, user},
    skip::Skip,
    socket::{self, Address},
    task::Actor,
};

/// `MSG_FASTOPEN` (`include/linux/socket.h`): connects, with the first bytes.
const FAST_OPEN: u32 = 0x2000_0000;

/// `-EAGAIN`, `-EINTR`: nothing happened yet.
const AGAIN: i64 = -11;
const INTERRUPTED: i64 = -4;

/// Size of `struct mmsghdr` (`include/linux/socket.h`) and where its `msg_len` is.
const MESSAGE_BYTES: u64 = 64;
const MESSAGE_LEN: u64 = 56;

/// `sendto`, `recvfrom`, `sendmsg`, `recvmsg`. What moved is counted as for any other call; the rest is
/// for those with an address.
#[inline(never)]
pub(crate) fn returned(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    let fd = argument!(call, 0) as i32;
    let sends = action == Action::SENDTO || action == Action::SENDMSG;
    let named = match action {
        Action::SENDTO | Action::RECVFROM => argument!(call, 4) != 0,
        _ => true,
    };
    if sends && named && flags(call, action) & FAST_OPEN != 0 {
        fast_open(actor, call, action);
    }
    if call.result < 0 {
        if !sends || !named || call.result == AGAIN || call.result == INTERRUPTED {
            return Err(Skip::Untraced);
        }
        return addressed(actor, call, action);
    }
    let bytes = call.result as u64;
    let (read, written) = if sends { (0, bytes) } else { (bytes, 0) };
    transfer::moved(actor, fd, read, written)?;
    if named && descriptor::addressed(actor, fd) {
        return addressed(actor, call, action);
    }
    Ok(())
}

/// The flags of a call that sends.
#[inline(always)]
fn flags(call: &Returned, action: Action) -> u32 {
    match action {
        Action::SENDTO => argument!(call, 3) as u32,
        _ => argument!(call, 2) as u32,
    }
}

/// The address of a call.
#[inline(always)]
fn address(call: &Returned, action: Action) -> Address {
    match action {
        Action::SENDTO => Address::at(argument!(call, 4), argument!(call, 5)),
        // The kernel wrote how long the address is.
        Action::RECVFROM => {
            let len: u32 = user(argument!(call, 5)).unwrap_or(0);
            Address::at(argument!(call, 4), u64::from(len))
        }
        _ => header(argument!(call, 1)),
    }
}

/// The address in a `struct user_msghdr` (`include/linux/socket.h`).
#[inline(always)]
fn header(at: u64) -> Address {
    let [name, len] = user::<[u64; 2]>(at).unwrap_or([0, 0]);
    Address::at(name, u64::from(len as u32))
}

/// A connection made by sending. Of a socket that knows no connections it means nothing.
#[inline(never)]
fn fast_open(actor: &Actor, call: &Returned, action: Action) {
    let fd = argument!(call, 0) as i32;
    let address = address(call, action);
    if address.at != 0 && connects(actor, fd) {
        let _ = socket::called(actor, fd, Kind::NET_CONNECT, call.result, &address);
    }
}

/// Whether there is a socket that is connected to one address.
#[inline(always)]
fn connects(actor: &Actor, fd: i32) -> bool {
    let Ok(frame) = Frame::take(Kind::NET_CONNECT) else {
        return false;
    };
    let target = socket::target(&frame, actor, fd);
    let connects = target.socket && !target.addressed;
    frame.release();
    connects
}

/// The message of a call that moved one, or of one that failed.
#[inline(never)]
fn addressed(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    let kind = if action == Action::SENDTO || action == Action::SENDMSG {
        Kind::NET_SEND
    } else {
        Kind::NET_RECEIVE
    };
    let address = address(call, action);
    let message = Message {
        fd: argument!(call, 0) as i32,
        kind,
        result: call.result,
    };
    first(actor, &message, &address)
}

/// What is recorded of a message besides its address.
struct Message {
    fd: i32,
    kind: Kind,
    result: i64,
}

/// Records a message when it is the first between the socket and the address.
#[inline(never)]
fn first(actor: &Actor, message: &Message, address: &Address) -> Result<(), Skip> {
    if address.at == 0 || address.len == 0 {
        return Err(Skip::Untraced);
    }
    let frame = Frame::take(message.kind)?;
    let target = socket::target(&frame, actor, message.fd);
    if !target.addressed {
        frame.release();
        return Err(Skip::Untraced);
    }
    // SAFETY: the scratch is ours until the frame is sent or released.
    let peer = unsafe { &raw mut (*frame.scratch).peer };
    // SAFETY: as above; no more is copied than there is room.
    let known = unsafe {
        (*peer).ino = target.ino;
        (*peer).pid = actor.pid;
        (*peer).failed = message.result.min(0) as i32;
        (*peer).kind = u32::from(message.kind.0);
        (*peer).address = [0; ADDRESS_BYTES_MAX / 8];
        let len = significant(address);
        (*peer).len = len as u32;
        let to = (&raw mut (*peer).address).cast::<u8>();
        if len > ADDRESS_BYTES_MAX as u64 || !copy_user_to(to, mask_name(len), address.at) {
            frame.release();
            return Err(Skip::Unreadable);
        }
        PEERS.get_ptr(&*peer).is_some()
    };
    if known {
        frame.release();
        return Err(Skip::Untraced);
    }
    // SAFETY: as above.
    let _ = PEERS.insert(unsafe { &*peer }, 1, 0);
    let what = What {
        kind: message.kind,
        flags: Flags(0),
        result: message.result,
    };
    socket::tell(
        actor,
        frame,
        &what,
        (message.fd, target.file, true),
        address,
    );
    Ok(())
}

/// Bytes of an address that tell it apart: behind them a caller may leave anything.
#[inline(always)]
fn significant(address: &Address) -> u64 {
    let family: u16 = user(address.at).unwrap_or(0);
    // `struct sockaddr_in` ends in padding.
    let most = if family == INET {
        8
    } else {
        ADDRESS_BYTES_MAX as u64
    };
    address.len.min(most)
}

/// `AF_INET` (`include/linux/socket.h`).
const INET: u16 = 2;

/// State of a walk over messages, on the stack of [`several`].
struct Messages {
    actor: Actor,
    header: u64,
    fd: i32,
    kind: Kind,
}

/// `sendmmsg(fd, messages, …)`, `recvmmsg(fd, messages, …)`: each message has an address of its own.
/// What moved is counted before.
#[inline(never)]
pub(crate) fn several(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    let fd = argument!(call, 0) as i32;
    let at = argument!(call, 1);
    let kind = if action == Action::SENDMMSG {
        Kind::NET_SEND
    } else {
        Kind::NET_RECEIVE
    };
    if call.result < 0 {
        // The first one failed.
        if kind != Kind::NET_SEND || call.result == AGAIN || call.result == INTERRUPTED {
            return Err(Skip::Untraced);
        }
        let message = Message {
            fd,
            kind,
            result: call.result,
        };
        return first(actor, &message, &header(at));
    }
    if !descriptor::addressed(actor, fd) {
        return Ok(());
    }
    let mut messages = Messages {
        actor: *actor,
        header: at,
        fd,
        kind,
    };
    let count = (call.result as u64).min(u64::from(MESSAGES_MAX));
    // SAFETY: the callback gets the state that lives as long as the call.
    unsafe {
        bpf_loop(
            count as u32,
            one as *mut c_void,
            (&raw mut messages).cast(),
            0,
        );
    }
    Ok(())
}

unsafe extern "C" fn one(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `several` holds on its stack.
    let messages = unsafe { &*context.cast::<Messages>() };
    let at = messages.header + index * MESSAGE_BYTES;
    let len: u32 = user(at + MESSAGE_LEN).unwrap_or(0);
    let message = Message {
        fd: messages.fd,
        kind: messages.kind,
        result: i64::from(len),
    };
    let _ = first(&messages.actor, &message, &header(at));
    0
}
