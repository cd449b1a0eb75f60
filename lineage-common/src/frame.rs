//! Frames: what a probe writes into a ring buffer for one event.
//!
//! A frame is a [`Header`], then the body its [`Kind`] names, then the body's byte strings one
//! after another in the order of the body's `*_len` fields, without padding or terminators; last comes what
//! was judged, if the header says so. All
//! integers are in the byte order of the host. Both sides are built from this file, and the agent
//! refuses an object whose [`WIRE_VERSION`] differs from its own.

mod process;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use process::{Cgroup, Clone3, Fork, Namespaces};

use crate::{
    limits::COMM_BYTES,
    policy::{End, Outcome, Ruling},
    tally::Class,
};

/// Version of every layout in this crate; raised by any change to one of them.
pub const WIRE_VERSION: u32 = 8;

/// Precedes [`WIRE_VERSION`] in the object's read-only data, for the agent to find it.
pub const WIRE_MARK: [u8; 16] = *b"lineage frames:\0";

/// What happened. Also the index of a kind's counters, so values stay below [`Kind::COUNT`].
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Kind(pub u16);

impl Kind {
    /// A process was created. Body: [`Fork`].
    pub const FORK: Self = Self(1);
    /// A thread was created in an existing process. Body: [`Fork`].
    pub const THREAD_START: Self = Self(2);
    /// A program was executed, or its execution failed. Body: [`Exec`].
    pub const EXEC: Self = Self(3);
    /// The last thread of a process ended. Body: [`Exit`].
    pub const EXIT: Self = Self(4);
    /// A thread ended and its process goes on. Body: [`Exit`].
    pub const THREAD_EXIT: Self = Self(5);
    /// A file was opened, or could not be. Body: [`File`].
    pub const FILE_OPEN: Self = Self(6);
    /// First use of a file descriptor that this process did not open itself. Body: [`File`].
    pub const FILE_INHERIT: Self = Self(7);
    /// A file descriptor was closed. Body: [`Close`].
    pub const FILE_CLOSE: Self = Self(8);
    /// `connect` returned. Body: [`Socket`].
    pub const NET_CONNECT: Self = Self(9);
    /// `accept` returned. Body: [`Socket`].
    pub const NET_ACCEPT: Self = Self(10);
    /// `bind` returned. Body: [`Socket`].
    pub const NET_BIND: Self = Self(11);
    /// First use of a socket descriptor that this process did not connect, accept or bind itself.
    /// Body: [`Socket`].
    pub const NET_INHERIT: Self = Self(12);
    /// A socket descriptor was closed. Body: [`Close`].
    pub const NET_CLOSE: Self = Self(13);

    /// A call of [`crate::calls::SYSCALLS`] whose action has a shape returned. Body: [`Call`].
    pub const CALL: Self = Self(14);
    /// First bytes read through a descriptor that is no socket, or the first after the content of its
    /// file was changed otherwise than through it. Body: [`Use`].
    pub const READ: Self = Self(15);
    /// First bytes written through such a descriptor, or the first after its file was read or written
    /// through others. Body: [`Use`].
    pub const WRITE: Self = Self(16);

    /// A file was mapped, memory was made executable, or that was refused. Body: [`Map`].
    pub const MAP: Self = Self(17);

    /// A file descriptor was found at attach. Body: [`FoundFile`]. Like the next two it does not come
    /// through a ring: see [`FoundFile`].
    pub const FILE_SNAPSHOT: Self = Self(24);
    /// A socket descriptor was found at attach. Body: [`Socket`].
    pub const NET_SNAPSHOT: Self = Self(25);
    /// A mapped file was found at attach. Body: [`FoundMap`].
    pub const MAP_SNAPSHOT: Self = Self(26);
    /// A process or a thread was moved to another control group. Body: [`Cgroup`].
    pub const CGROUP: Self = Self(27);
    /// A call that is only counted was made for the first time, or how many there were at the end
    /// of the process. Body: [`Counted`].
    pub const TALLY: Self = Self(28);
    /// `listen` returned. Body: [`Socket`], with the backlog.
    pub const NET_LISTEN: Self = Self(18);
    /// `socket` returned, and no other record would tell what it is used for. Body: [`Socket`], with
    /// the protocol asked for.
    pub const NET_SOCKET: Self = Self(19);
    /// `socketpair` returned: one frame for each end, or one for the failure. Body: [`Socket`].
    pub const NET_PAIR: Self = Self(20);
    /// The first message to an address through a socket that takes one with each message. Body:
    /// [`Socket`], with that address. Of other sockets and messages the first through the
    /// descriptor, without one.
    pub const NET_SEND: Self = Self(21);
    /// The first message from an address, or through the descriptor, likewise.
    pub const NET_RECEIVE: Self = Self(22);
    /// A descriptor went with a message through a socket, or was to. Body: [`File`], or [`Socket`] with
    /// [`Flags::OF_SOCKET`]: what it leads to; then, behind the byte strings, [`Pass`].
    pub const PASS: Self = Self(23);

    /// More than the highest value; the length of per-kind counter arrays.
    pub const COUNT: usize = 32;
}

/// What the probe could not do completely, and how a descriptor came to be closed.
#[repr(transparent)]
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Flags(pub u16);

impl Flags {
    /// The path or executable was cut at a limit, or its walk met an unreadable entry.
    pub const PATH_CUT: Self = Self(1 << 0);
    /// The argument block was cut at [`crate::limits::ARGV_BYTES_MAX`] or could not be read whole.
    pub const ARGV_CUT: Self = Self(1 << 1);
    /// The working directory was cut.
    pub const CWD_CUT: Self = Self(1 << 2);
    /// The path or the address comes from user memory because the kernel holds none (the call
    /// failed): claimed, not kernel truth.
    pub const CLAIMED: Self = Self(1 << 3);
    /// The file had no name any more when it was recorded (unlinked, or never linked).
    pub const UNLINKED: Self = Self(1 << 4);
    /// The path was reached from a mount that is not below the process's root (a lazy unmount, a
    /// descriptor carried across mount namespaces): it starts at that mount.
    pub const UNREACHABLE: Self = Self(1 << 5);
    /// Closed by a successful exec (close-on-exec).
    pub const BY_EXEC: Self = Self(1 << 6);
    /// Closed because the process ended.
    pub const BY_EXIT: Self = Self(1 << 7);
    /// Closed because `dup2` or `dup3` put another file in its place, or because a call this
    /// tracer does not follow did.
    pub const BY_REPLACE: Self = Self(1 << 8);
    /// Closed by `close_range`.
    pub const BY_RANGE: Self = Self(1 << 9);
    /// A dump of memory was written as the process ended.
    pub const CORE_DUMP: Self = Self(1 << 10);
    /// The second path was cut at a limit, or could not be read.
    pub const TARGET_CUT: Self = Self(1 << 11);
    /// The text was cut at a limit, or could not be read.
    pub const TEXT_CUT: Self = Self(1 << 12);
    /// The body is that of a socket.
    pub const OF_SOCKET: Self = Self(1 << 13);
    /// The kernel told the program that it has rights which who executed it had not (`AT_SECURE`).
    pub const SECURE_EXEC: Self = Self(1 << 15);
    /// More descriptors went with the messages of the call than are recorded.
    pub const DESCRIPTORS_CUT: Self = Self(1 << 14);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// First part of every frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Header {
    /// Bytes of the whole frame, this header included.
    pub len: u32,
    /// Which body follows.
    pub kind: Kind,
    /// See [`Flags`].
    pub flags: Flags,
    /// Position among all frames this CPU produced or lost, from 0, over both rings.
    pub number: u64,
    /// `CLOCK_BOOTTIME` in nanoseconds, read after `number` was taken.
    pub time: u64,
    /// `start_boottime` of the acting process (its thread group leader), nanoseconds.
    pub start: u64,
    /// Result of the system call: 0 or a count or a descriptor, or a negated errno.
    pub result: i64,
    /// The CPU that numbered this frame.
    pub cpu: u32,
    /// Process (thread group) id in the initial pid namespace.
    pub pid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// The lineage the process belongs to; see [`crate::task::Task`].
    pub lineage: u32,
    /// How many execs this process had made before this event, its ancestors' not counted.
    pub exec: u32,
    /// What the policy said, where [`Self::outcome`] says that it was asked.
    pub ruling: Ruling,
    /// What came of that.
    pub outcome: Outcome,
    /// [`crate::policy::Governance::generation`] of what governed.
    pub generation: u32,
    /// Name of the acting thread up to the first NUL; older kernels leave remains of earlier names
    /// after it.
    pub comm: [u8; COMM_BYTES],
    /// Bytes of what was judged, where it has a name: the path by which it was looked up. 0 when nothing was looked up by
    /// a name.
    pub judged_len: u32,
    /// Where in the frame that begins, if it is a path that is there anyway, as it was walked. Else 0: then it is at the end
    /// of the frame, as far as the key holds it.
    pub judged_at: u32,
}

/// Which version of a file's content and inode there was: together with device and inode number it
/// names one state of one file. All 0 when there was no file.
#[repr(C)]
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Version {
    /// Size in bytes (`i_size`).
    pub size: i64,
    /// Last change of the content, nanoseconds since 1970 UTC.
    pub mtime_ns: i64,
    /// Last change of the inode, nanoseconds since 1970 UTC.
    pub ctime_ns: i64,
    /// `i_generation`: tells a reused inode number apart where the file system keeps one, else 0.
    pub generation: u32,
    /// Always 0.
    pub reserved: u32,
}

impl Version {
    /// Of no file.
    pub const NONE: Self = Self {
        size: 0,
        mtime_ns: 0,
        ctime_ns: 0,
        generation: 0,
        reserved: 0,
    };
}

/// How the host sees a file: the bytes of that path, which come last in the frame, and what they
/// are.
#[repr(C)]
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct HostPath {
    /// Bytes of the path: components as in [`File`].
    pub len: u16,
    /// [`Self::WHOLE`] and so on; 0 when the host sees what the process sees.
    pub view: u16,
}

impl HostPath {
    /// Nothing else than the process.
    pub const SAME: Self = Self { len: 0, view: 0 };
    /// `view`: the path from the host's root on.
    pub const WHOLE: u16 = 1;
    /// `view`: the path inside the file system, for the agent to find where the host has mounted it.
    pub const INSIDE: u16 = 2;
    /// `view`: no way leads there, or it is too long.
    pub const NOWHERE: u16 = 3;
}

/// Body of [`Kind::EXEC`]. The header's `exec` counts this exec already when it succeeded.
///
/// A failed exec has only `filename` and `argv`, both claimed, and as `cwd` the directory that a relative
/// name starts from; the other fields are 0.
///
/// Byte strings: `exe` (reversed components, see [`File`]), `cwd` (reversed components),
/// `filename`, `interpreter`, `argv` (arguments, each ended by NUL), `hints` (the variables of the environment that carry a
/// trace context, each ended by NUL).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Exec {
    /// Inode number of the executable (of the interpreter when a script ran).
    pub ino: u64,
    /// Control group id of the process in the unified hierarchy.
    pub cgroup: u64,
    /// Bytes the whole argument block has, kept or not.
    pub argv_bytes: u64,
    /// Version of the executable.
    pub version: Version,
    /// Device of the executable in the kernel's encoding (`MKDEV`, 12 bits major, 20 minor).
    pub dev: u32,
    /// Mode of the executable's inode.
    pub mode: u32,
    /// Number of arguments the kernel counted.
    pub argc: u32,
    /// Real user id, initial user namespace.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Effective group id.
    pub egid: u32,
    /// Inode number of the pid namespace the process runs in.
    pub pid_ns: u32,
    /// Inode number of the mount namespace.
    pub mnt_ns: u32,
    /// Inode number of the network namespace.
    pub net_ns: u32,
    /// Inode number of the user namespace of the credentials.
    pub user_ns: u32,
    /// Process id in its own pid namespace.
    pub ns_pid: u32,
    /// Bytes of the executable's path.
    pub exe_len: u32,
    /// Bytes of the working directory.
    pub cwd_len: u32,
    /// Bytes of the name the caller gave, as the kernel copied it.
    pub filename_len: u32,
    /// Bytes of the interpreter's name; without a script 0, or it is the filename.
    pub interpreter_len: u32,
    /// Bytes of the argument block kept.
    pub argv_len: u32,
    /// Bytes of the variables that carry a trace context.
    pub hints_len: u32,
    /// Always 0.
    pub reserved: u32,
    /// The executable as the host sees it.
    pub host: HostPath,
}

/// Body of [`Kind::EXIT`] and [`Kind::THREAD_EXIT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Exit {
    /// Exit status given to `exit`, 0–255; 0 when a signal ended it.
    pub code: u32,
    /// Signal that ended it; 0 when it exited.
    pub signal: u32,
}

/// Body of [`Kind::FILE_OPEN`] and [`Kind::FILE_INHERIT`].
///
/// Byte string: the path. A path from the kernel is stored as its components from the file up to
/// the root of the process, each ended by NUL, so that the probe need not move bytes; a claimed
/// path is stored as the caller wrote it. An unnamed object (pipe, anonymous inode) has the single
/// component its dentry holds, or none; `fs_magic` tells what it is.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct File {
    /// Inode number; 0 when the call failed.
    pub ino: u64,
    /// Magic number of the file system (`include/uapi/linux/magic.h`); 0 when the call failed.
    pub fs_magic: u64,
    /// Version of the file once it was open.
    pub version: Version,
    /// Device in the kernel's encoding.
    pub dev: u32,
    /// Mode of the inode: type and permissions; for a failed call the mode asked for.
    pub mode: u32,
    /// Open flags of the file description, for an open with those of the call that a description
    /// does not keep (`O_CREAT` and the like); or the flags asked for when the call failed.
    pub flags: u32,
    /// Descriptor; −1 when the call failed.
    pub fd: i32,
    /// The directory descriptor the claimed path is relative to (`AT_FDCWD` = −100).
    pub dirfd: i32,
    /// Bytes of the path.
    pub path_len: u32,
    /// The file as the host sees it. Of a claimed path instead the directory that it starts from, if it
    /// is relative.
    pub host: HostPath,
    /// Bytes of the [`Other`] behind the paths, not aligned: its size if the file stands for a process
    /// other than the one that has it (a pidfd, a file below `/proc/PID`), else 0.
    pub other_len: u32,
}

/// Body of [`Kind::FILE_CLOSE`] and [`Kind::NET_CLOSE`].
///
/// Totals are what this process moved through this descriptor. Everything but `fd` is 0 when the
/// call failed or when the descriptor was never used by this process (see [`Kind::FILE_INHERIT`]).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Close {
    /// Bytes read or received.
    pub bytes_read: u64,
    /// Bytes written or sent.
    pub bytes_written: u64,
    /// Inode number.
    pub ino: u64,
    /// `number` of the frame that recorded the open, accept, connect, bind or first use.
    pub opened_number: u64,
    /// `cpu` of that frame; [`NO_CPU`] when there is none.
    pub opened_cpu: u32,
    /// Device in the kernel's encoding.
    pub dev: u32,
    /// Descriptor.
    pub fd: i32,
    /// The last descriptor: `fd`, but where a range was closed of which the probes know nothing.
    ///
    /// That is told of an attached process, because the agent may know: it has found what the process
    /// had open. So is a replaced descriptor of which the probes know nothing. Of such a frame,
    /// with [`Flags::BY_RANGE`] or [`Flags::BY_REPLACE`] and without `opened_cpu`, nothing else follows.
    pub last: i32,
}

/// Body of [`Kind::READ`] and [`Kind::WRITE`]. The header's result is the bytes of that call.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Use {
    /// Of a regular file, its version after the call; else all 0.
    pub version: Version,
    /// Inode number.
    pub ino: u64,
    /// `number` of the frame that recorded the open or first use.
    pub opened_number: u64,
    /// `cpu` of that frame.
    pub opened_cpu: u32,
    /// Device in the kernel's encoding.
    pub dev: u32,
    /// Descriptor.
    pub fd: i32,
    /// Always 0.
    pub reserved: u32,
}

/// Body of [`Kind::CALL`].
///
/// Byte strings: `state`, `base` and `name`, `target_base` and `target`, `text`. A base is a path
/// from the kernel, as reversed components (see [`File`]): that of the directory from which the name
/// starts, or of the descriptor itself when there is no name. A name is as the caller wrote it. When
/// it begins with a slash it needs no base, and there is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Call {
    /// The six arguments, then `AT_FDCWD`, then the result.
    pub arguments: [u64; 8],
    /// Inode number of the descriptor acted on; 0 when there is none, or a name is acted on.
    pub ino: u64,
    /// Magic number of its file system.
    pub fs_magic: u64,
    /// The process acted on.
    pub other: Other,
    /// Its device, in the kernel's encoding.
    pub dev: u32,
    /// Mode of its inode.
    pub mode: u32,
    /// Number of the system call in the native table.
    pub number: u32,
    /// Always 0.
    pub reserved: u32,
    /// Bytes of the state: 0, or the size of what the shape says.
    pub state_len: u32,
    /// Bytes of the base of the name.
    pub base_len: u32,
    /// Bytes of the name.
    pub name_len: u32,
    /// Bytes of the base of the second name.
    pub target_base_len: u32,
    /// Bytes of the second name.
    pub target_len: u32,
    /// Bytes of the text.
    pub text_len: u32,
}

/// Body of [`Kind::TALLY`]. The first call of a kind has 1 call and its own result in the header; the
/// total at the end of the process, for which there must be more, has no result.
///
/// Byte string: the path of the device as reversed components (see [`File`]), of a first call.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Counted {
    /// How many calls there were.
    pub calls: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Inode number of the device file; 0 when there is none.
    pub ino: u64,
    /// What sort of call.
    pub class: Class,
    /// Which of them.
    pub code: u32,
    /// The device the file stands for, in the kernel's encoding.
    pub device: u32,
    /// The device the file is on, in the kernel's encoding.
    pub dev: u32,
    /// Mode of the inode.
    pub mode: u32,
    /// Bytes of the path.
    pub path_len: u32,
}

/// A process that another one acts on, as the kernel has it when the call returns. What is not known
/// is 0: all of it when the call names none, all but the id when the process is gone by then.
#[repr(C)]
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Other {
    /// `start_boottime` of its thread group leader in nanoseconds.
    pub start: u64,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Process id in its own pid namespace.
    pub ns_pid: u32,
    /// Inode number of that namespace.
    pub pid_ns: u32,
    /// Always 0.
    pub reserved: u32,
}

/// Credentials of a process after a call, `struct cred` (`include/linux/cred.h`). Ids are those of
/// the initial user namespace.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Credentials {
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Saved user id.
    pub suid: u32,
    /// Saved group id.
    pub sgid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Effective group id.
    pub egid: u32,
    /// User id for file access.
    pub fsuid: u32,
    /// Group id for file access.
    pub fsgid: u32,
    /// Inheritable capabilities, a bit for each (`include/uapi/linux/capability.h`).
    pub inheritable: u64,
    /// Permitted capabilities.
    pub permitted: u64,
    /// Effective capabilities.
    pub effective: u64,
    /// Bounding set.
    pub bounding: u64,
    /// Ambient capabilities.
    pub ambient: u64,
    /// `SECBIT_*` (`include/uapi/linux/securebits.h`).
    pub securebits: u32,
    /// Inode number of their user namespace.
    pub user_ns: u32,
}

/// `opened_cpu` when no frame recorded the open.
pub const NO_CPU: u32 = u32::MAX;

/// Body of the network kinds but [`Kind::NET_CLOSE`].
///
/// Byte strings: the local, then the peer `AF_UNIX` name as the kernel holds it (an abstract name
/// starts with NUL), then the address the caller gave or got: a `struct sockaddr` from its memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Socket {
    /// Inode number of the socket; with the descriptor's `close` it identifies it.
    pub ino: u64,
    /// Cookie of the socket; 0 until somebody asks the kernel for it.
    pub cookie: u64,
    /// `AF_UNIX`: inode number of the socket at the other end; 0 when there is none.
    pub peer_ino: u64,
    /// `AF_UNIX`: `start_boottime` of the process at the other end; 0 when it is not known or gone.
    pub peer_start: u64,
    /// Local address in network order; IPv4 uses the first four bytes. Of `AF_NETLINK` the groups and
    /// of `AF_VSOCK` the context id, 32 bits in host order; of `AF_PACKET` the name of the interface.
    pub local_addr: [u8; 16],
    /// Peer address, likewise.
    pub peer_addr: [u8; 16],
    /// Inode number of the network namespace.
    pub net_ns: u32,
    /// `AF_UNIX`: process id, in the initial pid namespace, of the process at the other end: the one
    /// that connected, listened or made the pair. 0 when the kernel does not say.
    pub peer_pid: u32,
    /// TCP: sequence number at which what this end sends began. With that of the other end it tells
    /// a connection from every other between the same addresses.
    pub first_sent: u32,
    /// TCP: sequence number at which what it receives began; 0 when not known yet.
    pub first_received: u32,
    /// Local port in host order; of `AF_NETLINK` the port id, of `AF_PACKET` the interface's number.
    pub local_port: u32,
    /// Peer port, likewise.
    pub peer_port: u32,
    /// Descriptor.
    pub fd: i32,
    /// Of `listen` the backlog, of `socket` and `socketpair` the protocol asked for; else 0.
    pub argument: i32,
    /// Address family (`AF_*`).
    pub family: u16,
    /// Socket type (`SOCK_*`).
    pub socket_type: u16,
    /// Protocol (`IPPROTO_*`).
    pub protocol: u16,
    /// Which of the two addresses the kernel held; see [`Held`].
    pub held: Held,
    /// Bytes of the local `AF_UNIX` name.
    pub local_len: u32,
    /// Bytes of the peer `AF_UNIX` name.
    pub peer_len: u32,
    /// Bytes of the caller's address.
    pub given_len: u32,
    /// Always 0.
    pub reserved: u32,
    /// What was judged before the call had an effect, where the header's outcome says that something was.
    pub judged: End,
}

/// Which ends of a [`Socket`] have an address: an unconnected socket has no peer.
#[repr(transparent)]
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Held(pub u16);

impl Held {
    /// The local end has an address.
    pub const LOCAL: u16 = 1;
    /// The peer has an address.
    pub const PEER: u16 = 2;
}

/// Last part of [`Kind::PASS`]: the socket a descriptor went through, and the message. It need not be
/// aligned.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Pass {
    /// Inode number of the socket.
    pub socket_ino: u64,
    /// Inode number of the socket at the other end; 0 when there is none.
    pub peer_ino: u64,
    /// As [`Socket::peer_start`].
    pub peer_start: u64,
    /// As [`Socket::peer_pid`].
    pub peer_pid: u32,
    /// Descriptor of the socket.
    pub socket_fd: i32,
    /// Number of the system call in the native table.
    pub number: u32,
    /// `MSG_*` (`include/linux/socket.h`) the call was given.
    pub asked: u32,
    /// `MSG_*` in the message's header afterwards: of one received what the kernel says of it.
    pub told: u32,
    /// Which descriptor of the message, from 0.
    pub index: u32,
    /// 1 when it was sent, 0 when received.
    pub sends: u32,
    /// 1 when an exec closes the descriptor.
    pub closes_on_exec: u32,
}

/// Body of [`Kind::FILE_SNAPSHOT`].
///
/// What a process has when recording reaches it is not sent through the rings: it may be more than
/// fits, and the programs that look are preemptible, so they can neither number frames nor use a
/// CPU's scratch. The agent reads their output like a file. It is made of the same parts: a
/// [`Header`], a body, byte strings, and then zeros up to a multiple of [`FOUND_ALIGN`].
///
/// In the header, `cpu` is [`NO_CPU`], `number` tells tables of descriptors (for [`FoundMap`]:
/// address spaces) apart, `tid` is a thread that has it, and `result` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct FoundFile {
    /// The file. `flags` has `O_CLOEXEC` when the descriptor is closed by an exec.
    pub file: File,
    /// Position in the file.
    pub position: i64,
}

/// Body of [`Kind::MAP_SNAPSHOT`]; the byte string is the path, as in [`File`].
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct FoundMap {
    /// The file; `fd` is −1.
    pub file: File,
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Position in the file of the first address.
    pub offset: u64,
    /// `VM_*` (`include/linux/mm.h`).
    pub flags: u64,
}

/// Body of [`Kind::MAP`]; the byte strings are those of [`File`].
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Map {
    /// The file; `fd` is the descriptor it was mapped through, −1 without one. All 0 when there is no
    /// file, or it is not known.
    pub file: File,
    /// First address: that of the mapping, or of the range whose protection was changed; as asked for
    /// when the call failed.
    pub start: u64,
    /// The address after the last, in whole pages.
    pub end: u64,
    /// Position in the file of the first address.
    pub offset: u64,
    /// `VM_*` (`include/linux/mm.h`) of the memory at `start` when the call returned; 0 when it could
    /// not be looked at.
    pub state: u64,
    /// `PROT_*` asked for.
    pub protection: u32,
    /// `MAP_*` asked for; 0 of a change of protection.
    pub flags: u32,
    /// Number of the system call; [`NO_CALL`] when it was an exec that mapped it: the interpreter the
    /// executable names.
    pub number: u32,
    /// What is behind the memory.
    pub behind: Behind,
}

/// `number` of a [`Map`] that no call of its own made.
pub const NO_CALL: u32 = u32::MAX;

/// What is behind memory.
#[repr(transparent)]
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Behind(pub u32);

impl Behind {
    /// Not known: another thread was changing the address space.
    pub const UNKNOWN: Self = Self(0);
    /// No file.
    pub const NOTHING: Self = Self(1);
    /// A file.
    pub const FILE: Self = Self(2);
}

/// What is found begins at multiples of this.
pub const FOUND_ALIGN: usize = 8;

/// What one CPU produced and lost, in a map the agent reads in place.
///
/// `number = Σ produced + Σ lost` whenever no probe is between the two on that CPU, which is how
/// the agent knows that it has seen everything up to a moment.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct CpuCounters {
    /// Frames numbered so far: the next frame's number.
    pub number: u64,
    /// Frames put into a ring, by kind.
    pub produced: [u64; Kind::COUNT],
    /// Frames for which the ring had no room, by kind.
    pub lost: [u64; Kind::COUNT],
    /// Probe runs that found this CPU's scratch buffer in use and could not even count a frame.
    pub busy: u64,
    /// Descriptors whose totals could not be kept because the table was full.
    pub descriptors_full: u64,
    /// Processes that could not be tracked because the table was full.
    pub tasks_full: u64,
    /// 32-bit compatibility system calls of tracked processes, which are not decoded.
    pub compat: u64,
    /// Calls that were to be counted, and no place was left for their count.
    pub tallies_full: u64,
    /// What was asked at a hook while there was no room to look at it: denied where the policy is enforced.
    pub unjudged: u64,
    /// Decisions made before a call returned that are in no record: the call has none of its own.
    pub undecided: u64,
    /// Always 0; fills a pair of cache lines so that CPUs do not share one.
    pub reserved: [u64; 8],
}

const _: () = {
    assert!(size_of::<Header>() == 96);
    assert!(size_of::<Fork>() == 72);
    assert!(size_of::<Version>() == 32);
    assert!(size_of::<Exec>() == 136);
    assert!(size_of::<Exit>() == 8);
    assert!(size_of::<File>() == 80);
    assert!(size_of::<Close>() == 48);
    assert!(size_of::<Use>() == 64);
    assert!(size_of::<Socket>() == 144);
    assert!(size_of::<Pass>() == 56);
    assert!(size_of::<Call>() == 144);
    assert!(size_of::<Other>() == 24);
    assert!(size_of::<Cgroup>() == 48);
    assert!(size_of::<Counted>() == 48);
    assert!(size_of::<Credentials>() == 80);
    assert!(size_of::<Namespaces>() == 32);
    assert!(size_of::<CpuCounters>() == 640);
    assert!(size_of::<FoundFile>() == 88);
    assert!(size_of::<FoundMap>() == 112);
    assert!(size_of::<Map>() == 128);
};
