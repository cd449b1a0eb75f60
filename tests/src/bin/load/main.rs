//! Load for the benchmark: does one thing many times, or measures what another command costs.
//!
//! ```text
//! load open COUNT PROCESSES      opens and closes a file COUNT times in each of PROCESSES processes
//! load transfer COUNT PROCESSES  writes and reads a byte of a file, likewise
//! load storm COUNT PROCESSES     forks and executes a program that ends at once, likewise
//! load tcp COUNT PROCESSES       connects over loopback, accepts and closes, likewise
//! load udp COUNT PROCESSES       sends a datagram to an address and receives it, likewise
//! load mixed COUNT PROCESSES     some of all of these, likewise
//! load call COUNT PROCESSES      makes a system call that is never recorded, likewise
//! load nothing                   ends at once
//! load crowd COUNT -- COMMAND    see `crowd`
//! load paced DIRECTORY COUNT PER_SECOND FILE  see `paced`
//! load measure FILE [OPTION]... -- COMMAND    see `measure`
//! ```
//!
//! Each process that does something prints one line of JSON: operations made, and nanoseconds of CPU
//! time that they took (its own and, for `storm`, its children's are not in it: they are processes of
//! their own).

mod bpf;
mod crowd;
mod measure;
mod paced;
mod repeat;

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use rustix::time::{ClockId, clock_gettime};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["nothing"] => {}
        ["measure", file, rest @ ..] => return measure::run(Path::new(file), rest),
        ["crowd", count, "--", command @ ..] => {
            return crowd::run(count.parse().context("COUNT is a number")?, command);
        }
        ["paced", directory, count, per_second, file] => paced::run(
            Path::new(directory),
            count.parse().context("COUNT is a number")?,
            per_second.parse().context("PER_SECOND is a number")?,
            Path::new(file),
        )?,
        [what, count, "1"] => one(what, count.parse().context("COUNT is a number")?)?,
        [what, count, processes] => {
            let processes = processes.parse().context("PROCESSES is a number")?;
            several(what, count, processes)?;
        }
        _ => bail!(
            "usage: load open|transfer|storm|tcp|udp|mixed|call COUNT PROCESSES, nothing, crowd, paced or measure"
        ),
    }
    Ok(ExitCode::SUCCESS)
}

fn one(what: &str, count: u64) -> Result<()> {
    let started = cpu_ns();
    repeat::repeat(what, count)?;
    println!(
        r#"{{"operations":{count},"cpu_ns":{}}}"#,
        cpu_ns() - started
    );
    Ok(())
}

fn several(what: &str, count: &str, processes: usize) -> Result<()> {
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

/// CPU time of this process in nanoseconds.
fn cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
