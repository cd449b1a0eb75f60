//! Control groups for tests.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, statfs};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::wait;

/// `CGROUP2_SUPER_MAGIC` (`include/uapi/linux/magic.h`).
const UNIFIED: FsWord = 0x6367_7270;

/// A control group that is gone with this.
pub struct Group {
    directory: PathBuf,
    /// Goes after the group.
    _hierarchy: Option<Hierarchy>,
}

/// A hierarchy mounted for a test only.
struct Hierarchy(TempDir);

impl Group {
    /// In the unified hierarchy, which is mounted here when it is nowhere.
    #[must_use]
    pub fn new(name: impl AsRef<Path>) -> Self {
        let usual = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
        let mut usual = usual.iter().map(Path::new);
        let is_unified = |at: &Path| statfs(at).is_ok_and(|found| found.f_type == UNIFIED);
        match usual.find(|at| is_unified(at)) {
            Some(root) => Self::make(root.join(name), None),
            None => Self::alone("cgroup2", "", name),
        }
    }

    /// In an old hierarchy of its own, without controllers.
    #[must_use]
    pub fn old(hierarchy: &str, name: impl AsRef<Path>) -> Self {
        Self::alone("cgroup", &format!("none,name={hierarchy}"), name)
    }

    fn alone(kind: &str, options: &str, name: impl AsRef<Path>) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let options = std::ffi::CString::new(options).expect("no NUL");
        mount("none", root.path(), kind, MountFlags::empty(), &*options).expect("we are root");
        Self::make(root.path().join(name), Some(Hierarchy(root)))
    }

    fn make(directory: PathBuf, hierarchy: Option<Hierarchy>) -> Self {
        fs::create_dir(&directory).expect("we are root");
        Self {
            directory,
            _hierarchy: hierarchy,
        }
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// What the kernel calls it.
    #[must_use]
    pub fn id(&self) -> u64 {
        fs::metadata(&self.directory).expect("it is there").ino()
    }

    /// Moves a process into it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn take(&self, pid: &str) -> io::Result<()> {
        fs::write(self.directory.join("cgroup.procs"), pid)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Members that have ended may still be leaving.
        wait::until("an empty control group", || {
            fs::remove_dir(&self.directory).ok()
        });
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}
