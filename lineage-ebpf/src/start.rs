//! Where a name in user memory starts from.

use lineage_common::frame::Flags;

use crate::{
    facts,
    maps::{self, Scratch},
    path,
    read::{mask_frame, offset, typed, user},
    task,
};

/// Appends the path of the directory that a name starts from, of one that begins with no slash: the
/// working directory or a descriptor, whose file is then in the scratch of `cpu`. Returns its bytes, and
/// above them the flags; 0 when it is not known. A root, which has no components, is an empty one: it is
/// not the same as knowing nothing. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn append_start(cpu: u32, dirfd: i32, at: u64) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    let thread = task::current();
    let Some(fs) = path::set_root(scratch, thread) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's; `fs_struct` has these members.
    unsafe {
        let (mnt, dentry) = if dirfd == path::AT_FDCWD {
            (
                typed(fs, offset!(fs_pwd_mnt)),
                typed(fs, offset!(fs_pwd_dentry)),
            )
        } else {
            let file = task::file(task::files(thread), dirfd).unwrap_or(0);
            if file == 0 || !facts::read(scratch, file) {
                return 0;
            }
            ((*scratch).facts.mnt, (*scratch).facts.dentry)
        };
        let (len, flags) = path::append(scratch, at, mnt, dentry);
        let flags = u64::from(flags.0) << 32;
        if len != 0 {
            return len | flags;
        }
        *(&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(mask_frame(at) as usize) = 0;
        1 | flags
    }
}

/// [`append_start`] in the caller's scratch.
#[inline(always)]
pub(crate) fn append(scratch: *mut Scratch, dirfd: i32, at: u64) -> u64 {
    // SAFETY: the scratch is the caller's.
    append_start(unsafe { (*scratch).cpu }, dirfd, at)
}

/// [`append`], of a name that may be cut no further up: the bytes, 0 also when there was no room for all.
#[inline(always)]
pub(crate) fn append_whole(scratch: *mut Scratch, dirfd: i32, at: u64) -> u64 {
    let appended = append(scratch, dirfd, at);
    if Flags((appended >> 32) as u16).has(Flags::PATH_CUT) {
        return 0;
    }
    mask_frame(appended)
}

/// Whether a name in user memory starts from a directory: it can be read, and begins with no slash.
#[inline(always)]
pub(crate) fn is_relative(name: u64) -> bool {
    user::<u8>(name).is_some_and(|byte| byte != b'/')
}
