//! Sockets, as the kernel has them.

use lineage_common::{
    frame::{Flags, Held, Kind, Socket},
    limits::ADDRESS_BYTES_MAX,
    policy::{End, Outcome, Protocol},
    task::Descriptor,
};

use crate::{
    descriptor::{self, Target},
    emit::{BODY, Frame, Sent, What},
    endpoints, facts, hook, judge,
    maps::{self, Scratch},
    read::{copy_user, mask_name, offset, untyped},
    skip::Skip,
    task::{self, Actor},
};

/// `S_IFMT`, `S_IFSOCK` (`include/uapi/linux/stat.h`).
pub(crate) const TYPE_MASK: u32 = 0o170_000;
pub(crate) const TYPE_SOCKET: u32 = 0o140_000;

/// `SOCK_DGRAM`, `SOCK_RAW`, `SOCK_RDM`, `SOCK_PACKET` (`include/linux/net.h`), a bit for each: every
/// message can have another address.
const ADDRESSED: u64 = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 10;

/// Where the names of a socket begin in a frame.
pub(crate) const NAMES: u64 = BODY + size_of::<Socket>() as u64;

/// Whether a file of this mode is a socket.
#[inline(always)]
pub(crate) fn is_socket(mode: u32) -> bool {
    mode & TYPE_MASK == TYPE_SOCKET
}

/// What the caller gave: a `struct sockaddr` in its memory, and a number.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) at: u64,
    pub(crate) len: u64,
    /// See [`Socket::argument`].
    pub(crate) argument: i32,
}

impl Address {
    /// Nothing.
    pub(crate) const NONE: Self = Self::number(0);

    /// Only a number.
    pub(crate) const fn number(argument: i32) -> Self {
        Self {
            at: 0,
            len: 0,
            argument,
        }
    }

    /// Only an address.
    pub(crate) const fn at(at: u64, len: u64) -> Self {
        Self {
            at,
            len,
            argument: 0,
        }
    }
}

/// `-EINPROGRESS`: the connection is being made and the kernel holds both addresses.
const IN_PROGRESS: i64 = -115;

/// [`record`], of a call on a descriptor that was there: when the table has another file at `fd`, that
/// one was closed without a probe seeing it.
#[inline(always)]
pub(crate) fn called(
    actor: &Actor,
    fd: i32,
    kind: Kind,
    result: i64,
    address: &Address,
) -> Result<(), Skip> {
    if let Some(file) = task::file(actor.files, fd) {
        descriptor::replace(actor, fd, file);
    }
    record(fd, kind, result, address)
}

/// Records a call on the socket at `fd` and remembers the descriptor. When the call failed,
/// `address` is what it was asked for.
#[inline(always)]
pub(crate) fn record(fd: i32, kind: Kind, result: i64, address: &Address) -> Result<(), Skip> {
    // No address is longer than the kernel can tell in half a word.
    let sizes = address.len << 32 | u64::from(address.argument as u32);
    match record_socket(fd, kind.0, result, address.at, sizes) {
        0 => Ok(()),
        _ => Err(Skip::Unreadable),
    }
}

/// [`record`], with the length of the address above the argument; 0 when it is recorded. A global
/// function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_socket(fd: i32, kind: u16, result: i64, at: u64, sizes: u64) -> u64 {
    let Ok(actor) = Actor::current() else {
        return 1;
    };
    let address = Address {
        at,
        len: sizes >> 32,
        argument: sizes as i32,
    };
    u64::from(record_here(&actor, fd, Kind(kind), result, &address).is_err())
}

/// Records that the socket at `fd` was there before; 0 when it is recorded. A global function of its own: what is judged of
/// calls is not on this way, whose stack is deep already. See [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn record_inherited(fd: i32) -> u64 {
    let Ok(actor) = Actor::current() else {
        return 1;
    };
    u64::from(record_here(&actor, fd, Kind::NET_INHERIT, 0, &Address::NONE).is_err())
}

#[inline(always)]
fn record_here(
    actor: &Actor,
    fd: i32,
    kind: Kind,
    result: i64,
    address: &Address,
) -> Result<(), Skip> {
    let done = result >= 0 || (kind == Kind::NET_CONNECT && result == IN_PROGRESS);
    let frame = Frame::take(kind)?;
    judge::decided(frame.scratch, kind, |_| true);
    match kind {
        // What waits is about the call that uses it.
        Kind::NET_INHERIT => {}
        // Whoever waited for a connection was asked before: what was allowed then is judged again.
        Kind::NET_ACCEPT if !hook::refused() => hook::forget(),
        _ => hook::taken(frame.scratch),
    }
    let target = target(&frame, fd);
    let what = What {
        kind,
        flags: Flags(0),
        result,
    };
    // A failed accept made no descriptor; the listening socket is described.
    let shown = if kind == Kind::NET_ACCEPT && !done {
        -1
    } else {
        fd
    };
    let file = if target.is_socket() { target.file } else { 0 };
    let sent = tell(actor, frame, &what, (shown, file, !done), address);
    if target.is_socket() {
        let sent = if done { sent } else { Sent::NOTHING };
        descriptor::recorded(actor, fd, target, &sent);
    }
    Ok(())
}

/// Remembers the socket at `fd`, of which nothing is recorded yet.
///
/// # Errors
///
/// [`Skip::Unreadable`] when there is no socket.
#[inline(always)]
pub(crate) fn remember(actor: &Actor, fd: i32, kind: Kind) -> Result<(), Skip> {
    let frame = Frame::take(kind)?;
    let target = target(&frame, fd);
    if target.is_socket() {
        descriptor::recorded(actor, fd, target, &Sent::NOTHING);
    }
    let socket = target.is_socket();
    frame.release();
    if socket {
        Ok(())
    } else {
        Err(Skip::Unreadable)
    }
}

/// Records bytes sent or received through the socket behind the `struct file` at a descriptor. The other
/// end is the kernel's, if it knows one.
#[inline(never)]
pub(crate) fn moved(actor: &Actor, fd: i32, file: u64, kind: Kind, bytes: u64) -> Result<(), Skip> {
    let frame = Frame::take(kind)?;
    // Without an address it can only be about bytes.
    judge::decided(frame.scratch, kind, judge::is_nowhere);
    let what = What {
        kind,
        flags: Flags(0),
        result: bytes as i64,
    };
    tell(actor, frame, &what, (fd, file, false), &Address::NONE);
    Ok(())
}

/// Sends a frame about the socket behind the `struct file`, if any, at the descriptor; with the
/// caller's address when it is wanted, or when the kernel's are not known.
#[inline(always)]
pub(crate) fn tell(
    actor: &Actor,
    frame: Frame,
    what: &What,
    (fd, file, given): (i32, u64, bool),
    address: &Address,
) -> Sent {
    let body = frame.body::<Socket>();
    let mut flags = what.flags;
    // SAFETY: the body is ours until the frame is sent.
    let len = unsafe {
        clear(body);
        if maps::governs() && (*frame.scratch).outcome != Outcome::UNGOVERNED {
            (*body).judged = (*frame.scratch).end;
        }
        (*body).fd = fd;
        (*body).argument = address.argument;
        let known = file == 0 || endpoints::describe_socket((*frame.scratch).cpu, file) != 0;
        if maps::governs() {
            judge::socket(&frame, actor, what, file, address);
            judge::breached(&frame, what, file);
        }
        if address.at != 0 && (given || !known) {
            flags = flags.with(Flags::CLAIMED);
            claim(frame.scratch, body, address);
        }
        NAMES
            + u64::from((*body).local_len)
            + u64::from((*body).peer_len)
            + u64::from((*body).given_len)
    };
    frame.send(actor, What { flags, ..*what }, len)
}

/// What is behind a descriptor, kept in the scratch of the frame to save stack: if it is readable and
/// a socket, it says so.
#[inline(always)]
pub(crate) fn target<'a>(frame: &Frame, fd: i32) -> &'a Target {
    // SAFETY: the scratch is ours.
    look_at_socket(unsafe { (*frame.scratch).cpu }, fd);
    // SAFETY: the scratch is ours until the frame is sent, and then until the probe ends: no other
    // is taken that would fill this part.
    unsafe { &(*frame.scratch).target }
}

/// Fills the target in the scratch of `cpu` from a descriptor of the current thread. A global function,
/// see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_at_socket(cpu: u32, fd: i32) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 1;
    };
    // SAFETY: the scratch is the caller's.
    let target = unsafe { &mut (*scratch).target };
    target.leads_to = 0;
    if let Some(file) = task::file(task::files(task::current()), fd)
        && let Some(identity) = facts::identity(file)
    {
        target.file = file;
        target.ino = identity.ino;
        target.dev = identity.dev;
        if is_socket(identity.mode) {
            target.leads_to = Descriptor::SOCKET;
            if addressed(file) {
                target.leads_to |= Descriptor::ADDRESSED;
            }
        }
    }
    0
}

/// Whether the socket takes an address with each message.
#[inline(always)]
fn addressed(file: u64) -> bool {
    let Some(socket) = untyped::<u64>(file + offset!(file_private_data) as u64) else {
        return false;
    };
    let kind: u16 = untyped(socket + offset!(socket_type) as u64).unwrap_or(0);
    kind < 64 && ADDRESSED >> kind & 1 != 0
}

/// Fills the body with nothing.
#[inline(always)]
pub(crate) unsafe fn clear(body: *mut Socket) {
    // SAFETY: the caller's body.
    unsafe {
        (*body).judged = End {
            address: [0; 16],
            port: 0,
            protocol: Protocol::OTHER,
            reserved: [0; 5],
        };
        (*body).ino = 0;
        (*body).cookie = 0;
        (*body).peer_ino = 0;
        (*body).peer_start = 0;
        (*body).local_addr = [0; 16];
        (*body).peer_addr = [0; 16];
        (*body).net_ns = 0;
        (*body).peer_pid = 0;
        (*body).first_sent = 0;
        (*body).first_received = 0;
        (*body).local_port = 0;
        (*body).peer_port = 0;
        (*body).fd = -1;
        (*body).argument = 0;
        (*body).family = 0;
        (*body).socket_type = 0;
        (*body).protocol = 0;
        (*body).held = Held(0);
        (*body).local_len = 0;
        (*body).peer_len = 0;
        (*body).given_len = 0;
        (*body).reserved = 0;
    }
}

/// Appends the caller's address behind the names.
#[inline(always)]
unsafe fn claim(scratch: *mut Scratch, body: *mut Socket, given: &Address) {
    let len = mask_name(given.len.min(ADDRESS_BYTES_MAX as u64));
    // SAFETY: the caller's body.
    unsafe {
        let at = NAMES + u64::from((*body).local_len) + u64::from((*body).peer_len);
        if copy_user(scratch, at, given.at, len) {
            (*body).given_len = len as u32;
        }
    }
}
