//! How the host sees a file: another path than the process does, where that has another root or
//! another mount namespace.
//!
//! The host's view is that of the agent. In its mount namespace its path of the file is walked like
//! the process's own, only up to the other root. For a file that is seen through another namespace
//! there is no such walk: what is walked is the path inside the file system, up to its root whatever is
//! mounted where, and the agent knows where the host has mounted that file system.

use lineage_common::frame::{Flags, HostPath};

use crate::{
    maps::{self, Scratch},
    path,
    read::{Typed, follow, offset, typed, untyped},
};

/// Where the host sees the file system from. All 0 until the processes were listed for the first
/// time.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Host {
    pub(crate) root_dentry: u64,
    pub(crate) root_mnt: u64,
    /// The `struct mnt_namespace`.
    pub(crate) namespace: u64,
}

/// First of the addresses that are error numbers (`IS_ERR_VALUE`, `include/linux/err.h`): the kernel's
/// own mounts have one for a namespace.
const ERRORS: u64 = 0xffff_ffff_ffff_f000;

/// Notes the root and the namespace of `task`, the agent.
#[inline(always)]
pub(crate) fn note(task: Typed) -> Option<()> {
    let host = maps::host()?;
    // SAFETY: `task` is typed and the members have these types; the map's value is ours.
    unsafe {
        let fs = follow(task, offset!(task_fs))?;
        let nsproxy = follow(task, offset!(task_nsproxy))?;
        (*host).root_dentry = typed(fs, offset!(fs_root_dentry));
        (*host).root_mnt = typed(fs, offset!(fs_root_mnt));
        (*host).namespace = typed(nsproxy, offset!(nsproxy_mnt_ns));
    }
    Some(())
}

/// Appends how the host sees the file in the scratch, whose path was appended last and has these
/// flags, at `at`.
///
/// Usually there is nothing to append: a mount belongs to one namespace only, so a process whose root
/// is the host's sees what the host sees.
#[inline(always)]
pub(crate) fn append(scratch: *mut Scratch, at: u64, flags: Flags) -> HostPath {
    if seen_alike(scratch, flags) {
        return HostPath::SAME;
    }
    // SAFETY: the scratch is the caller's.
    unpacked(append_host_path(unsafe { (*scratch).cpu }, at))
}

/// Whether the host sees the same path as the process.
#[inline(always)]
pub(crate) fn seen_alike(scratch: *mut Scratch, flags: Flags) -> bool {
    let Some(host) = maps::host() else {
        return true;
    };
    // SAFETY: the map's value lives as long as the program; the scratch is ours.
    unsafe {
        let root = path::root(scratch);
        let same = root == ((*host).root_dentry, (*host).root_mnt);
        same && !flags.has(Flags::UNREACHABLE)
    }
}

/// [`append`], in any scratch.
#[inline(always)]
pub(crate) fn append_here(scratch: *mut Scratch, at: u64, flags: Flags) -> HostPath {
    if seen_alike(scratch, flags) {
        return HostPath::SAME;
    }
    unpacked(walk(scratch, at))
}

/// The two halves of a [`HostPath`], the length below.
#[inline(always)]
fn unpacked(walked: u64) -> HostPath {
    HostPath {
        len: walked as u16,
        view: (walked >> 16) as u16,
    }
}

/// [`walk`] in the scratch of `cpu`. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn append_host_path(cpu: u32, at: u64) -> u64 {
    match maps::scratch(cpu) {
        Some(scratch) => walk(scratch, at),
        None => 0,
    }
}

/// The mount namespace of a mount; an error where it is nowhere for anybody: a pipe, a socket, a memfd.
#[inline(always)]
fn namespace(mnt: u64) -> u64 {
    let mount = mnt - offset!(mount_vfsmount) as u64;
    untyped(mount + offset!(mount_ns) as u64).unwrap_or(0)
}

/// Whether a file with this mount is somewhere in a tree of names.
#[inline(always)]
pub(crate) fn is_somewhere(mnt: u64) -> bool {
    namespace(mnt) < ERRORS
}

/// Walks and appends; returns the two halves of a [`HostPath`], the length below.
#[inline(always)]
fn walk(scratch: *mut Scratch, at: u64) -> u64 {
    let Some(host) = maps::host() else {
        return 0;
    };
    // SAFETY: the scratch is ours; the map's value lives as long as the program.
    let (mnt, dentry, host) = unsafe { ((*scratch).facts.mnt, (*scratch).facts.dentry, *host) };
    let namespace = namespace(mnt);
    if namespace >= ERRORS || host.namespace == 0 {
        return 0;
    }
    let view = if namespace == host.namespace {
        let root = untyped(host.root_mnt + offset!(vfsmount_root) as u64).unwrap_or(0);
        path::end_at(scratch, host.root_dentry, host.root_mnt, root);
        HostPath::WHOLE
    } else {
        let sb = untyped::<u64>(mnt + offset!(vfsmount_sb) as u64).unwrap_or(0);
        let root = untyped(sb + offset!(super_root) as u64).unwrap_or(0);
        // No dentry is at 0: no mount is crossed on the way.
        path::end_at(scratch, root, mnt, 0);
        HostPath::INSIDE
    };
    let (len, flags) = path::append_here(scratch, at, mnt, dentry);
    if flags.has(Flags::UNREACHABLE) || flags.has(Flags::PATH_CUT) {
        return u64::from(HostPath::NOWHERE) << 16;
    }
    len & 0xffff | u64::from(view) << 16
}
