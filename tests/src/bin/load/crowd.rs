//! `load crowd COUNT -- COMMAND`: a command among processes that do nothing.
//!
//! Starts COUNT processes that wait, runs COMMAND when all are there, and ends them after it. A word `{}` of COMMAND
//! stands, with the word before it, once for each of them with its process id, so that COMMAND can be about them:
//! `lineage record -p {} …`.
//!
//! They have this process's memory, as after `vfork`: with a copy each, every page that none of them writes would be
//! mapped so many times, and whatever looks for the users of such a page, as the kernel does to find idle memory, would
//! walk through them all. The kernel ends them with this process, however that ends. They wait for nothing else: where
//! all wait for the same, such as the end of a pipe, each one that ends wakes all others.
#![allow(unsafe_code)] // clone has no safe form

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::ManuallyDrop;
use std::process::{Command, ExitCode};
use std::ptr::without_provenance_mut;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

pub(crate) fn run(count: u32, command: &[&str]) -> Result<ExitCode> {
    let mut crowd = Vec::new();
    let status = gather(count, &mut crowd).and_then(|()| {
        let names: Vec<String> = crowd.iter().map(libc::pid_t::to_string).collect();
        let words = expanded(command, &names);
        let (program, arguments) = words.split_first().context("a command after --")?;
        let status = Command::new(program).args(arguments).status();
        status.with_context(|| format!("cannot start {program}"))
    });
    end(&crowd)?;
    let status = status?.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(status.unwrap_or(u8::MAX)))
}

/// Where a member of the crowd has its calls. It takes memory when that runs.
#[repr(align(4096))]
struct Stack(#[expect(dead_code, reason = "only the kernel is told of it")] [u8; 4096]);

/// Starts so many processes that wait until they are ended.
fn gather(count: u32, crowd: &mut Vec<libc::pid_t>) -> Result<()> {
    let mut stacks = Vec::<Stack>::new();
    stacks
        .try_reserve_exact(count as usize)
        .context("no room for their stacks")?;
    // It is never freed: members may run for as long as this process is there.
    let mut stacks = ManuallyDrop::new(stacks);
    let parent = getpid().as_raw_nonzero().get();
    for (stack, number) in stacks.spare_capacity_mut().iter_mut().zip(1..=count) {
        // A stack grows downwards.
        let top = std::ptr::from_mut(stack).wrapping_add(1).cast();
        let shared = libc::CLONE_VM | libc::SIGCHLD;
        let parent = without_provenance_mut(parent as usize);
        // SAFETY: no other one runs on this stack, and `member` needs less than it has.
        let pid = unsafe { libc::clone(member, top, shared, parent) };
        if pid < 0 {
            let error = io::Error::last_os_error();
            return Err(error).with_context(|| format!("cannot have process {number} of {count}"));
        }
        crowd.push(pid);
    }
    Ok(())
}

/// Ends them, and returns when they are gone.
fn end(crowd: &[libc::pid_t]) -> Result<()> {
    for pid in crowd.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // One that ended before is there until it is waited for; to wait for any, the kernel looks at them all.
        kill_process(pid, Signal::KILL)?;
        waitpid(Some(pid), WaitOptions::empty())?;
    }
    Ok(())
}

/// Waits until it is ended. It makes system calls only, of which none returns with an error, because where libc would
/// put that is its parent's.
extern "C" fn member(parent: *mut c_void) -> c_int {
    // SAFETY: the calls take numbers.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // A parent that had ended by then sends nothing.
        while libc::getppid() as usize == parent.addr() {
            libc::pause();
        }
    }
    0
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
