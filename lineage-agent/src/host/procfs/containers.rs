//! Containers by the id of a control group, which is all the kernel side tells of it.

#![expect(unsafe_code, reason = "open_by_handle_at has no safe wrapper")]

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

use super::cgroup::Cgroups;
use crate::host::container;

/// Most groups remembered; with more all are looked up again.
const KNOWN_MAX: usize = 1024;

/// `FILEID_KERNFS` (`include/linux/exportfs.h`): the handle is the id.
const KERNFS: i32 = 0xfe;

/// A `struct file_handle` with room for an id.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    id: u64,
}

/// Finds the containers of control groups.
#[derive(Debug)]
pub struct Containers {
    /// The root of the unified hierarchy, where there is one.
    root: Option<OwnedFd>,
    known: BTreeMap<u64, Option<String>>,
}

impl Containers {
    pub(super) fn of(cgroups: Option<&Cgroups>) -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |all: &Cgroups| openat(all.root(), ".", flags, Mode::empty()).ok();
        Self {
            root: cgroups.and_then(open),
            known: BTreeMap::new(),
        }
    }

    /// The container that the names of this group and those above it tell of, as `MANAGER:ID`. `None`
    /// when they tell of none, and when the group is gone before it was asked for.
    pub fn of_group(&mut self, id: u64) -> Option<&str> {
        if !self.known.contains_key(&id) {
            if self.known.len() >= KNOWN_MAX {
                self.known.clear();
            }
            let found = self.look(id);
            self.known.insert(id, found);
        }
        self.known.get(&id)?.as_deref()
    }

    fn look(&self, id: u64) -> Option<String> {
        let mut handle = Handle {
            bytes: 8,
            kind: KERNFS,
            id,
        };
        let root = self.root.as_ref()?.as_raw_fd();
        // SAFETY: the handle has the layout of a `struct file_handle` and the bytes it says.
        let group = unsafe {
            let flags = libc::O_PATH | libc::O_CLOEXEC;
            let opened = libc::open_by_handle_at(root, (&raw mut handle).cast(), flags);
            if opened < 0 {
                return None;
            }
            OwnedFd::from_raw_fd(opened)
        };
        let link = format!("/proc/self/fd/{}", group.as_raw_fd());
        let path = readlinkat(CWD, link, Vec::new()).ok()?;
        container::of_path(path.to_str().ok()?)
    }
}
