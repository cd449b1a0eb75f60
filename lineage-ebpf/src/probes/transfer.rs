//! Bytes moved through descriptors: counted, and those that are news recorded.
//!
//! News are the first bytes each way, and of a regular file the first after others have changed its
//! content, or have read what was written ([`crate::turns`]). Of a descriptor that was inherited the
//! first use is recorded before.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    frame::{Flags, Kind, NO_CPU, Use, Version},
    layout::Action,
    limits::MESSAGES_MAX,
    task::Descriptor,
};

use crate::{
    atomic::{add, and_half, fetch_or_half},
    budget, descriptor,
    emit::{BODY, Frame, What},
    facts, first,
    maps::{self, Scratch},
    probes::{
        datagram, ioctl, open,
        syscall::{Returned, argument},
    },
    read::user,
    skip::Skip,
    socket,
    task::{self, Actor},
    turns, version,
};

/// Size of `struct mmsghdr` (`include/linux/socket.h`) and where its `msg_len` is.
const MESSAGE_BYTES: u64 = 64;
const MESSAGE_LEN: u64 = 56;

/// Length of the frame of a read or write.
const USE_LEN: u64 = BODY + size_of::<Use>() as u64;

/// Bytes that went through a descriptor.
#[derive(Clone, Copy)]
struct Moved {
    fd: i32,
    /// [`Descriptor::READ`] or [`Descriptor::WRITTEN`].
    way: u32,
    bytes: u64,
}

/// A call that moves bytes through the descriptor in argument 0.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    if call.result < 0 {
        return Err(Skip::Untraced);
    }
    let bytes = Moved {
        fd: argument!(call, 0) as i32,
        way: if action == Action::READ {
            Descriptor::READ
        } else {
            Descriptor::WRITTEN
        },
        bytes: call.result as u64,
    };
    moved(actor, &bytes)
}

/// A call that moves messages, which may have an address each.
#[inline(never)]
pub(crate) fn message(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    datagram::fast_open(actor, call, action);
    if call.result < 0 {
        return datagram::failed(call, action);
    }
    let way = match action {
        Action::RECVFROM | Action::RECVMSG | Action::RECVMMSG => Descriptor::READ,
        _ => Descriptor::WRITTEN,
    };
    let own = datagram::is_own_error(actor, call, action);
    let bytes = match action {
        _ if own => 0,
        Action::RECVMMSG | Action::SENDMMSG => messages(call),
        Action::MQ_SEND => argument!(call, 2),
        _ => call.result as u64,
    };
    let fd = argument!(call, 0) as i32;
    let done = moved(actor, &Moved { fd, way, bytes });
    if own || !descriptor::addressed(actor, fd) {
        return done;
    }
    match datagram::told(call, action) {
        // The address tells more than that there was a first message.
        Ok(()) => {
            forget();
            Ok(())
        }
        Err(_) => done,
    }
}

/// Counts bytes at a descriptor. A call that moved none may still be the first use of what was inherited.
///
/// The file behind it is compared with the one that was there when it was recorded, which shows a
/// replacement by a call that is not followed. When another thread replaces the descriptor while
/// the call runs, the bytes count for the new file: the kernel keeps no trace of the old one.
///
/// # Errors
///
/// [`Skip::News`] when they are the first or otherwise news, for [`report`] to record.
#[inline(never)]
fn moved(actor: &Actor, moved: &Moved) -> Result<(), Skip> {
    moved_here(actor, moved)
}

#[inline(always)]
fn moved_here(actor: &Actor, moved: &Moved) -> Result<(), Skip> {
    let file = task::file(actor.files, moved.fd).ok_or(Skip::Unreadable)?;
    let known = match known(actor, moved.fd, file) {
        Some(known) => known,
        None if use_first(moved.fd) == 0 => {
            descriptor::find(actor, moved.fd).ok_or(Skip::Unreadable)?
        }
        None => return Err(Skip::Unreadable),
    };
    count(moved, known);
    // Asked here already: most of what is written goes elsewhere, and the global function looks the descriptor up again.
    // SAFETY: map values stay readable.
    let to_socket = unsafe { (*known).used } & Descriptor::SOCKET != 0;
    if moved.way == Descriptor::WRITTEN && to_socket && maps::governs() {
        budget::sent(moved.fd, moved.bytes);
    }
    if moved.bytes != 0 && is_news(moved, known) {
        // SAFETY: map values stay readable.
        keep_news(moved.fd, moved.way, moved.bytes, unsafe {
            (*known).opened_number
        });
        return Err(Skip::News);
    }
    Ok(())
}

/// [`moved`], where another look at the process does not matter; not 0 when the bytes are news. A global
/// function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn move_bytes(fd: i32, way: u32, bytes: u64) -> u64 {
    match Actor::current() {
        Ok(actor) => {
            let bytes = Moved { fd, way, bytes };
            u64::from(moved_here(&actor, &bytes) == Err(Skip::News))
        }
        Err(_) => 0,
    }
}

/// The descriptor, if the table has this file at it and a record tells of it.
#[inline(always)]
fn known(actor: &Actor, fd: i32, file: u64) -> Option<*mut Descriptor> {
    descriptor::find(actor, fd).filter(|known| {
        // SAFETY: map values stay readable.
        let recorded = unsafe { (**known).opened_cpu } != NO_CPU;
        recorded && descriptor::leads_to(actor, *known, file)
    })
}

/// Records the first use of a descriptor that is not in the table; 0 when it is there then. A global
/// function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn use_first(fd: i32) -> u64 {
    let Ok(actor) = Actor::current() else {
        return 1;
    };
    let Some(file) = task::file(actor.files, fd) else {
        return 1;
    };
    first::enter(actor.task, fd);
    let done = if known(&actor, fd, file).is_some() {
        Ok(())
    } else {
        descriptor::replace(&actor, fd, file);
        if descriptor::has_room(&actor, fd) {
            inherit(&actor, fd, file)
        } else {
            Err(Skip::Untraced)
        }
    };
    first::leave(actor.task, fd);
    u64::from(done.is_err())
}

#[inline(always)]
fn count(moved: &Moved, known: *mut Descriptor) {
    // SAFETY: map values stay writable.
    unsafe {
        let total = if moved.way == Descriptor::READ {
            &raw mut (*known).bytes_read
        } else {
            &raw mut (*known).bytes_written
        };
        add(total, moved.bytes);
    }
}

/// Whether bytes are the first or otherwise news. Programs use the same descriptors over and over, so
/// what is none must be seen without a search.
#[inline(always)]
fn is_news(moved: &Moved, known: *mut Descriptor) -> bool {
    // SAFETY: map values stay readable; what was used in this way was noted.
    unsafe {
        let used = (*known).used;
        if used & moved.way == 0 {
            true
        } else if used & Descriptor::REGULAR == 0 {
            false
        } else if moved.way == Descriptor::READ {
            turns::is_news_to_read(known)
        } else {
            turns::is_news_to_write(known)
        }
    }
}

/// Bytes that are news, until they are recorded. Lives in [`Scratch`].
///
/// Every place from which records are made costs the verifier as much as all of them, so they are made
/// from one, at the end: [`report`].
#[repr(C)]
pub(crate) struct News {
    /// What recorded the descriptor: when another thread has put another one there since, it is none
    /// of its news.
    number: u64,
    moved: Moved,
}

/// Most news of one call: it reads from one descriptor and writes to another.
pub(crate) const NEWS_MAX: usize = 2;

/// Keeps news of the descriptor that was recorded with this number, for [`report`]. A global function,
/// see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn keep_news(fd: i32, way: u32, bytes: u64, number: u64) -> u64 {
    let Some(scratch) = maps::scratch(maps::cpu()) else {
        return 1;
    };
    // SAFETY: no other probe runs on this CPU; the place is one of the two.
    unsafe {
        let place = (*scratch).news_count & 1;
        let news = (&raw mut (*scratch).news)
            .cast::<News>()
            .add(place as usize);
        (*news).number = number;
        (*news).moved = Moved { fd, way, bytes };
        (*scratch).news_count = place + 1;
    }
    0
}

/// Drops what [`keep_news`] has kept.
#[inline(always)]
fn forget() {
    if let Some(scratch) = maps::scratch(maps::cpu()) {
        // SAFETY: no other probe runs on this CPU.
        unsafe { (*scratch).news_count = 0 };
    }
}

/// State of the walk over news, on the stack of [`report`].
struct Reporting {
    actor: Actor,
    scratch: *mut Scratch,
}

/// Records what the last call kept.
#[inline(never)]
pub(crate) fn report(actor: &Actor) -> Result<(), Skip> {
    let scratch = maps::scratch(maps::cpu()).ok_or(Skip::Unreadable)?;
    let mut reporting = Reporting {
        actor: *actor,
        scratch,
    };
    // SAFETY: no other probe runs on this CPU; the callback gets the state that lives as long as the
    // call.
    unsafe {
        let count = (*scratch).news_count;
        (*scratch).news_count = 0;
        bpf_loop(
            count as u32,
            report_one as *mut c_void,
            (&raw mut reporting).cast(),
            0,
        );
    }
    Ok(())
}

unsafe extern "C" fn report_one(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `report` holds on its stack; the place is one of the two.
    unsafe {
        let reporting = &*context.cast::<Reporting>();
        let place = (index & 1) as usize;
        let news = (&raw const (*reporting.scratch).news)
            .cast::<News>()
            .add(place);
        if let Some(known) = descriptor::find(&reporting.actor, (*news).moved.fd)
            && (*known).opened_number == (*news).number
        {
            let moved = (*news).moved;
            let _ = record_news(&reporting.actor, &moved, known);
        }
    }
    0
}

/// Records a use that seems to be news.
#[inline(always)]
fn record_news(actor: &Actor, moved: &Moved, known: *mut Descriptor) -> Result<(), Skip> {
    let way = moved.way;
    // Another thread may have closed it meanwhile: the memory of its file may be another's then.
    // SAFETY: map values stay readable.
    let there = task::file(actor.files, moved.fd) == Some(unsafe { (*known).file });
    // SAFETY: map values stay writable.
    unsafe {
        let used = fetch_or_half(&raw mut (*known).used, way);
        let first = used & way == 0;
        if used & Descriptor::REGULAR == 0 {
            return match (first, used & Descriptor::SOCKET) {
                (false, _) => Ok(()),
                (true, 0) => record(actor, moved, known, 0),
                (true, _) => sent_or_received(actor, moved, if there { (*known).file } else { 0 }),
            };
        }
        if !there {
            return match first {
                true => record(actor, moved, known, 0),
                false => Ok(()),
            };
        }
        if (*known).inode == 0 {
            (*known).inode = facts::inode((*known).file).ok_or(Skip::Unreadable)?;
        }
        if !turns::note(known, way, first) {
            return Ok(());
        }
        if !turns::draw(known) {
            // The next use is the first again.
            and_half(&raw mut (*known).used, !way);
            return Ok(());
        }
        record(actor, moved, known, (*known).inode)
    }
}

#[inline(always)]
fn sent_or_received(actor: &Actor, moved: &Moved, file: u64) -> Result<(), Skip> {
    let kind = if moved.way == Descriptor::READ {
        Kind::NET_RECEIVE
    } else {
        Kind::NET_SEND
    };
    socket::moved(actor, moved.fd, file, kind, moved.bytes)
}

/// Records a use, with the version of the inode if it is one.
#[inline(never)]
fn record(actor: &Actor, moved: &Moved, known: *mut Descriptor, inode: u64) -> Result<(), Skip> {
    let kind = if moved.way == Descriptor::READ {
        Kind::READ
    } else {
        Kind::WRITE
    };
    let frame = Frame::take(kind)?;
    let body = frame.body::<Use>();
    // SAFETY: map values stay readable; the body is ours until the frame is sent.
    unsafe {
        if inode == 0 || !version::read(frame.scratch, inode, &raw mut (*body).version) {
            (*body).version = Version::NONE;
        }
        (*body).ino = (*known).ino;
        (*body).opened_number = (*known).opened_number;
        (*body).opened_cpu = (*known).opened_cpu;
        (*body).dev = (*known).dev;
        (*body).fd = moved.fd;
        (*body).reserved = 0;
    }
    let what = What {
        kind,
        flags: Flags(0),
        result: moved.bytes as i64,
    };
    frame.send(actor, what, USE_LEN);
    Ok(())
}

/// Records the first use of a descriptor.
#[inline(always)]
fn inherit(actor: &Actor, fd: i32, file: u64) -> Result<(), Skip> {
    let identity = facts::identity(file).ok_or(Skip::Unreadable)?;
    if socket::is_socket(identity.mode) {
        return match socket::record_inherited(fd) {
            0 => Ok(()),
            _ => Err(Skip::Unreadable),
        };
    }
    open::record(actor, fd, file, Kind::FILE_INHERIT)
}

/// `vmsplice(fd, …)`, which goes one way or the other (`vmsplice_type` in `fs/splice.c`).
#[inline(always)]
pub(crate) fn spliced(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    if call.result < 0 {
        return Err(Skip::Untraced);
    }
    let fd = argument!(call, 0) as i32;
    let file = task::file(actor.files, fd).ok_or(Skip::Unreadable)?;
    let way = if facts::is_writable(file) {
        Descriptor::WRITTEN
    } else {
        Descriptor::READ
    };
    match move_bytes(fd, way, call.result as u64) {
        0 => Ok(()),
        _ => Err(Skip::News),
    }
}

/// A call that moves bytes from one descriptor into another.
#[inline(always)]
pub(crate) fn copied(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    if call.result < 0 {
        return Err(Skip::Untraced);
    }
    let (first, second) = (argument!(call, 0) as i32, argument!(call, 1) as i32);
    let bytes = call.result as u64;
    let (from, to, bytes) = match action {
        Action::SENDFILE => (second, first, bytes),
        Action::SPLICE => (first, argument!(call, 2) as i32, bytes),
        Action::IOCTL => {
            let (from, bytes) = ioctl::cloned(actor, call).ok_or(Skip::Untraced)?;
            (from, first, bytes)
        }
        _ => (first, second, bytes),
    };
    let read = move_bytes(from, Descriptor::READ, bytes);
    let written = move_bytes(to, Descriptor::WRITTEN, bytes);
    if read | written != 0 {
        return Err(Skip::News);
    }
    Ok(())
}

/// Sum over the messages of one call, on the stack of [`messages`].
struct Messages {
    address: u64,
    bytes: u64,
}

/// Bytes of `sendmmsg`, `recvmmsg`: each message tells its own length, in the caller's memory.
#[inline(never)]
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
            one_message as *mut c_void,
            (&raw mut messages).cast(),
            0,
        );
    }
    messages.bytes
}

unsafe extern "C" fn one_message(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `messages` holds on its stack.
    let messages = unsafe { &mut *context.cast::<Messages>() };
    let len: Option<u32> = user(messages.address + index * MESSAGE_BYTES + MESSAGE_LEN);
    messages.bytes += u64::from(len.unwrap_or(0));
    0
}
