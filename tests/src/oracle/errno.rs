//! Names of errors, as strace prints them.

macro_rules! errors {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

const ERRORS: &[(&str, i32)] = errors! {
    EPERM ENOENT EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT EBUSY
    EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE
    EROFS EMLINK EPIPE ERANGE ENAMETOOLONG ENOSYS ENOTEMPTY ELOOP ENODATA EOVERFLOW EOPNOTSUPP
    EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETUNREACH EHOSTUNREACH ECONNREFUSED ECONNRESET
    ETIMEDOUT EALREADY EISCONN EINPROGRESS ENOTCONN EPROTOTYPE ENOTSOCK ESRCH ESTALE EUCLEAN
    ENOKEY ENOMSG EBADMSG EIDRM EMSGSIZE EDESTADDRREQ ENOBUFS EPROTO EPROTONOSUPPORT ESOCKTNOSUPPORT
    ENOTBLK EDQUOT EUSERS ESHUTDOWN ENOTUNIQ EDOM EDEADLK EBADFD EKEYREJECTED EKEYEXPIRED EKEYREVOKED
};

/// What the kernel tells itself of a call that a signal interrupts (`include/linux/errno.h`).
const RESTARTS: [(&str, i32); 4] = [
    ("ERESTARTSYS", 512),
    ("ERESTARTNOINTR", 513),
    ("ERESTARTNOHAND", 514),
    ("ERESTART_RESTARTBLOCK", 516),
];

/// The number of an error.
pub(super) fn number(name: &str) -> i64 {
    // Linux has one number for both.
    let name = if name == "ENOTSUP" {
        "EOPNOTSUPP"
    } else {
        name
    };
    let mut all = ERRORS.iter().chain(&RESTARTS);
    let known = all.find(|(known, _)| *known == name);
    let (_, number) = known.unwrap_or_else(|| panic!("add {name} to the table"));
    i64::from(*number)
}
