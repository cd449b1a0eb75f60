//! Files and their paths, as the kernel has them.
//!
//! A path is walked from the file up to the root of the process, as `prepend_path` in
//! [`fs/d_path.c`](https://elixir.bootlin.com/linux/v6.12/source/fs/d_path.c#L98) does for
//! `/proc/PID/fd`, and stored in that order: component, NUL, component, NUL. It is right across
//! mounts, symbolic links, `..` and chroots, because none of them are in it.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    frame::{File, Flags, Version},
    layout::{ABSENT, DENTRY_WINDOW, FILE_WINDOW, INODE_WINDOW, SHORT_NAME_BYTES, SUPER_WINDOW},
    limits::{NAME_BYTES_MAX, PATH_BYTES_MAX, PATH_COMPONENTS_MAX},
};

use crate::{
    maps::{self, Scratch},
    read::{
        Filled, Typed, Window, copy_kernel, follow, mask_frame, mask_name, offset, store, typed,
        untyped, words,
    },
};

/// What identifies a file, where its path begins, and how it was opened. Lives in [`Scratch`].
#[repr(C)]
pub(crate) struct FileFacts {
    /// Where its `struct file` is.
    file: u64,
    pub(crate) ino: u64,
    pub(crate) magic: u64,
    pub(crate) mnt: u64,
    pub(crate) dentry: u64,
    pub(crate) version: Version,
    pub(crate) dev: u32,
    pub(crate) mode: u32,
    pub(crate) flags: u32,
    reserved: u32,
    window: Window<{ words(INODE_WINDOW) }>,
}

/// [`FileFacts::read`] of the file that the scratch of `cpu` names; 0 when something cannot be read. A
/// global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn read_facts(cpu: u32) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's.
    unsafe {
        let file = (*scratch).facts.file;
        u64::from((*scratch).facts.read(file, (*scratch).walk.root_sb))
    }
}

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

impl FileFacts {
    /// Reads the `struct file` at `file`, its inode and its super block; false when one of them
    /// cannot be read. Most files are on the file system of their process's root, `root`, which is at
    /// hand.
    #[inline(always)]
    pub(crate) fn read(&mut self, file: u64, root: Super) -> bool {
        self.read_file(file)
            .and_then(|inode| self.read_inode(inode, root))
            .is_some()
    }

    /// [`Self::read`], of a file behind a mapping. Where that is one of a file system with layers, the
    /// kernel maps the file of the layer and keeps beside it what the process has mapped
    /// (`backing_file`, `fs/file_table.c`, since 6.8).
    #[inline(always)]
    pub(crate) fn read_mapped(&mut self, file: u64, root: Super) -> bool {
        let Some(mut inode) = self.read_file(file) else {
            return false;
        };
        if let Some(mapped) = mapped(file) {
            self.mnt = mapped.mnt;
            self.dentry = mapped.dentry;
            inode = mapped.inode;
        }
        self.read_inode(inode, root).is_some()
    }

    /// The part that is in the file; its inode.
    #[inline(always)]
    fn read_file(&mut self, file: u64) -> Option<u64> {
        let window = self
            .window
            .fill(file, offset!(derived.file_window), FILE_WINDOW)?;
        // SAFETY: the window is filled; `struct file` has members of these types.
        unsafe {
            self.flags = window.get(offset!(file_flags));
            self.mnt = window.get(offset!(file_mnt));
            self.dentry = window.get(offset!(file_dentry));
            Some(window.get(offset!(file_inode)))
        }
    }

    /// The part that is in the inode.
    #[inline(always)]
    fn read_inode(&mut self, inode: u64, root: Super) -> Option<()> {
        let window = self
            .window
            .fill(inode, offset!(derived.inode_window), INODE_WINDOW)?;
        // SAFETY: the window is filled; `struct inode` has members of these types.
        let sb: u64 = unsafe {
            self.mode = u32::from(window.get::<u16>(offset!(inode_mode)));
            self.ino = window.get(offset!(inode_ino));
            window.get(offset!(inode_sb))
        };
        self.version = version(inode, window);
        self.dev = root.dev;
        self.magic = root.magic;
        if sb == root.address {
            return Some(());
        }
        let window = self
            .window
            .fill(sb, offset!(derived.super_window), SUPER_WINDOW)?;
        // SAFETY: the window is filled; `struct super_block` has members of these types.
        unsafe {
            self.dev = window.get(offset!(super_dev));
            self.magic = window.get(offset!(super_magic));
        }
        Some(())
    }
}

impl FileFacts {
    /// Fills the body of a frame, but for how the host sees the file.
    ///
    /// # Safety
    ///
    /// `body` is the caller's.
    #[inline(always)]
    pub(crate) unsafe fn fill(&self, body: *mut File, fd: i32, path_len: u64) {
        // SAFETY: by contract.
        unsafe {
            (*body).ino = self.ino;
            (*body).fs_magic = self.magic;
            (*body).version = self.version;
            (*body).dev = self.dev;
            (*body).mode = self.mode;
            (*body).flags = self.flags;
            (*body).fd = fd;
            (*body).dirfd = AT_FDCWD;
            (*body).path_len = path_len as u32;
            (*body).reserved = 0;
        }
    }
}

/// `AT_FDCWD` (`include/uapi/linux/fcntl.h`).
pub(crate) const AT_FDCWD: i32 = -100;

/// The version of the inode that the window is filled from.
#[inline(always)]
fn version(inode: u64, window: Filled) -> Version {
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

/// `FMODE_BACKING` (`include/linux/fs.h`), since 6.14 and before; the other bit means something else.
const MAYBE_BACKING: u32 = 1 << 24 | 1 << 25;

/// What a process has mapped when the kernel maps something else.
struct Mapped {
    mnt: u64,
    dentry: u64,
    inode: u64,
}

/// What the `backing_file` says that the `struct file` at `file` is the first part of, if it is one:
/// then mount and dentry are there and belong together.
#[inline(always)]
fn mapped(file: u64) -> Option<Mapped> {
    let mode: u32 = untyped(file + offset!(file_mode) as u64)?;
    if mode & MAYBE_BACKING == 0 || offset!(backing_user_dentry) == ABSENT as usize {
        return None;
    }
    let mnt: u64 = untyped(file + offset!(backing_user_mnt) as u64)?;
    let dentry: u64 = untyped(file + offset!(backing_user_dentry) as u64)?;
    let of_mnt: u64 = untyped(mnt + offset!(vfsmount_sb) as u64)?;
    let of_dentry: u64 = untyped(dentry + offset!(dentry_sb) as u64)?;
    let inode: u64 = untyped(dentry + offset!(dentry_inode) as u64)?;
    (of_mnt == of_dentry && of_mnt != 0 && inode != 0).then_some(Mapped { mnt, dentry, inode })
}

/// What identifies an inode, and what it is.
pub(crate) struct Identity {
    pub(crate) ino: u64,
    pub(crate) dev: u32,
    pub(crate) mode: u32,
}

/// The inode behind the `struct file` at `file`.
#[inline(always)]
pub(crate) fn identity(file: u64) -> Option<Identity> {
    let inode: u64 = untyped(file + offset!(file_inode) as u64)?;
    let sb: u64 = untyped(inode + offset!(inode_sb) as u64)?;
    let mode: u16 = untyped(inode + offset!(inode_mode) as u64)?;
    Some(Identity {
        ino: untyped(inode + offset!(inode_ino) as u64)?,
        dev: untyped(sb + offset!(super_dev) as u64)?,
        mode: u32::from(mode),
    })
}

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

/// A file system.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Super {
    /// Where its `struct super_block` is.
    address: u64,
    magic: u64,
    dev: u32,
    reserved: u32,
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

/// Reads what identifies the `struct file` at `file` into the scratch; false when it cannot be read.
///
/// [`set_root`] comes first.
#[inline(always)]
pub(crate) fn read(scratch: *mut Scratch, file: u64) -> bool {
    // SAFETY: the scratch is the caller's.
    unsafe {
        (*scratch).facts.file = file;
        read_facts((*scratch).cpu) != 0
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
        (*walk).ended = u64::from(at_root(walk));
        let steps = if (*walk).ended == 0 { STEPS_MAX } else { 0 };
        let mut context = scratch;
        bpf_loop(steps, step as *mut c_void, (&raw mut context).cast(), 0);
        let mut flags = Flags((*walk).flags as u16);
        if (*walk).ended == 0 {
            flags = flags.with(Flags::PATH_CUT);
        }
        (mask_frame((*walk).at) - at, flags)
    }
}

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
/// Copies all bytes a short name can have, in words, and then goes on after those it has: cheaper
/// than a copy of the exact length. The frame has room for more than any path.
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
        store(to.add(16), window.get(name + 16));
        store(to.add(24), window.get(name + 24));
        store(to.add(32), window.get(name + 32));
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
