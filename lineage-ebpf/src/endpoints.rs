//! What the kernel holds of both ends of a socket.

use lineage_common::{
    frame::{Held, Socket},
    limits::UNIX_PATH_BYTES_MAX,
};

use crate::{
    emit::BODY,
    maps::{self, Scratch},
    read::{copy_kernel, mask_frame, mask_unix, offset, untyped},
    socket::NAMES,
};

/// `AF_*` (`include/linux/socket.h`).
pub(crate) const UNIX: u16 = 1;
pub(crate) const INET: u16 = 2;
pub(crate) const INET6: u16 = 10;
pub(crate) const NETLINK: u16 = 16;
pub(crate) const PACKET: u16 = 17;
const VSOCK: u16 = 40;

/// `SOCK_STREAM`, `IPPROTO_TCP`.
const STREAM: u16 = 1;
const TCP: u16 = 6;

/// Bytes of `sun_family`, before the name in `struct sockaddr_un`.
const FAMILY_BYTES: u64 = 2;

/// [`lineage_common::layout::ABSENT`], as [`offset`] gives it.
const ABSENT: usize = lineage_common::layout::ABSENT as usize;

/// [`describe`], into the frame in the scratch of `cpu`; not 0 when the addresses are read. A global
/// function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn describe_socket(cpu: u32, file: u64) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's, who has put nothing else in its frame.
    unsafe {
        let body = (&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(BODY as usize)
            .cast();
        u64::from(describe(scratch, body, file))
    }
}

/// Fills the body from the socket behind a `struct file`. False when the addresses of its family are
/// not read.
#[inline(always)]
pub(crate) unsafe fn describe(scratch: *mut Scratch, body: *mut Socket, file: u64) -> bool {
    // SAFETY: by contract of the caller.
    unsafe { fill(scratch, body, file) }.unwrap_or(false)
}

/// The `struct sock` of the socket behind a `struct file`.
#[inline(always)]
pub(crate) fn sock(file: u64) -> Option<u64> {
    let socket: u64 = untyped(file + offset!(file_private_data) as u64)?;
    untyped(socket + offset!(socket_sk) as u64)
}

/// The `AF_*` of the socket behind a `struct file`; 0 when it cannot be read.
#[inline(always)]
pub(crate) fn family(file: u64) -> u16 {
    sock(file)
        .and_then(|sock| untyped(sock + offset!(sock_family) as u64))
        .unwrap_or(0)
}

/// The one that an `AF_UNIX` socket is connected to; 0 for none, and of other families.
#[inline(always)]
pub(crate) fn peer(sock: u64) -> u64 {
    if offset!(unix_peer) == ABSENT || untyped(sock + offset!(sock_family) as u64) != Some(UNIX) {
        return 0;
    }
    untyped(sock + offset!(unix_peer) as u64).unwrap_or(0)
}

#[inline(always)]
unsafe fn fill(scratch: *mut Scratch, body: *mut Socket, file: u64) -> Option<bool> {
    let socket: u64 = untyped(file + offset!(file_private_data) as u64)?;
    let sock: u64 = untyped(socket + offset!(socket_sk) as u64)?;
    // SAFETY: the caller's body.
    unsafe {
        (*body).ino = inode(socket);
        if sock == 0 {
            return None;
        }
        let family: u16 = untyped(sock + offset!(sock_family) as u64)?;
        (*body).family = family;
        (*body).socket_type = untyped(sock + offset!(sock_type) as u64)?;
        (*body).protocol = untyped(sock + offset!(sock_protocol) as u64)?;
        if offset!(sock_cookie) != ABSENT {
            (*body).cookie = untyped(sock + offset!(sock_cookie) as u64).unwrap_or(0);
        }
        if offset!(sock_net) != ABSENT {
            let net: u64 = untyped(sock + offset!(sock_net) as u64).unwrap_or(0);
            (*body).net_ns = untyped(net + offset!(net_inum) as u64).unwrap_or(0);
        }
        match family {
            UNIX => unix(scratch, body, sock),
            INET | INET6 => internet(body, sock, family)?,
            NETLINK => return Some(netlink(body, sock)),
            PACKET => return Some(packet(body, sock)),
            VSOCK => return Some(vsock(body, sock)),
            _ => return Some(false),
        }
    }
    Some(true)
}

/// Inode number of a `struct socket`: its inode is allocated together with it.
#[inline(always)]
fn inode(socket: u64) -> u64 {
    if socket == 0
        || offset!(socket_alloc_inode) == ABSENT
        || offset!(socket_alloc_socket) == ABSENT
    {
        return 0;
    }
    let inode = socket - offset!(socket_alloc_socket) as u64 + offset!(socket_alloc_inode) as u64;
    untyped(inode + offset!(inode_ino) as u64).unwrap_or(0)
}

/// Ports and addresses.
#[inline(always)]
unsafe fn internet(body: *mut Socket, sock: u64, family: u16) -> Option<()> {
    // SAFETY: the caller's body.
    unsafe {
        let local_port: u16 = untyped(sock + offset!(sock_num) as u64)?;
        let peer_port = u16::from_be(untyped(sock + offset!(sock_dport) as u64)?);
        (*body).local_port = u32::from(local_port);
        (*body).peer_port = u32::from(peer_port);
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
        if local_port != 0 {
            held |= Held::LOCAL;
        }
        if peer_port != 0 {
            held |= Held::PEER;
        }
        (*body).held = Held(held);
        if peer_port != 0 && (*body).socket_type == STREAM && (*body).protocol == TCP {
            sequence(body, sock);
        }
    }
    Some(())
}

/// Where both directions of a TCP connection began: the present numbers less what has passed. The
/// kernel changes the two one after the other, so what is read while data comes in may be wrong, and
/// then fits no other end.
#[inline(always)]
unsafe fn sequence(body: *mut Socket, sock: u64) {
    if offset!(tcp_snd_una) == ABSENT
        || offset!(tcp_rcv_nxt) == ABSENT
        || offset!(tcp_bytes_acked) == ABSENT
        || offset!(tcp_bytes_received) == ABSENT
    {
        return;
    }
    let acked: u64 = untyped(sock + offset!(tcp_bytes_acked) as u64).unwrap_or(0);
    let unacked: u32 = untyped(sock + offset!(tcp_snd_una) as u64).unwrap_or(0);
    let received: u64 = untyped(sock + offset!(tcp_bytes_received) as u64).unwrap_or(0);
    let next: u32 = untyped(sock + offset!(tcp_rcv_nxt) as u64).unwrap_or(0);
    // SAFETY: the caller's body.
    unsafe {
        (*body).first_sent = unacked.wrapping_sub(acked as u32);
        if next != 0 {
            (*body).first_received = next.wrapping_sub(received as u32);
        }
    }
}

/// Port ids and groups.
#[inline(always)]
unsafe fn netlink(body: *mut Socket, sock: u64) -> bool {
    if offset!(netlink_portid) == ABSENT
        || offset!(netlink_groups) == ABSENT
        || offset!(netlink_dst_portid) == ABSENT
        || offset!(netlink_dst_group) == ABSENT
    {
        return false;
    }
    // SAFETY: the caller's body.
    unsafe {
        let port: u32 = untyped(sock + offset!(netlink_portid) as u64).unwrap_or(0);
        let peer: u32 = untyped(sock + offset!(netlink_dst_portid) as u64).unwrap_or(0);
        let group: u32 = untyped(sock + offset!(netlink_dst_group) as u64).unwrap_or(0);
        let groups: u64 = untyped(sock + offset!(netlink_groups) as u64).unwrap_or(0);
        let groups: u32 = untyped(groups).unwrap_or(0);
        (*body).local_port = port;
        (*body).peer_port = peer;
        (&raw mut (*body).local_addr).cast::<u32>().write(groups);
        (&raw mut (*body).peer_addr).cast::<u32>().write(group);
        let mut held = 0;
        if port != 0 {
            held |= Held::LOCAL;
        }
        if peer != 0 || group != 0 {
            held |= Held::PEER;
        }
        (*body).held = Held(held);
    }
    true
}

/// The interface, and the protocol in host order.
#[inline(always)]
unsafe fn packet(body: *mut Socket, sock: u64) -> bool {
    if offset!(packet_ifindex) == ABSENT || offset!(packet_num) == ABSENT {
        return false;
    }
    // SAFETY: the caller's body.
    unsafe {
        let index: u32 = untyped(sock + offset!(packet_ifindex) as u64).unwrap_or(0);
        (*body).local_port = index;
        (*body).protocol = u16::from_be(untyped(sock + offset!(packet_num) as u64).unwrap_or(0));
        if index != 0 {
            (*body).held = Held(Held::LOCAL);
            if offset!(packet_device) != ABSENT && offset!(net_device_name) != ABSENT {
                let device: u64 = untyped(sock + offset!(packet_device) as u64).unwrap_or(0);
                let name = (&raw mut (*body).local_addr).cast::<u8>();
                copy_kernel(name, 16, device + offset!(net_device_name) as u64);
            }
        }
    }
    true
}

/// `VMADDR_PORT_ANY` (`include/uapi/linux/vm_sockets.h`).
const ANY_PORT: u32 = u32::MAX;

/// Context ids and ports.
#[inline(always)]
unsafe fn vsock(body: *mut Socket, sock: u64) -> bool {
    if offset!(vsock_local) == ABSENT
        || offset!(vsock_remote) == ABSENT
        || offset!(vsock_cid) == ABSENT
        || offset!(vsock_port) == ABSENT
    {
        return false;
    }
    let (cid, port) = (offset!(vsock_cid) as u64, offset!(vsock_port) as u64);
    let local = sock + offset!(vsock_local) as u64;
    let remote = sock + offset!(vsock_remote) as u64;
    // SAFETY: the caller's body.
    unsafe {
        let own: u32 = untyped(local + port).unwrap_or(ANY_PORT);
        let peer: u32 = untyped(remote + port).unwrap_or(ANY_PORT);
        (*body).local_port = own;
        (*body).peer_port = peer;
        copy_kernel((&raw mut (*body).local_addr).cast(), 4, local + cid);
        copy_kernel((&raw mut (*body).peer_addr).cast(), 4, remote + cid);
        let mut held = 0;
        if own != ANY_PORT {
            held |= Held::LOCAL;
        }
        if peer != ANY_PORT {
            held |= Held::PEER;
        }
        (*body).held = Held(held);
    }
    true
}

/// The names of an `AF_UNIX` socket and of the one it is connected to, and which that is.
#[inline(always)]
unsafe fn unix(scratch: *mut Scratch, body: *mut Socket, sock: u64) {
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
        if peer != 0 {
            if let Some(len) = name(scratch, NAMES + mask_unix(local_len), peer) {
                held |= Held::PEER;
                (*body).peer_len = len as u32;
            }
            (*body).peer_ino = inode(untyped(peer + offset!(sock_socket) as u64).unwrap_or(0));
            let _ = process(body, sock);
        }
        (*body).held = Held(held);
    }
}

/// `PIDTYPE_TGID` (`include/linux/pid_types.h`), and sizes of `struct hlist_head` and `hlist_node`.
const GROUP: u64 = 1;
const HEAD_BYTES: u64 = 8;
const NODE_BYTES: u64 = 16;

/// The process at the other end, as the kernel noted it when the connection or the pair was made. Its
/// number stays when it is gone; its start does not.
#[inline(always)]
unsafe fn process(body: *mut Socket, sock: u64) -> Option<()> {
    if offset!(sock_peer_pid) == ABSENT {
        return None;
    }
    let pid: u64 = untyped(sock + offset!(sock_peer_pid) as u64)?;
    if pid == 0 {
        return None;
    }
    let first = pid + offset!(pid_numbers) as u64;
    let node: u64 = untyped(pid + offset!(pid_tasks) as u64 + GROUP * HEAD_BYTES)?;
    // SAFETY: the caller's body.
    unsafe {
        (*body).peer_pid = untyped(first + offset!(upid_nr) as u64)?;
        if node != 0 {
            let task = node - offset!(task_pid_links) as u64 - GROUP * NODE_BYTES;
            (*body).peer_start = untyped(task + offset!(task_start_boottime) as u64)?;
        }
    }
    Some(())
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
