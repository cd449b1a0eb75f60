//! What is done with sockets where no hook decides before: those of Unix, and what of others comes about without an address
//! being given.
//!
//! A socket that is bound to a name has its file, and that file's path on the host is what counts, whichever name was
//! given. Only of a message to an address the kernel keeps nothing, and the address given is all there is.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::{bpf_loop, bpf_probe_read_kernel_str},
    maps::lpm_trie::Key,
};
use lineage_common::{
    frame::{Flags, Kind, Socket},
    layout::{ABSENT, Action},
    limits::UNIX_PATH_BYTES_MAX,
    policy::{ADDRESS_BITS, AddressKey, End, KEY_HEAD_BITS, Named, Operation, Outcome, PathKey},
};

use super::{Operations, decide_by, judge_key};
use crate::{
    emit::{BODY, Frame, What},
    endpoints::{self, INET, INET6, NETLINK, UNIX},
    hook, host, key,
    maps::{self, Scratch},
    path,
    probes::sock_addr,
    read::{copy_kernel, copy_user_to, mask_unix, offset, untyped},
    socket::{self, Address},
    task::{self, Actor},
};

/// Where in the frame a path is walked that does not go with it: behind everything that does.
const ASIDE: u64 = socket::NAMES + 1024;

/// Bytes of `sun_family` (`include/uapi/linux/un.h`).
const FAMILY_BYTES: u64 = 2;

/// Judges what was done with the socket behind the `struct file` at `file`, which the frame describes, unless that was
/// decided before.
#[inline(always)]
pub(crate) fn socket(frame: &Frame, actor: &Actor, what: &What, file: u64, address: &Address) {
    /// `-EINPROGRESS`: a connection is being made.
    const IN_PROGRESS: i64 = -115;
    let operation = match what.kind {
        Kind::NET_CONNECT => Operation::CONNECT,
        Kind::NET_BIND => Operation::BIND,
        Kind::NET_LISTEN => Operation::LISTEN,
        Kind::NET_ACCEPT => Operation::ACCEPT,
        Kind::NET_SEND if address.at != 0 => Operation::SEND,
        Kind::NET_SOCKET => Operation::USE,
        _ => return,
    };
    let done = what.result >= 0 || what.kind == Kind::NET_CONNECT && what.result == IN_PROGRESS;
    // SAFETY: the scratch is the caller's; the entry of a tracked process stays while one of its threads runs.
    unsafe {
        let scratch = frame.scratch;
        if file == 0 || !done || (*scratch).outcome != Outcome::UNGOVERNED {
            return;
        }
        (*scratch).lineage = (*actor.task).lineage;
        let family = (*frame.body::<Socket>()).family;
        match (operation, family) {
            (Operation::USE, NETLINK) => super::name(frame, actor, operation, Named::NETLINK),
            (Operation::USE, _) => super::name(frame, actor, operation, Named::SOCKET),
            (Operation::SEND, UNIX) => {
                judge_message((*scratch).cpu, address.at, address.len, file);
            }
            (_, UNIX) => {
                judge_unix((*scratch).cpu, operation.0.into(), file);
            }
            (Operation::SEND, _) => {}
            (_, INET | INET6) => {
                judge_end((*scratch).cpu, operation.0.into());
            }
            _ => {}
        }
    }
}

/// Notes when a socket was connected or used that is denied, and others have it: they are not asked again.
#[inline(always)]
pub(crate) fn breached(frame: &Frame, what: &What, file: u64) {
    if file == 0 || !matches!(what.kind, Kind::NET_CONNECT | Kind::NET_SEND) {
        return;
    }
    // SAFETY: the scratch is the caller's.
    unsafe {
        let scratch = frame.scratch;
        let kind = Outcome((*scratch).outcome.0 & Outcome::KIND);
        let done = matches!(kind, Outcome::KILLED | Outcome::NOT_KILLED);
        if done && (*frame.body::<Socket>()).family == UNIX && is_shared(file) {
            maps::breach((*scratch).lineage);
        }
    }
}

/// Whether others than the call's descriptor lead to the `struct file` at `file`; where that cannot be told they do.
#[inline(always)]
fn is_shared(file: u64) -> bool {
    // Since 6.13 what is counted are the others (`include/linux/file_ref.h`).
    let (offset, alone) = if offset!(file_others) == ABSENT as usize {
        (offset!(file_count), 1)
    } else {
        (offset!(file_others), 0)
    };
    untyped::<u64>(file + offset as u64).is_none_or(|count| count > alone)
}

/// [`socket`] for one of Unix, in the scratch of `cpu`. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_unix(cpu: u32, operation: u32, file: u64) -> u64 {
    let (Some(scratch), Some(own)) = (maps::scratch(cpu), endpoints::sock(file)) else {
        return 0;
    };
    let connects = operation == u32::from(Operation::CONNECT.0);
    let sock = if connects { endpoints::peer(own) } else { own };
    if sock == 0 {
        // Connected to nobody: taken back.
        return 0;
    }
    if offset!(unix_path_mnt) == ABSENT as usize || offset!(unix_path_dentry) == ABSENT as usize {
        decide(scratch, operation, Outcome::CUT);
        return 0;
    }
    let mnt = untyped::<u64>(sock + offset!(unix_path_mnt) as u64).unwrap_or(0);
    let dentry = untyped::<u64>(sock + offset!(unix_path_dentry) as u64).unwrap_or(0);
    if dentry == 0 {
        abstract_name(scratch, operation, sock);
        return 0;
    }
    // SAFETY: the scratch is the caller's, whose frame has room behind what goes with it.
    unsafe {
        (*scratch).facts.mnt = mnt;
        (*scratch).facts.dentry = dentry;
        let mut reasons = Outcome::CUT;
        if path::set_root(scratch, task::current()).is_some() {
            let (len, flags) = path::append(scratch, ASIDE, mnt, dentry);
            let host = host::append(scratch, ASIDE + len, flags);
            reasons = super::unknown(host.view, flags);
        }
        key::end(scratch, 0);
        decide(scratch, operation, reasons);
    }
    0
}

/// Judges a socket by its name that is no path.
#[inline(always)]
fn abstract_name(scratch: *mut Scratch, operation: u32, sock: u64) {
    let address = untyped::<u64>(sock + offset!(unix_addr) as u64).unwrap_or(0);
    let len = untyped::<u32>(address + offset!(unix_address_len) as u64).unwrap_or(0);
    let len = u64::from(len).saturating_sub(FAMILY_BYTES);
    if address == 0 || len < 1 || len > UNIX_PATH_BYTES_MAX as u64 {
        // Without a name nobody can have meant it.
        decide(scratch, operation, Outcome::CUT);
        return;
    }
    let from = address + offset!(unix_address_name) as u64 + FAMILY_BYTES;
    // SAFETY: the key has room for more than the mask allows.
    let copied = unsafe { copy_kernel(key::given(scratch), mask_unix(len), from) };
    hidden(scratch, operation, len, copied);
}

/// Judges the abstract name of `len` bytes in the key, whose first is the NUL that makes it one. Another NUL would end it
/// too early.
#[inline(always)]
fn hidden(scratch: *mut Scratch, operation: u32, len: u64, copied: bool) {
    // SAFETY: the scratch is the caller's, and the key has room for more than the mask allows.
    let reasons = unsafe {
        let name = key::given(scratch);
        *name = b'@';
        *name.add(mask_unix(len) as usize) = 0;
        let aside = (&raw mut (*scratch).frame).cast::<u8>().add(ASIDE as usize);
        let room = UNIX_PATH_BYTES_MAX as u32 + 2;
        let whole = bpf_probe_read_kernel_str(aside.cast(), room, name.cast::<c_void>());
        if copied && whole == len as i64 + 1 {
            0
        } else {
            Outcome::CUT
        }
    };
    // SAFETY: the scratch is the caller's.
    unsafe { key::end(scratch, len) };
    decide(scratch, operation, reasons);
}

/// Whether nothing is to be judged of a message through the socket behind the `struct file` at `file`, though no decision
/// about it waits: the hook that refuses messages is asked about each of several, and about none that goes through a
/// connection.
#[inline(always)]
fn is_asked_elsewhere(file: u64) -> bool {
    let peer = || endpoints::sock(file).map_or(0, endpoints::peer);
    maps::refuses() && (hook::action() == Action::SENDMMSG || peer() != 0)
}

/// Judges a message by the address given, in the scratch of `cpu`. A path must be absolute and plain, and the process's
/// root the host's. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_message(cpu: u32, at: u64, len: u64, file: u64) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    if is_asked_elsewhere(file) {
        return 0;
    }
    let operation = u32::from(Operation::SEND.0);
    let len = len.saturating_sub(FAMILY_BYTES);
    if len < 1 || len > UNIX_PATH_BYTES_MAX as u64 {
        decide(scratch, operation, Outcome::CUT);
        return 0;
    }
    // SAFETY: the scratch is the caller's, and the key has room for more than the mask allows.
    unsafe {
        let name = key::given(scratch);
        let copied = copy_user_to(name, mask_unix(len), at + FAMILY_BYTES);
        if *name == 0 {
            hidden(scratch, operation, len, copied);
            return 0;
        }
        *name.add(mask_unix(len) as usize) = 0;
        let plain = &raw mut (*scratch).plain;
        (*plain).at = 0;
        (*plain).begin = 0;
        (*plain).dots = 0;
        (*plain).good = 0;
        let mut context = scratch;
        if copied && *name == b'/' && path::set_root(scratch, task::current()).is_some() {
            bpf_loop(
                UNIX_PATH_BYTES_MAX as u32 + 1,
                letter as *mut c_void,
                (&raw mut context).cast(),
                0,
            );
        }
        let mut reasons = 0;
        if (*plain).good == 0 {
            reasons |= Outcome::CUT;
        } else if !host::seen_alike(scratch, Flags(0)) {
            reasons |= Outcome::NOT_ON_HOST;
        }
        key::end(scratch, (*plain).at);
        decide(scratch, operation, reasons);
    }
    0
}

/// State of a look at a path in the key. Lives in [`Scratch`], for the verifier: see [`Scratch::walk`].
#[repr(C)]
pub(crate) struct Plain {
    at: u64,
    /// Where the name begins that is looked at.
    begin: u64,
    /// How many dots it has.
    dots: u64,
    /// 1 when the path has ended, and every name in it is one.
    good: u64,
}

/// One byte of a path: ends at its NUL, or at a name that is empty, `.` or `..`.
unsafe extern "C" fn letter(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is what `judge_message` holds on its stack, and the key has room for more than the mask allows.
    unsafe {
        let scratch = *context.cast::<*mut Scratch>();
        let plain = &raw mut (*scratch).plain;
        let at = (*plain).at;
        let letter = *key::given(scratch).add(mask_unix(at) as usize);
        if at != 0 && (letter == b'/' || letter == 0) {
            let len = at - (*plain).begin;
            if len == 0 || (len <= 2 && (*plain).dots == len) {
                return 1;
            }
        }
        if letter == 0 {
            (*plain).good = 1;
            return 1;
        }
        if letter == b'/' {
            (*plain).begin = at + 1;
            (*plain).dots = 0;
        } else if letter == b'.' {
            (*plain).dots += 1;
        }
        (*plain).at = at + 1;
        0
    }
}

/// Judges the Unix socket by the key, unless there are reasons.
#[inline(always)]
fn decide(scratch: *mut Scratch, operation: u32, reasons: u32) {
    // SAFETY: the scratch is the caller's.
    let cpu = unsafe { (*scratch).cpu };
    judge_key(cpu, operation | PathKey::UNIX_SOCKET, reasons);
}

/// [`socket`] for one with an address, in the scratch of `cpu`: what it is connected to, or else its own end. A global
/// function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_end(cpu: u32, operation: u32) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's, who has put a socket into its frame; map values live as long as the program.
    unsafe {
        let body = (&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(BODY as usize)
            .cast::<Socket>();
        let (address, port) = if operation == u32::from(Operation::CONNECT.0) {
            (
                (&raw const (*body).peer_addr).cast::<u32>(),
                (*body).peer_port,
            )
        } else {
            (
                (&raw const (*body).local_addr).cast::<u32>(),
                (*body).local_port,
            )
        };
        let address = if (*body).family == INET {
            [0, 0, 0xffff_u32.to_be(), address.read()]
        } else {
            address.cast::<[u32; 4]>().read()
        };
        (*scratch).end = End {
            address: sock_addr::bytes(address),
            port: port as u16,
            protocol: sock_addr::protocol(u32::from((*body).protocol)),
            reserved: [0; 5],
        };
        let lineage = (*scratch).lineage;
        let operations = Operations(1 << (operation & 0x1f));
        let _ = decide_by(scratch, operations, 0, false, |scratch, table| {
            let governance = maps::governance(lineage)?;
            let end = (*scratch).end;
            let key = AddressKey {
                table,
                operation: Operation(operation as u8),
                protocol: end.protocol,
                port_class: sock_addr::class(&*governance, end.port),
                reserved: 0,
                address: end.address,
            };
            maps::address_rule(&Key::new(KEY_HEAD_BITS + ADDRESS_BITS, key))
        });
        (*body).judged = (*scratch).end;
    }
    0
}
