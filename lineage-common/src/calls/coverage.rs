//! What becomes of each system call of Linux: recorded, and how; or not, and why.
//!
//! Together with [`SYSCALLS`](super::SYSCALLS) this covers every native call of x86-64 and 64-bit
//! ARM. `docs/coverage.md` is made of it, and a test compares it with the running kernel.

use super::{Shape, Syscall, shape};
use crate::layout::Action;

/// How much of a call is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// What the record says comes from the kernel.
    Kernel,
    /// What it says of names comes from the memory of the process.
    Claimed,
    /// It has no record of its own: its bytes are counted in another.
    Counted,
    /// Nothing.
    Unseen,
}

impl Column {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Claimed => "claimed",
            Self::Counted => "counted",
            Self::Unseen => "not seen",
        }
    }
}

/// How a recorded call is recorded, and what the record says.
#[must_use]
pub fn recorded(call: &Syscall) -> (Column, &'static str) {
    if let Some(shape) = shape(call.action) {
        return shaped(call.action, shape);
    }
    if moves_bytes(call.action) {
        return (
            Column::Counted,
            "the first through each descriptor, and the first after others changed the file or read what was written; all bytes at the close",
        );
    }
    match call.action {
        Action::OPEN
        | Action::OPENAT
        | Action::OPENAT2
        | Action::CREAT
        | Action::OPEN_BY_HANDLE => (
            Column::Kernel,
            "the file behind the new descriptor; of a failure, the name as given, and the kernel's path of the directory it starts from",
        ),
        Action::IO_SUBMIT => (
            Column::Counted,
            "the first, and at the end of the process how many",
        ),
        Action::SENDTO => (
            Column::Claimed,
            "the first message to each address that the caller gives, otherwise the first through each descriptor, a connection made so, and the bytes at the close",
        ),
        Action::SENDMSG | Action::SENDMMSG => (
            Column::Claimed,
            "the first message to each address that the caller gives, a connection made so, the bytes at the close, and each descriptor that goes with a message",
        ),
        Action::RECVFROM => (
            Column::Claimed,
            "the first message from each address that the caller asks for, otherwise the first through each descriptor, and the bytes at the close",
        ),
        Action::RECVMSG | Action::RECVMMSG => (
            Column::Claimed,
            "the first message from each address that the caller asks for, the bytes at the close, and each descriptor that comes with a message",
        ),
        Action::SOCKET => (
            Column::Kernel,
            "sockets that need not be bound or connected to matter; others from their first use on",
        ),
        Action::PAIR | Action::PIPE => (Column::Kernel, "both ends, where they are certain"),
        Action::EXECVE | Action::EXECVEAT => (
            Column::Kernel,
            "the executable's file; arguments, and the name of what failed, as given, with the directory it starts from",
        ),
        Action::FORK => (
            Column::Kernel,
            "the new process or thread, and what it shares with its creator or has of its own: memory, descriptors, namespaces, control group",
        ),
        Action::MMAP => (
            Column::Kernel,
            "of each descriptor the first private mapping, the first shared one, the first shared for writing, and every executable one; the first use of a descriptor the process did not open; memory shared with children; the first executable memory without a file; that something executable was refused",
        ),
        Action::MPROTECT => (
            Column::Kernel,
            "what makes memory executable, and of which file: each of a file, and the first without one; that it was refused",
        ),
        Action::CLOSE | Action::CLOSE_RANGE | Action::DUP2 => (
            Column::Kernel,
            "that it was closed; what it was and what went through it, if it was opened or used",
        ),
        _ => (Column::Kernel, "what the descriptor leads to"),
    }
}

const fn moves_bytes(action: Action) -> bool {
    matches!(
        action,
        Action::READ
            | Action::WRITE
            | Action::SENDFILE
            | Action::SPLICE
            | Action::TEE
            | Action::VMSPLICE
            | Action::MQ_SEND
    )
}

const fn shaped(action: Action, shape: Shape) -> (Column, &'static str) {
    match action {
        Action::PRCTL => {
            return (
                Column::Kernel,
                "options that change what the process may do or be, and its credentials afterwards",
            );
        }
        Action::IOCTL => {
            return (
                Column::Counted,
                "of devices but terminals, the first of each request, and at the end of the process how many; each that shares content between files, changes their attributes, puts input into a terminal or makes a network interface",
            );
        }
        Action::PTRACE => {
            return (
                Column::Kernel,
                "requests that begin, end or change; not those that read, wait and continue",
            );
        }
        Action::SIGNAL | Action::SIGNAL_THREAD | Action::SIGNAL_PIDFD => {
            return (Column::Kernel, "signals to other processes, and which");
        }
        Action::OTHER
        | Action::OTHER_PIDFD
        | Action::LIMITS
        | Action::PRIORITY
        | Action::PROCESS
        | Action::PERF => {
            return (
                Column::Kernel,
                "its arguments, and which other process it is about",
            );
        }
        Action::PERSONALITY => {
            return (Column::Kernel, "its arguments, unless it only asks");
        }
        _ => {}
    }
    let named = shape.name < Shape::NONE;
    let at = shape.base < Shape::HERE;
    match (named, at) {
        (true, true) => (
            Column::Claimed,
            "the name as given, and the kernel's path of the directory it starts from; without a name, what the descriptor leads to",
        ),
        (true, false) => (
            Column::Claimed,
            "the name as given, and the kernel's path of the directory it starts from",
        ),
        (false, _) if shape.base < Shape::NONE && shape.text < Shape::NONE => (
            Column::Claimed,
            "what the descriptor leads to, and the text as given",
        ),
        (false, _) if shape.base < Shape::NONE => (Column::Kernel, "what the descriptor leads to"),
        (false, _) if shape.state == Shape::CREDENTIALS => {
            (Column::Kernel, "the credentials afterwards")
        }
        (false, _) if shape.state == Shape::NAMESPACES => {
            (Column::Kernel, "the namespaces afterwards")
        }
        (false, _) if shape.text < Shape::NONE => {
            (Column::Claimed, "its arguments, and the text as given")
        }
        (false, _) => (Column::Kernel, "its arguments"),
    }
}

/// Why a call has no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It tells the process something and changes nothing.
    Looks,
    /// It changes only the process that makes it.
    Own,
    /// It reserves, maps or protects memory of the process, without a file.
    Memory,
    /// Clocks, timers and processor time.
    Time,
    /// It waits for something, or tells that something has happened.
    Waits,
    /// It has what was written before put on the disk.
    Flushes,
    /// What comes of it is seen elsewhere: the text says where.
    Elsewhere(&'static str),
    /// It is a gap with this name in the list of what is not seen.
    BlindSpot(&'static str),
    /// No supported kernel has more of it than its number.
    Gone,
}

impl Why {
    /// A sentence for it, without what is particular to one call.
    #[must_use]
    pub const fn doc(self) -> &'static str {
        match self {
            Self::Looks => "only looks: names, attributes and states, no content of files",
            Self::Own => "changes only the process itself",
            Self::Memory => "memory of its own, without a file",
            Self::Time => "time and scheduling of its own",
            Self::Waits => "waits, or wakes who waits",
            Self::Flushes => "puts on the disk what was written before",
            Self::Elsewhere(where_seen) => where_seen,
            Self::BlindSpot(_) => "a gap",
            Self::Gone => "no supported kernel has it",
        }
    }
}

/// Every native call of Linux on x86-64 and 64-bit ARM that is not in
/// [`SYSCALLS`](super::SYSCALLS): the reason, and the names with spaces between them.
pub const UNRECORDED: &[(Why, &str)] = &[
    (
        Why::Looks,
        "access cachestat capget faccessat faccessat2 fgetxattr file_getattr flistxattr fstat \
         fstatfs get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 \
         getegid geteuid getgid getgroups getpeername getpgid getpgrp getpid getppid getpriority \
         getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid \
         getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch \
         ioprio_get kcmp lgetxattr listmount listns listxattr listxattrat llistxattr \
         lookup_dcookie lsm_get_self_attr lsm_list_modules lstat mincore mq_getsetattr \
         name_to_handle_at newfstatat readlink readlinkat sched_get_priority_max \
         sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler \
         sched_rr_get_interval stat statfs statmount statx sysfs sysinfo uname ustat",
    ),
    (
        Why::Own,
        "arch_prctl epoll_create epoll_create1 epoll_ctl eventfd eventfd2 io_cancel io_destroy \
         lseek modify_ldt mq_notify restart_syscall rseq rseq_slice_yield rt_sigaction \
         rt_sigpending rt_sigprocmask rt_sigreturn set_robust_list set_thread_area \
         set_tid_address setrlimit setsid shutdown sigaltstack signalfd signalfd4 \
         timerfd_create umask uprobe uretprobe",
    ),
    (
        Why::Memory,
        "brk fadvise64 madvise map_shadow_stack mbind membarrier mlock mlock2 mlockall mseal \
         msync munlock munlockall munmap pkey_alloc pkey_free readahead set_mempolicy \
         set_mempolicy_home_node",
    ),
    (
        Why::Time,
        "alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep \
         sched_yield setitimer time timer_create timer_delete timer_getoverrun timer_gettime \
         timer_settime timerfd_gettime timerfd_settime times",
    ),
    (
        Why::Waits,
        "epoll_pwait epoll_pwait2 epoll_wait flock futex futex_requeue futex_wait futex_waitv \
         futex_wake io_getevents io_pgetevents pause poll ppoll pselect6 rt_sigsuspend \
         rt_sigtimedwait select semop semtimedop wait4 waitid",
    ),
    (Why::Flushes, "fdatasync fsync sync sync_file_range syncfs"),
    (
        Why::Elsewhere("the end of the process or thread: `process.exit`, `thread.exit`"),
        "exit exit_group",
    ),
    (
        Why::Elsewhere("every relative name is recorded with the directory it starts from"),
        "chdir fchdir",
    ),
    (
        Why::Elsewhere("a duplicate of a descriptor is recorded at its first use"),
        "dup fcntl",
    ),
    (
        Why::Elsewhere(
            "what the descriptor is used for: `process.signal`, `process.getfd`, `process.namespace`",
        ),
        "pidfd_open",
    ),
    (
        Why::Elsewhere("that it was attached: `process.sysv`"),
        "shmdt",
    ),
    (Why::BlindSpot("io-uring"), "io_uring_enter"),
    (Why::BlindSpot("socket-options"), "setsockopt"),
    (
        Why::Elsewhere("what is mapped already, at another place or in another order: `file.map`"),
        "mremap remap_file_pages",
    ),
    (Why::BlindSpot("scheduling-of-others"), "ioprio_set setpgid"),
    (
        Why::Gone,
        "_sysctl afs_syscall create_module epoll_ctl_old epoll_wait_old get_kernel_syms getpmsg \
         nfsservctl putpmsg query_module security tuxcall uselib vserver",
    ),
];

/// Every call that is not recorded, with the reason.
pub fn unrecorded() -> impl Iterator<Item = (&'static str, Why)> {
    UNRECORDED
        .iter()
        .flat_map(|(why, names)| names.split_ascii_whitespace().map(|name| (name, *why)))
}
