//! Makes sure that the probes read this kernel rightly.
//!
//! A wrong offset loads, runs and lies. So before anything is recorded, the agent tracks itself,
//! makes a child that opens a file and binds a socket, and compares what the probes say of it with
//! what procfs and the system calls say.

use std::{
    io::{Error, ErrorKind, Read, pipe},
    net::{Ipv4Addr, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
    time::{Duration, Instant},
};

use lineage_common::frame::{Flags, Header, HostPath, Version};
use rustix::{
    fs::{Mode, OFlags, fstat, major, minor, open},
    io::{read, write},
};

use super::{ProbeError, Reader};
use crate::{
    batch::{Batch, Frames},
    event::{Body, Event, ReversedPath},
};

/// Name the child gives itself.
const NAME: &std::ffi::CStr = c"lineage-check";
/// What the child opens: its own entry, which also says who it is.
const OPENED: &std::ffi::CStr = c"/proc/self/stat";
/// Length of a tick of `/proc/PID/stat` in nanoseconds: `USER_HZ` is 100 on every architecture the
/// probes know.
const TICK_NS: u64 = 10_000_000;
/// Longest the child's frames may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// `S_IFMT` and permissions.
const MODE_MASK: u32 = 0o177_777;

/// What is true of the child, as it said itself.
#[derive(Debug)]
struct Truth {
    pid: u32,
    parent: u32,
    start_ticks: u64,
    dev: u32,
    ino: u64,
    mode: u32,
    version: Version,
    /// The port it bound; `None` where there is no IPv4.
    port: Option<u16>,
}

/// Runs the child and compares. The agent is tracked by the caller, and nothing else is.
pub(super) fn check(reader: &mut Reader) -> Result<(), ProbeError> {
    let truth = run_child().map_err(ProbeError::Check)?;
    let mut seen = Seen::default();
    let deadline = Instant::now() + PATIENCE;
    while !seen.ended && Instant::now() < deadline {
        reader
            .wait(Duration::from_millis(2))
            .map_err(|error| ProbeError::Check(error.into()))?;
        let mut batch = Batch::default();
        reader.drain(&mut batch);
        for entry in batch.entries() {
            let frame = reader.frame(&entry.place);
            let event = Event::decode(frame).map_err(|_| ProbeError::Object("a frame"))?;
            seen.compare(&event, &truth)?;
        }
        reader.free(&Batch::default());
    }
    seen.complete(truth.port.is_some())
}

/// Which events of the child came.
#[derive(Debug, Default)]
struct Seen {
    created: bool,
    opened: bool,
    bound: bool,
    ended: bool,
}

impl Seen {
    fn compare(&mut self, event: &Event<'_>, truth: &Truth) -> Result<(), ProbeError> {
        let header = event.header;
        if let Body::Fork(fork) = event.body {
            if fork.child_pid != truth.pid {
                return Ok(());
            }
            self.created = true;
            same("the parent", truth.parent, header.pid)?;
            same(
                "the child's start",
                truth.start_ticks,
                fork.child_start / TICK_NS,
            )?;
            return same("the child's own number", truth.pid, fork.child_ns_tid);
        }
        if header.pid != truth.pid {
            return Ok(());
        }
        match event.body {
            Body::Open(file) if header.result >= 0 && named(header) => {
                self.opened = true;
                same("the start", truth.start_ticks, header.start / TICK_NS)?;
                let mut path = Vec::new();
                ReversedPath(file.path).write_to(&mut path);
                let path = String::from_utf8_lossy(&path).into_owned();
                same("the path", format!("/proc/{}/stat", truth.pid), path)?;
                same("the inode", truth.ino, file.file.ino)?;
                same("the device", truth.dev, file.file.dev)?;
                same("the mode", truth.mode, file.file.mode)?;
                let version = Version {
                    generation: 0,
                    ..file.file.version
                };
                same("the version", truth.version, version)?;
                same("the host's path", HostPath::SAME, file.file.host)?;
                same("the path's flags", Flags(0), header.flags)
            }
            Body::Bind(socket) => {
                self.bound = true;
                same(
                    "the port",
                    truth.port.map_or(0, u32::from),
                    socket.socket.local_port,
                )
            }
            Body::Exit(exit) => {
                self.ended = true;
                same("the exit code", (1, 0), (exit.code, exit.signal))
            }
            _ => Ok(()),
        }
    }

    fn complete(&self, with_socket: bool) -> Result<(), ProbeError> {
        let events = [
            ("the creation of the child", self.created),
            ("the open", self.opened),
            ("the bind", self.bound || !with_socket),
            ("the end of the child", self.ended),
        ];
        match events.iter().find(|(_, seen)| !seen) {
            Some((event, _)) => Err(ProbeError::Silent(event)),
            None => Ok(()),
        }
    }
}

fn named(header: &Header) -> bool {
    header.comm.starts_with(NAME.to_bytes_with_nul())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the call sites compare values they just made"
)]
fn same<T: PartialEq + std::fmt::Debug>(
    what: &'static str,
    expected: T,
    found: T,
) -> Result<(), ProbeError> {
    if expected == found {
        return Ok(());
    }
    Err(ProbeError::Untrue {
        what,
        expected: format!("{expected:?}"),
        found: format!("{found:?}"),
    })
}

/// Makes the child, which ends before it would execute anything, and reads what it says.
fn run_child() -> Result<Truth, Error> {
    let (mut says, tells) = pipe()?;
    let tells = OwnedFd::from(tells);
    let mut command = Command::new(OPENED.to_str().map_err(|_| ErrorKind::InvalidData)?);
    // SAFETY: the child makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(move || child(&tells)) };
    // The child's refusal is how it ends.
    match command.spawn() {
        Err(_) => {}
        Ok(mut child) => {
            child.wait()?;
        }
    }
    // Closes the writing end.
    drop(command);
    let mut said = Vec::new();
    says.read_to_end(&mut said)?;
    parse(&said).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// In the child: says device, inode, mode, port and its stat line, and refuses to go on.
fn child(tells: &OwnedFd) -> Result<(), Error> {
    rustix::thread::set_name(NAME)?;
    let mut line = [0u8; 1024];
    let file = open(OPENED, OFlags::RDONLY, Mode::empty())?;
    let stat = fstat(&file)?;
    let len = read(&file, &mut line)?;
    let port = bind();
    let dev = major(stat.st_dev) << 20 | minor(stat.st_dev);
    write(tells.as_fd(), &dev.to_ne_bytes())?;
    write(tells.as_fd(), &stat.st_mode.to_ne_bytes())?;
    write(tells.as_fd(), &stat.st_ino.to_ne_bytes())?;
    write(tells.as_fd(), &stat.st_size.to_ne_bytes())?;
    let changes = [
        (stat.st_mtime, stat.st_mtime_nsec),
        (stat.st_ctime, stat.st_ctime_nsec),
    ];
    for (seconds, rest) in changes {
        write(tells.as_fd(), &nanoseconds(seconds, rest).to_ne_bytes())?;
    }
    write(tells.as_fd(), &port.unwrap_or(0).to_ne_bytes())?;
    write(tells.as_fd(), &line[..len])?;
    Err(Error::from_raw_os_error(
        rustix::io::Errno::CANCELED.raw_os_error(),
    ))
}

#[expect(
    clippy::cast_possible_wrap,
    reason = "less than a second of nanoseconds"
)]
fn nanoseconds(seconds: i64, rest: u64) -> i64 {
    seconds
        .wrapping_mul(1_000_000_000)
        .wrapping_add(rest as i64)
}

/// Binds a socket to a port of the kernel's choice.
fn bind() -> Option<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    Some(socket.local_addr().ok()?.port())
}

fn parse(said: &[u8]) -> Option<Truth> {
    let (dev, said) = said.split_first_chunk()?;
    let (mode, said) = said.split_first_chunk()?;
    let (ino, said) = said.split_first_chunk()?;
    let (size, said) = said.split_first_chunk()?;
    let (mtime, said) = said.split_first_chunk()?;
    let (ctime, said) = said.split_first_chunk()?;
    let (port, line) = said.split_first_chunk()?;
    let port = u16::from_ne_bytes(*port);
    let line = std::str::from_utf8(line).ok()?;
    let (pid, rest) = line.split_once(" (")?;
    let (name, fields) = rest.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    if name.as_bytes() != NAME.to_bytes() {
        return None;
    }
    Some(Truth {
        pid: pid.parse().ok()?,
        parent: fields.nth(1)?.parse().ok()?,
        start_ticks: fields.nth(17)?.parse().ok()?,
        dev: u32::from_ne_bytes(*dev),
        ino: u64::from_ne_bytes(*ino),
        mode: u32::from_ne_bytes(*mode) & MODE_MASK,
        version: Version {
            size: i64::from_ne_bytes(*size),
            mtime_ns: i64::from_ne_bytes(*mtime),
            ctime_ns: i64::from_ne_bytes(*ctime),
            ..Version::default()
        },
        port: (port != 0).then_some(port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_tells_the_truth() {
        let truth = run_child().unwrap();
        assert_eq!(truth.parent, std::process::id());
        assert!(truth.start_ticks > 0);
        assert_eq!(truth.mode & 0o170_000, 0o100_000);
    }
}
