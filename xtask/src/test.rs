//! `cargo xtask test`: every test there is, on the live kernel and on the supported ones.
//!
//! The kernel tests load the probes, so the whole task needs root. It refuses to run without,
//! because a run that leaves them out would look like one that passed.

use std::fs;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{build, packages, paths, python, sh, vm};

const NEEDS_ROOT: &str = "\
the tests need root: those in tests/kernel load programs into the kernel and record processes.
    sudo -E env \"PATH=$PATH\" cargo xtask test       runs them all
    cargo test --package lineage-agent --lib        runs some that need neither root nor a kernel";

/// The task: `[--no-vm] [-- CARGO TEST ARGUMENTS]`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let split = args
        .iter()
        .position(|arg| arg == "--")
        .unwrap_or(args.len());
    let with_vm = match &args[..split] {
        [] => true,
        [flag] if flag == "--no-vm" => false,
        [other, ..] => bail!("`{other}` is not an option of this task"),
    };
    let for_cargo = args.get(split + 1..).unwrap_or_default();
    require_root()?;
    build::all()?;
    packages::programs(
        "the tests compare with it or run it",
        &[
            ("dot", "graphviz"),
            ("git", "git"),
            ("strace", "strace"),
            ("python3", "python3"),
            ("java", "default-jre-headless"),
        ],
    )?;
    python::independent()?;
    python::consumers()?;
    // The live tests run also when a machine failed: whoever waits for both wants to know both.
    let machines = if with_vm { vm::usual() } else { Ok(()) };
    if let Err(error) = &machines {
        sh::say("Failed", format!("{error:#}"));
    }
    live(for_cargo)?;
    machines
}

/// Refuses to go on without root.
pub(crate) fn require_root() -> Result<()> {
    if sh::is_root() {
        Ok(())
    } else {
        bail!("{NEEDS_ROOT}")
    }
}

/// All tests of the workspace on this machine's kernel. The runner's own lines end the output.
fn live(for_cargo: &[String]) -> Result<()> {
    sh::say(
        "Testing",
        format!("on this machine's kernel, {}", kernel_release()),
    );
    let mut cargo = sh::cargo([
        "test",
        "--workspace",
        "--exclude",
        "lineage-ebpf",
        "--no-fail-fast",
    ]);
    // As for the virtual machines, so that everything is compiled once.
    build::linked_statically(&mut cargo, std::env::consts::ARCH);
    cargo.args(for_cargo);
    environment(&mut cargo);
    sh::loud(cargo)
}

fn kernel_release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Where the tests find what they run.
pub(crate) fn environment(command: &mut Command) {
    command.env("LINEAGE_BIN", paths::lineage());
}
