//! An empty program where system calls return: what no tracer that sees all of them can be cheaper than.
//!
//! The program is two instructions, `r0 = 0; exit`, loaded with bpf(2) itself.
#![expect(
    unsafe_code,
    reason = "bpf(2) and perf_event_open(2) have no safe form"
)]

use std::{
    fs, io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    str::FromStr,
};

use anyhow::{Context, Result, bail};
use rustix::system::uname;

/// `BPF_PROG_LOAD`, `BPF_RAW_TRACEPOINT_OPEN`; program types (`include/uapi/linux/bpf.h`).
const PROG_LOAD: libc::c_int = 5;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const TYPE_TRACEPOINT: u32 = 5;
const TYPE_RAW_TRACEPOINT: u32 = 17;

/// `PERF_TYPE_TRACEPOINT`, `PERF_EVENT_IOC_ENABLE`, `PERF_EVENT_IOC_SET_BPF` (`include/uapi/linux/perf_event.h`).
const PERF_TRACEPOINT: u32 = 2;
const PERF_ENABLE: libc::Ioctl = 0x2400;
const PERF_SET_BPF: libc::Ioctl = 0x4004_2408;

/// `PERF_FLAG_FD_CLOEXEC`.
const PERF_CLOEXEC: libc::c_ulong = 1 << 3;

/// The first major version of Linux on which the recorder uses the trace event.
const EVENT_SINCE: u32 = 7;

/// Where the number of the trace event is told.
const EVENT: &str = "/sys/kernel/tracing/events/raw_syscalls/sys_exit/id";

/// `r0 = 0; exit`, an instruction in eight bytes.
static EMPTY: [u64; 2] = [0xb7, 0x95];

/// The head of bpf(2)'s attributes for loading a program; the kernel takes what follows as zero.
#[repr(C)]
struct Load {
    program_type: u32,
    instructions: u32,
    code: *const u64,
    license: *const libc::c_char,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// Likewise for attaching one to a raw tracepoint.
#[repr(C)]
struct RawTracepoint {
    name: *const libc::c_char,
    program: RawFd,
    reserved: u32,
}

/// The first version of perf_event_open(2)'s attributes.
#[repr(C)]
struct PerfEvent {
    kind: u32,
    size: u32,
    config: u64,
    rest: [u64; 6],
}

/// How an empty program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To the raw tracepoint `sys_exit`. The kernel calls it by the same way as a program that is handed typed structures
    /// (`tp_btf`), and needs no type information to load it.
    Raw,
    /// To the trace event `raw_syscalls:sys_exit`.
    Event,
}

impl Kind {
    /// The kind that the recorder uses on this kernel.
    pub fn of_the_recorder() -> Self {
        Self::on(&uname().release().to_string_lossy())
    }

    fn on(release: &str) -> Self {
        let major = release
            .split('.')
            .next()
            .and_then(|major| major.parse().ok());
        if major.is_some_and(|major: u32| major >= EVENT_SINCE) {
            Self::Event
        } else {
            Self::Raw
        }
    }
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "raw" => Ok(Self::Raw),
            "event" => Ok(Self::Event),
            other => bail!("`{other}` is no kind of hook"),
        }
    }
}

/// An empty program, attached as long as this lives.
pub struct Hook {
    _program: OwnedFd,
    _attached: OwnedFd,
}

/// Loads and attaches it.
///
/// # Errors
///
/// Without the right to load programs, or where the kernel has no such hook.
pub fn attach(kind: Kind) -> Result<Hook> {
    let (program_type, attached): (_, fn(RawFd) -> Result<OwnedFd>) = match kind {
        Kind::Raw => (TYPE_RAW_TRACEPOINT, raw),
        Kind::Event => (TYPE_TRACEPOINT, event),
    };
    let program = bpf(
        PROG_LOAD,
        &Load {
            program_type,
            instructions: 2,
            code: EMPTY.as_ptr(),
            license: c"Dual MIT/GPL".as_ptr(),
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: 0,
        },
    )
    .context("the kernel refuses an empty program")?;
    let attached = attached(program.as_raw_fd()).context("cannot attach an empty program")?;
    Ok(Hook {
        _program: program,
        _attached: attached,
    })
}

fn raw(program: RawFd) -> Result<OwnedFd> {
    let attributes = RawTracepoint {
        name: c"sys_exit".as_ptr(),
        program,
        reserved: 0,
    };
    Ok(bpf(RAW_TRACEPOINT_OPEN, &attributes)?)
}

fn event(program: RawFd) -> Result<OwnedFd> {
    let id = fs::read_to_string(EVENT).with_context(|| format!("cannot read {EVENT}"))?;
    let event = PerfEvent {
        kind: PERF_TRACEPOINT,
        size: u32::try_from(size_of::<PerfEvent>())?,
        config: id.trim().parse()?,
        rest: [0; 6],
    };
    // Every process on one processor; the kernel runs the program on all.
    let (process, processor, group) = (-1, 0, -1);
    // SAFETY: the attributes are as large as they say, and outlive the call.
    let opened = descriptor(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const event,
            process,
            processor,
            group,
            PERF_CLOEXEC,
        )
    })?;
    for (request, argument) in [(PERF_SET_BPF, program), (PERF_ENABLE, 0)] {
        // SAFETY: both take a number.
        let done = unsafe { libc::ioctl(opened.as_raw_fd(), request, argument) };
        if done != 0 {
            return Err(io::Error::last_os_error().into());
        }
    }
    Ok(opened)
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are as large as is said, and what they point to outlives the call.
    descriptor(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    })
}

fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(result) {
        // SAFETY: the kernel has just made it for us.
        Ok(number) if number >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn the_kind_depends_on_the_major_version() {
        assert_eq!(Kind::on("6.18.44"), Kind::Raw);
        assert_eq!(Kind::on("7.0.0-rc1"), Kind::Event);
        assert_eq!(Kind::on("10.1"), Kind::Event);
        assert_eq!(Kind::on("unknown"), Kind::Raw);
    }
}
