//! What identifies a file, and which version of it there is.

use lineage_common::{
    frame::{File, Version},
    layout::{ABSENT, FILE_WINDOW, INODE_WINDOW, SUPER_WINDOW},
};

use crate::{
    maps::{self, Scratch},
    path::AT_FDCWD,
    read::{Window, offset, untyped, words},
    version,
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
    pub(crate) window: Window<{ words(INODE_WINDOW) }>,
}

/// A file system.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Super {
    /// Where its `struct super_block` is.
    pub(crate) address: u64,
    pub(crate) magic: u64,
    pub(crate) dev: u32,
    reserved: u32,
}

/// Reads what identifies the `struct file` at `file` into the scratch; false when it cannot be read.
///
/// [`crate::path::set_root`] comes first.
#[inline(always)]
pub(crate) fn read(scratch: *mut Scratch, file: u64) -> bool {
    // SAFETY: the scratch is the caller's.
    unsafe {
        (*scratch).facts.file = file;
        read_facts((*scratch).cpu) != 0
    }
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
    /// kernel maps the file of the layer. What the process has mapped it keeps beside it (`backing_file`,
    /// `fs/file_table.c`, since 6.8), and before that in the mapped file's path (`open_with_fake_path`,
    /// `fs/open.c`).
    #[inline(always)]
    pub(crate) fn read_mapped(&mut self, file: u64, root: Super) -> bool {
        let Some(mut inode) = self.read_file(file) else {
            return false;
        };
        if let Some(place) = backed(file) {
            self.mnt = place.mnt;
            self.dentry = place.dentry;
        }
        if let Some(named) = named(self.mnt, self.dentry) {
            inode = named;
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
            nonzero(window.get(offset!(file_inode)))
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
            nonzero(window.get(offset!(inode_sb)))?
        };
        self.version = version::of(inode, window);
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
            (*body).other_len = 0;
        }
    }
}

/// A pointer that is always there, unless it cannot be read.
#[inline(always)]
fn nonzero(pointer: u64) -> Option<u64> {
    (pointer != 0).then_some(pointer)
}

/// `S_IFMT`, `S_IFREG` (`include/uapi/linux/stat.h`).
const TYPE_MASK: u32 = 0o170_000;
const TYPE_REGULAR: u32 = 0o100_000;

/// `ANON_INODE_FS_MAGIC` (`include/uapi/linux/magic.h`), `MQUEUE_MAGIC` (`ipc/mqueue.c`).
const ANONYMOUS: u64 = 0x0904_1934;
const QUEUES: u64 = 0x1980_0202;

impl FileFacts {
    /// Whether it is a regular file. From 6.16 on anonymous inodes have that type, and message queues
    /// always had.
    #[inline(always)]
    pub(crate) fn is_regular(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_REGULAR && self.magic != ANONYMOUS && self.magic != QUEUES
    }
}

/// The address of the inode behind the `struct file` at `file`.
#[inline(always)]
pub(crate) fn inode(file: u64) -> Option<u64> {
    untyped(file + offset!(file_inode) as u64)
}

/// `FMODE_BACKING` (`include/linux/fs.h`), since 6.14 and before; the other bit means something else.
const MAYBE_BACKING: u32 = 1 << 24 | 1 << 25;

/// Where a process sees what it has mapped.
struct Place {
    mnt: u64,
    dentry: u64,
}

/// What the `backing_file` says that the `struct file` at `file` is the first part of, if it may be one.
#[inline(always)]
fn backed(file: u64) -> Option<Place> {
    let mode: u32 = untyped(file + offset!(file_mode) as u64)?;
    if mode & MAYBE_BACKING == 0 || offset!(backing_user_dentry) == ABSENT as usize {
        return None;
    }
    let mnt: u64 = untyped(file + offset!(backing_user_mnt) as u64)?;
    let dentry: u64 = untyped(file + offset!(backing_user_dentry) as u64)?;
    named(mnt, dentry).map(|_| Place { mnt, dentry })
}

/// The inode that a name leads to, if mount and dentry are there and belong together.
#[inline(always)]
fn named(mnt: u64, dentry: u64) -> Option<u64> {
    let of_mnt: u64 = untyped(mnt + offset!(vfsmount_sb) as u64)?;
    let of_dentry: u64 = untyped(dentry + offset!(dentry_sb) as u64)?;
    let inode: u64 = untyped(dentry + offset!(dentry_inode) as u64)?;
    (of_mnt == of_dentry && of_mnt != 0 && inode != 0).then_some(inode)
}

/// `FMODE_WRITE` (`include/linux/fs.h`).
const WRITABLE: u32 = 2;

/// Whether the `struct file` at `file` can be written to.
#[inline(always)]
pub(crate) fn is_writable(file: u64) -> bool {
    untyped::<u32>(file + offset!(file_mode) as u64).is_some_and(|mode| mode & WRITABLE != 0)
}

/// What identifies an inode, and what it is.
pub(crate) struct Identity {
    /// Address of the `struct inode`.
    pub(crate) inode: u64,
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
        inode,
        ino: untyped(inode + offset!(inode_ino) as u64)?,
        dev: untyped(sb + offset!(super_dev) as u64)?,
        mode: u32::from(mode),
    })
}
