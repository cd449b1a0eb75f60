//! Paths, as the kernel has them.
//!
//! A path is walked from the file up to the root of the process, as `prepend_path` in
//! [`fs/d_path.c`](https://elixir.bootlin.com/linux/v6.12/source/fs/d_path.c#L98) does for
//! `/proc/PID/fd`, and stored in that order: component, NUL, component, NUL. It is right across
//! mounts, symbolic links, `..` and chroots, because none of them are in it.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    frame::Flags,
    layout::{ABSENT, DENTRY_WINDOW, SHORT_NAME_BYTES},
    limits::{NAME_BYTES_MAX, PATH_BYTES_MAX, PATH_COMPONENTS_MAX},
};

use crate::{
    facts::Super,
    key,
    maps::{self, Scratch},
    read::{
        Filled, Typed, Window, copy_kernel, follow, mask_frame, mask_name, offset, store, typed,
        untyped, words,
    },
};

/// [`append`] of what the scratch of `cpu` names: the bytes, and above them the flags. A global function,
/// see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn append_path(cpu: u32, at: u64) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's.
    let (mnt, dentry) = unsafe { ((*scratch).walk.mnt, (*scratch).walk.dentry) };
    let (len, flags) = append_here(scratch, at, mnt, dentry);
    len | u64::from(flags.0) << 32
}

/// `AT_FDCWD` (`include/uapi/linux/fcntl.h`).
pub(crate) const AT_FDCWD: i32 = -100;

/// A path walk: where it is, where it ends, what it met. Lives in [`Scratch`].
#[repr(C)]
pub(crate) struct Walk {
    dentry: u64,
    /// The `struct vfsmount` the dentry is seen through.
    mnt: u64,
    /// Root dentry of that mount.
    mnt_root: u64,
    /// Root of the process: where the walk ends.
    root_dentry: u64,
    root_mnt: u64,
    /// Root dentry of that mount, where most files are.
    root_mnt_root: u64,
    /// And its file system.
    pub(crate) root_sb: Super,
    /// Where in the frame the next component goes.
    at: u64,
    /// Where in the frame the path began.
    start: u64,
    /// [`Flags`] met.
    flags: u64,
    /// 1 when the walk has come to its end, 0 while the loop could go on.
    ended: u64,
    window: Window<{ words(DENTRY_WINDOW) }>,
}

/// Sets the end of the following walks, the root of the process of `task`; its `struct fs_struct`.
#[inline(always)]
pub(crate) fn set_root(scratch: *mut Scratch, task: Typed) -> Option<Typed> {
    // SAFETY: `task` is typed, `fs_struct` has these members; the scratch is ours.
    unsafe {
        let fs = follow(task, offset!(task_fs))?;
        let mnt = follow(fs, offset!(fs_root_mnt))?;
        (*scratch).walk.root_mnt = mnt as u64;
        (*scratch).walk.root_mnt_root = typed(mnt, offset!(vfsmount_root));
        (*scratch).walk.root_dentry = typed(fs, offset!(fs_root_dentry));
        let sb = follow(mnt, offset!(vfsmount_sb))?;
        (*scratch).walk.root_sb.address = sb as u64;
        (*scratch).walk.root_sb.magic = typed(sb, offset!(super_magic));
        (*scratch).walk.root_sb.dev = typed(sb, offset!(super_dev));
        Some(fs)
    }
}

/// The end of the walks: dentry and mount of the root.
#[inline(always)]
pub(crate) fn root(scratch: *mut Scratch) -> (u64, u64) {
    // SAFETY: the scratch is ours until it is released.
    unsafe { ((*scratch).walk.root_dentry, (*scratch).walk.root_mnt) }
}

/// Where in the frame the path that was walked last begins.
#[inline(always)]
pub(crate) unsafe fn begin(scratch: *mut Scratch) -> u32 {
    // SAFETY: the scratch is the caller's.
    mask_frame(unsafe { (*scratch).walk.start }) as u32
}

/// And its bytes there.
#[inline(always)]
pub(crate) unsafe fn length(scratch: *mut Scratch) -> u32 {
    // SAFETY: the scratch is the caller's.
    mask_frame(unsafe { (*scratch).walk.at - (*scratch).walk.start }) as u32
}

/// Sets another end of the following walks, in a mount whose own root is at `mnt_root`.
#[inline(always)]
pub(crate) fn end_at(scratch: *mut Scratch, dentry: u64, mnt: u64, mnt_root: u64) {
    // SAFETY: the scratch is ours until it is released.
    unsafe {
        (*scratch).walk.root_dentry = dentry;
        (*scratch).walk.root_mnt = mnt;
        (*scratch).walk.root_mnt_root = mnt_root;
    }
}

/// Appends the path of (`mnt`, `dentry`) to the frame at `at`; returns its bytes and flags.
///
/// [`set_root`] comes first.
#[inline(always)]
pub(crate) fn append(scratch: *mut Scratch, at: u64, mnt: u64, dentry: u64) -> (u64, Flags) {
    // SAFETY: the scratch is the caller's.
    let appended = unsafe {
        (*scratch).walk.mnt = mnt;
        (*scratch).walk.dentry = dentry;
        append_path((*scratch).cpu, at)
    };
    (mask_frame(appended), Flags((appended >> 32) as u16))
}

/// [`append`], in any scratch.
#[inline(always)]
pub(crate) fn append_here(scratch: *mut Scratch, at: u64, mnt: u64, dentry: u64) -> (u64, Flags) {
    // SAFETY: the scratch is ours until it is released.
    unsafe {
        let walk = &raw mut (*scratch).walk;
        (*walk).dentry = dentry;
        (*walk).mnt = mnt;
        (*walk).mnt_root = if mnt == (*walk).root_mnt {
            (*walk).root_mnt_root
        } else {
            untyped(mnt + offset!(vfsmount_root) as u64).unwrap_or(0)
        };
        (*walk).at = at;
        (*walk).start = at;
        (*walk).flags = 0;
        if maps::governs() {
            key::begin(scratch);
        }
        (*walk).ended = u64::from(at_root(walk));
        let steps = if (*walk).ended == 0 { STEPS_MAX } else { 0 };
        let mut context = scratch;
        bpf_loop(steps, step as *mut c_void, (&raw mut context).cast(), 0);
        let mut flags = Flags((*walk).flags as u16);
        if (*walk).ended == 0 {
            flags = flags.with(Flags::PATH_CUT);
        }
        if flags.has(Flags::PATH_CUT) {
            // Else what is left would look like a path from the root on.
            let end = mask_frame((*walk).at);
            let to = (&raw mut (*scratch).frame).cast::<u8>().add(end as usize);
            store(to, CUT);
            (*walk).at = end + CUT_BYTES;
        }
        (mask_frame((*walk).at) - at, flags)
    }
}

/// What stands for the directories that a path is cut at: a component, with its NUL.
const CUT: u64 = u64::from_ne_bytes(*b"\xe2\x80\xa6\0\0\0\0\0");
const CUT_BYTES: u64 = 4;

/// Most steps: every component, and for each some mounts on top of one another.
const STEPS_MAX: u32 = 2 * PATH_COMPONENTS_MAX as u32;

/// One step of the walk: one component, or one mount crossed.
unsafe extern "C" fn step(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the pointer that `append` holds on its stack.
    let scratch = unsafe { *context.cast::<*mut Scratch>() };
    // SAFETY: the scratch is ours until it is released.
    let walk = unsafe { &raw mut (*scratch).walk };
    // SAFETY: as above.
    unsafe {
        let dentry = (*walk).dentry;
        if dentry == (*walk).mnt_root {
            return cross(walk);
        }
        let at = offset!(derived.dentry_window);
        let Some(window) = (*walk).window.fill(dentry, at, DENTRY_WINDOW) else {
            return end(walk, Flags::PATH_CUT);
        };
        let parent: u64 = window.get(offset!(dentry_parent));
        let len: u32 = window.get(offset!(dentry_name_len));
        let name: u64 = window.get(offset!(dentry_name));
        if parent == 0 {
            // No dentry is without: this one cannot be read.
            return end(walk, Flags::PATH_CUT);
        }
        let first = (*walk).at == (*walk).start;
        if parent == dentry && !first {
            // Not below its mount any more (renamed out of a bind mount).
            return end(walk, Flags::UNREACHABLE);
        }
        if parent == dentry && len == 0 {
            return end(walk, Flags(0));
        }
        if first && parent != dentry {
            let hashed: u64 = window.get(offset!(dentry_hash_pprev));
            if hashed == 0 {
                (*walk).flags |= u64::from(Flags::UNLINKED.0);
            }
        }
        let appended = if is_short(dentry, name) {
            short_name_append(scratch, window, u64::from(len))
        } else {
            name_append(scratch, name, u64::from(len))
        };
        if !appended {
            return end(walk, Flags::PATH_CUT);
        }
        if maps::governs() {
            key::prepend(scratch, (*walk).at - 1, u64::from(len));
        }
        if parent == dentry {
            // An object without a place in the tree: a pipe, a socket, an anonymous inode, a memfd.
            return end(walk, Flags::UNLINKED);
        }
        (*walk).dentry = parent;
        if at_root(walk) {
            return end(walk, Flags(0));
        }
        0
    }
}

/// Whether a name lies in its dentry, and with that in the window.
#[inline(always)]
fn is_short(dentry: u64, name: u64) -> bool {
    let at = offset!(dentry_short_name);
    at != ABSENT as usize && name == dentry + at as u64
}

/// Appends one component that lies in the window.
///
/// Copies more bytes than most have, or all that a short name can have, in words, and then goes on after those it has:
/// cheaper than a copy of the exact length. The frame has room for more than any path.
#[inline(always)]
unsafe fn short_name_append(scratch: *mut Scratch, window: Filled, len: u64) -> bool {
    if offset!(dentry_short_name) == ABSENT as usize || len >= SHORT_NAME_BYTES as u64 {
        return false;
    }
    // SAFETY: the offset is masked, and the frame has room for twice the mask.
    unsafe {
        let walk = &raw mut (*scratch).walk;
        let at = mask_frame((*walk).at);
        if at + len - (*walk).start > PATH_BYTES_MAX as u64 {
            return false;
        }
        let to = (&raw mut (*scratch).frame).cast::<u8>().add(at as usize);
        let name = offset!(dentry_short_name);
        store(to, window.get(name));
        store(to.add(8), window.get(name + 8));
        if len >= 16 {
            store(to.add(16), window.get(name + 16));
            store(to.add(24), window.get(name + 24));
            store(to.add(32), window.get(name + 32));
        }
        *to.add(mask_name(len) as usize) = 0;
        (*walk).at = at + len + 1;
        true
    }
}

/// Appends one component; false when there is no room or it cannot be read.
#[inline(always)]
unsafe fn name_append(scratch: *mut Scratch, name: u64, len: u64) -> bool {
    // SAFETY: both offsets are masked, and the frame has room for twice the mask.
    unsafe {
        let walk = &raw mut (*scratch).walk;
        let at = mask_frame((*walk).at);
        if len > NAME_BYTES_MAX as u64 || at + len - (*walk).start > PATH_BYTES_MAX as u64 {
            return false;
        }
        let to = (&raw mut (*scratch).frame).cast::<u8>().add(at as usize);
        let len = mask_name(len);
        if !copy_kernel(to, len, name) {
            return false;
        }
        *to.add(len as usize) = 0;
        (*walk).at = at + len + 1;
        true
    }
}

/// From the root of a mount to the place it is mounted on.
#[inline(always)]
unsafe fn cross(walk: *mut Walk) -> i64 {
    // SAFETY: the scratch is ours until it is released.
    unsafe {
        let mount = (*walk).mnt - offset!(mount_vfsmount) as u64;
        let Some(parent) = untyped::<u64>(mount + offset!(mount_parent) as u64) else {
            return end(walk, Flags::PATH_CUT);
        };
        if parent == mount {
            // The root of a mount tree that is not the process's. The kernel's own mounts (of
            // pipes, sockets, memfds) have an error for a namespace: no path was promised there.
            let namespace = untyped::<u64>(mount + offset!(mount_ns) as u64).unwrap_or(0);
            let internal = namespace >= 0xffff_ffff_ffff_f000;
            let flags = if internal {
                Flags(0)
            } else {
                Flags::UNREACHABLE
            };
            return end(walk, flags);
        }
        let Some(place) = untyped::<u64>(mount + offset!(mount_mountpoint) as u64) else {
            return end(walk, Flags::PATH_CUT);
        };
        let mnt = parent + offset!(mount_vfsmount) as u64;
        let Some(root) = untyped::<u64>(mnt + offset!(vfsmount_root) as u64) else {
            return end(walk, Flags::PATH_CUT);
        };
        (*walk).dentry = place;
        (*walk).mnt = mnt;
        (*walk).mnt_root = root;
        if at_root(walk) {
            return end(walk, Flags(0));
        }
        0
    }
}

/// Whether the walk is where it ends.
#[inline(always)]
unsafe fn at_root(walk: *mut Walk) -> bool {
    // SAFETY: the scratch is ours until it is released.
    unsafe { (*walk).dentry == (*walk).root_dentry && (*walk).mnt == (*walk).root_mnt }
}

#[inline(always)]
unsafe fn end(walk: *mut Walk, flags: Flags) -> i64 {
    // SAFETY: the scratch is ours until it is released.
    unsafe {
        (*walk).flags |= u64::from(flags.0);
        (*walk).ended = 1;
    }
    1
}
