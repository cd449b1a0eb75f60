//! `load crowd COUNT -- COMMAND`: a command among processes that do nothing.
//!
//! Forks COUNT processes that wait, runs COMMAND when all are there, and ends them after it. A word `{}` of COMMAND
//! stands, with the word before it, once for each of them with its process id, so that COMMAND can be about them:
//! `lineage record -p {} …`.
//!
//! The kernel ends them with this process, however that ends. They wait for nothing else: where all wait for the same, such
//! as the end of a pipe, each one that ends wakes all others.
#![allow(unsafe_code)] // fork has no safe form

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

pub(crate) fn run(count: u32, command: &[&str]) -> Result<ExitCode> {
    let mut crowd = Vec::with_capacity(count as usize);
    for number in 1..=count {
        let pid = idle().with_context(|| format!("cannot have process {number} of {count}"))?;
        crowd.push(pid);
    }
    let names: Vec<String> = crowd.iter().map(libc::pid_t::to_string).collect();
    let words = expanded(command, &names);
    let (program, arguments) = words.split_first().context("a command after --")?;
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    for pid in crowd.into_iter().filter_map(Pid::from_raw) {
        // One that ended before is there until it is waited for.
        kill_process(pid, Signal::KILL)?;
    }
    while wait(WaitOptions::empty()).is_ok() {}
    let status = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(status.unwrap_or(u8::MAX)))
}

/// Forks a process that waits until it is ended.
fn idle() -> Result<libc::pid_t> {
    let parent = getpid().as_raw_nonzero().get();
    // SAFETY: this process has one thread, and the child makes system calls only.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(std::io::Error::last_os_error().into()),
        // SAFETY: the calls take numbers, and the last one ends the process without what its parent has at its end.
        0 => unsafe {
            let tied = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0;
            // A parent that had ended by then sends nothing.
            while tied && libc::getppid() == parent {
                libc::pause();
            }
            libc::_exit(0)
        },
        pid => Ok(pid),
    }
}

/// The words, with all that stands for the crowd in its place.
fn expanded<'a>(words: &[&'a str], crowd: &'a [String]) -> Vec<&'a str> {
    let mut all = Vec::with_capacity(words.len() + 2 * crowd.len());
    for word in words {
        if *word != "{}" {
            all.push(*word);
        } else if let Some(before) = all.pop() {
            all.extend(crowd.iter().flat_map(|pid| [before, pid]));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crowd_stands_in_the_command() {
        let crowd = ["7", "8"].map(str::to_owned);
        let words = ["record", "-p", "{}", "--", "true"];
        let shown = |crowd| expanded(&words, crowd).join(" ");
        assert_eq!(shown(&crowd), "record -p 7 -p 8 -- true");
        assert_eq!(shown(&[]), "record -- true");
    }
}
