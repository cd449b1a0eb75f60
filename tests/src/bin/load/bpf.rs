//! How long the BPF programs of a process ran.
#![allow(unsafe_code)] // system calls without a safe form

use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

// Commands and types of include/uapi/linux/bpf.h.
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const ENABLE_STATS: libc::c_long = 32;
const STATS_RUN_TIME: u64 = 0;

/// Where a program's name is among what the kernel says of it, and how long names are.
const NAME_AT: usize = 64;
const NAME_BYTES: usize = 16;

/// Has the kernel measure programs, as long as the result lives: it ends with this process, however that ends.
pub(crate) fn enable_stats() -> Result<OwnedFd> {
    opened(ENABLE_STATS, &[STATS_RUN_TIME]).context("cannot have BPF programs measured")
}

/// A program that another process holds, and how often and how long it has run.
pub(crate) struct Program {
    id: u64,
    runs: u64,
    run_ns: u64,
}

/// All programs that a process holds.
pub(crate) fn programs(pid: u32) -> Result<Vec<Program>> {
    let mut programs: Vec<Program> = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // Descriptors come and go.
        let Ok(text) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        let number = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name)?.1.trim().parse().ok()
        };
        // Links name their program, too, and do not say how long it ran.
        let (Some(id), Some(runs), Some(run_ns)) =
            (number("prog_id"), number("run_cnt"), number("run_time_ns"))
        else {
            continue;
        };
        if programs.iter().all(|known| known.id != id) {
            programs.push(Program { id, runs, run_ns });
        }
    }
    Ok(programs)
}

/// What those programs that ran have done since.
pub(crate) fn since(before: &[Program], after: &[Program]) -> Vec<Value> {
    let mut told = Vec::new();
    for program in after {
        let old = before.iter().find(|old| old.id == program.id);
        let (runs, run_ns) = old.map_or((0, 0), |old| (old.runs, old.run_ns));
        if program.runs > runs {
            let name = name(program.id).unwrap_or_else(|_| program.id.to_string());
            told.push(json!({
                "name": name, "runs": program.runs - runs, "run_ns": program.run_ns - run_ns,
            }));
        }
    }
    told
}

fn name(id: u64) -> Result<String> {
    let program = opened(PROG_GET_FD_BY_ID, &[id])?;
    let mut info = [0_u8; NAME_AT + NAME_BYTES];
    let length = info.len() as u64;
    let ask = [
        descriptor(&program) | length << 32,
        info.as_mut_ptr() as u64,
    ];
    call(OBJ_GET_INFO_BY_FD, &ask)?;
    let name = info[NAME_AT..].split(|byte| *byte == 0).next();
    Ok(String::from_utf8_lossy(name.unwrap_or_default()).into_owned())
}

fn descriptor(fd: &OwnedFd) -> u64 {
    u64::from(fd.as_raw_fd().cast_unsigned())
}

fn opened(command: libc::c_long, attributes: &[u64]) -> Result<OwnedFd> {
    let fd = i32::try_from(call(command, attributes)?)?;
    // SAFETY: the call has just made this descriptor, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// bpf(2). Fields of 32 bits are in pairs, the first one lower.
fn call(command: libc::c_long, attributes: &[u64]) -> Result<libc::c_long> {
    const { assert!(cfg!(target_endian = "little")) };
    let bytes = size_of_val(attributes);
    // SAFETY: the attributes are as long as said, and what they point to is borrowed by the callers,
    // who say how long it is.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), bytes) };
    if result < 0 {
        bail!(std::io::Error::last_os_error());
    }
    Ok(result)
}
