//! Control group ids.
//!
//! The id the kernel side reads (`bpf_get_current_cgroup_id`) is the inode number of the group's
//! directory in the unified hierarchy (`kernfs`, on 64-bit machines).

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, FsWord, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat, openat2};

use super::super::container;
use super::parse::{read_file, unified_cgroup};

/// `CGROUP2_SUPER_MAGIC`, include/uapi/linux/magic.h.
const CGROUP2_MAGIC: FsWord = 0x6367_7270;

/// Where the unified hierarchy is mounted: alone, or beside the old ones (cgroups(7)).
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// Largest `cgroup` file read, in bytes.
const CGROUP_BYTES_MAX: usize = 64 * 1024;

/// Largest `mountinfo` searched for a mount elsewhere, in bytes.
const MOUNTINFO_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The unified hierarchy.
#[derive(Debug)]
pub(super) struct Cgroups {
    root: OwnedFd,
}

impl Cgroups {
    /// The mounted hierarchy; `None` when there is none.
    pub(super) fn find(procfs: &OwnedFd) -> Option<Self> {
        MOUNTS
            .iter()
            .find_map(|path| open_mount(path.as_bytes()))
            .or_else(|| {
                let mounts = read_file(procfs, "self/mountinfo", MOUNTINFO_BYTES_MAX).ok()?;
                mounts
                    .split(|byte| *byte == b'\n')
                    .filter_map(whole_cgroup2_mount)
                    .find_map(open_mount)
            })
            .map(|root| Self { root })
    }

    /// Its root, opened as a path.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// The id of the group the process in this directory belongs to.
    pub(super) fn id_of(&self, process: &OwnedFd) -> Option<u64> {
        let groups = read_file(process, "cgroup", CGROUP_BYTES_MAX).ok()?;
        let path = unified_cgroup(&groups)?.strip_prefix(b"/")?;
        let path = if path.is_empty() { b"." } else { path };
        let directory = openat2(
            &self.root,
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
        );
        Some(fstat(directory.ok()?).ok()?.st_ino)
    }
}

/// The container the process in this directory is in, by the names of its groups.
pub(super) fn container_of(process: &OwnedFd) -> Option<String> {
    let groups = read_file(process, "cgroup", CGROUP_BYTES_MAX).ok()?;
    container::of_cgroups(&groups)
}

fn open_mount(path: &[u8]) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, path, flags, Mode::empty()).ok()?;
    (fstatfs(&root).ok()?.f_type == CGROUP2_MAGIC).then_some(root)
}

/// The mount point on a line of `mountinfo` that mounts all of a unified hierarchy.
fn whole_cgroup2_mount(line: &[u8]) -> Option<&[u8]> {
    let mut words = line.split(|byte| *byte == b' ');
    let root = words.nth(3)?;
    let point = words.next()?;
    let file_system = words.skip_while(|word| *word != b"-").nth(1)?;
    (root == b"/" && file_system == b"cgroup2").then_some(point)
}

#[cfg(test)]
mod tests {
    use super::whole_cgroup2_mount;

    #[test]
    fn only_a_whole_unified_hierarchy_counts() {
        let line = b"41 31 0:38 / /cg rw,relatime shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(whole_cgroup2_mount(line), Some(&b"/cg"[..]));
        assert_eq!(
            whole_cgroup2_mount(b"41 31 0:38 /a /cg rw - cgroup2 cgroup2 rw"),
            None
        );
        assert_eq!(
            whole_cgroup2_mount(b"40 31 0:37 / /cg rw - cgroup cgroup rw"),
            None
        );
        assert_eq!(whole_cgroup2_mount(b""), None);
    }
}
