//! The system calls that are recorded: their names, their numbers, and what their arguments mean.
//!
//! One table for both sides: the agent makes of it what the probes look at when a call returns,
//! and the name of a call whose frame carries its number. A call that is not in it is not seen;
//! `docs/coverage.md` says of each of those why.

use crate::{
    layout::{Action, SYSCALLS_MAX},
    policy::Operation,
};

pub mod coverage;

/// A system call that is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Syscall {
    /// Its name, as in the kernel's tables.
    pub name: &'static str,
    /// Its number on x86-64
    /// ([`arch/x86/entry/syscalls/syscall_64.tbl`](https://elixir.bootlin.com/linux/v6.12/source/arch/x86/entry/syscalls/syscall_64.tbl));
    /// [`NO_NUMBER`] when there is none.
    pub x86_64: u16,
    /// Its number on 64-bit ARM
    /// ([`scripts/syscall.tbl`](https://elixir.bootlin.com/linux/v6.12/source/scripts/syscall.tbl)).
    pub aarch64: u16,
    /// What the probes do when it returns.
    pub action: Action,
}

/// The architecture has no such call.
pub const NO_NUMBER: u16 = u16::MAX;

/// The architecture whose kernel is running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine {
    /// x86-64
    X86_64,
    /// 64-bit ARM
    Aarch64,
}

impl Machine {
    /// The machine this program was built for, if the probes know its registers.
    #[must_use]
    pub const fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// The number of a call on this machine.
    #[must_use]
    pub const fn number(self, call: &Syscall) -> Option<usize> {
        let number = match self {
            Self::X86_64 => call.x86_64,
            Self::Aarch64 => call.aarch64,
        };
        if number == NO_NUMBER {
            None
        } else {
            Some(number as usize)
        }
    }
}

/// The recorded call with this number on the machine this program was built for.
#[must_use]
pub fn named(number: u32) -> Option<&'static Syscall> {
    let index = *NATIVE.get(usize::try_from(number).ok()?)?;
    SYSCALLS.get(usize::from(index))
}

/// Index in [`SYSCALLS`] by number on this machine.
const NATIVE: [u16; SYSCALLS_MAX] = {
    let mut table = [u16::MAX; SYSCALLS_MAX];
    let mut index = 0;
    while index < SYSCALLS.len() {
        if let Some(machine) = Machine::native()
            && let Some(number) = machine.number(&SYSCALLS[index])
        {
            table[number] = index as u16;
        }
        index += 1;
    }
    table
};

/// What a call does to the file that it names.
#[must_use]
pub fn judged(name: &str) -> Option<Operation> {
    Some(match name {
        "unlink" | "unlinkat" | "rmdir" => Operation::DELETE,
        "rename" | "renameat" | "renameat2" => Operation::RENAME,
        "link" | "linkat" | "symlink" | "symlinkat" => Operation::LINK,
        "mkdir" | "mkdirat" | "mknod" | "mknodat" => Operation::CREATE,
        "truncate" => Operation::WRITE,
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" | "chown" | "lchown" | "fchown"
        | "fchownat" | "setxattr" | "lsetxattr" | "fsetxattr" | "setxattrat" | "removexattr"
        | "lremovexattr" | "fremovexattr" | "removexattrat" | "file_setattr" => Operation::CHMOD,
        _ => return None,
    })
}

/// Which arguments of a call name what, for calls that are recorded by one and the same probe. An
/// argument is given by its position; [`Shape::HERE`] and [`Shape::RESULT`] stand for what is none.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// The directory that a relative `name` starts from; without a name, the descriptor acted on.
    pub base: u8,
    /// The path acted on.
    pub name: u8,
    /// As `base`, of `target`.
    pub target_base: u8,
    /// A second path: the new name of a rename.
    pub target: u8,
    /// Text that is no path, such as the name of an attribute.
    pub text: u8,
    /// The id of a process or thread, in the pid namespace of the caller; with [`Shape::PIDFD`]
    /// added a descriptor that may stand for one.
    pub process: u8,
    /// What else is read of the process when the call has succeeded: one of [`Shape::NOTHING`],
    /// [`Shape::CREDENTIALS`], [`Shape::NAMESPACES`].
    pub state: u8,
}

impl Shape {
    /// The working directory.
    pub const HERE: u8 = 6;
    /// The descriptor the call returned.
    pub const RESULT: u8 = 7;
    /// There is none.
    pub const NONE: u8 = 8;
    /// Added to the position of an argument: see [`Shape::process`].
    pub const PIDFD: u8 = 16;

    /// No state.
    pub const NOTHING: u8 = 0;
    /// [`crate::frame::Credentials`].
    pub const CREDENTIALS: u8 = 1;
    /// [`crate::frame::Namespaces`].
    pub const NAMESPACES: u8 = 2;

    /// Only the arguments as numbers.
    const PLAIN: Self = Self {
        base: Self::NONE,
        name: Self::NONE,
        target_base: Self::NONE,
        target: Self::NONE,
        text: Self::NONE,
        process: Self::NONE,
        state: Self::NOTHING,
    };

    const fn of(base: u8, name: u8) -> Self {
        Self {
            base,
            name,
            ..Self::PLAIN
        }
    }

    const fn to(self, target_base: u8, target: u8) -> Self {
        Self {
            target_base,
            target,
            ..self
        }
    }

    const fn with_text(self, text: u8) -> Self {
        Self { text, ..self }
    }

    const fn on(self, process: u8) -> Self {
        Self { process, ..self }
    }

    const fn with_state(self, state: u8) -> Self {
        Self { state, ..self }
    }
}

/// Number of actions that have a [`Shape`].
pub const SHAPES_COUNT: usize = 32;

/// The shape of each action from [`Action::SHAPED`] on.
pub const SHAPES: [Shape; SHAPES_COUNT] = {
    const HERE: u8 = Shape::HERE;
    const NONE: u8 = Shape::NONE;
    const PIDFD: u8 = Shape::PIDFD;
    let mut shapes = [Shape::PLAIN; SHAPES_COUNT];
    let rows = [
        (Action::PATH, Shape::of(HERE, 0)),
        (Action::PATH_AT, Shape::of(0, 1)),
        (Action::DESCRIPTOR, Shape::of(0, NONE)),
        (Action::PATHS, Shape::of(HERE, 0).to(HERE, 1)),
        (Action::PATHS_AT, Shape::of(0, 1).to(2, 3)),
        (Action::SYMLINK, Shape::of(HERE, 1).with_text(0)),
        (Action::SYMLINK_AT, Shape::of(1, 2).with_text(0)),
        (Action::MOUNT, Shape::of(HERE, 1).to(HERE, 0).with_text(2)),
        (Action::PATH_TEXT, Shape::of(HERE, 0).with_text(1)),
        (Action::PATH_AT_TEXT, Shape::of(0, 1).with_text(3)),
        (Action::DESCRIPTOR_TEXT, Shape::of(0, NONE).with_text(1)),
        (Action::TEXT, Shape::PLAIN.with_text(0)),
        (Action::RESULT, Shape::of(Shape::RESULT, NONE).on(PIDFD)),
        (
            Action::CREDENTIALS,
            Shape::PLAIN.with_state(Shape::CREDENTIALS),
        ),
        (
            Action::NAMESPACES,
            Shape::PLAIN.with_state(Shape::NAMESPACES),
        ),
        (
            Action::SETNS,
            Shape::of(0, NONE).on(PIDFD).with_state(Shape::NAMESPACES),
        ),
        (
            Action::PRCTL,
            Shape::PLAIN.on(1).with_state(Shape::CREDENTIALS),
        ),
        (Action::PTRACE, Shape::PLAIN.on(1)),
        (Action::SIGNAL, Shape::PLAIN.on(0)),
        (Action::SIGNAL_THREAD, Shape::PLAIN.on(0)),
        (Action::SIGNAL_PIDFD, Shape::of(0, NONE).on(PIDFD)),
        (Action::PROCESS, Shape::PLAIN.on(0)),
        (Action::OTHER, Shape::PLAIN.on(0)),
        (Action::OTHER_PIDFD, Shape::of(0, NONE).on(PIDFD)),
        (Action::LIMITS, Shape::PLAIN.on(0)),
        (Action::PRIORITY, Shape::PLAIN.on(1)),
        (Action::PERF, Shape::PLAIN.on(1)),
        (Action::IOCTL, Shape::of(0, NONE)),
        (Action::IOCTL_TWO, Shape::of(0, NONE).to(2, NONE)),
    ];
    let mut row = 0;
    while row < rows.len() {
        shapes[(rows[row].0.0 - Action::SHAPED) as usize] = rows[row].1;
        row += 1;
    }
    shapes
};

/// The shape of an action, if it has one.
#[must_use]
pub fn shape(action: Action) -> Option<Shape> {
    let index = action.0.checked_sub(Action::SHAPED)?;
    SHAPES.get(usize::from(index)).copied()
}

macro_rules! syscalls {
    ($($name:literal $x86_64:tt $aarch64:tt $action:ident;)*) => {
        /// Every recorded call, grouped by what it acts on.
        pub const SYSCALLS: &[Syscall] = &[$(Syscall {
            name: $name,
            x86_64: number!($x86_64),
            aarch64: number!($aarch64),
            action: Action::$action,
        }),*];
    };
}

macro_rules! number {
    (_) => {
        NO_NUMBER
    };
    ($number:literal) => {
        $number
    };
}

syscalls! {
    // Bytes through descriptors.
    "read" 0 63 READ;
    "write" 1 64 WRITE;
    "pread64" 17 67 READ;
    "pwrite64" 18 68 WRITE;
    "readv" 19 65 READ;
    "writev" 20 66 WRITE;
    "preadv" 295 69 READ;
    "pwritev" 296 70 WRITE;
    "preadv2" 327 286 READ;
    "pwritev2" 328 287 WRITE;
    "sendfile" 40 71 SENDFILE;
    "splice" 275 76 SPLICE;
    "tee" 276 77 TEE;
    "vmsplice" 278 75 VMSPLICE;
    "copy_file_range" 326 285 SPLICE;
    "mq_timedsend" 242 182 MQ_SEND;
    "mq_timedreceive" 243 183 READ;
    // Memory.
    "mmap" 9 222 MMAP;
    "mprotect" 10 226 MPROTECT;
    "pkey_mprotect" 329 288 MPROTECT;
    // Descriptors made and ended.
    "open" 2 _ OPEN;
    "openat" 257 56 OPENAT;
    "openat2" 437 437 OPENAT2;
    "creat" 85 _ CREAT;
    "open_by_handle_at" 304 265 OPEN_BY_HANDLE;
    "memfd_create" 319 279 MEMFD;
    "memfd_secret" 447 447 MEMFD_SECRET;
    "mq_open" 240 180 OPEN;
    "pipe" 22 _ PIPE;
    "pipe2" 293 59 PIPE;
    "close" 3 57 CLOSE;
    "close_range" 436 436 CLOSE_RANGE;
    "dup2" 33 _ DUP2;
    "dup3" 292 24 DUP2;
    // Names and attributes of files.
    "rename" 82 _ PATHS;
    "renameat" 264 38 PATHS_AT;
    "renameat2" 316 276 PATHS_AT;
    "link" 86 _ PATHS;
    "linkat" 265 37 PATHS_AT;
    "symlink" 88 _ SYMLINK;
    "symlinkat" 266 36 SYMLINK_AT;
    "unlink" 87 _ PATH;
    "unlinkat" 263 35 PATH_AT;
    "mq_unlink" 241 181 PATH;
    "mkdir" 83 _ PATH;
    "mkdirat" 258 34 PATH_AT;
    "rmdir" 84 _ PATH;
    "mknod" 133 _ PATH;
    "mknodat" 259 33 PATH_AT;
    "truncate" 76 45 PATH;
    "ftruncate" 77 46 DESCRIPTOR;
    "fallocate" 285 47 DESCRIPTOR;
    "chmod" 90 _ PATH;
    "fchmod" 91 52 DESCRIPTOR;
    "fchmodat" 268 53 PATH_AT;
    "fchmodat2" 452 452 PATH_AT;
    "chown" 92 _ PATH;
    "lchown" 94 _ PATH;
    "fchown" 93 55 DESCRIPTOR;
    "fchownat" 260 54 PATH_AT;
    "utime" 132 _ PATH;
    "utimes" 235 _ PATH;
    "futimesat" 261 _ PATH_AT;
    "utimensat" 280 88 PATH_AT;
    "setxattr" 188 5 PATH_TEXT;
    "lsetxattr" 189 6 PATH_TEXT;
    "fsetxattr" 190 7 DESCRIPTOR_TEXT;
    "setxattrat" 463 463 PATH_AT_TEXT;
    "removexattr" 197 14 PATH_TEXT;
    "lremovexattr" 198 15 PATH_TEXT;
    "fremovexattr" 199 16 DESCRIPTOR_TEXT;
    "removexattrat" 466 466 PATH_AT_TEXT;
    "file_setattr" 469 469 PATH_AT;
    // What file systems are where.
    "mount" 165 40 MOUNT;
    "umount2" 166 39 PATH;
    "pivot_root" 155 41 PATHS;
    "move_mount" 429 429 PATHS_AT;
    "open_tree" 428 428 PATH_AT;
    "open_tree_attr" 467 467 PATH_AT;
    "mount_setattr" 442 442 PATH_AT;
    "fsopen" 430 430 TEXT;
    "fspick" 433 433 PATH_AT;
    "fsconfig" 431 431 DESCRIPTOR;
    "fsmount" 432 432 DESCRIPTOR;
    "chroot" 161 51 PATH;
    // Devices, and files in ways of their file systems.
    "ioctl" 16 29 IOCTL;
    // Sockets.
    "socket" 41 198 SOCKET;
    "socketpair" 53 199 PAIR;
    "listen" 50 201 LISTEN;
    "connect" 42 203 CONNECT;
    "accept" 43 202 ACCEPT;
    "accept4" 288 242 ACCEPT;
    "bind" 49 200 BIND;
    "sendto" 44 206 SENDTO;
    "sendmsg" 46 211 SENDMSG;
    "sendmmsg" 307 269 SENDMMSG;
    "recvfrom" 45 207 RECVFROM;
    "recvmsg" 47 212 RECVMSG;
    "recvmmsg" 299 243 RECVMMSG;
    // Processes.
    "execve" 59 221 EXECVE;
    "execveat" 322 281 EXECVEAT;
    "fork" 57 _ FORK;
    "vfork" 58 _ FORK;
    "clone" 56 220 FORK;
    "clone3" 435 435 FORK;
    // What a process may do.
    "setuid" 105 146 CREDENTIALS;
    "setgid" 106 144 CREDENTIALS;
    "setreuid" 113 145 CREDENTIALS;
    "setregid" 114 143 CREDENTIALS;
    "setresuid" 117 147 CREDENTIALS;
    "setresgid" 119 149 CREDENTIALS;
    "setfsuid" 122 151 CREDENTIALS;
    "setfsgid" 123 152 CREDENTIALS;
    "setgroups" 116 159 CREDENTIALS;
    "capset" 126 91 CREDENTIALS;
    "unshare" 272 97 NAMESPACES;
    "setns" 308 268 SETNS;
    "prctl" 157 167 PRCTL;
    "seccomp" 317 277 ARGUMENTS;
    "landlock_create_ruleset" 444 444 ARGUMENTS;
    "landlock_add_rule" 445 445 ARGUMENTS;
    "landlock_restrict_self" 446 446 ARGUMENTS;
    "lsm_set_self_attr" 460 460 ARGUMENTS;
    "personality" 135 92 PERSONALITY;
    // Other processes.
    "kill" 62 129 SIGNAL;
    "tkill" 200 130 SIGNAL;
    "tgkill" 234 131 SIGNAL_THREAD;
    "rt_sigqueueinfo" 129 138 SIGNAL;
    "rt_tgsigqueueinfo" 297 240 SIGNAL_THREAD;
    "pidfd_send_signal" 424 424 SIGNAL_PIDFD;
    "ptrace" 101 117 PTRACE;
    "process_vm_readv" 310 270 PROCESS;
    "process_vm_writev" 311 271 PROCESS;
    "process_madvise" 440 440 OTHER_PIDFD;
    "process_mrelease" 448 448 OTHER_PIDFD;
    "move_pages" 279 239 OTHER;
    "migrate_pages" 256 238 OTHER;
    "sched_setaffinity" 203 122 OTHER;
    "sched_setscheduler" 144 119 OTHER;
    "sched_setparam" 142 118 OTHER;
    "sched_setattr" 314 274 OTHER;
    "setpriority" 141 140 PRIORITY;
    "prlimit64" 302 261 LIMITS;
    "pidfd_getfd" 438 438 RESULT;
    "shmget" 29 194 ARGUMENTS;
    "shmat" 30 196 ARGUMENTS;
    "shmctl" 31 195 ARGUMENTS;
    "msgget" 68 186 ARGUMENTS;
    "msgsnd" 69 189 ARGUMENTS;
    "msgrcv" 70 188 ARGUMENTS;
    "msgctl" 71 187 ARGUMENTS;
    "semget" 64 190 ARGUMENTS;
    "semctl" 66 191 ARGUMENTS;
    // The kernel itself.
    "bpf" 321 280 ARGUMENTS;
    "perf_event_open" 298 241 PERF;
    "userfaultfd" 323 282 ARGUMENTS;
    "io_uring_setup" 425 425 ARGUMENTS;
    "io_uring_register" 427 427 ARGUMENTS;
    "io_setup" 206 0 ARGUMENTS;
    "io_submit" 209 2 IO_SUBMIT;
    "fanotify_init" 300 262 ARGUMENTS;
    "fanotify_mark" 301 263 ARGUMENTS;
    "add_key" 248 217 TEXT;
    "request_key" 249 218 TEXT;
    "keyctl" 250 219 ARGUMENTS;
    "init_module" 175 105 ARGUMENTS;
    "finit_module" 313 273 DESCRIPTOR;
    "delete_module" 176 106 TEXT;
    "kexec_load" 246 104 ARGUMENTS;
    "kexec_file_load" 320 294 DESCRIPTOR;
    "reboot" 169 142 ARGUMENTS;
    "swapon" 167 224 PATH;
    "swapoff" 168 225 PATH;
    "acct" 163 89 PATH;
    "quotactl" 179 60 ARGUMENTS;
    "quotactl_fd" 443 443 DESCRIPTOR;
    "sethostname" 170 161 ARGUMENTS;
    "setdomainname" 171 162 ARGUMENTS;
    "settimeofday" 164 170 ARGUMENTS;
    "clock_settime" 227 112 ARGUMENTS;
    "adjtimex" 159 171 ARGUMENTS;
    "clock_adjtime" 305 266 ARGUMENTS;
    "syslog" 103 116 ARGUMENTS;
    "vhangup" 153 58 ARGUMENTS;
    "iopl" 172 _ ARGUMENTS;
    "ioperm" 173 _ ARGUMENTS;
}
