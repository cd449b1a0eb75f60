//! `load measure FILE [OPTION]... -- COMMAND`: what a command and all that it started cost.
//!
//! FILE gets one line of JSON when the command has ended. Inside of a tracer it tells of the workload
//! alone, and what the tracer itself had used when that began (`parent_cpu_ns`); around a tracer, of both.
//!
//! ```text
//! --until-input-ends INT|TERM  sends the command this signal when standard input ends: whoever started
//!                              this can neither forget it nor die without it
//! --empty-hook                 with a BPF program that does nothing where all system calls return
//! --profile                    with what each BPF program of the parent process took in that time, or the
//!                              empty one if there is one
//! --loginuid NUMBER            with this loginuid, by which rules of the audit system find it
//! ```

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lineage_tests::hook::{self, Kind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getppid, pidfd_open, pidfd_send_signal};
use rustix::time::Timespec;
use serde_json::{Value, json};

use crate::bpf;

/// How long a process has to end before it gets its signal again.
const AGAIN_AFTER: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

#[derive(Default)]
struct Options {
    until_input_ends: Option<Signal>,
    empty_hook: bool,
    profile: bool,
    loginuid: Option<String>,
}

/// Runs the command; the exit status is its own.
pub(crate) fn run(file: &Path, words: &[&str]) -> Result<ExitCode> {
    let mut options = Options::default();
    let mut words = words.iter();
    loop {
        match words.next().context("a command after --")? {
            &"--until-input-ends" => {
                options.until_input_ends = Some(match words.next() {
                    Some(&"INT") => Signal::INT,
                    Some(&"TERM") => Signal::TERM,
                    other => bail!("{other:?} is no signal"),
                });
            }
            &"--empty-hook" => options.empty_hook = true,
            &"--profile" => options.profile = true,
            &"--loginuid" => options.loginuid = words.next().map(|word| (*word).to_owned()),
            &"--" => break,
            other => bail!("`{other}` is no option"),
        }
    }
    let command = words.as_slice();
    let told = measured(&options, command)?;
    fs::write(file, told.to_string())
        .with_context(|| format!("cannot write {}", file.display()))?;
    let status = told["status"].as_u64().unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}

fn measured(options: &Options, command: &[&str]) -> Result<Value> {
    let (program, arguments) = command.split_first().context("a command after --")?;
    let stats = options.profile.then(bpf::enable_stats).transpose()?;
    let hook = options
        .empty_hook
        .then(|| hook::attach(Kind::of_the_recorder()))
        .transpose()?;
    if let Some(loginuid) = &options.loginuid {
        fs::write("/proc/self/loginuid", loginuid).context("cannot have that loginuid")?;
    }
    let parent = getppid().context("a parent")?.as_raw_nonzero().get();
    let holder = if hook.is_some() {
        std::process::id()
    } else {
        parent.cast_unsigned()
    };
    let before = bpf::programs(holder)?;
    let parent_cpu_ns = cpu_ns(parent)?;
    let (cpu, started) = (children()?.cpu, Instant::now());
    let mut child = Command::new(program);
    let mut child = child.args(arguments).spawn();
    let child = child
        .as_mut()
        .map_err(|error| anyhow::anyhow!("cannot start {program}: {error}"))?;
    if let Some(signal) = options.until_input_ends {
        std::io::stdin().read_to_end(&mut Vec::new())?;
        end(child, signal)?;
    }
    let status = child.wait()?;
    let wall = started.elapsed();
    let used = children()?;
    let programs = if stats.is_some() {
        bpf::since(&before, &bpf::programs(holder)?)
    } else {
        Vec::new()
    };
    Ok(json!({
        "wall_ns": ns(wall), "cpu_ns": ns(used.cpu.saturating_sub(cpu)), "peak_rss_bytes": used.peak_rss_bytes,
        "parent_peak_rss_bytes": peak_rss_bytes(parent), "parent_cpu_ns": parent_cpu_ns, "programs": programs,
        "status": status.code().unwrap_or(255),
    }))
}

/// Sends a child a signal until it ends: some only notice one that interrupts their waiting.
fn end(child: &Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pidfd_open(pid.context("a child has a pid")?, PidfdFlags::empty())?;
    let mut ends = [PollFd::new(&pid, PollFlags::IN)];
    while ends[0].revents().is_empty() {
        match pidfd_send_signal(&pid, signal) {
            // It has ended, and only waits for us to ask how.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
        poll(&mut ends, Some(&AGAIN_AFTER))?;
    }
    Ok(())
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The most memory that a process has had resident so far, if it tells.
fn peak_rss_bytes(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes * 1024)
}

/// CPU time that a process has used so far, with all its threads: what had been used at the beginning is
/// known better than by taking another run's away.
#[allow(unsafe_code)] // clocks of other processes have no safe form
fn cpu_ns(pid: i32) -> Result<u64> {
    let mut clock: libc::clockid_t = 0;
    let mut time = std::mem::MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: both calls fill what they are given, and zeroes are a value of it.
    let time = unsafe {
        let error = libc::clock_getcpuclockid(pid, &raw mut clock);
        if error != 0 {
            return Err(std::io::Error::from_raw_os_error(error).into());
        }
        if libc::clock_gettime(clock, time.as_mut_ptr()) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        time.assume_init()
    };
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec)?);
    Ok(ns(
        seconds + Duration::from_nanos(u64::try_from(time.tv_nsec)?)
    ))
}

struct Used {
    cpu: Duration,
    peak_rss_bytes: u64,
}

/// What all children that have ended used, and theirs.
#[allow(unsafe_code)] // getrusage has no safe form
fn children() -> Result<Used> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call fills a structure of the type it is given, and zeroes are a value of it.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        usage.assume_init()
    };
    let time = |time: libc::timeval| -> Result<Duration> {
        let micros = u64::try_from(time.tv_usec)?;
        Ok(Duration::from_secs(u64::try_from(time.tv_sec)?) + Duration::from_micros(micros))
    };
    Ok(Used {
        cpu: time(usage.ru_utime)? + time(usage.ru_stime)?,
        peak_rss_bytes: u64::try_from(usage.ru_maxrss)? * 1024,
    })
}
