//! Which version of a file's content and inode there is.

use core::mem::MaybeUninit;

use lineage_common::{
    frame::Version,
    layout::{INODE_WINDOW, MTIME_WINDOW},
};

use crate::{
    maps::Scratch,
    read::{Filled, Window, offset, untyped, words},
};

/// The version of the inode that the window is filled from.
#[inline(always)]
pub(crate) fn of(inode: u64, window: Filled) -> Version {
    // SAFETY: the window is filled; `struct inode` has members of these types.
    unsafe {
        Version {
            size: window.get(offset!(inode_size)),
            mtime_ns: nanoseconds(
                window.get(offset!(inode_mtime)),
                window.get(offset!(inode_mtime_nsec)),
            ),
            ctime_ns: nanoseconds(
                window.get(offset!(inode_ctime)),
                window.get(offset!(inode_ctime_nsec)),
            ),
            generation: generation(inode, window),
            reserved: 0,
        }
    }
}

/// Nanoseconds since 1970. From 6.13 on the highest bit of a change's nanoseconds says whether
/// somebody has looked (`I_CTIME_QUERIED` in `include/linux/fs.h`).
#[inline(always)]
fn nanoseconds(seconds: i64, rest: u32) -> i64 {
    seconds
        .wrapping_mul(1_000_000_000)
        .wrapping_add(i64::from(rest & 0x3fff_ffff))
}

/// `i_generation`, which only newer kernels have next to the times.
#[inline(always)]
fn generation(inode: u64, window: Filled) -> u32 {
    let at = offset!(inode_generation);
    let start = offset!(derived.inode_window);
    if at >= start && at + 4 <= start + INODE_WINDOW {
        // SAFETY: the window is filled; `struct inode` has a member of this type there.
        unsafe { window.get(at) }
    } else {
        untyped(inode + at as u64).unwrap_or(0)
    }
}

/// When the content of the file with the inode at `inode` last changed, in nanoseconds since 1970; 0
/// when that cannot be read.
#[inline(always)]
pub(crate) fn mtime(inode: u64) -> i64 {
    let mut window = MaybeUninit::<Window<{ words(MTIME_WINDOW) }>>::uninit();
    // SAFETY: the window is filled before it is looked at; `struct inode` has members of these types.
    unsafe {
        let start = offset!(derived.mtime_window);
        match (*window.as_mut_ptr()).fill(inode, start, MTIME_WINDOW) {
            Some(window) => nanoseconds(
                window.get(offset!(inode_mtime)),
                window.get(offset!(inode_mtime_nsec)),
            ),
            None => 0,
        }
    }
}

/// Reads the version of the file with the inode at `inode`; false when it cannot be read.
///
/// # Safety
///
/// The scratch and `to` are the caller's.
#[inline(always)]
pub(crate) unsafe fn read(scratch: *mut Scratch, inode: u64, to: *mut Version) -> bool {
    let start = offset!(derived.inode_window);
    // SAFETY: by contract.
    unsafe {
        let Some(window) = (*scratch).facts.window.fill(inode, start, INODE_WINDOW) else {
            return false;
        };
        *to = of(inode, window);
    }
    true
}
