//! `cargo xtask vm`: the kernel tests on the kernels the project supports.
//!
//! QEMU starts Debian's kernels with a file system that holds the statically linked tests, the agent
//! and our own `init` (`tests/src/bin/init.rs`); nothing of the host is visible in it, so what passes
//! there depends on the kernel alone. Without hardware acceleration a boot takes seconds.

mod initramfs;
mod kernel;
mod programs;
mod qemu;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::initramfs::Archive;
use self::programs::Programs;
use crate::{build, packages, paths, sh};

/// What a person calls a kernel, and the Debian release that has it.
const KERNELS: [(&str, &str); 3] = [
    ("6.1", "bookworm"),
    ("6.12", "trixie"),
    ("newest", "unstable"),
];

/// The release whose busybox is used on every kernel.
const BUSYBOX_SUITE: &str = "bookworm";

/// Where the programs are in the machine.
const HOME: &str = "/lineage";

/// How long one machine may run. Emulated and on a busy host, a tenth of it is usual.
const LIMIT: Duration = Duration::from_secs(600);

const MEMORY_MIB: &str = "1024";

/// The task: `[--kernel NAME]... [--arch ARCH] [-- TEST ARGUMENTS]`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    build::all()?;
    matrix(&options)
}

/// What to run where.
pub(crate) struct Options {
    kernels: Vec<(&'static str, &'static str)>,
    arch: &'static Arch,
    for_tests: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kernels: KERNELS.to_vec(),
            arch: &ARCHS[0],
            for_tests: Vec::new(),
        }
    }
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut chosen = Vec::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--kernel" => chosen.push(named(args.next(), &KERNELS, |kernel| kernel.0)?),
                "--arch" => options.arch = named(args.next(), &ARCHS, |arch| arch.rust)?,
                "--" => options.for_tests = args.by_ref().cloned().collect(),
                other => bail!("`{other}` is not an option of this task"),
            }
        }
        if !chosen.is_empty() {
            options.kernels = chosen.into_iter().copied().collect();
        }
        Ok(options)
    }
}

fn named<'a, T>(
    name: Option<&String>,
    all: &'a [T],
    of: impl Fn(&T) -> &'static str,
) -> Result<&'a T> {
    let name = name.map_or("", String::as_str);
    all.iter().find(|one| of(one) == name).with_context(|| {
        let known: Vec<_> = all.iter().map(of).collect();
        format!("`{name}` is none of {}", known.join(", "))
    })
}

/// A machine type and what it is called by each of the tools.
struct Arch {
    rust: &'static str,
    debian: &'static str,
    qemu: &'static str,
    package: &'static str,
    console: &'static str,
    machine: &'static str,
    cpu: &'static str,
}

const ARCHS: [Arch; 2] = [
    Arch {
        rust: "x86_64",
        debian: "amd64",
        qemu: "qemu-system-x86_64",
        package: "qemu-system-x86",
        console: "ttyS0",
        machine: "q35",
        cpu: "max",
    },
    Arch {
        rust: "aarch64",
        debian: "arm64",
        qemu: "qemu-system-aarch64",
        package: "qemu-system-arm",
        console: "ttyAMA0",
        machine: "virt",
        // The architected pointer authentication is very slow to emulate.
        cpu: "max,pauth-impdef=on",
    },
];

/// Boots every kernel asked for. All of them run, also after one failed.
pub(crate) fn matrix(options: &Options) -> Result<()> {
    packages::programs(
        "the kernel tests run in virtual machines",
        &[(options.arch.qemu, options.arch.package)],
    )?;
    if !build::static_libc() {
        bail!("virtual machines hold nothing but our programs; install `glibc-static`");
    }
    let programs = programs::compiled(options.arch.rust)?;
    let mut bad = Vec::new();
    for (name, suite) in &options.kernels {
        if let Err(error) = one(suite, &programs, options) {
            sh::say("Failed", format!("kernel {name}: {error:#}"));
            bad.push(*name);
        }
    }
    if bad.is_empty() {
        Ok(())
    } else {
        bail!("the kernel tests failed on: {}", bad.join(", "))
    }
}

fn one(suite: &str, programs: &Programs, options: &Options) -> Result<()> {
    let kernel = kernel::kernel(suite, options.arch.debian)?;
    let initramfs = image(programs, options)?;
    sh::say("Testing", format!("on kernel {}", kernel.release));
    let started = Instant::now();
    let log = paths::target("vm").join(format!("console-{}.log", kernel.release));
    let outcome = qemu::boot(
        machine(options.arch, &kernel.image, &initramfs),
        &log,
        LIMIT,
    )?;
    if !outcome.good() {
        let failed: Vec<_> = outcome
            .failed
            .iter()
            .map(|(name, status)| format!("{name} ({status})"))
            .collect();
        let what = if !outcome.finished {
            "the machine died".to_owned()
        } else if failed.is_empty() {
            "nothing ran".to_owned()
        } else {
            format!("{} failed", failed.join(", "))
        };
        bail!(
            "{what} on {}; the console is in {}",
            kernel.release,
            log.display()
        );
    }
    let seconds = started.elapsed().as_secs();
    sh::say(
        "Passed",
        format!("kernel {} in {seconds} s", kernel.release),
    );
    Ok(())
}

/// Writes the file system and gives its path.
fn image(programs: &Programs, options: &Options) -> Result<PathBuf> {
    let mut archive = Archive::new()?;
    archive.program(Path::new("/init"), &programs.init)?;
    let busybox = kernel::busybox(BUSYBOX_SUITE, options.arch.debian)?;
    archive.program(Path::new("/bin/busybox"), &busybox)?;
    for directory in ["/root", "/run", "/var/lib", "/etc"] {
        archive.directory(Path::new(directory))?;
    }
    archive.file(Path::new("/etc/passwd"), b"root:x:0:0:root:/root:/bin/sh\n")?;
    let home = Path::new(HOME);
    for program in &programs.others {
        archive.program(
            &home.join(program.file_name().context("a program has a name")?),
            program,
        )?;
    }
    archive.file(Path::new("/plan"), plan(programs, options)?.as_bytes())?;
    let path = paths::target("vm").join(format!("initramfs-{}.cpio", options.arch.rust));
    fs::write(&path, archive.finish()?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// What `init` runs, in its own format.
fn plan(programs: &Programs, options: &Options) -> Result<String> {
    let mut plan = String::new();
    let environment = [
        ("PATH", "/bin:/sbin:/usr/bin"),
        ("HOME", "/root"),
        ("RUST_BACKTRACE", "1"),
        ("LINEAGE_BIN", "/lineage/lineage"),
    ];
    for (name, value) in environment {
        plan.push_str(&format!("env\t{name}\t{value}\n"));
    }
    for test in &programs.tests {
        let name = test
            .file_name()
            .context("a test has a name")?
            .to_string_lossy();
        plan.push_str(&format!("run\t{name}\t{HOME}/{name}"));
        for argument in &options.for_tests {
            plan.push_str(&format!("\t{argument}"));
        }
        plan.push('\n');
    }
    Ok(plan)
}

fn machine(arch: &Arch, kernel: &Path, initramfs: &Path) -> Command {
    // The agent must work with the security modules that distributions switch on.
    let boot = format!(
        "console={} quiet panic=-1 mitigations=off lsm=lockdown,yama,bpf",
        arch.console
    );
    // Emulated even where the host could help: it takes seconds and behaves the same everywhere.
    let mut qemu = sh::command(arch.qemu, ["-machine", arch.machine, "-cpu", arch.cpu]);
    qemu.args(["-accel", "tcg,thread=multi"])
        .args([
            "-smp", "2", "-m", MEMORY_MIB, "-display", "none", "-monitor", "none",
        ])
        .args([
            "-serial",
            "stdio",
            "-nic",
            "none",
            "-no-reboot",
            "-append",
            &boot,
        ])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs);
    qemu
}
