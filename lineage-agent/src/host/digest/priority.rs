//! Making a thread one that gets what nobody else wants.

#![expect(
    unsafe_code,
    reason = "no library has the call for the input and output"
)]

use rustix::process::setpriority_process;

/// The nicest there is.
const NICE: i32 = 19;
/// `IOPRIO_WHO_PROCESS`, of the calling thread when 0 is given for whom
/// (`include/uapi/linux/ioprio.h`).
const WHO_PROCESS: libc::c_long = 1;
/// `IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)`.
const IDLE: libc::c_long = 3 << 13;

/// Gives the calling thread the lowest priority for processor and disk.
pub(super) fn lower() {
    // Where either is refused the thread works at a higher one, which is no reason not to work.
    let _ = setpriority_process(None, NICE);
    // SAFETY: the call takes three numbers and changes nothing but this thread's priority.
    unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, IDLE) };
}
