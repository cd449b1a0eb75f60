//! The text files of procfs, taken apart (proc(5)).

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, read};
use rustix::param::clock_ticks_per_second;

/// When a process started.
///
/// Procfs gives the kernel's `start_boottime` in clock ticks (10 ms), rounded down, so what is
/// known is an interval. An id is never given out twice within a tick (that would take tens of
/// thousands of processes in 10 ms), so id and tick identify a process as well as the exact time
/// does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartTime {
    /// Clock ticks since boot, suspended time included (`starttime` of proc(5)).
    pub ticks: u64,
}

impl StartTime {
    /// The start a process has in procfs whose `start_boottime` the kernel gives as this many
    /// nanoseconds.
    #[must_use]
    pub fn of_boottime(ns: u64) -> Self {
        Self {
            ticks: ns / tick_ns(),
        }
    }

    /// Whether a `start_boottime` of this many nanoseconds is this start.
    #[must_use]
    pub fn contains(self, boottime_ns: u64) -> bool {
        Self::of_boottime(boottime_ns) == self
    }

    /// The earliest `start_boottime`, in nanoseconds, that procfs shows as this start.
    #[must_use]
    pub fn earliest_ns(self) -> u64 {
        self.ticks.saturating_mul(tick_ns())
    }
}

/// Nanoseconds of one clock tick, as the kernel divides (`nsec_to_clock_t`, kernel/time/time.c).
fn tick_ns() -> u64 {
    1_000_000_000 / clock_ticks_per_second().max(1)
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) comm: Vec<u8>,
    /// Whether the thread has ended and only waits to be collected.
    pub(super) ended: bool,
    pub(super) ppid: u32,
    pub(super) start: StartTime,
    pub(super) image: Image,
}

/// Where code, stack and arguments lie: with address randomisation no two program images of a
/// process have all of them in the same place.
pub(super) type Image = [u64; 4];

impl Stat {
    /// Takes `PID (comm) state ppid …` apart. A name may hold spaces and brackets itself; it ends
    /// at the last bracket.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let open = bytes.iter().position(|byte| *byte == b'(');
        let close = bytes.iter().rposition(|byte| *byte == b')');
        let (Some(open), Some(close)) = (open, close) else {
            return Err("name in brackets");
        };
        let comm = bytes.get(open + 1..close).ok_or("name in brackets")?;
        let rest = str::from_utf8(&bytes[close + 1..]).map_err(|_| "numbers after the name")?;
        let mut fields = [""; 64];
        for (slot, field) in fields.iter_mut().zip(rest.split_ascii_whitespace()) {
            *slot = field;
        }
        // Counted from 1 as in proc(5): the state, the first after the name, is field 3.
        let field = |number: usize| fields[number - 3];
        let number = |index: usize| field(index).parse::<u64>();
        Ok(Self {
            comm: comm.to_vec(),
            ended: matches!(field(3), "Z" | "X" | "x"),
            ppid: field(4).parse().map_err(|_| "parent (field 4)")?,
            start: StartTime {
                ticks: number(22).map_err(|_| "start time (field 22)")?,
            },
            image: [26, 28, 48, 49].map(|index| number(index).unwrap_or(0)),
        })
    }
}

/// What is needed of `/proc/PID/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) credentials: Credentials,
    /// Process id in the innermost pid namespace.
    pub(super) ns_pid: u32,
    /// Pid namespaces between procfs's and the process's own, both counted.
    pub(super) ns_pids: usize,
}

impl Status {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        // Absent on kernels without pid namespaces: then the plain id is the only one.
        let ids = line(bytes, b"NSpid:").or_else(|| line(bytes, b"Pid:"));
        let ids: Vec<u32> = ids.into_iter().flat_map(numbers).collect();
        Ok(Self {
            credentials: Credentials::parse(bytes)?,
            ns_pid: *ids.last().ok_or("process id")?,
            ns_pids: ids.len(),
        })
    }
}

/// What a process may do, as `/proc/PID/status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// User ids: real, effective, saved, for files.
    pub uids: [u32; 4],
    /// Group ids, likewise.
    pub gids: [u32; 4],
    /// Supplementary groups, the first 1024 at most.
    pub groups: Vec<u32>,
    /// Supplementary groups there are.
    pub groups_total: usize,
    /// Capability sets; absent where the kernel does not show them.
    pub capabilities: Capabilities,
    /// Whether an exec can gain nothing (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privs: Option<bool>,
    /// Mode of system call filtering: 0 none, 1 strict, 2 by filters.
    pub seccomp: Option<u64>,
    /// Filters in force.
    pub seccomp_filters: Option<u64>,
}

/// The five capability sets of a thread (capabilities(7)), a bit for each capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Kept over an exec of a file that has them too.
    pub inheritable: Option<u64>,
    /// What it may make effective.
    pub permitted: Option<u64>,
    /// What the kernel looks at.
    pub effective: Option<u64>,
    /// What an exec can give at most.
    pub bounding: Option<u64>,
    /// Kept over an exec of an ordinary file.
    pub ambient: Option<u64>,
}

/// Most supplementary groups kept; the kernel allows 65,536 (`NGROUPS_MAX`).
const GROUPS_MAX: usize = 1024;

impl Credentials {
    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let set = |label: &[u8]| number(bytes, label, 16);
        let groups = || line(bytes, b"Groups:").into_iter().flat_map(numbers);
        Ok(Self {
            uids: four(bytes, b"Uid:").ok_or("user ids")?,
            gids: four(bytes, b"Gid:").ok_or("group ids")?,
            groups: groups().take(GROUPS_MAX).collect(),
            groups_total: groups().count(),
            capabilities: Capabilities {
                inheritable: set(b"CapInh:"),
                permitted: set(b"CapPrm:"),
                effective: set(b"CapEff:"),
                bounding: set(b"CapBnd:"),
                ambient: set(b"CapAmb:"),
            },
            no_new_privs: number(bytes, b"NoNewPrivs:", 10).map(|value| value != 0),
            seccomp: number(bytes, b"Seccomp:", 10),
            seccomp_filters: number(bytes, b"Seccomp_filters:", 10),
        })
    }
}

/// The offset of `CLOCK_BOOTTIME`, in seconds rounded away from 0, in `/proc/PID/timens_offsets`.
pub(super) fn boottime_offset(bytes: &[u8]) -> i64 {
    let Some(rest) = line(bytes, b"boottime") else {
        return 0;
    };
    let mut parts = str::from_utf8(rest)
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(|part| part.parse::<i64>().unwrap_or(0));
    let (seconds, ns) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if seconds == 0 { ns.signum() } else { seconds }
}

/// The id of the unified hierarchy's group in `/proc/PID/cgroup`: the path after `0::`.
pub(super) fn unified_cgroup(bytes: &[u8]) -> Option<&[u8]> {
    line(bytes, b"0::")
}

/// A whole file of procfs, cut at `bytes_max`.
pub(super) fn read_file(
    directory: impl AsFd,
    path: &str,
    bytes_max: usize,
) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(directory, path, flags, Mode::empty())?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while bytes.len() < bytes_max {
        let room = chunk.len().min(bytes_max - bytes.len());
        match read(&file, &mut chunk[..room]) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// What follows `label` on the line that starts with it.
fn line<'a>(bytes: &'a [u8], label: &[u8]) -> Option<&'a [u8]> {
    bytes
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(label))
}

/// The four ids of a line: real, effective, saved, for files.
fn four(bytes: &[u8], label: &[u8]) -> Option<[u32; 4]> {
    let mut ids = numbers(line(bytes, label)?);
    Some([ids.next()?, ids.next()?, ids.next()?, ids.next()?])
}

/// The number alone on a line, in this base.
fn number(bytes: &[u8], label: &[u8], base: u32) -> Option<u64> {
    let text = str::from_utf8(line(bytes, label)?).ok()?;
    u64::from_str_radix(text.trim(), base).ok()
}

fn numbers(line: &[u8]) -> impl Iterator<Item = u32> {
    line.split(u8::is_ascii_whitespace)
        .filter_map(|word| str::from_utf8(word).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_ends_at_the_last_bracket() {
        let mut line = b"42 (a) b \xff(c) S 7 42 42 0 -1 4194560".to_vec();
        line.extend_from_slice(b" 0 0 0 0 0 0 0 0 20 0 1 0 123456 1 2 3 1000 2000 3000\n");
        let stat = Stat::parse(&line).unwrap();
        assert_eq!(stat.comm, b"a) b \xff(c");
        assert_eq!((stat.ppid, stat.ended), (7, false));
        assert_eq!(stat.start.ticks, 123_456);
        assert_eq!(stat.image, [1000, 3000, 0, 0]);
    }

    #[test]
    fn a_foreign_stat_is_refused() {
        for line in [
            &b""[..],
            b"1",
            b")(",
            b"1 (x)",
            b"1 (x) S",
            b"1 (x) S y",
            b"1 (x) S 1 \xff",
        ] {
            assert!(Stat::parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn status_gives_credentials_and_the_innermost_pid() {
        let text = b"Name:\tx\nPid:\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t4 27 \n\
            NSpid:\t9\t4\t1\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000400\n\
            NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        let status = Status::parse(text).unwrap();
        let credentials = status.credentials;
        assert_eq!(credentials.uids, [1, 2, 3, 4]);
        assert_eq!(credentials.gids, [5, 6, 7, 8]);
        assert_eq!(credentials.groups, [4, 27]);
        assert_eq!(credentials.capabilities.permitted, Some(0x1ff_ffff_ffff));
        assert_eq!(credentials.capabilities.effective, Some(0x400));
        assert_eq!(credentials.capabilities.ambient, None);
        assert_eq!(credentials.no_new_privs, Some(true));
        assert_eq!(
            (credentials.seccomp, credentials.seccomp_filters),
            (Some(2), Some(3))
        );
        assert_eq!((status.ns_pid, status.ns_pids), (1, 3));
    }

    #[test]
    fn offsets_of_a_time_namespace_are_seen() {
        assert_eq!(boottime_offset(b"monotonic 5 0\nboottime 0 0\n"), 0);
        assert_eq!(boottime_offset(b"boottime  -7 0\n"), -7);
        assert_eq!(boottime_offset(b"boottime  0 1\n"), 1);
        assert_eq!(boottime_offset(b""), 0);
    }

    #[test]
    fn a_start_is_the_tick_the_kernel_rounds_down_to() {
        let start = StartTime { ticks: 1234 };
        assert_eq!(start.earliest_ns(), 1234 * tick_ns());
        assert!(start.contains(start.earliest_ns()));
        assert!(start.contains(start.earliest_ns() + tick_ns() - 1));
        assert!(!start.contains(start.earliest_ns() + tick_ns()));
        assert!(!start.contains(start.earliest_ns() - 1));
    }
}
