//! What a system call costs in instructions, on a machine whose clock counts them (`cargo xtask bench emulated`).
//!
//! ```text
//! count STATE                          measures, and calls the figures STATE
//! count STATE hook raw|event           the same with an empty program where system calls return
//! count STATE beside PROGRAM ARG...    the same while `PROGRAM ARG... count idle` runs
//! count idle                           says that it runs, and waits until its input ends
//! ```
//!
//! A machine of QEMU with `-icount shift=0` makes every instruction one nanosecond long, so that nothing in it depends on
//! how fast or how busy the host is. Whether the clock counts is seen of a loop of known length first: elsewhere there are
//! no figures. One line of JSON for each call:
//!
//! ```text
//! {"state":"no-tracer","call":"getppid","instructions":123.4}
//! ```

mod known;

use std::{
    hint::black_box,
    io::{Read as _, Write as _, stdin, stdout},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use lineage_tests::hook;
use rustix::{
    fs::{CWD, Mode, OFlags, open, openat},
    io::pread,
    process::getppid,
    time::{ClockId, clock_gettime},
};

/// Calls between two looks at the clock: few enough that most blocks hold no timer interrupt and no other process.
const BLOCK: u32 = 100;
/// Blocks. What interferes only adds to some of them, at times to most: the kernel frees files in batches of thousands,
/// and after its start has work of its own. So the block counts below which a quarter of them are.
const BLOCKS: usize = 800;
/// Blocks before them, in which caches of the kernel fill and the recorder gets to know the process.
const WARM_UP: usize = 100;
/// Small, and there in every machine.
const FILE: &str = "/etc/passwd";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("count: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["idle"] => idle(),
        [state] => measure(state),
        [state, "hook", kind] => {
            let hook = hook::attach(kind.parse()?)?;
            measure(state)?;
            drop(hook);
            Ok(())
        }
        [state, "beside", program, arguments @ ..] => beside(state, program, arguments),
        _ => bail!("usage: count STATE [hook raw|event | beside PROGRAM ARG...]"),
    }
}

/// What is recorded while others are measured: a process that does nothing.
fn idle() -> Result<()> {
    stdout().write_all(b"idle\n")?;
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Measures as soon as the program has started the idle process, and ends that afterwards.
fn beside(state: &str, program: &str, arguments: &[&str]) -> Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .arg(std::env::current_exe()?)
        .arg("idle")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let mut said = [0; 5];
    let mut output = child.stdout.take().context("its output is a pipe")?;
    output
        .read_exact(&mut said)
        .context("the idle process did not start")?;
    let measured = measure(state);
    drop(child.stdin.take());
    let status = child.wait()?;
    ensure!(status.success(), "{program} ended with {status}");
    measured
}

fn measure(state: &str) -> Result<()> {
    clock_counts()?;
    let file = open(FILE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut byte = [0];
    let calls: [(&str, &mut dyn FnMut() -> Result<()>); 3] = [
        ("getppid", &mut || {
            black_box(getppid());
            Ok(())
        }),
        ("read", &mut || {
            pread(&file, &mut byte, 0)?;
            Ok(())
        }),
        ("open+close", &mut || {
            drop(openat(
                CWD,
                FILE,
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )?);
            Ok(())
        }),
    ];
    for (call, make) in calls {
        let instructions = per_call(make)?;
        println!(r#"{{"state":"{state}","call":"{call}","instructions":{instructions:.2}}}"#);
    }
    Ok(())
}

/// Instructions per call, without what interrupts some of the blocks.
fn per_call(make: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let mut blocks = Vec::with_capacity(BLOCKS);
    for number in 0..WARM_UP + BLOCKS {
        let started = now();
        for _ in 0..BLOCK {
            make()?;
        }
        let took = now() - started;
        if number >= WARM_UP {
            blocks.push(took);
        }
    }
    blocks.sort_unstable();
    let block = u32::try_from(blocks[BLOCKS / 4]).context("a block takes less than seconds")?;
    Ok(f64::from(block) / f64::from(BLOCK))
}

/// Whether a nanosecond is an instruction here.
fn clock_counts() -> Result<()> {
    const ROUNDS: u32 = 100_000;
    let mut took = [0_i64; 9];
    for one in &mut took {
        let started = now();
        known::two_each(ROUNDS);
        *one = now() - started;
    }
    took.sort_unstable();
    // Others that run only add to it.
    let per_round = f64::from(u32::try_from(took[took.len() / 4])?) / f64::from(ROUNDS);
    ensure!(
        (1.98..2.02).contains(&per_round),
        "the clock does not count instructions: two of them take {per_round}"
    );
    Ok(())
}

fn now() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
