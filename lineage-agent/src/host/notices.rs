//! Notices of the kernel that something of the environment changed.
//!
//! Mounts and the host's name announce themselves by poll(2) on their files in procfs
//! (`mounts_poll`, fs/proc_namespace.c; `proc_sys_poll`, fs/proc/proc_sysctl.c), a clock that is set
//! by a timer that asked for it (timerfd_create(2), `TFD_TIMER_CANCEL_ON_SET`). The rest has to be
//! looked at.

use std::{fs::File, io, os::fd::OwnedFd, time::Duration};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::{Errno, read, write},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create,
        timerfd_settime,
    },
};

/// The files and the timer.
#[derive(Debug)]
pub struct Notices {
    mountinfo: File,
    /// Absent where procfs does not show it; it is looked at all the same.
    hostname: Option<File>,
    clock: OwnedFd,
    end: OwnedFd,
}

/// What was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Noticed {
    /// The table of mounts is another one.
    pub mounts: bool,
    /// The host has another name.
    pub hostname: bool,
    /// The clock was set.
    pub clock: bool,
    /// [`End::signal`] was called.
    pub end: bool,
}

/// Ends a wait from another thread.
#[derive(Debug)]
pub struct End(OwnedFd);

impl End {
    /// Makes the present and all later waits return at once.
    pub fn signal(&self) {
        // A counter of 64 bits does not overflow by this.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl Notices {
    /// Notices everything from here on: what is read afterwards is missed by nothing.
    ///
    /// # Errors
    ///
    /// When `/proc/self/mountinfo` cannot be opened or descriptors have run out.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            mountinfo: File::open("/proc/self/mountinfo")?,
            hostname: File::open("/proc/sys/kernel/hostname").ok(),
            clock: never()?,
            end: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// The table of mounts, to be read.
    #[must_use]
    pub fn mountinfo(&self) -> &File {
        &self.mountinfo
    }

    /// What ends a wait.
    ///
    /// # Errors
    ///
    /// When descriptors have run out.
    pub fn end(&self) -> io::Result<End> {
        self.end.try_clone().map(End)
    }

    /// Waits until something is noticed or the timeout has passed.
    ///
    /// # Errors
    ///
    /// What poll(2) returns; an interruption is not an error.
    pub fn wait(&self, timeout: Duration) -> io::Result<Noticed> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let hostname = self.hostname.as_ref().unwrap_or(&self.mountinfo);
        let mut fds = [
            PollFd::new(&self.mountinfo, PollFlags::PRI),
            PollFd::new(&self.clock, PollFlags::IN),
            PollFd::new(&self.end, PollFlags::IN),
            PollFd::new(hostname, PollFlags::PRI),
        ];
        let watched = if self.hostname.is_some() { 4 } else { 3 };
        match poll(&mut fds[..watched], Some(&timeout)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Noticed::default()),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let noticed = Noticed {
            mounts: is_ready(&fds[0]),
            clock: is_ready(&fds[1]),
            end: is_ready(&fds[2]),
            hostname: is_ready(&fds[3]),
        };
        if noticed.clock {
            // Answers `ECANCELED` and from then on waits for the next time.
            let _ = read(&self.clock, &mut [0_u8; 8]);
        }
        Ok(noticed)
    }
}

/// A timer that never expires and is cancelled whenever the clock is set.
fn never() -> io::Result<OwnedFd> {
    let timer = timerfd_create(
        TimerfdClockId::Realtime,
        TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
    )?;
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let never = Itimerspec {
        it_interval: zero,
        it_value: Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        },
    };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(&timer, flags, &never)?;
    Ok(timer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_noticed_when_nothing_happens_and_an_end_is() {
        let notices = Notices::open().unwrap();
        let noticed = notices.wait(Duration::ZERO).unwrap();
        assert!(!noticed.clock && !noticed.end, "{noticed:?}");
        let end = notices.end().unwrap();
        end.signal();
        assert!(notices.wait(Duration::from_mins(1)).unwrap().end);
        assert!(notices.wait(Duration::from_mins(1)).unwrap().end);
    }
}
