//! What the kernel side remembers of each tracked process and descriptor.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of the task map, keyed by process (thread group) id in the initial pid namespace.
///
/// Set by the agent at attach or launch, inherited by the fork probe, removed at the last thread's
/// exit.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Task {
    /// `start_boottime` of the thread group leader in nanoseconds: tells reused ids apart.
    pub start: u64,
    /// The lineage: which `record` root or match rule this process descends from.
    pub lineage: u32,
    /// Successful execs of this process since it was created or attached.
    pub exec: u32,
    /// Threads that have not passed the exit probe; 0 when not known, which is so from an attach
    /// to the next exec.
    pub threads: u32,
    /// Entries of this process in the descriptor map: none of its block.
    pub descriptors: u32,
    /// All descriptors that were ever in the map, or-ed together: none is larger.
    pub descriptor_bits: u32,
    /// The block for its first [`BLOCK_DESCRIPTORS`] descriptors; [`NO_BLOCK`] when all blocks were
    /// taken, and the map has them.
    pub block: u32,
    /// Which entries of the block are in use, a bit for each.
    pub low: u32,
    /// 1 when another process has shared its table of descriptors since the last exec
    /// (`CLONE_FILES`), or it has made calls that are not followed and can change it (of 32-bit programs,
    /// through io_uring), or nobody knows, which is so from an attach; else 0.
    pub shared: u32,
    /// How many tallies it has; see [`crate::tally`].
    pub tallies: u32,
    /// In which ways it has made memory executable that has no file behind it, since the last exec:
    /// [`ExecMem`], a bit for each.
    pub execmem: u32,
    /// Descriptors whose first use one of its threads is recording, a bit for each, which several share.
    pub entered: u32,
    /// 1 when what created it was denied, and it is to end before it does anything itself; else 0.
    pub condemned: u32,
}

/// Ways to make memory executable that has no file behind it.
pub struct ExecMem;

impl ExecMem {
    /// Reserved so.
    pub const MAPPED: u32 = 1 << 0;
    /// Changed so.
    pub const PROTECTED: u32 = 1 << 1;
    /// What to shift one of these by when it was refused.
    pub const REFUSED: u32 = 2;
}

/// Descriptors below this have a place in the process's block, which needs no search.
pub const BLOCK_DESCRIPTORS: usize = 32;

/// [`Task::block`] of a process without one.
pub const NO_BLOCK: u32 = u32::MAX;

/// Value of the map of blocks.
pub type Block = [Descriptor; BLOCK_DESCRIPTORS];

impl Task {
    /// A process the agent begins to track.
    #[must_use]
    pub const fn attached(start: u64, lineage: u32, block: u32) -> Self {
        Self {
            start,
            lineage,
            exec: 0,
            threads: 0,
            descriptors: 0,
            descriptor_bits: 0,
            block,
            low: 0,
            shared: 1,
            tallies: 0,
            execmem: 0,
            entered: 0,
            condemned: 0,
        }
    }

    /// A process created by a tracked one, which may share its descriptors.
    #[must_use]
    pub const fn forked(start: u64, lineage: u32, block: u32, shared: bool) -> Self {
        Self {
            threads: 1,
            shared: shared as u32,
            ..Self::attached(start, lineage, block)
        }
    }
}

/// Value of the map of links, keyed by process id: who created whom while the agent attaches.
///
/// A process that ends during the attach takes with it what procfs would have said about its
/// children. So while the agent attaches, the probes note every fork, and at every exit the ending
/// process and its children.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Link {
    /// `start_boottime` of the process in nanoseconds.
    pub start: u64,
    /// Process id of its creator or parent.
    pub parent: u32,
    /// 1 when it was tracked: from its creation, because its creator was, or at its end.
    pub tracked: u32,
}

/// The single value of the switch map, by which the agent tells the probes that it attaches.
#[repr(C)]
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Switch {
    /// 1 while the agent attaches.
    pub attaching: u32,
    /// Links for which the map had no room, or children that could not be listed.
    pub links_missed: u32,
    /// The next list gives a process to another lineage: its `start`, 0 for none.
    pub moved_start: u64,
    /// Its id.
    pub moved_pid: u32,
    /// The lineage.
    pub moved_to: u32,
}

/// A process as the probes list it on request.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Listed {
    /// `start_boottime` of the thread group leader in nanoseconds.
    pub start: u64,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Process id of its parent.
    pub parent: u32,
    /// 0 when every thread has passed the exit probe and only the reaping is left, else 1.
    pub live: u32,
    /// Process id in its own pid namespace; 0 when it has none any more.
    pub ns_pid: u32,
    /// Inode number of that namespace; 0 when it has none any more.
    pub pid_ns: u32,
    /// The lineage of its entry in the task map; 0 when it has none.
    pub lineage: u32,
    /// `start` of its entry in the task map; 0 when it has none.
    pub tracked: u64,
}

/// Key of the descriptor map. It never repeats within a boot.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct DescriptorKey {
    /// `start_boottime` of the process.
    pub start: u64,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// The descriptor.
    pub fd: i32,
}

/// Value of the descriptor map and of each place of a block: one open descriptor of one process, and what went through it.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Descriptor {
    /// Kernel address of the `struct file`, to notice that the descriptor was replaced. Never
    /// leaves the kernel.
    pub file: u64,
    /// Bytes read or received.
    pub bytes_read: u64,
    /// Bytes written or sent.
    pub bytes_written: u64,
    /// Inode number.
    pub ino: u64,
    /// `number` of the frame that recorded the open or first use.
    pub opened_number: u64,
    /// `cpu` of that frame, or [`crate::frame::NO_CPU`].
    pub opened_cpu: u32,
    /// Device in the kernel's encoding.
    pub dev: u32,
    /// What it leads to and what it was used for: [`Self::REGULAR`] and so on.
    pub used: u32,
    /// Of a regular file: [`Turn::number`] when it was last read or written through here; 0 when none
    /// was known.
    pub turn: u32,
    /// The clock tick up to which records of its use are drawn already; see
    /// [`crate::limits::USES_AT_ONCE_MAX`].
    pub drawn: u32,
    /// In which ways it was mapped: [`Mapped`], a bit for each.
    pub mapped: u32,
    /// Of a regular file that was read or written through here: kernel address of its
    /// `struct inode`, which stays while the file is open. Never leaves the kernel.
    pub inode: u64,
    /// When the content of that file had last changed as it was last read or written through here,
    /// nanoseconds since 1970 UTC.
    pub mtime_ns: i64,
}

impl Descriptor {
    /// Bytes were read or received, and that is recorded.
    pub const READ: u32 = 1 << 0;
    /// Bytes were written or sent, and that is recorded.
    pub const WRITTEN: u32 = 1 << 1;
    /// Both: what the next program of the process does anew.
    pub const USES: u32 = Self::READ | Self::WRITTEN;
    /// It leads to a regular file, whose content others can change: neither an anonymous inode nor a
    /// message queue, which the kernel calls regular too.
    pub const REGULAR: u32 = 1 << 2;
    /// It leads to a socket.
    pub const SOCKET: u32 = 1 << 3;
    /// It leads to a socket that takes an address with each message.
    pub const ADDRESSED: u32 = 1 << 4;
}

/// Ways to map a file.
pub struct Mapped;

impl Mapped {
    /// Changes stay with the process.
    pub const PRIVATE: u32 = 1 << 0;
    /// Changes of others show.
    pub const SHARED: u32 = 1 << 1;
    /// Changes go to the file.
    pub const WRITABLE: u32 = 1 << 2;
}

/// Whose turn it is with a regular file: a place of the map of turns.
///
/// A turn begins when a file is written through another descriptor than before, or after others have
/// read what was written. Times of files cannot tell that: they stand still within a clock tick.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Turn {
    /// Kernel address of the `struct inode`. Never leaves the kernel. A place is shared by files, and
    /// the one that is written has it.
    pub inode: u64,
    /// Through which descriptor it was last written: number and CPU of the frame that recorded its
    /// opening or first use, in one word.
    pub writer: u64,
    /// Counts the turns of this place, whichever file has it: it never shows the same twice.
    pub number: u32,
    /// 1 when the file was read through another descriptor since.
    pub read: u32,
}

const _: () = {
    assert!(size_of::<Listed>() == 40);
    assert!(size_of::<Task>() == 56);
    assert!(size_of::<Link>() == 16);
    assert!(size_of::<Switch>() == 24);
    assert!(size_of::<DescriptorKey>() == 16);
    assert!(size_of::<Descriptor>() == 80);
    assert!(size_of::<Turn>() == 24);
    assert!(BLOCK_DESCRIPTORS == u32::BITS as usize);
};
