//! Control groups for tests.

use std::ffi::CString;
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
struct Hierarchy {
    root: TempDir,
    kind: &'static str,
    options: CString,
}

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

    fn alone(kind: &'static str, options: &str, name: impl AsRef<Path>) -> Self {
        let hierarchy = Hierarchy {
            root: tempfile::tempdir().expect("a temporary directory"),
            kind,
            options: CString::new(options).expect("no NUL"),
        };
        hierarchy.mount();
        Self::make(hierarchy.root.path().join(name), Some(hierarchy))
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

impl Hierarchy {
    fn mount(&self) {
        let flags = MountFlags::empty();
        mount("none", self.root.path(), self.kind, flags, &*self.options).expect("we are root");
    }

    fn unmount(&self) {
        unmount(self.root.path(), UnmountFlags::DETACH).expect("it is mounted");
    }

    /// Whether it is one of the old ones and still there.
    fn remains(&self) -> bool {
        let name = self.options.to_string_lossy();
        let name = name.strip_prefix("none,").unwrap_or("none at all");
        let of_this = fs::read_to_string("/proc/self/cgroup").expect("procfs is there");
        of_this.contains(&format!(":{name}:"))
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        self.unmount();
        // A removed group that was not gone for good yet has kept it: then the next one ends it, once
        // the group is.
        let mut looks = 0;
        wait::until("the end of the hierarchy", || {
            looks += 1;
            if looks % 100 == 0 && self.remains() {
                self.mount();
                self.unmount();
            }
            (!self.remains()).then_some(())
        });
    }
}
