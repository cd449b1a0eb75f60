//! Where the fields of kernel structures are, on the kernel that is running.
//!
//! A probe written in Rust has no field relocations, so the agent resolves every field by name
//! from the kernel's own type information before it loads the probes, and hands them this table as
//! a read-only global. The verifier folds it to constants: it costs nothing at run time.
//!
//! One list below is both the struct the probes read and the table of names the agent resolves, so
//! the two cannot disagree.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of a field that the running kernel does not have. Never 0, which is a real offset.
pub const ABSENT: u32 = u32::MAX;

/// A member of a kernel structure, by name.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The structure's tag, for example `task_struct`.
    pub owner: &'static str,
    /// The member, with dots to descend into named members. Alternatives for kernels that renamed
    /// it are separated by `|`, the newest name first.
    pub member: &'static str,
    /// Whether the probes cannot work without it.
    pub required: bool,
}

macro_rules! required {
    () => {
        true
    };
    (optional) => {
        false
    };
}

macro_rules! kernel_layout {
    ($($name:ident: $owner:literal $member:literal $($optional:ident)?;)*) => {
        /// Byte offsets of the members in [`FIELDS`], in that order, and what follows from them.
        #[repr(C)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
        pub struct KernelLayout {
            $(
                #[doc = concat!("`", $owner, "`: `", $member, "`")]
                pub $name: u32,
            )*
            /// The rest, which is not an offset of a single member.
            pub derived: Derived,
        }

        /// Every member the probes use, in the order of [`KernelLayout`].
        pub const FIELDS: &[Field] = &[
            $(Field {
                owner: $owner,
                member: $member,
                required: required!($($optional)?),
            },)*
        ];

        impl KernelLayout {
            /// A layout in which nothing is known.
            pub const UNKNOWN: Self = Self {
                $($name: ABSENT,)*
                derived: Derived::UNKNOWN,
            };
        }
    };
}

kernel_layout! {
    task_mm: "task_struct" "mm";
    task_exit_code: "task_struct" "exit_code";
    task_exit_state: "task_struct" "exit_state";
    task_flags: "task_struct" "flags";
    task_pid: "task_struct" "pid";
    task_tgid: "task_struct" "tgid";
    task_real_parent: "task_struct" "real_parent";
    task_group_leader: "task_struct" "group_leader";
    task_children: "task_struct" "children";
    task_sibling: "task_struct" "sibling";
    task_thread_node: "task_struct" "thread_node";
    task_thread_pid: "task_struct" "thread_pid";
    task_start_boottime: "task_struct" "start_boottime|real_start_time";
    task_cred: "task_struct" "cred";
    task_comm: "task_struct" "comm";
    task_fs: "task_struct" "fs";
    task_files: "task_struct" "files";
    task_nsproxy: "task_struct" "nsproxy";
    task_signal: "task_struct" "signal";
    task_sighand: "task_struct" "sighand";
    task_cgroups: "task_struct" "cgroups";
    css_set_default: "css_set" "dfl_cgrp";
    cgroup_node: "cgroup" "kn";
    cgroup_root: "cgroup" "root";
    cgroup_root_number: "cgroup_root" "hierarchy_id";
    kernfs_node_id: "kernfs_node" "id";
    signal_live: "signal_struct" "live.counter";
    signal_thread_head: "signal_struct" "thread_head";
    signal_nr_threads: "signal_struct" "nr_threads";
    signal_flags: "signal_struct" "flags";
    signal_pids: "signal_struct" "pids";
    signal_group_exit_code: "signal_struct" "group_exit_code";
    files_count: "files_struct" "count.counter";
    files_fdt: "files_struct" "fdt";
    fdtable_max_fds: "fdtable" "max_fds";
    fdtable_fd: "fdtable" "fd";
    fdtable_close_on_exec: "fdtable" "close_on_exec";
    fs_root_mnt: "fs_struct" "root.mnt";
    fs_root_dentry: "fs_struct" "root.dentry";
    fs_pwd_mnt: "fs_struct" "pwd.mnt";
    fs_pwd_dentry: "fs_struct" "pwd.dentry";
    file_inode: "file" "f_inode";
    file_flags: "file" "f_flags";
    file_mnt: "file" "f_path.mnt";
    file_dentry: "file" "f_path.dentry";
    file_private_data: "file" "private_data";
    file_pos: "file" "f_pos";
    file_mode: "file" "f_mode";
    proc_inode_pid: "proc_inode" "pid";
    proc_inode_inode: "proc_inode" "vfs_inode";
    backing_user_mnt: "backing_file" "user_path.mnt" optional;
    backing_user_dentry: "backing_file" "user_path.dentry" optional;
    inode_mode: "inode" "i_mode";
    inode_ino: "inode" "i_ino";
    inode_rdev: "inode" "i_rdev";
    inode_sb: "inode" "i_sb";
    inode_private: "inode" "i_private";
    inode_size: "inode" "i_size";
    inode_mtime: "inode" "i_mtime_sec|__i_mtime.tv_sec|i_mtime.tv_sec";
    inode_mtime_nsec: "inode" "i_mtime_nsec|__i_mtime.tv_nsec|i_mtime.tv_nsec";
    inode_ctime: "inode" "i_ctime_sec|__i_ctime.tv_sec|i_ctime.tv_sec";
    inode_ctime_nsec: "inode" "i_ctime_nsec|__i_ctime.tv_nsec|i_ctime.tv_nsec";
    inode_generation: "inode" "i_generation";
    super_dev: "super_block" "s_dev";
    super_magic: "super_block" "s_magic";
    super_root: "super_block" "s_root";
    super_flags: "super_block" "s_flags";
    path_mnt: "path" "mnt";
    path_dentry: "path" "dentry";
    dentry_inode: "dentry" "d_inode";
    dentry_sb: "dentry" "d_sb";
    dentry_hash_pprev: "dentry" "d_hash.pprev";
    dentry_parent: "dentry" "d_parent";
    dentry_name_len: "dentry" "d_name.len";
    dentry_name: "dentry" "d_name.name";
    dentry_short_name: "dentry" "d_shortname|d_iname" optional;
    vfsmount_root: "vfsmount" "mnt_root";
    vfsmount_sb: "vfsmount" "mnt_sb";
    mount_vfsmount: "mount" "mnt";
    mount_parent: "mount" "mnt_parent";
    mount_mountpoint: "mount" "mnt_mountpoint";
    mount_ns: "mount" "mnt_ns";
    mm_arg_start: "mm_struct" "arg_start";
    mm_arg_end: "mm_struct" "arg_end";
    mm_env_start: "mm_struct" "env_start";
    mm_env_end: "mm_struct" "env_end";
    mm_start_stack: "mm_struct" "start_stack";
    mm_exe_file: "mm_struct" "exe_file";
    mm_saved_auxv: "mm_struct" "saved_auxv";
    vma_start: "vm_area_struct" "vm_start";
    vma_end: "vm_area_struct" "vm_end";
    vma_flags: "vm_area_struct" "vm_flags|__vm_flags|flags";
    vma_pgoff: "vm_area_struct" "vm_pgoff";
    vma_file: "vm_area_struct" "vm_file";
    bprm_argc: "linux_binprm" "argc";
    bprm_file: "linux_binprm" "file";
    bprm_buf: "linux_binprm" "buf";
    bprm_filename: "linux_binprm" "filename";
    bprm_interp: "linux_binprm" "interp";
    cred_uid: "cred" "uid.val";
    cred_gid: "cred" "gid.val";
    cred_euid: "cred" "euid.val";
    cred_egid: "cred" "egid.val";
    cred_suid: "cred" "suid.val";
    cred_sgid: "cred" "sgid.val";
    cred_fsuid: "cred" "fsuid.val";
    cred_fsgid: "cred" "fsgid.val";
    cred_securebits: "cred" "securebits";
    cred_inheritable: "cred" "cap_inheritable";
    cred_permitted: "cred" "cap_permitted";
    cred_effective: "cred" "cap_effective";
    cred_bounding: "cred" "cap_bset";
    cred_ambient: "cred" "cap_ambient";
    cred_user_ns: "cred" "user_ns";
    user_ns_inum: "user_namespace" "ns.inum";
    nsproxy_mnt_ns: "nsproxy" "mnt_ns";
    nsproxy_net_ns: "nsproxy" "net_ns";
    nsproxy_uts_ns: "nsproxy" "uts_ns";
    nsproxy_ipc_ns: "nsproxy" "ipc_ns";
    nsproxy_pid_ns: "nsproxy" "pid_ns_for_children";
    nsproxy_cgroup_ns: "nsproxy" "cgroup_ns";
    nsproxy_time_ns: "nsproxy" "time_ns_for_children" optional;
    uts_ns_inum: "uts_namespace" "ns.inum";
    ipc_ns_inum: "ipc_namespace" "ns.inum";
    cgroup_ns_inum: "cgroup_namespace" "ns.inum";
    time_ns_inum: "time_namespace" "ns.inum" optional;
    mnt_ns_inum: "mnt_namespace" "ns.inum";
    net_inum: "net" "ns.inum";
    pid_ns_inum: "pid_namespace" "ns.inum";
    pid_level: "pid" "level";
    pid_numbers: "pid" "numbers";
    pid_tasks: "pid" "tasks";
    task_pid_links: "task_struct" "pid_links";
    pid_ns_idr: "pid_namespace" "idr.idr_rt.xa_head" optional;
    xa_node_shift: "xa_node" "shift" optional;
    xa_node_slots: "xa_node" "slots" optional;
    xa_node_marks: "xa_node" "marks" optional;
    upid_nr: "upid" "nr";
    upid_ns: "upid" "ns";
    socket_sk: "socket" "sk";
    socket_type: "socket" "type";
    socket_alloc_socket: "socket_alloc" "socket" optional;
    socket_alloc_inode: "socket_alloc" "vfs_inode" optional;
    sock_family: "sock" "__sk_common.skc_family";
    sock_daddr: "sock" "__sk_common.skc_daddr";
    sock_rcv_saddr: "sock" "__sk_common.skc_rcv_saddr";
    sock_dport: "sock" "__sk_common.skc_dport";
    sock_num: "sock" "__sk_common.skc_num";
    sock_v6_daddr: "sock" "__sk_common.skc_v6_daddr" optional;
    sock_v6_rcv_saddr: "sock" "__sk_common.skc_v6_rcv_saddr" optional;
    sock_net: "sock" "__sk_common.skc_net.net" optional;
    sock_cookie: "sock" "__sk_common.skc_cookie.counter" optional;
    sock_socket: "sock" "sk_socket";
    sock_peer_pid: "sock" "sk_peer_pid" optional;
    sock_type: "sock" "sk_type";
    sock_protocol: "sock" "sk_protocol";
    io_kiocb_opcode: "io_kiocb" "opcode" optional;
    file_count: "file" "f_count.counter" optional;
    file_others: "file" "f_ref.refcnt.counter" optional;
    unix_addr: "unix_sock" "addr" optional;
    unix_peer: "unix_sock" "peer" optional;
    unix_path_mnt: "unix_sock" "path.mnt" optional;
    unix_path_dentry: "unix_sock" "path.dentry" optional;
    unix_address_len: "unix_address" "len" optional;
    unix_address_name: "unix_address" "name" optional;
    tcp_snd_una: "tcp_sock" "snd_una" optional;
    tcp_rcv_nxt: "tcp_sock" "rcv_nxt" optional;
    tcp_bytes_acked: "tcp_sock" "bytes_acked" optional;
    tcp_bytes_received: "tcp_sock" "bytes_received" optional;
    netlink_portid: "netlink_sock" "portid" optional;
    netlink_groups: "netlink_sock" "groups" optional;
    netlink_dst_portid: "netlink_sock" "dst_portid" optional;
    netlink_dst_group: "netlink_sock" "dst_group" optional;
    packet_ifindex: "packet_sock" "ifindex" optional;
    packet_num: "packet_sock" "num" optional;
    packet_device: "packet_sock" "prot_hook.dev" optional;
    net_device_name: "net_device" "name" optional;
    vsock_local: "vsock_sock" "local_addr" optional;
    vsock_remote: "vsock_sock" "remote_addr" optional;
    vsock_cid: "sockaddr_vm" "svm_cid" optional;
    vsock_port: "sockaddr_vm" "svm_port" optional;
}

/// What the agent derives from types and the machine's architecture.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Derived {
    /// First byte of [`FILE_WINDOW`] in `struct file`.
    pub file_window: u32,
    /// First byte of [`INODE_WINDOW`] in `struct inode`.
    pub inode_window: u32,
    /// First byte of [`MTIME_WINDOW`] in `struct inode`.
    pub mtime_window: u32,
    /// First byte of [`SUPER_WINDOW`] in `struct super_block`.
    pub super_window: u32,
    /// First byte of [`DENTRY_WINDOW`] in `struct dentry`.
    pub dentry_window: u32,
    /// Size of `struct upid`, the step of `pid.numbers`.
    pub upid_size: u32,
    /// Offset in `struct pt_regs` of the system call number.
    pub regs_number: u32,
    /// Offsets in `struct pt_regs` of the six system call arguments as they were at entry.
    pub regs_arguments: [u32; 6],
    /// Offset in `struct task_struct` of the 32 bits that tell a 32-bit compatibility system call.
    pub compat_word: u32,
    /// The bits of that word; 0 where there are no such calls.
    pub compat_mask: u32,
    /// 1 when `sched_process_exit` has the argument `group_dead`.
    pub exit_group_dead: u32,
    /// Offset of `child_pid` in the event `sched_process_fork`; [`ABSENT`] where the probes do not
    /// read events.
    pub event_child_pid: u32,
    /// Offset of the locator of `filename` in the event `sched_process_exec`, likewise.
    pub event_filename: u32,
    /// Offset of the locator of `interp` in the event `sched_prepare_exec`, likewise.
    pub event_interp: u32,
    /// Offset of `opcode` in the event `io_uring_submit_req`, likewise.
    pub event_opcode: u32,
    /// Bits of an address within a page.
    pub page_shift: u32,
    /// Type id of the kernel's `bpf_rdonly_cast`; 0 where there is none (before 6.2).
    pub cast_function: u32,
    /// Type id of a structure that is nothing but words, at least [`CAST_BYTES`] of them; 0 where there is none.
    pub cast_words: u32,
}

impl Derived {
    /// Nothing known.
    pub const UNKNOWN: Self = Self {
        file_window: ABSENT,
        inode_window: ABSENT,
        mtime_window: ABSENT,
        super_window: ABSENT,
        dentry_window: ABSENT,
        upid_size: ABSENT,
        regs_number: ABSENT,
        regs_arguments: [ABSENT; 6],
        compat_word: ABSENT,
        compat_mask: 0,
        exit_group_dead: 0,
        event_child_pid: ABSENT,
        event_filename: ABSENT,
        event_interp: ABSENT,
        event_opcode: ABSENT,
        page_shift: ABSENT,
        cast_function: 0,
        cast_words: 0,
    };
}

/// The number that stands in the object for the first word of [`KernelLayout`], and those after it for the others: the
/// agent puts what they are in its place.
pub const FIRST_WORD: u32 = 0x6c61_0000;

/// Number of a helper that the object calls and no kernel has: the agent puts a call of `bpf_rdonly_cast` there.
pub const CAST_CALL: u32 = 0x6c63_6173;

/// Most bytes that are read of a structure whose type the verifier does not know.
pub const CAST_BYTES: usize = INODE_WINDOW;

/// Bytes of `struct file` read at once: all `file_*` members that every open file is asked for lie in
/// them.
pub const FILE_WINDOW: usize = 64;

/// Bytes of `struct inode` read at once: all `inode_*` members lie in them, but on kernels before
/// 6.11 for `inode_generation`.
pub const INODE_WINDOW: usize = 136;

/// Bytes of `struct inode` read at once to see whether the content changed: both parts of
/// `i_mtime` lie in them.
pub const MTIME_WINDOW: usize = 24;

/// Bytes of `struct dentry` read at once: all `dentry_*` members but
/// `d_inode` and `d_sb` lie in them.
pub const DENTRY_WINDOW: usize = 80;

/// Bytes of a name kept in the dentry itself, at most: `DNAME_INLINE_LEN`
/// (`include/linux/dcache.h`).
pub const SHORT_NAME_BYTES: usize = 40;

/// Bytes of `struct super_block` read at once: all `super_*` members but `super_root` lie in them.
pub const SUPER_WINDOW: usize = 96;

/// Length of the system call table; no number of an action reaches it.
pub const SYSCALLS_MAX: usize = 512;

/// What a probe does when a system call returns: an entry of the table indexed by its number.
///
/// The table is read-only data set by the agent for the machine's architecture.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Action(pub u8);

impl Action {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// `open(path, flags, mode)`
    pub const OPEN: Self = Self(1);
    /// `openat(dirfd, path, flags, mode)`
    pub const OPENAT: Self = Self(2);
    /// `openat2(dirfd, path, how, size)`
    pub const OPENAT2: Self = Self(3);
    /// `creat(path, mode)`
    pub const CREAT: Self = Self(4);
    /// `open_by_handle_at(mount_fd, handle, flags)`
    pub const OPEN_BY_HANDLE: Self = Self(5);
    /// `close(fd)`
    pub const CLOSE: Self = Self(6);
    /// `close_range(first, last, flags)`
    pub const CLOSE_RANGE: Self = Self(7);
    /// `dup2(old, new)`, `dup3(old, new, flags)`
    pub const DUP2: Self = Self(8);
    /// A call that moved `result` bytes from the descriptor in argument 0.
    pub const READ: Self = Self(9);
    /// A call that moved `result` bytes into the descriptor in argument 0.
    pub const WRITE: Self = Self(10);
    /// `sendfile(out, in, …)`: `result` bytes from argument 1 into argument 0.
    pub const SENDFILE: Self = Self(11);
    /// `splice(in, …, out, …)`, `copy_file_range(in, …, out, …)`: from argument 0 into 2.
    pub const SPLICE: Self = Self(12);
    /// `tee(in, out, …)`: from argument 0 into 1, nothing consumed.
    pub const TEE: Self = Self(13);
    /// `vmsplice(fd, …)`: `result` bytes into the descriptor in argument 0 if it can be written to,
    /// otherwise from it.
    pub const VMSPLICE: Self = Self(27);
    /// `recvmmsg(fd, messages, …)`: `result` messages, each with its own length.
    pub const RECVMMSG: Self = Self(14);
    /// `sendmmsg(fd, messages, …)`
    pub const SENDMMSG: Self = Self(15);
    /// `connect(fd, address, length)`
    pub const CONNECT: Self = Self(16);
    /// `accept(fd, …)`, `accept4(fd, …)`
    pub const ACCEPT: Self = Self(17);
    /// `bind(fd, address, length)`
    pub const BIND: Self = Self(18);
    /// `socket(family, type, protocol)`: recorded when no other record would tell of it; otherwise
    /// its close will be known as a socket's.
    pub const SOCKET: Self = Self(19);
    /// `execve(path, argv, envp)`: recorded here only when it failed.
    pub const EXECVE: Self = Self(20);
    /// `execveat(dirfd, path, argv, envp, flags)`: likewise.
    pub const EXECVEAT: Self = Self(21);
    /// `fork`, `vfork`, `clone`, `clone3`: recorded here only when it failed.
    pub const FORK: Self = Self(22);
    /// Nothing in the native table, but the number of a traced call in the 32-bit one.
    pub const COMPAT_ONLY: Self = Self(23);
    /// `memfd_create(name, flags)`
    pub const MEMFD: Self = Self(24);
    /// `memfd_secret(flags)`
    pub const MEMFD_SECRET: Self = Self(25);
    /// `pipe(fds)`, `pipe2(fds, flags)`
    pub const PIPE: Self = Self(26);
    /// `io_uring_enter`: makes no record, but what was decided about its requests ends with it.
    pub const RING: Self = Self(28);

    /// `mq_timedsend(queue, message, bytes, …)`: all of argument 2, when it succeeds.
    pub const MQ_SEND: Self = Self(40);
    /// `io_submit(context, count, requests)`: counted.
    pub const IO_SUBMIT: Self = Self(41);
    /// `listen(fd, backlog)`
    pub const LISTEN: Self = Self(50);
    /// `socketpair(family, type, protocol, fds)`
    pub const PAIR: Self = Self(51);
    /// `sendto(fd, …, flags, address, length)`: as [`Action::WRITE`], with an address or none.
    pub const SENDTO: Self = Self(52);
    /// `sendmsg(fd, message, flags)`: likewise.
    pub const SENDMSG: Self = Self(53);
    /// `recvfrom(fd, …, address, length)`: as [`Action::READ`], with room for an address or none.
    pub const RECVFROM: Self = Self(54);
    /// `recvmsg(fd, message, flags)`: likewise.
    pub const RECVMSG: Self = Self(55);

    /// `mmap(address, length, protection, flags, fd, offset)`: of files, and of memory that can be
    /// executed.
    pub const MMAP: Self = Self(60);
    /// `mprotect(address, length, protection)`, `pkey_mprotect(address, length, protection, key)`: only
    /// to be executed.
    pub const MPROTECT: Self = Self(61);

    /// From here on actions differ only in which arguments name what: see
    /// [`crate::calls::SHAPES`].
    pub const SHAPED: u8 = 64;

    /// Only the arguments matter.
    pub const ARGUMENTS: Self = Self(64);
    /// `(path, …)`
    pub const PATH: Self = Self(65);
    /// `(dirfd, path, …)`
    pub const PATH_AT: Self = Self(66);
    /// `(fd, …)`
    pub const DESCRIPTOR: Self = Self(67);
    /// `(path, target)`
    pub const PATHS: Self = Self(68);
    /// `(dirfd, path, target_dirfd, target, …)`
    pub const PATHS_AT: Self = Self(69);
    /// `(content, path)`
    pub const SYMLINK: Self = Self(70);
    /// `(content, dirfd, path)`
    pub const SYMLINK_AT: Self = Self(71);
    /// `(source, path, type, …)`
    pub const MOUNT: Self = Self(72);
    /// `(path, name, …)`
    pub const PATH_TEXT: Self = Self(73);
    /// `(dirfd, path, flags, name, …)`
    pub const PATH_AT_TEXT: Self = Self(74);
    /// `(fd, name, …)`
    pub const DESCRIPTOR_TEXT: Self = Self(75);
    /// `(name, …)`
    pub const TEXT: Self = Self(76);
    /// `pidfd_getfd(pidfd, …)`: what matters is the descriptor returned.
    pub const RESULT: Self = Self(77);
    /// Changes credentials.
    pub const CREDENTIALS: Self = Self(78);
    /// Changes namespaces.
    pub const NAMESPACES: Self = Self(79);
    /// `setns(fd, …)`
    pub const SETNS: Self = Self(80);
    /// `prctl(option, …)`: only options that change what a process may do or be.
    pub const PRCTL: Self = Self(81);
    /// `ptrace(request, pid, …)`: only requests that change the other process or begin or end it.
    pub const PTRACE: Self = Self(82);
    /// `(pid, signal, …)`: not to the process itself, and not signal 0, which only asks.
    pub const SIGNAL: Self = Self(83);
    /// `(pid, tid, signal, …)`, likewise.
    pub const SIGNAL_THREAD: Self = Self(84);
    /// `(pidfd, signal, …)`, likewise.
    pub const SIGNAL_PIDFD: Self = Self(85);
    /// `(pid, …)`
    pub const PROCESS: Self = Self(86);
    /// `(pid, …)`: not to the process itself.
    pub const OTHER: Self = Self(87);
    /// `(pidfd, …)`, likewise.
    pub const OTHER_PIDFD: Self = Self(88);
    /// `prlimit64(pid, resource, new, old)`, likewise, and only with new limits.
    pub const LIMITS: Self = Self(89);
    /// `setpriority(which, id, priority)`, likewise.
    pub const PRIORITY: Self = Self(90);
    /// `perf_event_open(attributes, pid, cpu, group, flags)`
    pub const PERF: Self = Self(91);
    /// `personality(persona)`: not only asked for.
    pub const PERSONALITY: Self = Self(92);
    /// `ioctl(fd, request, …)`: only requests that matter by themselves; those on devices are counted.
    pub const IOCTL: Self = Self(94);
    /// `ioctl(fd, request, other_fd)`: likewise, of two files.
    pub const IOCTL_TWO: Self = Self(95);
}

const _: () = {
    assert!(size_of::<KernelLayout>() == FIELDS.len() * 4 + size_of::<Derived>());
    assert!(size_of::<Derived>() == 92);
};
