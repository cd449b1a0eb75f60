//! The kinds of records: every value the field `kind` can have, once.
//!
//! What a kind means, which fields it carries and what it is in OCSF (the Open Cybersecurity Schema
//! Framework, whose consumers meet these records in exports) follow from the table below; so do
//! `docs/schema.md`, the colours and facts of `lineage ls`, and the check that a record carries
//! nothing its kind does not list. Like the field registry it is append-only.

/// One kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Value of the field `kind`.
    pub name: &'static str,
    /// What happened.
    pub doc: &'static str,
    /// What the kind's records have in common beyond [`COMMON`].
    pub group: Group,
    /// Fields of this kind, besides [`COMMON`] and, where a process acts, [`ACTOR`]. Any may be
    /// absent: not known, or without meaning because the call failed.
    pub fields: &'static [&'static str],
    /// Class and activity in OCSF 1.x; `None` where OCSF has no word for it.
    pub ocsf: Option<Ocsf>,
}

/// Which part of the story a kind tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Processes and threads coming, changing and going.
    Process,
    /// Files.
    File,
    /// Sockets.
    Net,
    /// The recorder about its own work; no process acts.
    Recorder,
}

/// A place in the Open Cybersecurity Schema Framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ocsf {
    /// `class_uid`.
    pub class: u32,
    /// `activity_id` within the class; 99 is "other", with the kind as its name.
    pub activity: u32,
}

impl Ocsf {
    /// Process Activity.
    pub const PROCESS: u32 = 1007;
    /// File System Activity.
    pub const FILE: u32 = 1001;
    /// Memory Activity.
    pub const MEMORY: u32 = 1004;
    /// Module Activity: of kernel modules.
    pub const MODULE: u32 = 1005;
    /// Network Activity.
    pub const NETWORK: u32 = 4001;
    /// Live Evidence Info: a process found, not seen starting.
    pub const EVIDENCE_INFO: u32 = 5040;
    /// `activity_id` of what a class has no word for.
    pub const OTHER: u32 = 99;

    /// `type_uid`: class and activity in one number.
    #[must_use]
    pub const fn type_uid(self) -> u32 {
        self.class * 100 + self.activity
    }
}

impl Kind {
    /// Whether a record of this kind may carry the field of this name.
    #[must_use]
    pub fn carries(&self, field: &str) -> bool {
        COMMON.contains(&field)
            || (self.group != Group::Recorder && ACTOR.contains(&field))
            || self.fields.contains(&field)
    }
}

/// Whether a kind tells of a name that was made, removed or changed.
#[must_use]
pub fn changes_names(kind: &str) -> bool {
    matches!(
        kind,
        FILE_RENAME | FILE_LINK | FILE_SYMLINK | FILE_UNLINK | FILE_MKDIR | FILE_RMDIR | FILE_MKNOD
    )
}

/// The kind with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Fields any record carries.
pub const COMMON: &[&str] = &[
    "seq",
    "time",
    "time_ns",
    "kind",
    "origin",
    "lineage",
    "lineage_seq",
    "cause",
    "context",
];

/// Fields of every record in which a process acts.
pub const ACTOR: &[&str] = &[
    "process_uid",
    "exec",
    "parent_uid",
    "pid",
    "tid",
    "ppid",
    "comm",
    "exe",
    "result",
    "truncated",
    "notes",
    "recognised",
    "verdict",
    "effect",
    "rule",
    "grant_level",
    "table_generation",
    "judged",
    "reason",
];

macro_rules! kinds {
    ($($constant:ident = $name:literal, $group:ident, $ocsf:expr, [$($field:ident)*], $doc:literal;)*) => {
        $(#[doc = $doc] pub const $constant: &str = $name;)*

        /// Every kind, in the order of a process's life.
        pub const KINDS: &[Kind] = &[$(Kind {
            name: $name,
            doc: $doc,
            group: Group::$group,
            fields: &[$(stringify!($field)),*],
            ocsf: $ocsf,
        }),*];
    };
}

const fn ocsf(class: u32, activity: u32) -> Option<Ocsf> {
    Some(Ocsf { class, activity })
}

kinds! {
    LINEAGE_START = "lineage.start", Recorder, None,
        [detail],
        "A lineage was registered: by launching a command or by attaching to a process. The root cause of all its records. `detail` has the command, how many `arguments_left_out` it has beyond the room for them, and the kinds of records that were `left_out` because they were not wanted.";
    PROCESS_SNAPSHOT = "process.snapshot", Process, ocsf(Ocsf::EVIDENCE_INFO, 1),
        [argv argc entry cwd dev ino mode uid gid euid egid ns_pid pid_ns mnt_ns net_ns user_ns cgroup caps_effective caps_permitted detail],
        "A process as it was found when recording reached it; what it did before was not seen. `detail` has the other credentials and namespaces, and the `environment`: what its memory shows of it, so claimed; names of variables, and values only when they were asked for and may be no secret.";
    PROCESS_FORK = "process.fork", Process, ocsf(Ocsf::PROCESS, Ocsf::OTHER),
        [child_uid child_pid child_tid ns_pid pid_ns mnt_ns net_ns user_ns cgroup detail],
        "The process created another one, or could not. All fields are the new one's: the namespaces are there if one was made for it, the rest of them in `detail`, and the control group if it is not that of its creator. `detail` has the `flags` of clone(2) that show in what the two have in common; a plain fork has none. `CLONE_VFORK` does not show. With another control group, it has also the `container`, if the names of the groups tell of one.";
    THREAD_START = "thread.start", Process, None,
        [child_tid mnt_ns net_ns user_ns cgroup detail],
        "The process created a thread. Like `process.fork`, with `detail` if the thread does not share what threads do (`CLONE_VM`, `CLONE_FS`, `CLONE_FILES`, `CLONE_SIGHAND`, `CLONE_THREAD`), or has something of its own.";
    PROCESS_EXEC = "process.exec", Process, ocsf(Ocsf::PROCESS, 1),
        [path dir host_path filename interpreter argv argc entry cwd dev ino mode generation size mtime_ns ctime_ns uid gid euid egid ns_pid pid_ns mnt_ns net_ns user_ns cgroup traceparent tracestate baggage detail],
        "The process became another program, or could not. `dev`, `ino`, `mode` and the version (`generation`, `size`, `mtime_ns`, `ctime_ns`) are the executable's; `path` is there when it failed, and `dir` if that is relative. `detail` names the `container`, if the names of its control groups tell of one.";
    FILE_OPEN = "file.open", File, ocsf(Ocsf::FILE, 14),
        [path dir host_path fd target_uid target_pid flags mode dev ino generation size mtime_ns ctime_ns],
        "A file was opened or created, or could not be. `target_pid` is the process that it stands for, if that is another one: whose `/proc/PID/mem` it is.";
    FILE_INHERIT = "file.inherit", File, ocsf(Ocsf::FILE, 14),
        [path host_path fd target_uid target_pid flags mode dev ino generation size mtime_ns ctime_ns],
        "First use of a file descriptor the process did not open itself: inherited, duplicated, or open before recording.";
    FILE_SNAPSHOT = "file.snapshot", File, ocsf(Ocsf::FILE, Ocsf::OTHER),
        [path host_path fd target_uid target_pid flags mode dev ino generation size mtime_ns ctime_ns offset peer_uid peer_pid detail],
        "A file descriptor the process had when recording reached it (with `tid`: that this thread has for itself). The two ends of a pipe have the same `dev` and `ino`; `flags` tell which is which. `peer_pid` is who held its other end then, recorded or not, as procfs showed it: of several the one with the smallest id, and itself only when nobody else did; `detail` has all of several (`holders`, at most 16 of `holders_total`), and `holders_cut` when not all descriptors of the host were looked at. Its first use makes no `file.inherit`, and its close names it, unless the process has executed a program in between.";
    FILE_MAP = "file.map", File, ocsf(Ocsf::FILE, Ocsf::OTHER),
        [call path host_path fd flags mode dev ino generation size mtime_ns ctime_ns offset protection detail],
        "A file was mapped into memory, or what is mapped was made executable (`mprotect`), or that was refused. Of each descriptor the first private mapping, the first shared one, the first that is shared for writing, and every executable one. Without `call`: the interpreter that the executable names (ld.so), mapped by the exec that `cause` names; or, with the origin `snapshot`, what was mapped when recording reached the process: each mapping that is executable or shared, and of other files the first. `detail` has the addresses and what was asked for; `protection` is what it came to, which another mapping with the same may have been joined to. Memory shared with children has a file of the kernel's own, `/dev/zero`, and no path when another thread was changing what is mapped.";
    FILE_READ = "file.read", File, ocsf(Ocsf::FILE, 2),
        [path fd dev ino generation size mtime_ns ctime_ns opened],
        "First bytes read through this descriptor by this process since it executed its program, or the first after the content of the file was changed otherwise than by writing through it; `result` is the bytes of that call, also of one that copied them to another file or a socket inside the kernel. Of a regular file the version is the one after the call. A call that moves no bytes is none.";
    FILE_WRITE = "file.write", File, ocsf(Ocsf::FILE, 3),
        [path fd dev ino generation size mtime_ns ctime_ns opened],
        "First bytes written through this descriptor by this process since it executed its program, or the first after a recorded process has written the file through another one, or has read there what was written; otherwise like `file.read`. Of both together a descriptor has at most 64 records at once and then one in each clock tick of the kernel; what is left out then is made up for at its next use.";
    FILE_CLOSE = "file.close", File, ocsf(Ocsf::FILE, Ocsf::OTHER),
        [path fd dev ino opened bytes_read bytes_written closed_by],
        "A file descriptor was closed; what went through it in this process.";
    FILE_RENAME = "file.rename", File, ocsf(Ocsf::FILE, 5),
        [call path dir target target_dir detail],
        "A file or directory got the name `target`, or could not.";
    FILE_LINK = "file.link", File, ocsf(Ocsf::FILE, Ocsf::OTHER),
        [call path dir target target_dir dev ino mode detail],
        "A file got the further name `target` (a hard link), or could not.";
    FILE_SYMLINK = "file.symlink", File, ocsf(Ocsf::FILE, 1),
        [call path dir detail],
        "A symbolic link was made; `detail` has its content.";
    FILE_UNLINK = "file.unlink", File, ocsf(Ocsf::FILE, 4),
        [call path dir detail],
        "A name of a file was removed, or could not be.";
    FILE_MKDIR = "file.mkdir", File, ocsf(Ocsf::FILE, 1),
        [call path dir mode],
        "A directory was made; `mode` is what was asked for.";
    FILE_RMDIR = "file.rmdir", File, ocsf(Ocsf::FILE, 4),
        [call path dir detail],
        "A directory was removed, or could not be.";
    FILE_MKNOD = "file.mknod", File, ocsf(Ocsf::FILE, 1),
        [call path dir mode],
        "A FIFO, device, socket or file was made by mknod.";
    FILE_TRUNCATE = "file.truncate", File, ocsf(Ocsf::FILE, 3),
        [call path dir dev ino mode size detail],
        "The size of a file was set, or space in it was reserved or freed (`fallocate`).";
    FILE_CHMOD = "file.chmod", File, ocsf(Ocsf::FILE, 6),
        [call path dir dev ino mode detail],
        "Permissions were changed; `mode` is what was asked for.";
    FILE_CHOWN = "file.chown", File, ocsf(Ocsf::FILE, 6),
        [call path dir dev ino mode detail],
        "Owner or group was changed; `detail` has both, -1 for what stays.";
    FILE_UTIME = "file.utime", File, ocsf(Ocsf::FILE, 6),
        [call path dir dev ino mode detail],
        "The times of a file were set.";
    FILE_XATTR = "file.xattr", File, ocsf(Ocsf::FILE, 6),
        [call path dir dev ino mode request detail],
        "An extended attribute was set or removed, or the attributes of the file that its file system has (chattr(1)); `detail` has the name.";
    FILE_IOCTL = "file.ioctl", File, ocsf(Ocsf::FILE, Ocsf::OTHER),
        [call path target dev ino mode rdev request count detail],
        "A device was asked for something only it knows (with `count`: the first such request, and at the end how many), or two files were made to share content: from `target` into `path` (`FICLONE`, `FICLONERANGE`), whose bytes count as read and written, or because they had the same (`FIDEDUPERANGE`).";
    FILE_MOUNT = "file.mount", File, ocsf(Ocsf::FILE, 12),
        [call path dir target target_dir dev ino mode detail],
        "File systems were mounted, moved or prepared for that; `target` is the source, for `pivot_root` and `move_mount` the other place.";
    FILE_UMOUNT = "file.umount", File, ocsf(Ocsf::FILE, 13),
        [call path dir detail],
        "A file system was unmounted, or could not be.";
    FILE_DIGEST = "file.digest", Recorder, None,
        [path dev ino generation size mtime_ns ctime_ns blake3 detail],
        "What is in a file that was executed, opened or mapped: its BLAKE3, or in `detail` the reason why there is none (`docs/digests.md`). `cause` is the record that asked for it; all records with the same `dev`, `ino`, `generation`, `size`, `mtime_ns` and `ctime_ns` are about the same content. Once per version of a file and lineage.";
    NET_BIND = "net.bind", Net, ocsf(Ocsf::NETWORK, Ocsf::OTHER),
        [fd ino transport local_addr local_port peer_addr peer_port net_ns peer_uid peer_pid peer_ino other_end cookie],
        "A socket was given a local address, or could not be.";
    NET_CONNECT = "net.connect", Net, ocsf(Ocsf::NETWORK, 1),
        [fd ino transport local_addr local_port peer_addr peer_port net_ns peer_uid peer_pid peer_ino other_end cookie],
        "A socket was connected, or could not be (OCSF activity 4, Fail, when `result` is negative).";
    NET_ACCEPT = "net.accept", Net, ocsf(Ocsf::NETWORK, 1),
        [fd ino transport local_addr local_port peer_addr peer_port net_ns peer_uid peer_pid peer_ino other_end cookie],
        "A connection was accepted, or could not be.";
    NET_INHERIT = "net.inherit", Net, ocsf(Ocsf::NETWORK, Ocsf::OTHER),
        [fd ino transport local_addr local_port peer_addr peer_port net_ns peer_uid peer_pid peer_ino other_end cookie],
        "First use of a socket the process did not connect, accept or bind itself.";
    NET_SOCKET = "net.socket", Net, ocsf(Ocsf::NETWORK, Ocsf::OTHER),
        [fd ino transport local_addr local_port peer_addr peer_port net_ns peer_uid peer_pid peer_ino other_end cookie detail],
        "A socket was made, or could not be, of a kind that need not be bound, connected or used to matter: raw, packet, netlink, vsock, ICMP and whatever is not TCP, UDP or Unix. `detail` has its numbers.";
    NET_PAIR = "net.pair", Net, ocsf(Ocsf::NETWORK, Ocsf::OTHER),
        [fd ino transport local_addr local_port peer_addr peer_port net_ns peer_uid peer_pid peer_ino other_end cookie],
        "One end of a pair of connected sockets was made (there is a record of each), or no pair could be.";
    NET_LISTEN = "net.listen", Net, ocsf(Ocsf::NETWORK, 7),
        [fd ino transport local_addr local_port peer_addr peer_port net_ns peer_uid peer_pid peer_ino other_end cookie detail],
        "A socket listens for connections, or could not be made to; `detail` has the backlog asked for.";
    NET_SEND = "net.send", Net, ocsf(Ocsf::NETWORK, 6),
        [fd ino transport local_addr local_port peer_addr peer_port net_ns cookie],
        "First bytes the program sent through this descriptor, or its first message to this address through a socket that takes one with each message, or the first that failed so. Of a message with its address the peer is the caller's, so claimed; of others it is the kernel's, if there is one. `result` is the bytes.";
    NET_RECEIVE = "net.receive", Net, ocsf(Ocsf::NETWORK, 6),
        [fd ino transport local_addr local_port peer_addr peer_port net_ns cookie],
        "First message of the process from this address, or first bytes the program received through this descriptor, likewise. Where the caller asked for the address, the kernel wrote it to its memory, where it is read: claimed.";
    NET_SNAPSHOT = "net.snapshot", Net, ocsf(Ocsf::NETWORK, Ocsf::OTHER),
        [fd ino transport local_addr local_port peer_addr peer_port net_ns peer_uid peer_pid peer_ino other_end cookie],
        "A socket the process had when recording reached it, like `file.snapshot`.";
    NET_CLOSE = "net.close", Net, ocsf(Ocsf::NETWORK, 2),
        [fd ino transport local_addr local_port peer_addr peer_port opened bytes_read bytes_written closed_by],
        "A socket was closed; what went through it in this process.";
    DESCRIPTOR_PASS = "descriptor.pass", File, ocsf(Ocsf::FILE, Ocsf::OTHER),
        [call target_uid target_pid fd path host_path flags mode dev ino generation size mtime_ns ctime_ns transport local_addr local_port peer_addr peer_port net_ns cookie socket_ino peer_uid peer_pid peer_ino other_end detail],
        "A descriptor was sent with a message through a Unix socket (`SCM_RIGHTS`), or could not be. Which it is the caller's memory says, so that is claimed; file or socket, with its addresses, are what it led to when the call returned. `socket_ino`, `peer_uid`, `peer_pid`, `peer_ino` and `other_end` are of the socket it went through; `detail` has the descriptor of that and the position in the message.";
    DESCRIPTOR_RECEIVE = "descriptor.receive", File, ocsf(Ocsf::FILE, Ocsf::OTHER),
        [call target_uid target_pid fd path host_path flags mode dev ino generation size mtime_ns ctime_ns transport local_addr local_port peer_addr peer_port net_ns cookie socket_ino peer_uid peer_pid peer_ino other_end detail],
        "A descriptor was received with a message. Which it is the kernel wrote to the memory of the caller, where it is read: claimed likewise. Its later use makes no `file.inherit`, and its close names this record. `detail` has also `close_on_exec` if an exec closes it, `peek` if the message stays in the queue, and `control_cut` if the kernel had more for the message than there was room for.";
    PROCESS_CHROOT = "process.chroot", Process, None,
        [call path dir],
        "The root directory of the process was changed, or could not be.";
    PROCESS_CREDENTIALS = "process.credentials", Process, ocsf(Ocsf::PROCESS, 5),
        [call uid gid euid egid user_ns caps_effective caps_permitted detail],
        "User, groups or capabilities were changed; the fields are those after the call.";
    PROCESS_NAMESPACE = "process.namespace", Process, None,
        [call target_uid target_pid path dev ino mode mnt_ns net_ns user_ns detail],
        "Namespaces were left or entered; the fields are those after the call.";
    PROCESS_CGROUP = "process.cgroup", Process, None,
        [target_uid target_pid cgroup detail],
        "The process, or the one in `target_uid` and `target_pid`, was put into a control group, which may be the one it was in. `cgroup` is that group; of another hierarchy than the unified one its number (`hierarchy`) and the `id` are in `detail`. `detail` has also the `path` of the group in its hierarchy, the `thread` if only that was moved, `by` if a process that is not recorded moved it, and the `container`, if the names of the groups tell of one. A move that was refused makes no record, nor one that the kernel makes by itself, from an old cpuset that has no processors left.";
    PROCESS_PRCTL = "process.prctl", Process, None,
        [call target_uid target_pid uid gid euid egid user_ns caps_effective caps_permitted detail],
        "The process changed what it may do, who may look at it or what it seems to be (`prctl`, `personality`).";
    PROCESS_RESTRICT = "process.restrict", Process, None,
        [call detail],
        "The process put itself under a filter of system calls, a Landlock rule set or another security label.";
    PROCESS_SIGNAL = "process.signal", Process, None,
        [call target_uid target_pid path dev ino mode detail],
        "A signal was sent to another process, or could not be.";
    PROCESS_PTRACE = "process.ptrace", Process, ocsf(Ocsf::PROCESS, 4),
        [call target_uid target_pid request detail],
        "Another process was taken under control, changed or let go by ptrace.";
    PROCESS_MEMORY = "process.memory", Process, ocsf(Ocsf::PROCESS, 4),
        [call target_uid target_pid path dev ino mode detail],
        "Memory of another process was read, written, advised on or given back; `result` is the bytes.";
    PROCESS_EXECMEM = "process.execmem", Process, ocsf(Ocsf::MEMORY, Ocsf::OTHER),
        [call protection detail],
        "The process made memory executable that has no file behind it, or was refused to: what compilers at run time do, and what runs code that was never a file. The first by `mmap` and the first by `mprotect` of each program the process runs, likewise of refusals; others are not counted. With `path` in `truncated` it is not known whether there is a file, because another thread was changing what is mapped; of these each is recorded.";
    PROCESS_GETFD = "process.getfd", Process, ocsf(Ocsf::PROCESS, 3),
        [call target_uid target_pid path dev ino mode detail],
        "A descriptor of another process was duplicated; `path` is what it leads to.";
    PROCESS_RESOURCES = "process.resources", Process, None,
        [call target_uid target_pid detail],
        "How another process runs was changed, or could not be: its limits, its share of processors, its memory.";
    PROCESS_COMPAT = "process.compat", Process, None,
        [call request count detail],
        "A system call of another table than the native one was made, by a 32-bit program: the first with its number, and at the end how many. `call` is its name there; what it did is not recorded.";
    PROCESS_SYSV = "process.sysv", Process, None,
        [call detail],
        "System V shared memory, message queues or semaphores were made, attached, used or removed.";
    KERNEL_BPF = "kernel.bpf", Process, None,
        [call request detail],
        "The kernel was asked to load, attach or use a BPF program or map.";
    KERNEL_PERF = "kernel.perf", Process, None,
        [call target_uid target_pid detail],
        "A performance event was opened.";
    KERNEL_MODULE = "kernel.module", Process, ocsf(Ocsf::MODULE, 1),
        [call path dev ino mode detail],
        "A kernel module was loaded or removed, or could not be.";
    KERNEL_KEYS = "kernel.keys", Process, None,
        [call detail],
        "A key or keyring of the kernel was made, asked for or used.";
    KERNEL_USERFAULTFD = "kernel.userfaultfd", Process, None,
        [call detail],
        "The process asked to handle page faults itself.";
    KERNEL_IO_URING = "kernel.io_uring", Process, None,
        [call request count detail],
        "An io_uring was set up or changed, or requests went through it, which are counted by opcode and have no records of their own.";
    KERNEL_CONTROL = "kernel.control", Process, None,
        [call path dir dev ino mode request count detail],
        "The system as a whole was changed, or would have been: names, clocks, swap, accounting, quotas, ports, terminals and what is put into them, network interfaces, the kernel's log, watching of all files, another kernel; or asynchronous reads and writes were submitted (`io_submit`, counted).";
    THREAD_EXIT = "thread.exit", Process, None,
        [exit_code exit_signal],
        "A thread ended and its process goes on.";
    PROCESS_EXIT = "process.exit", Process, ocsf(Ocsf::PROCESS, 2),
        [exit_code exit_signal],
        "The last thread of the process ended.";
    CONTEXT_CHANGE = "context.change", Recorder, None,
        [detail],
        "What governs the lineage changed: from here on its records name another context, as does this one. `detail` says what changed and from what to what. Its cause is the change before, or the start of the lineage.";
    LINEAGE_END = "lineage.end", Recorder, None,
        [detail],
        "Recording of the lineage ended; `detail` says why and what is still running.";
    EVIDENCE_LOSS = "evidence.loss", Recorder, None,
        [cpu lost_first lost_count detail],
        "Something that happened is not recorded, and that is known: with `cpu`, frames the kernel numbered but had no room for; without, what `detail` says: a crash of the recorder, a full disk, or that the kernel side had no room for something (`counter`), how many `times` since the last such record. Of each counter there is a record when it begins, whenever it has doubled, and at the end.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::schema::FIELDS;

    #[test]
    fn every_listed_field_is_in_the_registry_once() {
        for kind in KINDS {
            for (index, name) in kind.fields.iter().enumerate() {
                assert!(FIELDS.iter().any(|field| field.name == *name), "{name}");
                assert!(!kind.fields[..index].contains(name), "{name} twice");
                assert!(!COMMON.contains(name), "{name} is common to all");
            }
        }
        for name in COMMON.iter().chain(ACTOR) {
            assert!(FIELDS.iter().any(|field| field.name == *name), "{name}");
        }
    }

    #[test]
    fn every_field_of_the_registry_is_carried_by_some_kind() {
        for field in FIELDS {
            assert!(
                KINDS.iter().any(|kind| kind.carries(field.name)),
                "{}",
                field.name
            );
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        for kind in KINDS {
            assert_eq!(find(kind.name), Some(kind));
        }
        assert_eq!(find("process.teleport"), None);
    }
}
