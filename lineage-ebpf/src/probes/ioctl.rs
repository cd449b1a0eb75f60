//! `ioctl`: those on devices are counted by request, and some are recorded each.

use lineage_common::{layout::Action, tally::Class};

use crate::{
    probes::syscall::{Returned, argument},
    read::{offset, untyped, user},
    skip::Skip,
    tally::{self, Once},
    task::{self, Actor},
};

/// Type of an inode in its mode, and those that are devices (`include/uapi/linux/stat.h`).
const FORMAT: u32 = 0o170_000;
const CHARACTER: u32 = 0o020_000;
const BLOCK: u32 = 0o060_000;

/// `FICLONE`, `FICLONERANGE`, `FIDEDUPERANGE` (`include/uapi/linux/fs.h`): of two files.
const CLONE: u32 = 0x4004_9409;
const CLONE_RANGE: u32 = 0x4020_940d;
const DEDUPE_RANGE: u32 = 0xc018_9436;

/// What `request` is recorded as when every one is; [`Action::NONE`] otherwise.
#[inline(always)]
fn each(request: u32) -> Action {
    match request {
        CLONE | CLONE_RANGE | DEDUPE_RANGE => Action::IOCTL_TWO,
        // `FS_IOC_SETFLAGS` and its form of 32-bit programs, `FS_IOC_FSSETXATTR`,
        // `FS_IOC_ENABLE_VERITY`, `FIFREEZE`, `FITHAW` (`include/uapi/linux/fs.h`).
        0x4008_6602 | 0x4004_6602 | 0x401c_5820 | 0x4080_6685 | 0xc004_5877 | 0xc004_5878
        // `TIOCSTI`, `TIOCLINUX` (`include/uapi/asm-generic/ioctls.h`): put text where a terminal's
        // user would, the second from what was selected.
        | 0x5412 | 0x541c
        // `TUNSETIFF` (`include/uapi/linux/if_tun.h`).
        | 0x4004_54ca => Action::IOCTL,
        _ => Action::NONE,
    }
}

/// Requests that any program makes of what may be a terminal: those of
/// `include/uapi/asm-generic/ioctls.h`, which have no direction, `TCGETS2` to `TCSETSF2` and
/// `TIOCGPTN` to `TIOCGPTPEER`.
#[inline(always)]
fn of_terminals(request: u32) -> bool {
    request >> 8 == 0x54
        || matches!(
            request & 0xff_ffff,
            0x2c_542a..=0x2c_542d | 0x04_5430..=0x04_5440
        )
}

/// Terminals by major number (`Documentation/admin-guide/devices.txt`): consoles and serial ports,
/// `/dev/tty` and its like, pseudoterminals.
#[inline(always)]
fn is_terminal(device: u32) -> bool {
    matches!(device >> 20, 4 | 5 | 136..=143)
}

/// How a call is recorded. One on a device is counted here and is not recorded otherwise:
/// [`Action::NONE`].
#[inline(always)]
pub(crate) fn action(actor: &Actor, call: &Returned) -> Action {
    let request = argument!(call, 1) as u32;
    let action = each(request);
    if action == Action::NONE && !of_terminals(request) {
        let _ = on_device(actor, call, request);
    }
    action
}

/// The second file of a call.
#[derive(Clone, Copy)]
pub(crate) struct Other {
    pub(crate) fd: i32,
    /// Its descriptor is from the caller's memory, which may be another one since.
    pub(crate) claimed: bool,
}

/// The second file of a call that is about two.
#[inline(always)]
pub(crate) fn other(call: &Returned) -> Other {
    let (request, argument) = (argument!(call, 1) as u32, argument!(call, 2));
    // Where `struct file_clone_range` has `src_fd`, and `struct file_dedupe_range` the first `dest_fd`.
    let at = match request {
        CLONE => {
            return Other {
                fd: argument as i32,
                claimed: false,
            };
        }
        CLONE_RANGE => argument,
        _ => argument.wrapping_add(24),
    };
    Other {
        fd: user::<i64>(at).map_or(-1, |fd| fd as i32),
        claimed: true,
    }
}

/// From which descriptor how many bytes of content went into that of argument 0 because of a
/// successful call: none when the files had the same before.
#[inline(always)]
pub(crate) fn cloned(actor: &Actor, call: &Returned) -> Option<(i32, u64)> {
    let (request, argument) = (argument!(call, 1) as u32, argument!(call, 2));
    if request != CLONE && request != CLONE_RANGE {
        return None;
    }
    let from = other(call).fd;
    let file = task::file(actor.files, from)?;
    let inode: u64 = untyped(file + offset!(file_inode) as u64)?;
    let size: u64 = untyped(inode + offset!(inode_size) as u64)?;
    if request == CLONE {
        return Some((from, size));
    }
    let [start, bytes]: [u64; 2] = user(argument.wrapping_add(8))?;
    // 0 bytes: to the end.
    let bytes = if bytes == 0 {
        size.wrapping_sub(start)
    } else {
        bytes
    };
    Some((from, bytes))
}

#[inline(never)]
fn on_device(actor: &Actor, call: &Returned, request: u32) -> Result<(), Skip> {
    let fd = argument!(call, 0) as i32;
    let file = task::file(actor.files, fd).ok_or(Skip::Unreadable)?;
    let inode: u64 = untyped(file + offset!(file_inode) as u64).ok_or(Skip::Unreadable)?;
    let mode: u16 = untyped(inode + offset!(inode_mode) as u64).ok_or(Skip::Unreadable)?;
    let class = match u32::from(mode) & FORMAT {
        CHARACTER => Class::CHARACTER,
        BLOCK => Class::BLOCK,
        _ => return Err(Skip::Untraced),
    };
    let device: u32 = untyped(inode + offset!(inode_rdev) as u64).ok_or(Skip::Unreadable)?;
    if class == Class::CHARACTER && is_terminal(device) {
        return Err(Skip::Untraced);
    }
    let once = Once::new(actor, class, request, call.result).on(device, file);
    tally::count(actor, &once)
}
