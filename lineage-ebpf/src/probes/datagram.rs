//! Whom messages go to and come from, where each has an address of its own.
//!
//! The kernel keeps no trace of it until the call returns, so the address is what the caller's memory
//! holds then: for a message sent what the caller wrote there, for one received what the kernel did.
//! Of each program of a process, socket and address the first message is recorded.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    frame::{Flags, Kind},
    layout::Action,
    limits::{ADDRESS_BYTES_MAX, MESSAGES_MAX},
    policy::End,
};

use crate::{
    emit::{self, Frame, What},
    endpoints::{self, INET, INET6, PACKET},
    hook, judge,
    maps::{self, PEERS, Peer},
    probes::{
        sock_addr,
        syscall::{Returned, argument},
    },
    read::{copy_user_to, mask_name, user},
    skip::Skip,
    socket::{self, Address},
    task::{self, Actor},
};

/// `MSG_FASTOPEN` (`include/linux/socket.h`): connects, with the first bytes.
const FAST_OPEN: u32 = 0x2000_0000;

/// Whether the result of a call that sends says that nothing happened yet: `-EAGAIN`, `-EINTR`, and what
/// the kernel makes of that to begin the call again (`-ERESTARTSYS` and so on, `include/linux/errno.h`).
#[inline(always)]
pub(crate) fn is_not_yet(result: i64) -> bool {
    matches!(result, -11 | -4 | -516..=-512)
}

/// Size of `struct mmsghdr` (`include/linux/socket.h`) and where its `msg_len` is.
const MESSAGE_BYTES: u64 = 64;
const MESSAGE_LEN: u64 = 56;

/// `MSG_ERRQUEUE` (`include/linux/socket.h`).
const ERROR_QUEUE: u32 = 0x2000;

/// Whether a call took from the queue of errors: what comes back is what the process had sent, and the
/// address where to. Other families do not know the flag.
#[inline(always)]
pub(crate) fn is_own_error(actor: &Actor, call: &Returned, action: Action) -> bool {
    let flags = match action {
        Action::RECVFROM | Action::RECVMMSG => argument!(call, 3),
        Action::RECVMSG => argument!(call, 2),
        _ => return false,
    };
    if flags as u32 & ERROR_QUEUE == 0 {
        return false;
    }
    let fd = argument!(call, 0) as i32;
    let family = task::file(actor.files, fd).map_or(0, endpoints::family);
    matches!(family, INET | INET6 | PACKET)
}

/// Whether a call of this action sends messages.
#[inline(always)]
pub(crate) fn sends(action: Action) -> bool {
    action == Action::SENDTO || action == Action::SENDMSG || action == Action::SENDMMSG
}

/// Records a message that could not be sent to the address the caller gave.
#[inline(always)]
pub(crate) fn failed(call: &Returned, action: Action) -> Result<(), Skip> {
    if !sends(action) || is_not_yet(call.result) {
        return Err(Skip::Untraced);
    }
    told(call, action)
}

/// Records the addresses of a call's messages.
///
/// # Errors
///
/// [`Skip::Unaddressed`] when there is none.
#[inline(never)]
pub(crate) fn told(call: &Returned, action: Action) -> Result<(), Skip> {
    let address = address(call, action);
    let several = action == Action::SENDMMSG || action == Action::RECVMMSG;
    // Of several messages each may have one.
    if !several && (address.at == 0 || address.len == 0) {
        return Err(Skip::Unaddressed);
    }
    let kind = if sends(action) {
        Kind::NET_SEND
    } else {
        Kind::NET_RECEIVE
    };
    let mut messages = Messages {
        header: argument!(call, 1),
        fd: argument!(call, 0) as i32,
        kind,
        result: call.result,
        address,
        several: u64::from(several && call.result >= 0),
        addressed: 0,
    };
    let count = if messages.several == 0 {
        1
    } else {
        (call.result as u64).min(u64::from(MESSAGES_MAX))
    };
    // SAFETY: the callback gets the state that lives as long as the call.
    unsafe {
        bpf_loop(
            count as u32,
            one as *mut c_void,
            (&raw mut messages).cast(),
            0,
        );
    }
    if messages.several != 0 && kind == Kind::NET_SEND {
        refused(&messages, argument!(call, 2));
    }
    if messages.addressed == 0 {
        return Err(Skip::Unaddressed);
    }
    Ok(())
}

/// The flags of a call that sends.
#[inline(always)]
fn flags(call: &Returned, action: Action) -> u32 {
    match action {
        Action::SENDTO | Action::SENDMMSG => argument!(call, 3) as u32,
        _ => argument!(call, 2) as u32,
    }
}

/// The address of a call, of several messages that of the first.
#[inline(always)]
fn address(call: &Returned, action: Action) -> Address {
    match action {
        Action::SENDTO => Address::at(argument!(call, 4), u64::from(argument!(call, 5) as u32)),
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
#[inline(always)]
pub(crate) fn fast_open(actor: &Actor, call: &Returned, action: Action) {
    if sends(action) && flags(call, action) & FAST_OPEN != 0 {
        connected(actor, call, action);
    }
}

#[inline(never)]
fn connected(actor: &Actor, call: &Returned, action: Action) {
    let fd = argument!(call, 0) as i32;
    let address = address(call, action);
    if address.at != 0 && connects(fd) {
        let _ = socket::called(actor, fd, Kind::NET_CONNECT, call.result, &address);
    }
}

/// Whether there is a socket that is connected to one address.
#[inline(always)]
fn connects(fd: i32) -> bool {
    let Ok(frame) = Frame::take(Kind::NET_CONNECT) else {
        return false;
    };
    let target = socket::target(&frame, fd);
    let connects = target.is_socket() && !target.is_addressed();
    frame.release();
    connects
}

/// Records a message when it is the first between the socket and the address; not 0 when the address
/// cannot be read. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn first_message(fd: i32, kind: u16, result: i64, at: u64, len: u64) -> u64 {
    let (kind, address) = (Kind(kind), Address::at(at, len));
    let Ok(actor) = Actor::current() else {
        return 0;
    };
    let Ok(frame) = Frame::take(kind) else {
        return 0;
    };
    let target = socket::target(&frame, fd);
    if !target.is_addressed() {
        frame.release();
        return 0;
    }
    // SAFETY: the scratch is ours until the frame is sent or released.
    let peer = unsafe { &raw mut (*frame.scratch).peer };
    // SAFETY: as above.
    let known = unsafe {
        (*peer).ino = target.ino;
        (*peer).start = (*actor.task).start;
        (*peer).pid = actor.pid();
        (*peer).exec = (*actor.task).exec;
        (*peer).failed = result.min(0) as i32;
        (*peer).kind = kind.0;
        if !copy_address(peer, &address) {
            frame.release();
            return 1;
        }
        if result >= 0 && hook::action() == Action::SENDMMSG {
            hook::taken_by_address(frame.scratch);
        } else {
            hook::taken(frame.scratch);
        }
        take_decided((*frame.scratch).cpu, kind.0);
        PEERS.get_ptr(&*peer).is_some() && !judge::denied(frame.scratch)
    };
    if known {
        frame.release();
        return 0;
    }
    // SAFETY: as above.
    let _ = PEERS.insert(unsafe { &*peer }, 1, 0);
    let what = What {
        kind,
        flags: Flags(0),
        result,
    };
    socket::tell(&actor, frame, &what, (fd, target.file, true), &address);
    0
}

/// Takes over what was decided about the message to the peer in the scratch of `cpu`. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn take_decided(cpu: u32, kind: u16) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    judge::decided(scratch, Kind(kind), |end| {
        // SAFETY: the scratch is the caller's, and has room for the largest address.
        judge::is_nowhere(end) || unsafe { is_to(end, (&raw const (*scratch).peer.address).cast()) }
    });
    0
}

/// Whether a decision is about the end in a `struct sockaddr`.
#[inline(always)]
unsafe fn is_to(end: &End, address: *const u32) -> bool {
    // SAFETY: by contract of the caller there is room for the largest address.
    unsafe {
        let [family, port]: [u16; 2] = address.cast::<[u16; 2]>().read();
        let given = if family == INET6 {
            address.add(2).cast::<[u32; 4]>().read()
        } else {
            [0, 0, 0xffff_u32.to_be(), address.add(1).read()]
        };
        u16::from_be(port) == end.port && sock_addr::other_end(given) == judge::words(end)
    }
}

/// Records the message of several that was refused, behind those that were sent.
#[inline(always)]
fn refused(messages: &Messages, all: u64) {
    /// `-EPERM`, which the kernel does not return when something was sent before.
    const NOT_PERMITTED: i64 = -1;
    let sent = messages.result as u64;
    if !maps::governs()
        || sent >= all.min(u64::from(MESSAGES_MAX))
        || !(judge::refused_message() || hook::refused())
    {
        return;
    }
    let address = header(messages.header + sent * MESSAGE_BYTES);
    first_message(
        messages.fd,
        messages.kind.0,
        NOT_PERMITTED,
        address.at,
        address.len,
    );
}

/// Copies an address, without what tells none apart: `struct sockaddr_in` ends in padding, in which a caller may leave
/// anything. False when it cannot be read. In one go, because a look at user memory takes longer than all else here.
#[inline(always)]
unsafe fn copy_address(peer: *mut Peer, address: &Address) -> bool {
    /// Bytes of `struct sockaddr_in` before the padding.
    const INET_BYTES: u64 = 8;
    // SAFETY: the peer is the caller's; no more is copied than there is room.
    unsafe {
        let to = &raw mut (*peer).address;
        *to = [0; ADDRESS_BYTES_MAX / 8];
        let len = address.len;
        if len > ADDRESS_BYTES_MAX as u64 || !copy_user_to(to.cast(), mask_name(len), address.at) {
            return false;
        }
        (*peer).len = len as u16;
        if to.cast::<u16>().read() == INET && len > INET_BYTES {
            (*peer).len = INET_BYTES as u16;
            for word in 1..ADDRESS_BYTES_MAX / 8 {
                (*to)[word] = 0;
            }
        }
        true
    }
}

/// State of a walk over messages, on the stack of [`told`].
struct Messages {
    header: u64,
    fd: i32,
    kind: Kind,
    result: i64,
    address: Address,
    /// 1 when each message has a length and an address of its own: `sendmmsg`, `recvmmsg`.
    several: u64,
    /// 1 when one had an address.
    addressed: u64,
}

unsafe extern "C" fn one(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `told` holds on its stack.
    let messages = unsafe { &mut *context.cast::<Messages>() };
    let (mut result, mut address) = (messages.result, messages.address);
    if messages.several != 0 {
        let at = messages.header + index * MESSAGE_BYTES;
        let len: u32 = user(at + MESSAGE_LEN).unwrap_or(0);
        result = i64::from(len);
        address = header(at);
    }
    if address.at == 0 || address.len == 0 {
        return 0;
    }
    let kind = messages.kind;
    let unreadable = first_message(messages.fd, kind.0, result, address.at, address.len) != 0;
    // Of one that was not sent nothing is missing.
    if unreadable && result >= 0 {
        emit::lost(maps::cpu(), kind);
    } else {
        messages.addressed = 1;
    }
    0
}
