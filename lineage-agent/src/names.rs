//! Names of the kernel's numbers: errors, signals, open flags, modes and capabilities.
//!
//! Errors and signals are the same on every architecture the probes run on
//! (include/uapi/asm-generic/errno.h, signal.h).

mod capabilities;

pub use capabilities::capabilities;

use std::fmt;

/// Name of an error number, such as `ENOENT` for 2; `None` when Linux has none for it.
#[must_use]
pub fn errno(number: i64) -> Option<&'static str> {
    named(ERRNOS, number)
}

/// Name of a signal, such as `SIGKILL` for 9; `None` for real-time signals and what is none.
#[must_use]
pub fn signal(number: i64) -> Option<&'static str> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    SIGNALS.get(index).copied()
}

/// Name of an opcode of io_uring, such as `IORING_OP_OPENAT` for 18.
#[must_use]
pub fn io_uring(opcode: u32) -> Option<&'static str> {
    IO_URING.get(usize::try_from(opcode).ok()?).copied()
}

/// `enum io_uring_op` (include/uapi/linux/io_uring.h).
const IO_URING: &[&str] = &[
    "IORING_OP_NOP",
    "IORING_OP_READV",
    "IORING_OP_WRITEV",
    "IORING_OP_FSYNC",
    "IORING_OP_READ_FIXED",
    "IORING_OP_WRITE_FIXED",
    "IORING_OP_POLL_ADD",
    "IORING_OP_POLL_REMOVE",
    "IORING_OP_SYNC_FILE_RANGE",
    "IORING_OP_SENDMSG",
    "IORING_OP_RECVMSG",
    "IORING_OP_TIMEOUT",
    "IORING_OP_TIMEOUT_REMOVE",
    "IORING_OP_ACCEPT",
    "IORING_OP_ASYNC_CANCEL",
    "IORING_OP_LINK_TIMEOUT",
    "IORING_OP_CONNECT",
    "IORING_OP_FALLOCATE",
    "IORING_OP_OPENAT",
    "IORING_OP_CLOSE",
    "IORING_OP_FILES_UPDATE",
    "IORING_OP_STATX",
    "IORING_OP_READ",
    "IORING_OP_WRITE",
    "IORING_OP_FADVISE",
    "IORING_OP_MADVISE",
    "IORING_OP_SEND",
    "IORING_OP_RECV",
    "IORING_OP_OPENAT2",
    "IORING_OP_EPOLL_CTL",
    "IORING_OP_SPLICE",
    "IORING_OP_PROVIDE_BUFFERS",
    "IORING_OP_REMOVE_BUFFERS",
    "IORING_OP_TEE",
    "IORING_OP_SHUTDOWN",
    "IORING_OP_RENAMEAT",
    "IORING_OP_UNLINKAT",
    "IORING_OP_MKDIRAT",
    "IORING_OP_SYMLINKAT",
    "IORING_OP_LINKAT",
    "IORING_OP_MSG_RING",
    "IORING_OP_FSETXATTR",
    "IORING_OP_SETXATTR",
    "IORING_OP_FGETXATTR",
    "IORING_OP_GETXATTR",
    "IORING_OP_SOCKET",
    "IORING_OP_URING_CMD",
    "IORING_OP_SEND_ZC",
    "IORING_OP_SENDMSG_ZC",
    "IORING_OP_READ_MULTISHOT",
    "IORING_OP_WAITID",
    "IORING_OP_FUTEX_WAIT",
    "IORING_OP_FUTEX_WAKE",
    "IORING_OP_FUTEX_WAITV",
    "IORING_OP_FIXED_FD_INSTALL",
    "IORING_OP_FTRUNCATE",
    "IORING_OP_BIND",
    "IORING_OP_LISTEN",
    "IORING_OP_RECV_ZC",
    "IORING_OP_EPOLL_WAIT",
    "IORING_OP_READV_FIXED",
    "IORING_OP_WRITEV_FIXED",
    "IORING_OP_PIPE",
];

fn named(table: &'static [(i64, &'static str)], number: i64) -> Option<&'static str> {
    let index = table.binary_search_by_key(&number, |entry| entry.0).ok()?;
    Some(table[index].1)
}

/// A device as `major:minor`, from its number as stat(2) has it (makedev(3)).
#[must_use]
pub fn device(number: i64) -> String {
    let major = (number >> 8) & 0xfff | (number >> 32) & 0xffff_f000;
    let minor = number & 0xff | (number >> 12) & 0xffff_ff00;
    format!("{major}:{minor}")
}

/// A mode as ls(1) prints it, `-rw-r--r--`; without type bits only the permissions.
#[must_use]
pub fn mode(mode: i64) -> String {
    const TYPES: &[(i64, char)] = &[
        (0o14, 's'),
        (0o12, 'l'),
        (0o10, '-'),
        (0o6, 'b'),
        (0o4, 'd'),
        (0o2, 'c'),
        (0o1, 'p'),
    ];
    let mut out = String::new();
    if let kind @ 1.. = mode >> 12 & 0o17 {
        let known = TYPES.iter().find(|(bits, _)| *bits == kind);
        out.push(known.map_or('?', |(_, letter)| *letter));
    }
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        out.push(if bits & 4 != 0 { 'r' } else { '-' });
        out.push(if bits & 2 != 0 { 'w' } else { '-' });
        out.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    out
}

/// Flags of an open file description, in the encoding of asm-generic/fcntl.h (x86 uses it as it
/// is, arm64 exchanges four of them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFlags(pub i64);

/// The bits that say whether a file is open for reading (0), writing (1) or both (2).
const ACCESS: i64 = 0o3;

/// Set by the kernel itself for every 64-bit process: says nothing.
const LARGEFILE: i64 = 0o100_000;

impl OpenFlags {
    /// The flags from what a kernel of this architecture holds.
    #[must_use]
    pub const fn of_host(raw: u32) -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::of_arm64(raw)
        } else {
            Self(raw as i64)
        }
    }

    /// arch/arm64/include/uapi/asm/fcntl.h gives four bits other places.
    const fn of_arm64(raw: u32) -> Self {
        const MOVED: [(u32, u32); 4] = [
            (0o40_000, 0o200_000),  // O_DIRECTORY
            (0o100_000, 0o400_000), // O_NOFOLLOW
            (0o200_000, 0o40_000),  // O_DIRECT
            (0o400_000, 0o100_000), // O_LARGEFILE
        ];
        let mut generic = raw & !0o740_000;
        let mut index = 0;
        while index < MOVED.len() {
            if raw & MOVED[index].0 != 0 {
                generic |= MOVED[index].1;
            }
            index += 1;
        }
        Self(generic as i64)
    }

    /// As displayed, in two parts that are one text together: what tells what can happen to the
    /// file, and what only tells how the descriptor behaves (`|O_CLOEXEC`).
    #[must_use]
    pub fn split(self) -> (String, String) {
        let rest = Self(self.0 & !ESSENTIAL).to_string();
        let rest = rest.strip_prefix(ACCESS_NAMES[0]).unwrap_or(&rest);
        (Self(self.0 & ESSENTIAL).to_string(), rest.to_owned())
    }

    /// Whether opening can have made the file, or cut it.
    #[must_use]
    pub const fn makes_or_cuts(self) -> bool {
        self.0 & (CREAT | TRUNC) != 0
    }

    /// Whether the file may be read through the descriptor.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self.0 & ACCESS, 0 | 2) && self.0 & PATH == 0
    }

    /// Whether the file may be written through the descriptor.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self.0 & ACCESS, 1 | 2) && self.0 & PATH == 0
    }

    /// Whether the call would create the file.
    #[must_use]
    pub fn creates(self) -> bool {
        self.0 & CREAT != 0
    }

    /// Whether only a directory would do.
    #[must_use]
    pub fn directory(self) -> bool {
        self.0 & DIRECTORY != 0 && self.0 & TMPFILE != TMPFILE
    }
}

/// As strace(1) prints them: `O_WRONLY|O_CREAT|O_TRUNC`; bits without a name in octal.
impl fmt::Display for OpenFlags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(ACCESS_NAMES[(self.0 & ACCESS) as usize])?;
        let mut rest = self.0 & !ACCESS & !LARGEFILE;
        for (bits, name) in OPEN_FLAGS {
            if rest & bits == *bits {
                write!(out, "|{name}")?;
                rest &= !bits;
            }
        }
        if rest == 0 {
            Ok(())
        } else {
            write!(out, "|{rest:#o}")
        }
    }
}

const ACCESS_NAMES: [&str; 4] = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"];

/// Access, `O_CREAT`, `O_EXCL`, `O_TRUNC`, `O_APPEND`, `O_TMPFILE`, `O_PATH`.
const ESSENTIAL: i64 = ACCESS | CREAT | 0o200 | TRUNC | 0o2_000 | TMPFILE | PATH;

const CREAT: i64 = 0o100;
const TRUNC: i64 = 0o1_000;
const PATH: i64 = 0o10_000_000;
const DIRECTORY: i64 = 0o200_000;
const TMPFILE: i64 = 0o20_200_000;

/// Those made of several bits come before their parts.
const OPEN_FLAGS: &[(i64, &str)] = &[
    (TMPFILE, "O_TMPFILE"),
    (CREAT, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (TRUNC, "O_TRUNC"),
    (0o2_000, "O_APPEND"),
    (0o4_000, "O_NONBLOCK"),
    (0o4_010_000, "O_SYNC"),
    (0o10_000, "O_DSYNC"),
    (0o20_000, "O_ASYNC"),
    (0o40_000, "O_DIRECT"),
    (DIRECTORY, "O_DIRECTORY"),
    (0o400_000, "O_NOFOLLOW"),
    (0o1_000_000, "O_NOATIME"),
    (0o2_000_000, "O_CLOEXEC"),
    (PATH, "O_PATH"),
];

const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// By number. The last four never reach user space; the probes see them before the kernel starts
/// the call again (include/linux/errno.h).
const ERRNOS: &[(i64, &str)] = &[
    (1, "EPERM"),
    (2, "ENOENT"),
    (3, "ESRCH"),
    (4, "EINTR"),
    (5, "EIO"),
    (6, "ENXIO"),
    (7, "E2BIG"),
    (8, "ENOEXEC"),
    (9, "EBADF"),
    (10, "ECHILD"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (14, "EFAULT"),
    (15, "ENOTBLK"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (18, "EXDEV"),
    (19, "ENODEV"),
    (20, "ENOTDIR"),
    (21, "EISDIR"),
    (22, "EINVAL"),
    (23, "ENFILE"),
    (24, "EMFILE"),
    (25, "ENOTTY"),
    (26, "ETXTBSY"),
    (27, "EFBIG"),
    (28, "ENOSPC"),
    (29, "ESPIPE"),
    (30, "EROFS"),
    (31, "EMLINK"),
    (32, "EPIPE"),
    (33, "EDOM"),
    (34, "ERANGE"),
    (35, "EDEADLK"),
    (36, "ENAMETOOLONG"),
    (37, "ENOLCK"),
    (38, "ENOSYS"),
    (39, "ENOTEMPTY"),
    (40, "ELOOP"),
    (42, "ENOMSG"),
    (43, "EIDRM"),
    (44, "ECHRNG"),
    (45, "EL2NSYNC"),
    (46, "EL3HLT"),
    (47, "EL3RST"),
    (48, "ELNRNG"),
    (49, "EUNATCH"),
    (50, "ENOCSI"),
    (51, "EL2HLT"),
    (52, "EBADE"),
    (53, "EBADR"),
    (54, "EXFULL"),
    (55, "ENOANO"),
    (56, "EBADRQC"),
    (57, "EBADSLT"),
    (59, "EBFONT"),
    (60, "ENOSTR"),
    (61, "ENODATA"),
    (62, "ETIME"),
    (63, "ENOSR"),
    (64, "ENONET"),
    (65, "ENOPKG"),
    (66, "EREMOTE"),
    (67, "ENOLINK"),
    (68, "EADV"),
    (69, "ESRMNT"),
    (70, "ECOMM"),
    (71, "EPROTO"),
    (72, "EMULTIHOP"),
    (73, "EDOTDOT"),
    (74, "EBADMSG"),
    (75, "EOVERFLOW"),
    (76, "ENOTUNIQ"),
    (77, "EBADFD"),
    (78, "EREMCHG"),
    (79, "ELIBACC"),
    (80, "ELIBBAD"),
    (81, "ELIBSCN"),
    (82, "ELIBMAX"),
    (83, "ELIBEXEC"),
    (84, "EILSEQ"),
    (85, "ERESTART"),
    (86, "ESTRPIPE"),
    (87, "EUSERS"),
    (88, "ENOTSOCK"),
    (89, "EDESTADDRREQ"),
    (90, "EMSGSIZE"),
    (91, "EPROTOTYPE"),
    (92, "ENOPROTOOPT"),
    (93, "EPROTONOSUPPORT"),
    (94, "ESOCKTNOSUPPORT"),
    (95, "EOPNOTSUPP"),
    (96, "EPFNOSUPPORT"),
    (97, "EAFNOSUPPORT"),
    (98, "EADDRINUSE"),
    (99, "EADDRNOTAVAIL"),
    (100, "ENETDOWN"),
    (101, "ENETUNREACH"),
    (102, "ENETRESET"),
    (103, "ECONNABORTED"),
    (104, "ECONNRESET"),
    (105, "ENOBUFS"),
    (106, "EISCONN"),
    (107, "ENOTCONN"),
    (108, "ESHUTDOWN"),
    (109, "ETOOMANYREFS"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (112, "EHOSTDOWN"),
    (113, "EHOSTUNREACH"),
    (114, "EALREADY"),
    (115, "EINPROGRESS"),
    (116, "ESTALE"),
    (117, "EUCLEAN"),
    (118, "ENOTNAM"),
    (119, "ENAVAIL"),
    (120, "EISNAM"),
    (121, "EREMOTEIO"),
    (122, "EDQUOT"),
    (123, "ENOMEDIUM"),
    (124, "EMEDIUMTYPE"),
    (125, "ECANCELED"),
    (126, "ENOKEY"),
    (127, "EKEYEXPIRED"),
    (128, "EKEYREVOKED"),
    (129, "EKEYREJECTED"),
    (130, "EOWNERDEAD"),
    (131, "ENOTRECOVERABLE"),
    (132, "ERFKILL"),
    (133, "EHWPOISON"),
    (512, "ERESTARTSYS"),
    (513, "ERESTARTNOINTR"),
    (514, "ERESTARTNOHAND"),
    (516, "ERESTART_RESTARTBLOCK"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_signals_have_their_names() {
        assert_eq!(errno(2), Some("ENOENT"));
        assert_eq!(errno(111), Some("ECONNREFUSED"));
        assert_eq!(errno(133), Some("EHWPOISON"));
        assert_eq!(errno(0), None);
        assert_eq!(errno(41), None);
        assert!(ERRNOS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(signal(1), Some("SIGHUP"));
        assert_eq!(signal(9), Some("SIGKILL"));
        assert_eq!(signal(31), Some("SIGSYS"));
        assert_eq!(signal(0), None);
        assert_eq!(signal(i64::MIN), None);
    }

    #[test]
    fn open_flags_read_like_strace() {
        let shown = |flags| OpenFlags(flags).to_string();
        assert_eq!(shown(0), "O_RDONLY");
        assert_eq!(shown(0o100_000), "O_RDONLY");
        assert_eq!(shown(0o1101), "O_WRONLY|O_CREAT|O_TRUNC");
        assert_eq!(shown(0o2_200_000), "O_RDONLY|O_DIRECTORY|O_CLOEXEC");
        assert_eq!(shown(0o20_200_002), "O_RDWR|O_TMPFILE");
        assert_eq!(shown(0o4_010_002), "O_RDWR|O_SYNC");
        assert_eq!(shown(0o10_002), "O_RDWR|O_DSYNC");
        let (essential, rest) = OpenFlags(0o2_001_501).split();
        assert_eq!(essential, "O_WRONLY|O_CREAT|O_TRUNC");
        assert_eq!(rest, "|O_NOCTTY|O_CLOEXEC");
        assert_eq!(shown(0x4000_0000), "O_RDONLY|0o10000000000");
        assert!(OpenFlags(0o101).writes() && OpenFlags(0o101).creates());
        assert!(!OpenFlags(0).writes());
    }

    #[test]
    fn flags_of_arm64_become_generic() {
        let shown = |raw| OpenFlags::of_arm64(raw).to_string();
        assert_eq!(shown(0o2_040_000), "O_RDONLY|O_DIRECTORY|O_CLOEXEC");
        assert_eq!(shown(0o400_101), "O_WRONLY|O_CREAT");
        assert_eq!(shown(0o300_002), "O_RDWR|O_DIRECT|O_NOFOLLOW");
        assert_eq!(shown(0o20_040_002), "O_RDWR|O_TMPFILE");
    }
}
