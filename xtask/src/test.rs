//! `cargo xtask test`: every test there is, on the live kernel and on the supported ones.
//!
//! The kernel tests load the probes, so the whole task needs root. It refuses to run without,
//! because a run that leaves them out would look like one that passed.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, packages, paths, sh, vm};

/// What the Python of the tests needs.
const REQUIREMENTS: [&str; 2] = [
    "tests/independent/requirements.txt",
    "tests/exports/requirements.txt",
];

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
        ],
    )?;
    venv()?;
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

/// A Python environment under `target/` with the libraries of the independent verifier and of other tools.
pub(crate) fn venv() -> Result<()> {
    let mut wanted = String::new();
    for path in REQUIREMENTS {
        let path = paths::root().join(path);
        let text = fs::read_to_string(&path);
        wanted += &text.with_context(|| format!("cannot read {}", path.display()))?;
    }
    let stamp = paths::target("venv/stamp");
    if fs::read_to_string(&stamp).is_ok_and(|old| old == wanted) {
        return Ok(());
    }
    sh::say(
        "Installing",
        "Python libraries of the independent verifier and of other tools in target/venv",
    );
    create_venv()?;
    let mut pip = sh::command(
        paths::target("venv/bin/python"),
        ["-m", "pip", "install", "--disable-pip-version-check"],
    );
    for path in REQUIREMENTS {
        pip.args(["--requirement", path]);
    }
    sh::quiet("pip", pip)?;
    sh::write_if_changed(&stamp, wanted.as_bytes())?;
    Ok(())
}

fn create_venv() -> Result<()> {
    let create = || sh::command("python3", ["-m", "venv", "--clear", "target/venv"]);
    if sh::quiet("venv", create()).is_ok() {
        return Ok(());
    }
    // Debian keeps the module in a package of its own.
    if packages::have_apt() {
        packages::install("Python's venv module", &["python3-venv"])?;
        return sh::quiet("venv", create());
    }
    sh::quiet(
        "venv",
        sh::command("virtualenv", ["--clear", "target/venv"]),
    )
    .context("neither `python3 -m venv` nor `virtualenv` works; install one of them")
}
