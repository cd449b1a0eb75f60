//! Load for the benchmark: does one thing many times and says what it cost.
//!
//! ```text
//! load open COUNT PROCESSES      opens and closes a file COUNT times in each of PROCESSES processes
//! load transfer COUNT PROCESSES  writes and reads a byte of a file, likewise
//! load storm COUNT PROCESSES     forks and executes a program that ends at once, likewise
//! load nothing                   ends at once
//! ```
//!
//! Each process prints one line of JSON: operations made, and nanoseconds of CPU time that they took
//! (its own and, for `storm`, its children's are not in it: they are processes of their own).

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use rustix::{
    fs::{Mode, OFlags, open},
    io::{pread, pwrite},
    time::{ClockId, clock_gettime},
};

/// Opened over and over: small, always there, in the page cache.
const FILE: &str = "/etc/hostname";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["nothing"] => Ok(()),
        [what @ ("open" | "transfer" | "storm"), count, "1"] => {
            let count: u64 = count.parse().context("COUNT is a number")?;
            let started = cpu_ns();
            repeat(what, count)?;
            println!(
                r#"{{"operations":{count},"cpu_ns":{}}}"#,
                cpu_ns() - started
            );
            Ok(())
        }
        [what @ ("open" | "transfer" | "storm"), count, processes] => {
            let processes: usize = processes.parse().context("PROCESSES is a number")?;
            let me = std::env::current_exe()?;
            let children: Vec<_> = (0..processes)
                .map(|_| Command::new(&me).args([what, count, "1"]).spawn())
                .collect::<Result<_, _>>()?;
            for mut child in children {
                if !child.wait()?.success() {
                    bail!("a process failed");
                }
            }
            Ok(())
        }
        _ => bail!("usage: load open|transfer|storm COUNT PROCESSES"),
    }
}

fn repeat(what: &str, count: u64) -> Result<()> {
    match what {
        "open" => opens(count),
        "transfer" => transfers(count),
        _ => storm(count),
    }
}

fn opens(count: u64) -> Result<()> {
    for _ in 0..count {
        drop(open(FILE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
    }
    Ok(())
}

/// One byte at a time, through one descriptor: what a call costs is all there is.
fn transfers(count: u64) -> Result<()> {
    let file = tempfile::tempfile().context("cannot make a file")?;
    let mut byte = [0];
    for _ in 0..count {
        pwrite(&file, &byte, 0)?;
        pread(&file, &mut byte, 0)?;
    }
    Ok(())
}

fn storm(count: u64) -> Result<()> {
    let me = std::env::current_exe()?;
    for _ in 0..count {
        nothing(&me)?;
    }
    Ok(())
}

fn nothing(me: &Path) -> Result<()> {
    if !Command::new(me).arg("nothing").status()?.success() {
        bail!("an empty process failed");
    }
    Ok(())
}

/// CPU time of this process in nanoseconds.
fn cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
