//! Where processes and threads are, from their creation on: what they share, namespaces, control groups.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[cfg(doc)]
use super::Kind;
use super::Other;

/// Body of [`Kind::FORK`] and [`Kind::THREAD_START`]. The header is the creator's. All 0 when creation
/// failed.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Fork {
    /// `start_boottime` of the new task in nanoseconds.
    pub child_start: u64,
    /// How it was created.
    pub how: Clone3,
    /// Control group id of the new task in the unified hierarchy, if it is not its creator's.
    pub cgroup: u64,
    /// Thread group id of the new task in the initial pid namespace.
    pub child_pid: u32,
    /// Thread id of the new task in the initial pid namespace.
    pub child_tid: u32,
    /// Thread id of the new task in its own pid namespace.
    pub child_ns_tid: u32,
    /// Inode number of the new task's pid namespace.
    pub child_pid_ns: u32,
    /// Its namespaces, if one was made with it.
    pub namespaces: Namespaces,
}

impl Fork {
    /// Creation failed.
    pub const FAILED: Self = Self {
        child_start: 0,
        how: Clone3(0),
        cgroup: 0,
        child_pid: 0,
        child_tid: 0,
        child_ns_tid: 0,
        child_pid_ns: 0,
        namespaces: Namespaces::NONE,
    };
}

/// How a task was created, as the flags of `clone3` (`include/uapi/linux/sched.h`): those that show in
/// what it has in common with its creator before it runs.
///
/// `CLONE_VFORK` does not: the kernel notes it in the new task only after the probe
/// (`kernel_clone` in [`kernel/fork.c`](https://elixir.bootlin.com/linux/v6.12/source/kernel/fork.c#L2767)).
#[repr(transparent)]
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Clone3(pub u64);

impl Clone3 {
    /// `CLONE_NEWTIME`
    pub const NEWTIME: Self = Self(0x80);
    /// `CLONE_VM`
    pub const VM: Self = Self(0x100);
    /// `CLONE_FS`
    pub const FS: Self = Self(0x200);
    /// `CLONE_FILES`
    pub const FILES: Self = Self(0x400);
    /// `CLONE_SIGHAND`
    pub const SIGHAND: Self = Self(0x800);
    /// `CLONE_PARENT`; of a thread, which always has the parent of its creator, never set.
    pub const PARENT: Self = Self(0x8000);
    /// `CLONE_THREAD`
    pub const THREAD: Self = Self(0x1_0000);
    /// `CLONE_NEWNS`
    pub const NEWNS: Self = Self(0x2_0000);
    /// `CLONE_NEWCGROUP`
    pub const NEWCGROUP: Self = Self(0x200_0000);
    /// `CLONE_NEWUTS`
    pub const NEWUTS: Self = Self(0x400_0000);
    /// `CLONE_NEWIPC`
    pub const NEWIPC: Self = Self(0x800_0000);
    /// `CLONE_NEWUSER`
    pub const NEWUSER: Self = Self(0x1000_0000);
    /// `CLONE_NEWPID`
    pub const NEWPID: Self = Self(0x2000_0000);
    /// `CLONE_NEWNET`
    pub const NEWNET: Self = Self(0x4000_0000);
    /// `CLONE_INTO_CGROUP`
    pub const INTO_CGROUP: Self = Self(0x2_0000_0000);

    /// All that make a namespace.
    pub const NAMESPACES: Self = Self::NEWTIME
        .with(Self::NEWNS)
        .with(Self::NEWCGROUP)
        .with(Self::NEWUTS)
        .with(Self::NEWIPC)
        .with(Self::NEWUSER)
        .with(Self::NEWPID)
        .with(Self::NEWNET);

    /// How threads are usually created: `pthread_create`.
    pub const USUAL_THREAD: Self = Self::VM
        .with(Self::FS)
        .with(Self::FILES)
        .with(Self::SIGHAND)
        .with(Self::THREAD);

    /// Whether a bit of `others` is set.
    #[must_use]
    pub const fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Inode numbers of the namespaces of a thread, `struct nsproxy`
/// (`include/linux/nsproxy.h`); 0 where the kernel has none.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Namespaces {
    /// Mounts.
    pub mnt: u32,
    /// Network.
    pub net: u32,
    /// Host and domain name.
    pub uts: u32,
    /// System V objects and POSIX message queues.
    pub ipc: u32,
    /// Process ids of children.
    pub pid_for_children: u32,
    /// View of control groups.
    pub cgroup: u32,
    /// Clock offsets of children.
    pub time_for_children: u32,
    /// Users, of the credentials.
    pub user: u32,
}

impl Namespaces {
    /// None is known.
    pub const NONE: Self = Self {
        mnt: 0,
        net: 0,
        uts: 0,
        ipc: 0,
        pid_for_children: 0,
        cgroup: 0,
        time_for_children: 0,
        user: 0,
    };
}

/// Body of [`Kind::CGROUP`]. The header is that of who moved the process, or of the moved one when that
/// is recorded and the other is not.
///
/// Byte string: the path of the group in its hierarchy, as the kernel writes it for trace events.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Cgroup {
    /// Id of the group it is in now.
    pub id: u64,
    /// The process that was moved; all 0 when it is that of the header.
    pub other: Other,
    /// Number of the hierarchy: 0 is the unified one.
    pub hierarchy: u32,
    /// Thread id in the initial pid namespace of the only thread that was moved; 0 when all were.
    pub thread: u32,
    /// Process id in the initial pid namespace of who moved it; 0 when it is that of the header.
    pub by: u32,
    /// Bytes of the path.
    pub path_len: u32,
}
