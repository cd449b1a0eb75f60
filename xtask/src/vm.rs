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
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::initramfs::Archive;
use self::kernel::Kernel;
use self::programs::Programs;
use crate::{build, cross, packages, paths, sh};

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

/// How long nothing may be heard of the tests: each gives up on what does not come within ten minutes.
const SILENCE: Duration = Duration::from_secs(1500);

/// What is tested on every kernel: that the verifier takes the probes, and that they read what these tests look at.
const EVERYWHERE: [&str; 2] = ["load", "open::"];

/// What of the rest is tested on the oldest kernel, and on the newest: what the kernel has a part in and was found to
/// change between them. This machine's kernel has all of it, and so has each for whoever asks for it.
const OLDEST: [&str; 14] = [
    "accept::",
    "attach::a_process",
    "bind::",
    "calls::",
    "compat::",
    "connect::",
    "differential::",
    "exec::",
    "exit::",
    "fork::",
    "listen::",
    "seldom::",
    "socket_create::",
    "tally::",
];
/// Loading the probes takes longer the newer the kernel, and this machine's is nearly as new.
const NEWEST: [&str; 3] = ["cgroup::", "close::", "snapshot::"];

const MEMORY_MIB: &str = "2048";

/// What is tested once more where BPF is an active security module: what policies deny, and that the probes of that load.
const SECURED: [&str; 3] = ["govern::", "load::policies", "load::the_verifier"];

/// Of that, what is tested on the newest kernel.
const SECURED_NEWEST: [&str; 6] = [
    "govern::a_program",
    "govern::connections",
    "govern::others::what_is_done_to_others_is_refused",
    "govern::what_changes_names",
    "load::policies",
    "load::the_verifier",
];

/// The ways round policies of which more is stopped there.
const BYPASSED: [&str; 3] = ["bypass::files::", "bypass::programs::", "bypass::sockets::"];

/// The task: `[--kernel NAME]... [--arch ARCH] [--lsm] [-- TEST ARGUMENTS]`. With `--lsm`, BPF is an active security
/// module.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    build::all()?;
    matrix(&[options])
}

/// What to run where.
struct Options {
    kernels: Vec<(&'static str, &'static str)>,
    arch: &'static Arch,
    /// Whether BPF is an active security module.
    lsm: bool,
    for_tests: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kernels: KERNELS.to_vec(),
            arch: &ARCHS[0],
            lsm: false,
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
                "--lsm" => options.lsm = true,
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
        // Instructions that repeat are emulated byte by byte: with them a kernel clears pages and copies several times
        // slower than with what it does on processors where they are slow, and the probes load in twice the time.
        cpu: "max,-erms,-fsrm",
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

/// Boots every kernel with some of the tests. An emulated processor is slow, and what differs from kernel to kernel is
/// seen at the ends.
pub(crate) fn usual() -> Result<()> {
    let [oldest, between @ .., newest] = KERNELS;
    let on = |kernel, lsm, lists: &[&[&str]]| Options {
        kernels: vec![kernel],
        lsm,
        for_tests: lists.concat().into_iter().map(str::to_owned).collect(),
        ..Options::default()
    };
    let mut boots = vec![
        on(oldest, false, &[&EVERYWHERE, &OLDEST]),
        on(newest, false, &[&EVERYWHERE, &NEWEST]),
        on(oldest, true, &[&SECURED, &BYPASSED]),
        on(newest, true, &[&SECURED_NEWEST]),
    ];
    for kernel in between {
        boots.push(on(kernel, true, &[&EVERYWHERE, &SECURED]));
    }
    matrix(&boots)
}

/// Boots everything asked for. All of it runs, also after one failed.
fn matrix(boots: &[Options]) -> Result<()> {
    let mut machines = Vec::new();
    for (number, options) in boots.iter().enumerate() {
        machines.extend(prepared(number, options)?);
    }
    let bad = all_at_once(machines);
    if bad.is_empty() {
        Ok(())
    } else {
        bail!("the kernel tests failed on: {}", bad.join(", "))
    }
}

/// The machines for one set of options, which has this number.
fn prepared(number: usize, options: &Options) -> Result<Vec<Machine>> {
    packages::programs(
        "the kernel tests run in virtual machines",
        &[(options.arch.qemu, options.arch.package)],
    )?;
    cross::ensure(options.arch.rust)?;
    if !build::static_libc(options.arch.rust) {
        bail!("virtual machines hold nothing but our programs; install `glibc-static`");
    }
    let programs = programs::compiled(options.arch.rust)?;
    let mut kernels = Vec::new();
    for (name, suite) in &options.kernels {
        kernels.push((*name, kernel::kernel(suite, options.arch.debian)?));
    }
    let initramfs = image(&programs, &kernels, options, number)?;
    let secured = if options.lsm { "-lsm" } else { "" };
    let mut machines = Vec::new();
    for (name, kernel) in kernels {
        machines.push(Machine {
            name,
            qemu: machine(options, &kernel.image, &initramfs),
            log: paths::target("vm").join(format!("console-{}{secured}.log", kernel.release)),
            release: kernel.release,
        });
    }
    Ok(machines)
}

/// A machine to be started.
struct Machine {
    name: &'static str,
    release: String,
    qemu: Command,
    log: PathBuf,
}

/// Runs the machines side by side, one more than there are processors, so that none is idle while the
/// last ones end; the names of those that failed.
fn all_at_once(machines: Vec<Machine>) -> Vec<&'static str> {
    let workers = thread::available_parallelism().map_or(1, usize::from) + 1;
    let waiting = Mutex::new(machines.into_iter());
    let bad = Mutex::new(Vec::new());
    let next = || waiting.lock().ok().and_then(|mut all| all.next());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(machine) = next() {
                    let name = machine.name;
                    if let Err(error) = one(machine) {
                        sh::say("Failed", format!("kernel {name}: {error:#}"));
                        bad.lock().expect("no thread panics with it").push(name);
                    }
                }
            });
        }
    });
    bad.into_inner().expect("no thread panics with it")
}

fn one(machine: Machine) -> Result<()> {
    let Machine {
        name,
        release,
        qemu,
        log,
    } = machine;
    sh::say("Testing", format!("on kernel {release}"));
    let started = Instant::now();
    let outcome = qemu::boot(qemu, name, &log, SILENCE)?;
    if let Some(what) = outcome.bad() {
        bail!("{what} on {release}; the console is in {}", log.display());
    }
    let seconds = started.elapsed().as_secs();
    sh::say("Passed", format!("kernel {release} in {seconds} s"));
    Ok(())
}

/// Writes the file system and gives its path.
fn image(
    programs: &Programs,
    kernels: &[(&str, Kernel)],
    options: &Options,
    number: usize,
) -> Result<PathBuf> {
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
    for (_, kernel) in kernels {
        let place = Path::new("/modules").join(&kernel.release);
        for module in &kernel.modules {
            let name = module.file_name().context("a module has a name")?;
            archive.program(&place.join(name), module)?;
        }
    }
    archive.file(Path::new("/plan"), plan(programs, options)?.as_bytes())?;
    let path = paths::target("vm").join(format!("initramfs-{}-{number}.cpio", options.arch.rust));
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
        // One random policy is enough there: what compiles them is tested elsewhere.
        ("LINEAGE_SEED", "24301"),
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

fn machine(options: &Options, kernel: &Path, initramfs: &Path) -> Command {
    let arch = options.arch;
    // The agent must work with the security modules that distributions switch on, of which BPF is one only here and
    // there.
    let bpf = if options.lsm { ",bpf" } else { "" };
    let boot = format!(
        "console={} quiet oops=panic panic=-1 mitigations=off lsm=lockdown,yama{bpf}",
        arch.console
    );
    // Emulated even where the host could help, so that it behaves the same everywhere. One host
    // thread for both processors: with two, the emulator can miss how a kernel exchanges code that
    // the other processor is about to run, which attaching a probe does.
    let mut qemu = sh::command(arch.qemu, ["-machine", arch.machine, "-cpu", arch.cpu]);
    qemu.args(["-accel", "tcg,thread=single"])
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
