//! Load for the benchmark: does one thing many times and says what it cost.
//!
//! ```text
//! load open COUNT PROCESSES    opens and closes a file COUNT times in each of PROCESSES processes
//! load storm COUNT PROCESSES   forks and executes a program that ends at once, likewise
//! load nothing                 ends at once
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
        [what @ ("open" | "storm"), count, "1"] => {
            let count: u64 = count.parse().context("COUNT is a number")?;
            let started = cpu_ns();
            repeat(what, count)?;
            println!(
                r#"{{"operations":{count},"cpu_ns":{}}}"#,
                cpu_ns() - started
            );
            Ok(())
        }
        [what @ ("open" | "storm"), count, processes] => {
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
        _ => bail!("usage: load open|storm COUNT PROCESSES"),
    }
}

fn repeat(what: &str, count: u64) -> Result<()> {
    let me = std::env::current_exe()?;
    for _ in 0..count {
        if what == "open" {
            drop(open(FILE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
        } else {
            nothing(&me)?;
        }
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
