//! Whether what is denied is stopped: seen of a child of the agent that is denied everything.
//!
//! Programs can be attached to hooks that the kernel never calls, so that they load says nothing.

use std::io::{Error, Read as _, Write as _, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus};
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write};

use super::ProbeError;

/// What the child opens.
const OPENED: &std::ffi::CStr = c"/proc/self/stat";

/// `SIGKILL` (`include/uapi/asm-generic/signal.h`).
const KILL: i32 = 9;

/// What became of an open that a policy denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    /// It was refused.
    Refused,
    /// Who did it was ended.
    Ended,
    /// Nothing.
    Nothing,
}

/// Makes a child, lets `govern` govern it, and has it open a file.
pub(super) fn denied(
    govern: impl FnOnce(u32) -> Result<(), ProbeError>,
) -> Result<Became, ProbeError> {
    let failed = |error: Error| ProbeError::Check(error);
    let (mut says, tells) = pipe().map_err(failed)?;
    let (waits, mut lets) = pipe().map_err(failed)?;
    let (waits, tells) = (OwnedFd::from(waits), OwnedFd::from(tells));
    thread::scope(|scope| {
        let child = scope.spawn(move || run(waits, tells));
        let mut pid = [0; 4];
        let governed = match says.read_exact(&mut pid) {
            Ok(()) => govern(u32::from_ne_bytes(pid)),
            Err(error) => Err(failed(error)),
        };
        let _ = lets.write_all(&[0]);
        drop(lets);
        let mut said = Vec::new();
        let heard = says.read_to_end(&mut said);
        let status = child.join().map_err(|_| ProbeError::Object("a thread"))?;
        governed?;
        heard.map_err(failed)?;
        Ok(became(&said, status.map_err(failed)?))
    })
}

fn became(said: &[u8], status: Option<ExitStatus>) -> Became {
    if status.is_some_and(|status| status.signal() == Some(KILL)) {
        return Became::Ended;
    }
    let errno = said.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
    if errno == Some(Errno::PERM.raw_os_error()) {
        Became::Refused
    } else {
        Became::Nothing
    }
}

/// Runs the child to its end. It executes nothing, so how it ended is known only if it was ended.
fn run(waits: OwnedFd, tells: OwnedFd) -> Result<Option<ExitStatus>, Error> {
    let mut command = Command::new(OPENED.to_str().unwrap_or_default());
    // SAFETY: the child makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(move || child(&waits, &tells)) };
    match command.spawn() {
        Ok(mut child) => child.wait().map(Some),
        Err(_) => Ok(None),
    }
}

/// In the child: says who it is, waits, opens, says what came of that, and refuses to go on.
fn child(waits: &OwnedFd, tells: &OwnedFd) -> Result<(), Error> {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    write(tells, &pid.to_ne_bytes())?;
    read(waits, &mut [0_u8; 1])?;
    let opened = open(OPENED, OFlags::RDONLY, Mode::empty());
    let errno = opened.map_or_else(Errno::raw_os_error, |_| 0);
    write(tells, &errno.to_ne_bytes())?;
    Err(Error::from_raw_os_error(Errno::CANCELED.raw_os_error()))
}
