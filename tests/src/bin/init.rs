//! PID 1 of the virtual machines in which the kernel tests run (`cargo xtask vm`) and instructions are counted
//! (`cargo xtask bench emulated`).
//!
//! Mounts what they need, runs the programs that `/plan` lists, says how each ended, and powers
//! the machine off. Lines of the plan, with fields separated by tabs:
//!
//! ```text
//! env     NAME  VALUE
//! run     NAME  PROGRAM  ARGUMENT...
//! ```
//!
//! What it says about itself starts with `@vm `; `@vm done` is the last line, and a machine that does
//! not say it has died.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};
use rustix::system::{RebootCommand, reboot, uname};

/// File systems: what, where, and whether the tests can do without it.
const MOUNTS: [(&str, &str, bool); 10] = [
    ("proc", "/proc", true),
    ("sysfs", "/sys", true),
    ("devtmpfs", "/dev", true),
    ("devpts", "/dev/pts", true),
    ("tmpfs", "/dev/shm", true),
    ("bpf", "/sys/fs/bpf", true),
    ("cgroup2", "/sys/fs/cgroup", true),
    ("securityfs", "/sys/kernel/security", false),
    ("tracefs", "/sys/kernel/tracing", false),
    ("debugfs", "/sys/kernel/debug", false),
];

fn main() {
    if let Err(error) = run() {
        println!("@vm error {error:#}");
    }
    rustix::fs::sync();
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        println!("@vm error cannot power off: {error}");
    }
}

fn run() -> Result<()> {
    for (kind, place, needed) in MOUNTS {
        if let Err(error) = mount_at(kind, place)
            && needed
        {
            return Err(error);
        }
    }
    busybox(&["--install", "-s", "/bin"])?;
    busybox(&["ip", "link", "set", "lo", "up"])?;
    insert_modules()?;
    let plan = fs::read_to_string("/plan").context("cannot read the plan")?;
    let mut environment = Vec::new();
    for line in plan.lines() {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["env", name, value] => environment.push((name, value)),
            ["run", name, program, ref arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).envs(environment.iter().copied());
                println!("@vm start {name}");
                println!("@vm end {name} {}", told(run_one(command)?));
            }
            _ => bail!("the plan has a line it cannot have: {line}"),
        }
    }
    println!("@vm done");
    Ok(())
}

fn mount_at(kind: &str, place: &str) -> Result<()> {
    // A directory that is there is what is wanted; a mount that fails says why.
    let _ = fs::create_dir_all(place);
    mount(kind, place, kind, MountFlags::empty(), None)
        .with_context(|| format!("cannot mount {kind} at {place}"))
}

/// Inserts what is there for this kernel.
fn insert_modules() -> Result<()> {
    let name = uname();
    let modules = Path::new("/modules").join(name.release().to_str()?);
    for module in fs::read_dir(modules).into_iter().flatten() {
        let path = module.context("cannot list the modules")?.path();
        busybox(&["insmod", &path.to_string_lossy()])?;
    }
    Ok(())
}

fn busybox(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("/bin/busybox");
    command.args(arguments);
    let status = run_one(command)?;
    if !status.success() {
        bail!("busybox {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs a program to its end, and waits for every orphan that ends meanwhile, which is PID 1's duty.
fn run_one(mut command: Command) -> Result<ExitStatus> {
    let child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    loop {
        let ended = wait(WaitOptions::empty()).context("cannot wait")?;
        if let Some((pid, status)) = ended
            && pid.as_raw_nonzero().get().unsigned_abs() == child.id()
        {
            return Ok(ExitStatus::from_raw(status.as_raw()));
        }
    }
}

/// An ending in one word.
fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => format!("signal-{signal}"),
        (None, None) => "unknown".to_owned(),
    }
}
