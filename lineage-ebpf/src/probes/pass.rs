//! Descriptors that go with messages over `AF_UNIX` sockets: `SCM_RIGHTS` of unix(7), and the `pidfd`
//! of the sender that a receiver can ask for.
//!
//! Which they are stands in control messages in the caller's memory, where the caller put the numbers
//! of those it sends and the kernel those of the received. What a number leads to, the table of
//! descriptors says.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    frame::{File, Flags, HostPath, Kind, Pass, Socket, Version},
    layout::Action,
    limits::{CONTROL_STEPS_MAX, MESSAGES_MAX, PASSED_MAX},
};

use crate::{
    descriptor,
    emit::{self, BODY, Frame, What},
    endpoints::{self, UNIX},
    maps, path,
    probes::{
        datagram, open,
        syscall::{Returned, argument},
    },
    read::{mask_frame, user},
    skip::Skip,
    socket,
    task::{self, Actor},
};

/// Where `struct user_msghdr` (`include/linux/socket.h`) has `msg_control`, then the length of it and
/// the flags; and the size of `struct mmsghdr`, which it begins.
const CONTROL: u64 = 32;
const MESSAGE_BYTES: u64 = 64;

/// Size of `struct cmsghdr`, and what its messages are aligned to.
const HEADER_BYTES: u64 = 16;
const ALIGN: u64 = 8;

/// `SOL_SOCKET` with `SCM_RIGHTS` and with `SCM_PIDFD` (`include/linux/socket.h`), as the second word
/// of the header has them.
const RIGHTS: u64 = 1 | 1 << 32;
const PIDFD: u64 = 1 | 4 << 32;

/// Where the look at a call's control messages is. Lives in [`Scratch`], where the verifier knows
/// nothing about it from one step to the next, so one look at the step suffices.
#[repr(C)]
pub(crate) struct Passing {
    /// The next `struct msghdr`, and how many there are.
    message: u64,
    messages: u64,
    /// The next control message of the present one, and the end of them.
    control: u64,
    control_end: u64,
    /// The next number of the present control message, and the end of them.
    number: u64,
    number_end: u64,
    /// 1 when a number may be an errno in the place of a descriptor.
    may_fail: u64,
    /// What the call returned.
    result: i64,
    /// How many were recorded.
    recorded: u64,
    /// What every frame says of the socket and the message.
    pass: Pass,
}

/// Whether messages may have had control data with them.
#[inline(always)]
fn may(call: &Returned, action: Action) -> bool {
    match action {
        Action::SENDMMSG | Action::RECVMMSG => return true,
        Action::SENDMSG => {}
        Action::RECVMSG if call.result >= 0 => {}
        _ => return false,
    }
    match user::<[u64; 2]>(argument!(call, 1) + CONTROL) {
        Some([control, bytes]) => control != 0 && bytes > HEADER_BYTES,
        // The kernel could read it.
        None => call.result >= 0,
    }
}

/// `sendmsg`, `recvmsg`, `sendmmsg`, `recvmmsg`.
#[inline(never)]
pub(crate) fn returned(call: &Returned, action: Action) -> Result<(), Skip> {
    if !may(call, action) {
        return Err(Skip::Untraced);
    }
    let sends = action == Action::SENDMSG || action == Action::SENDMMSG;
    let several = action == Action::SENDMMSG || action == Action::RECVMMSG;
    if call.result < 0 && (!sends || datagram::is_not_yet(call.result)) {
        return Err(Skip::Untraced);
    }
    let messages = match call.result {
        count if several && count > 0 => (count as u64).min(u64::from(MESSAGES_MAX)),
        _ => 1,
    };
    let flags = if several {
        argument!(call, 3)
    } else {
        argument!(call, 2)
    };
    let first = argument!(call, 1);
    let passing = begin(argument!(call, 0) as i32)?;
    // SAFETY: the scratch is this CPU's, and no other probe on it touches this part.
    unsafe {
        (*passing).message = first;
        (*passing).messages = messages;
        (*passing).result = call.result;
        (*passing).pass.number = call.number;
        (*passing).pass.asked = flags as u32;
        (*passing).pass.sends = u32::from(sends);
    }
    // SAFETY: the callback needs no state but the scratch's.
    unsafe {
        bpf_loop(
            CONTROL_STEPS_MAX,
            step as *mut c_void,
            core::ptr::null_mut(),
            0,
        );
        if !(*passing).done() {
            return Err(emit::lost(maps::cpu(), Kind::PASS));
        }
    }
    Ok(())
}

impl Passing {
    /// Bytes of control data not looked at.
    #[inline(always)]
    fn left(&self) -> u64 {
        self.control_end.saturating_sub(self.control)
    }

    /// Counts what went with the message and cannot be told of: the caller's memory does not say it any
    /// more. Of a call that failed nothing may have gone.
    #[inline(always)]
    fn lost(&self) {
        if self.result >= 0 {
            emit::lost(maps::cpu(), Kind::PASS);
        }
    }

    /// Whether all was looked at.
    #[inline(always)]
    fn done(&self) -> bool {
        self.messages == 0 && self.left() < HEADER_BYTES && self.number >= self.number_end
    }
}

/// Notes which socket it is, if it is one that descriptors can go through.
///
/// Not inlined: its stack is free again afterwards, as that of [`fill`] and [`finish`].
#[inline(never)]
fn begin(fd: i32) -> Result<*mut Passing, Skip> {
    let frame = Frame::take(Kind::PASS)?;
    let target = socket::target(&frame, fd);
    if !target.is_socket() || endpoints::family(target.file) != UNIX {
        frame.release();
        return Err(Skip::Untraced);
    }
    let body = frame.body::<Socket>();
    // SAFETY: the scratch is ours until it is released; what is noted is of this CPU only.
    unsafe {
        let passing = &raw mut (*frame.scratch).passing;
        socket::clear(body);
        endpoints::describe_socket((*frame.scratch).cpu, target.file);
        (*passing).control = 0;
        (*passing).control_end = 0;
        (*passing).number = 0;
        (*passing).number_end = 0;
        (*passing).may_fail = 0;
        (*passing).recorded = 0;
        (*passing).pass.socket_ino = (*body).ino;
        (*passing).pass.peer_ino = (*body).peer_ino;
        (*passing).pass.peer_start = (*body).peer_start;
        (*passing).pass.peer_pid = (*body).peer_pid;
        (*passing).pass.socket_fd = fd;
        (*passing).pass.index = 0;
        (*passing).pass.told = 0;
        (*passing).pass.closes_on_exec = 0;
        frame.release();
        Ok(passing)
    }
}

/// One step: a descriptor, the header of a control message, or a message.
unsafe extern "C" fn step(_index: u64, _context: *mut c_void) -> i64 {
    let Some(scratch) = maps::scratch(maps::cpu()) else {
        return 1;
    };
    // SAFETY: the scratch is this CPU's, and no other probe on it touches this part.
    unsafe {
        let passing = &raw mut (*scratch).passing;
        if (*passing).number < (*passing).number_end {
            let number = user::<i32>((*passing).number);
            (*passing).number += size_of::<i32>() as u64;
            let more = descriptor(passing, number);
            (*passing).pass.index += 1;
            return more;
        }
        let left = (*passing).left();
        if left >= HEADER_BYTES {
            header(passing, left);
            return 0;
        }
        if (*passing).messages == 0 {
            return 1;
        }
        (*passing).messages -= 1;
        let at = (*passing).message;
        (*passing).message += MESSAGE_BYTES;
        let Some([control, bytes, flags]) = user::<[u64; 3]>(at + CONTROL) else {
            (*passing).lost();
            return 0;
        };
        (*passing).control = control;
        (*passing).control_end = if control == 0 {
            0
        } else {
            control + (bytes & BYTES_MASK)
        };
        (*passing).pass.told = flags as u32;
        (*passing).pass.index = 0;
    }
    0
}

/// No control data is longer (`INT_MAX`, `____sys_sendmsg` in `net/socket.c`).
const BYTES_MASK: u64 = 0x7fff_ffff;

/// The header of a control message, of those of which so many bytes are left. The kernel takes none that
/// does not fit, nor any behind it.
#[inline(always)]
unsafe fn header(passing: *mut Passing, left: u64) {
    // SAFETY: by contract of the caller.
    unsafe {
        let at = (*passing).control;
        let Some([bytes, what]) = user::<[u64; 2]>(at) else {
            (*passing).control = (*passing).control_end;
            (*passing).lost();
            return;
        };
        if bytes < HEADER_BYTES || bytes > left {
            (*passing).control = (*passing).control_end;
            return;
        }
        let next = at + ((bytes + ALIGN - 1) & !(ALIGN - 1));
        (*passing).control = next.min((*passing).control_end);
        if what == RIGHTS || (what == PIDFD && (*passing).pass.sends == 0) {
            (*passing).number = at + HEADER_BYTES;
            (*passing).number_end = at + (bytes & !3);
            (*passing).may_fail = u64::from(what == PIDFD);
        }
    }
}

/// A descriptor that went with the message; 1 when it is the last that is recorded of this call.
#[inline(always)]
unsafe fn descriptor(passing: *mut Passing, number: Option<i32>) -> i64 {
    // SAFETY: by contract of the caller.
    unsafe {
        (*passing).recorded += 1;
        let last = (*passing).recorded > PASSED_MAX;
        let Some(fd) = number else {
            (*passing).lost();
            return 0;
        };
        if (*passing).pass.sends == 0 && fd < 0 && (*passing).may_fail != 0 {
            return 0;
        }
        let cut = if last {
            Flags::DESCRIPTORS_CUT
        } else {
            Flags(0)
        };
        if pass_descriptor(fd, cut.0) == 0 {
            (*passing).lost();
            return 0;
        }
        if last {
            (*passing).messages = 0;
            (*passing).control = (*passing).control_end;
            (*passing).number = (*passing).number_end;
        }
        i64::from(last)
    }
}

/// Records a descriptor that goes with the message in the scratch; 0 when the number of one that was
/// received is written over since. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn pass_descriptor(fd: i32, cut: u16) -> u64 {
    let (Ok(actor), Some(scratch)) = (Actor::current(), maps::scratch(maps::cpu())) else {
        return 1;
    };
    // SAFETY: the scratch is this CPU's, and no other probe on it touches this part.
    if unsafe { (*scratch).passing.pass.sends } == 0 {
        // What was there before was not received.
        if fd < 0 || is_known(&actor, fd) {
            return 0;
        }
        descriptor::made(&actor, fd);
    }
    let filled = fill(&actor, fd);
    if filled != 0 {
        finish(&actor, fd, filled | u64::from(cut) << 32);
    }
    1
}

/// Whether the table has what is at a descriptor.
#[inline(always)]
fn is_known(actor: &Actor, fd: i32) -> bool {
    let file = task::file(actor.files, fd);
    descriptor::find(actor, fd)
        .is_some_and(|known| file.is_some_and(|file| descriptor::leads_to(actor, known, file)))
}

/// Takes a frame and fills it with what a descriptor leads to. Gives its bytes and above them the flags;
/// 0 when there is no frame.
#[inline(never)]
fn fill(actor: &Actor, fd: i32) -> u64 {
    let Ok(frame) = Frame::take(Kind::PASS) else {
        return 0;
    };
    let target = socket::target(&frame, fd);
    // SAFETY: the scratch is ours until the frame is sent.
    let (len, flags) = unsafe {
        if target.is_socket() {
            let body = frame.body::<Socket>();
            socket::clear(body);
            (*body).fd = fd;
            endpoints::describe_socket((*frame.scratch).cpu, target.file);
            let names = u64::from((*body).local_len) + u64::from((*body).peer_len);
            (socket::NAMES + names, Flags::OF_SOCKET)
        } else {
            file(&frame, actor, fd)
        }
    };
    mask_frame(len) | u64::from(flags.0) << 32
}

/// Completes and sends the frame that was taken; a descriptor that was received enters the table.
#[inline(never)]
fn finish(actor: &Actor, fd: i32, filled: u64) {
    let Some(scratch) = maps::scratch(maps::cpu()) else {
        return;
    };
    let frame = Frame { scratch };
    // SAFETY: the scratch is ours until the frame is sent.
    unsafe {
        let passing = &raw mut (*scratch).passing;
        let closes = task::closes_on_exec(actor.files, fd as u32);
        (*passing).pass.closes_on_exec = u32::from(closes == Some(true));
        // Which descriptor it is, is from the caller's memory also where the kernel wrote it there.
        let flags = Flags((filled >> 32) as u16).with(Flags::CLAIMED);
        let what = What {
            kind: Kind::PASS,
            flags,
            result: (*passing).result,
        };
        let len = emit::append(
            scratch,
            filled & 0xffff_ffff,
            &raw const (*scratch).passing.pass,
        );
        let sent = frame.send(actor, what, len);
        let target = &raw const (*scratch).target;
        let leads = task::file(actor.files, fd) == Some((*target).file);
        if (*passing).pass.sends == 0 && leads {
            descriptor::remember(actor, fd, &*target, &sent);
        }
    }
}

/// Fills the body with the file at a descriptor, if there is one; returns where it ends.
#[inline(always)]
unsafe fn file(frame: &Frame, actor: &Actor, fd: i32) -> (u64, Flags) {
    let body = frame.body::<File>();
    let start = BODY + size_of::<File>() as u64;
    // SAFETY: the scratch is the caller's.
    unsafe {
        let scratch = frame.scratch;
        (*scratch).target.file = task::file(actor.files, fd).unwrap_or(0);
        let filled = if (*scratch).target.file == 0 {
            0
        } else {
            open::fill_file((*scratch).cpu, fd, open::MADE)
        };
        if filled == 0 {
            nothing(body, fd);
            return (start, Flags(0));
        }
        (filled & 0xffff_ffff, Flags((filled >> 32) as u16))
    }
}

/// A descriptor that leads nowhere.
///
/// # Safety
///
/// `body` is the caller's.
#[inline(always)]
pub(crate) unsafe fn nothing(body: *mut File, fd: i32) {
    // SAFETY: by contract.
    unsafe {
        (*body).ino = 0;
        (*body).fs_magic = 0;
        (*body).version = Version::NONE;
        (*body).dev = 0;
        (*body).mode = 0;
        (*body).flags = 0;
        (*body).fd = fd;
        (*body).dirfd = path::AT_FDCWD;
        (*body).path_len = 0;
        (*body).host = HostPath::SAME;
        (*body).other_len = 0;
    }
}
