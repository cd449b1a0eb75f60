//! `load paced DIRECTORY COUNT PER_SECOND FILE`: opens that can be told apart, then the end of the recorder.
//!
//! Makes COUNT files, so many each second, whose names are their numbers. Then it kills its parent
//! process, the recorder, at once, and writes to FILE when each operation was complete and when the
//! kill came, nanoseconds since 1970 on lines. What was complete before the kill should be in the evidence.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Signal, getppid, kill_process};
use rustix::thread::ClockId as SleepClock;
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds between two batches of operations.
const TICK_NS: i64 = 1_000_000;
const SECOND_NS: i64 = 1_000_000_000;

pub(crate) fn run(directory: &Path, count: u64, per_second: u64, file: &Path) -> Result<()> {
    let recorder = getppid().context("a parent")?;
    let each_tick = (per_second / 1000).max(1);
    let mut complete = Vec::with_capacity(usize::try_from(count)?);
    let mut next = now(ClockId::Monotonic);
    for number in 0..count {
        if number % each_tick == 0 {
            next += TICK_NS;
            let until = Timespec {
                tv_sec: next / SECOND_NS,
                tv_nsec: next % SECOND_NS,
            };
            // Interrupted, it is early by one tick at most.
            let _ = clock_nanosleep_absolute(SleepClock::Monotonic, &until);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        drop(openat(
            CWD,
            directory.join(number.to_string()),
            flags,
            Mode::RUSR,
        )?);
        complete.push(now(ClockId::Realtime));
    }
    let killed = now(ClockId::Realtime);
    kill_process(recorder, Signal::KILL).context("cannot kill the recorder")?;
    complete.push(killed);
    let mut text = String::new();
    for time in complete {
        writeln!(text, "{time}")?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn now(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * SECOND_NS + time.tv_nsec
}
