//! System calls without a library between.

use std::ffi::{CStr, c_long};

use crate::words::Failure;

/// An argument of a system call.
pub(crate) enum Arg<'a> {
    /// An integer, or nothing: 0.
    Int(i64),
    /// A NUL-terminated string.
    Text(&'a CStr),
    /// Memory the call reads.
    In(&'a [u8]),
    /// Memory the call may write.
    Out(&'a mut [u8]),
}

/// Makes one system call.
///
/// # Errors
///
/// The errno, with the call's name.
pub(crate) fn call(
    name: &'static str,
    number: c_long,
    args: &mut [Arg<'_>],
) -> Result<i64, Failure> {
    let mut words: [c_long; 6] = [0; 6];
    for (word, arg) in words.iter_mut().zip(args) {
        *word = match arg {
            Arg::Int(value) => *value,
            Arg::Text(text) => text.as_ptr() as c_long,
            Arg::In(bytes) => bytes.as_ptr() as c_long,
            Arg::Out(bytes) => bytes.as_mut_ptr() as c_long,
        };
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: every pointer comes from a borrow that lives until the call returns, and the verbs
    // pass the length of what they borrowed; none of the calls used changes other memory of ours.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(Failure::Call { name, errno });
    }
    Ok(result)
}

/// Writes all bytes to a descriptor.
///
/// # Errors
///
/// As [`call`].
pub(crate) fn write_all(fd: i64, mut bytes: &[u8]) -> Result<(), Failure> {
    while !bytes.is_empty() {
        let mut args = [
            Arg::Int(fd),
            Arg::In(bytes),
            Arg::Int(bytes.len().cast_signed() as i64),
        ];
        let written = call("write", libc::SYS_write, &mut args)?;
        bytes = &bytes[usize::try_from(written).unwrap_or(0)..];
    }
    Ok(())
}

/// Whether there is a file of this name.
///
/// # Errors
///
/// As [`call`], when the kernel cannot tell.
pub(crate) fn exists(path: &CStr) -> Result<bool, Failure> {
    let args = &mut [
        Arg::Int(libc::AT_FDCWD.into()),
        Arg::Text(path),
        Arg::Int(libc::F_OK.into()),
    ];
    match call("faccessat", libc::SYS_faccessat, args) {
        Ok(_) => Ok(true),
        Err(Failure::Call { errno, .. }) if errno == libc::ENOENT => Ok(false),
        Err(other) => Err(other),
    }
}

/// Device and inode number of what a descriptor leads to.
///
/// # Errors
///
/// As [`call`].
pub(crate) fn identity(fd: i64) -> Result<(u64, u64), Failure> {
    let mut status = [0; size_of::<libc::stat>()];
    let args = &mut [Arg::Int(fd), Arg::Out(&mut status)];
    call("fstat", libc::SYS_fstat, args)?;
    let word = |offset: usize| {
        let bytes = status[offset..].first_chunk();
        u64::from_ne_bytes(*bytes.expect("the structure has more"))
    };
    Ok((
        word(std::mem::offset_of!(libc::stat, st_dev)),
        word(std::mem::offset_of!(libc::stat, st_ino)),
    ))
}

/// The time: nanoseconds since 1970.
///
/// # Errors
///
/// As [`call`].
pub(crate) fn now() -> Result<i64, Failure> {
    let mut time = [0; 16];
    let args = &mut [Arg::Int(libc::CLOCK_REALTIME.into()), Arg::Out(&mut time)];
    call("clock_gettime", libc::SYS_clock_gettime, args)?;
    let time = u128::from_ne_bytes(time);
    // struct timespec: seconds, nanoseconds.
    let (seconds, nanoseconds) = if cfg!(target_endian = "little") {
        (time as i64, (time >> 64) as i64)
    } else {
        ((time >> 64) as i64, time as i64)
    };
    Ok(seconds * 1_000_000_000 + nanoseconds)
}

/// Ends the process at once, without the C library's exit handlers.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(status) }
}
