//! `load crowd COUNT -- COMMAND`: a command among processes that do nothing.
//!
//! Forks COUNT processes that wait, runs COMMAND when all are there, and ends them after it. A word `{}` of COMMAND
//! stands, with the word before it, once for each of them with its process id, so that COMMAND can be about them:
//! `lineage record -p {} …`.
//!
//! They wait for the end of a pipe that only this process writes to, so none outlives it, however it ends.
#![allow(unsafe_code)] // fork has no safe form

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use rustix::io::read;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, wait};

pub(crate) fn run(count: u32, command: &[&str]) -> Result<ExitCode> {
    let (ends, written) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut crowd = Vec::with_capacity(count as usize);
    for number in 1..=count {
        let pid = idle(&ends, &written)
            .with_context(|| format!("cannot have process {number} of {count}"))?;
        crowd.push(pid.to_string());
    }
    let words = expanded(command, &crowd);
    let (program, arguments) = words.split_first().context("a command after --")?;
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    drop(written);
    while wait(WaitOptions::empty()).is_ok() {}
    let status = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(status.unwrap_or(u8::MAX)))
}

/// Forks a process that waits for the end of a pipe.
fn idle(ends: &OwnedFd, written: &OwnedFd) -> Result<libc::pid_t> {
    // SAFETY: this process has one thread, and the child makes three system calls.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(std::io::Error::last_os_error().into()),
        0 => {
            // SAFETY: the descriptor is not used again in the child, which never returns.
            unsafe { libc::close(written.as_raw_fd()) };
            // Nothing is ever written: whatever comes is the end.
            let _ = read(ends, &mut [0_u8]);
            // SAFETY: ends the process without what its parent has at its end.
            unsafe { libc::_exit(0) }
        }
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
