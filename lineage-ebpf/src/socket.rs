//! Sockets, as the kernel has them.

use lineage_common::{
    frame::{Flags, Held, Kind, Socket},
    limits::UNIX_PATH_BYTES_MAX,
};

use crate::{
    descriptor::{self, Target},
    emit::{BODY, Frame, Sent, What},
    maps::Scratch,
    path,
    read::{copy_kernel, copy_user_string, mask_frame, mask_unix, offset, untyped, user},
    skip::Skip,
    task::{self, Actor},
};

/// `AF_UNIX`, `AF_INET`, `AF_INET6` (`include/linux/socket.h`).
const UNIX: u16 = 1;
const INET: u16 = 2;
const INET6: u16 = 10;

/// `S_IFMT`, `S_IFSOCK` (`include/uapi/linux/stat.h`).
const TYPE_MASK: u32 = 0o170_000;
const TYPE_SOCKET: u32 = 0o140_000;

/// Bytes of `sun_family`, before the name in `struct sockaddr_un`.
const FAMILY_BYTES: u64 = 2;

/// Where the names of a socket begin in a frame.
const NAMES: u64 = BODY + size_of::<Socket>() as u64;

/// Whether a file of this mode is a socket.
#[inline(always)]
pub(crate) fn is_socket(mode: u32) -> bool {
    mode & TYPE_MASK == TYPE_SOCKET
}

/// An address the caller gave: a `struct sockaddr` in its memory.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) at: u64,
    pub(crate) len: u64,
}

impl Address {
    /// There is none.
    pub(crate) const NONE: Self = Self { at: 0, len: 0 };
}

/// `-EINPROGRESS`: the connection is being made and the kernel holds both addresses.
const IN_PROGRESS: i64 = -115;

/// Records a call on the socket at `fd` and remembers the descriptor. When the call failed,
/// `address` is what it was asked for.
#[inline(never)]
pub(crate) fn record(
    actor: &Actor,
    fd: i32,
    kind: Kind,
    result: i64,
    address: &Address,
) -> Result<(), Skip> {
    let done = result >= 0 || (kind == Kind::NET_CONNECT && result == IN_PROGRESS);
    let target = target(actor, fd);
    if target.socket {
        descriptor::replace(actor, fd, target.file);
    }
    let frame = Frame::take(kind)?;
    let body = frame.body::<Socket>();
    let mut flags = Flags(0);
    // SAFETY: the body is ours until the frame is sent.
    let len = unsafe {
        clear(body);
        // A failed accept made no descriptor; the listening socket is described.
        (*body).fd = if kind == Kind::NET_ACCEPT && !done {
            -1
        } else {
            fd
        };
        if target.socket {
            (*body).ino = target.ino;
            describe(frame.scratch, body, target.file);
        }
        if !done && address.at != 0 {
            flags = Flags::CLAIMED;
            claim(frame.scratch, body, address, kind == Kind::NET_BIND);
        }
        NAMES + u64::from((*body).local_len) + u64::from((*body).peer_len)
    };
    let what = What {
        kind,
        flags,
        result,
    };
    let sent = frame.send(actor, what, len);
    if target.socket {
        let sent = if done { sent } else { Sent::NOTHING };
        descriptor::recorded(actor, fd, &target, &sent);
    }
    Ok(())
}

/// The socket behind a descriptor. Not an `Option`: until 6.3 the verifier refuses to copy the
/// bytes of a value that is not there.
#[inline(always)]
fn target(actor: &Actor, fd: i32) -> Target {
    let mut target = Target {
        file: 0,
        ino: 0,
        dev: 0,
        socket: false,
    };
    if let Some(file) = task::file(actor.thread, fd)
        && let Some(identity) = path::identity(file)
    {
        target.file = file;
        target.ino = identity.ino;
        target.dev = identity.dev;
        target.socket = is_socket(identity.mode);
    }
    target
}

#[inline(always)]
unsafe fn clear(body: *mut Socket) {
    // SAFETY: the caller's body.
    unsafe {
        (*body).ino = 0;
        (*body).local_addr = [0; 16];
        (*body).peer_addr = [0; 16];
        (*body).family = 0;
        (*body).socket_type = 0;
        (*body).protocol = 0;
        (*body).local_port = 0;
        (*body).peer_port = 0;
        (*body).held = Held(0);
        (*body).local_len = 0;
        (*body).peer_len = 0;
    }
}

/// Fills the body from the `struct sock` behind a socket's `struct file`.
///
/// Not inlined: its stack is free again afterwards.
#[inline(never)]
unsafe fn describe(scratch: *mut Scratch, body: *mut Socket, file: u64) -> Option<()> {
    let socket: u64 = untyped(file + offset!(file_private_data) as u64)?;
    let sock: u64 = untyped(socket + offset!(socket_sk) as u64)?;
    if sock == 0 {
        return None;
    }
    // SAFETY: the caller's body.
    unsafe {
        let family: u16 = untyped(sock + offset!(sock_family) as u64)?;
        (*body).family = family;
        (*body).socket_type = untyped(sock + offset!(sock_type) as u64)?;
        (*body).protocol = untyped(sock + offset!(sock_protocol) as u64)?;
        if family == UNIX {
            names(scratch, body, sock);
            return Some(());
        }
        if family != INET && family != INET6 {
            return Some(());
        }
        (*body).local_port = untyped(sock + offset!(sock_num) as u64)?;
        (*body).peer_port = u16::from_be(untyped(sock + offset!(sock_dport) as u64)?);
        let (local, peer) = (
            (&raw mut (*body).local_addr).cast::<u8>(),
            (&raw mut (*body).peer_addr).cast::<u8>(),
        );
        if family == INET {
            copy_kernel(local, 4, sock + offset!(sock_rcv_saddr) as u64);
            copy_kernel(peer, 4, sock + offset!(sock_daddr) as u64);
        } else if offset!(sock_v6_daddr) != ABSENT && offset!(sock_v6_rcv_saddr) != ABSENT {
            copy_kernel(local, 16, sock + offset!(sock_v6_rcv_saddr) as u64);
            copy_kernel(peer, 16, sock + offset!(sock_v6_daddr) as u64);
        }
        let mut held = 0;
        if (*body).local_port != 0 {
            held |= Held::LOCAL;
        }
        if (*body).peer_port != 0 {
            held |= Held::PEER;
        }
        (*body).held = Held(held);
    }
    Some(())
}

/// [`lineage_common::layout::ABSENT`], as [`offset`] gives it.
const ABSENT: usize = lineage_common::layout::ABSENT as usize;

/// The names of an `AF_UNIX` socket and of the one it is connected to.
#[inline(always)]
unsafe fn names(scratch: *mut Scratch, body: *mut Socket, sock: u64) {
    if offset!(unix_addr) == ABSENT || offset!(unix_peer) == ABSENT {
        return;
    }
    // SAFETY: the caller's body.
    unsafe {
        let mut held = 0;
        let mut local_len = 0;
        if let Some(len) = name(scratch, NAMES, sock) {
            held |= Held::LOCAL;
            local_len = len;
        }
        (*body).local_len = local_len as u32;
        let peer: u64 = untyped(sock + offset!(unix_peer) as u64).unwrap_or(0);
        if peer != 0
            && let Some(len) = name(scratch, NAMES + mask_unix(local_len), peer)
        {
            held |= Held::PEER;
            (*body).peer_len = len as u32;
        }
        (*body).held = Held(held);
    }
}

/// Copies the name of an `AF_UNIX` socket to the frame at `at`; `None` when it has none.
#[inline(always)]
unsafe fn name(scratch: *mut Scratch, at: u64, sock: u64) -> Option<u64> {
    let address: u64 = untyped(sock + offset!(unix_addr) as u64)?;
    if address == 0 {
        return None;
    }
    let len: u32 = untyped(address + offset!(unix_address_len) as u64)?;
    let len = u64::from(len).saturating_sub(FAMILY_BYTES);
    if len > UNIX_PATH_BYTES_MAX as u64 + 1 {
        return None;
    }
    let len = mask_unix(len);
    let from = address + offset!(unix_address_name) as u64 + FAMILY_BYTES;
    // SAFETY: offset and length are masked, and the frame has room for twice the masks.
    unsafe {
        let to = (&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(mask_frame(at) as usize);
        if !copy_kernel(to, len, from) {
            return None;
        }
        // A path ends with a NUL, which counts; an abstract name begins with one.
        if len > 0 && *to != 0 {
            return Some(len - 1);
        }
    }
    Some(len)
}

/// Fills one end of the body from the caller's address.
#[inline(never)]
unsafe fn claim(scratch: *mut Scratch, body: *mut Socket, given: &Address, local: bool) {
    // `struct sockaddr_in` and `sockaddr_in6`: family, port, then the address or the flow label
    // and the address.
    let Some(words) = user::<[u32; 2]>(given.at) else {
        return;
    };
    let family = words[0] as u16;
    let port = u16::from_be((words[0] >> 16) as u16);
    // SAFETY: the caller's body.
    unsafe {
        (*body).family = family;
        if family == UNIX {
            claim_name(scratch, body, given, local);
            return;
        }
        let mut address = [0u32; 4];
        if family == INET {
            address[0] = words[1];
        } else if family == INET6 {
            address = user(given.at + 8).unwrap_or([0; 4]);
        } else {
            return;
        }
        if local {
            (&raw mut (*body).local_addr)
                .cast::<[u32; 4]>()
                .write(address);
            (*body).local_port = port;
            (*body).held = Held((*body).held.0 | Held::LOCAL);
        } else {
            (&raw mut (*body).peer_addr)
                .cast::<[u32; 4]>()
                .write(address);
            (*body).peer_port = port;
            (*body).held = Held((*body).held.0 | Held::PEER);
        }
    }
}

/// Copies the caller's `sun_path`.
#[inline(always)]
unsafe fn claim_name(scratch: *mut Scratch, body: *mut Socket, given: &Address, local: bool) {
    let from = given.at + FAMILY_BYTES;
    let given = given
        .len
        .saturating_sub(FAMILY_BYTES)
        .min(UNIX_PATH_BYTES_MAX as u64);
    // SAFETY: the caller's body; offset and length are masked.
    unsafe {
        let at = if local {
            NAMES
        } else {
            NAMES + mask_unix(u64::from((*body).local_len))
        };
        let abstract_name = user::<u8>(from) == Some(0);
        let len = if abstract_name {
            let to = (&raw mut (*scratch).frame)
                .cast::<u8>()
                .add(mask_frame(at) as usize);
            copy_user_bytes(to, mask_unix(given), from)
        } else {
            // One more than given, for the NUL the helper adds.
            let (len, _) = copy_user_string(scratch, at, from, UNIX_PATH_BYTES_MAX as u64 + 1);
            len.min(given)
        };
        if local {
            (*body).local_len = len as u32;
            (*body).peer_len = 0;
            (*body).held = Held(Held::LOCAL);
        } else {
            (*body).peer_len = len as u32;
            (*body).held = Held((*body).held.0 | Held::PEER);
        }
    }
}

/// Copies `len` bytes; 0 when they cannot be read.
#[inline(always)]
unsafe fn copy_user_bytes(to: *mut u8, len: u64, from: u64) -> u64 {
    // SAFETY: by contract of the caller.
    if unsafe { crate::read::copy_user_to(to, len, from) } {
        len
    } else {
        0
    }
}
