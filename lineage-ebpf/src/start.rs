//! Where a name in user memory starts from.

use lineage_common::frame::Flags;

use crate::{
    facts,
    maps::Scratch,
    path,
    read::{Typed, mask_frame, offset, typed, user},
    task,
};

/// Appends the path of the directory that a name starts from, of one that begins with no slash: the
/// working directory or a descriptor. Returns its bytes; 0 when it is not known or too long. A root, which
/// has no components, is an empty one.
#[inline(never)]
pub(crate) fn append(scratch: *mut Scratch, task: Typed, dirfd: i32, at: u64) -> u64 {
    let Some(fs) = path::set_root(scratch, task) else {
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
            let file = task::file(task, dirfd).unwrap_or(0);
            if file == 0 || !facts::read(scratch, file) {
                return 0;
            }
            ((*scratch).facts.mnt, (*scratch).facts.dentry)
        };
        let (len, flags) = path::append(scratch, at, mnt, dentry);
        if flags.has(Flags::PATH_CUT) {
            return 0;
        }
        if len != 0 {
            return len;
        }
        *(&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(mask_frame(at) as usize) = 0;
        1
    }
}

/// Whether a name in user memory starts from a directory: it can be read, and begins with no slash.
#[inline(always)]
pub(crate) fn is_relative(name: u64) -> bool {
    user::<u8>(name).is_some_and(|byte| byte != b'/')
}
