//! `cargo xtask vm`: the kernel tests on the kernels the project supports.
//!
//! QEMU starts Debian's kernels with a file system that holds the statically linked tests, the agent
//! and our own `init` (`tests/src/bin/init.rs`); nothing of the host is visible in it, so what passes
//! there depends on the kernel alone. Without hardware acceleration a boot takes seconds.

mod initramfs;
mod kernel;
mod machine;
mod plan;
mod programs;
mod qemu;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::programs::Programs;
use crate::{build, paths, sh};

pub(crate) use self::kernel::Kernel;
pub(crate) use self::machine::{ARCHS, Arch, Clock, HOME, Machine};
pub(crate) use self::plan::Plan;
pub(crate) use self::qemu::boot;

/// What a person calls a kernel, and the Debian release that has it.
pub(crate) const KERNELS: [(&str, &str); 3] = [
    ("6.1", "bookworm"),
    ("6.12", "trixie"),
    ("newest", "unstable"),
];

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
fn prepared(number: usize, options: &Options) -> Result<Vec<Boot>> {
    options
        .arch
        .ensure("the kernel tests run in virtual machines")?;
    let programs = programs::compiled(options.arch.rust)?;
    let mut kernels = Vec::new();
    for (name, suite) in &options.kernels {
        kernels.push((*name, options.arch.kernel(suite)?));
    }
    let initramfs = image(&programs, &kernels, options, number)?;
    let secured = if options.lsm { "-lsm" } else { "" };
    let machine = Machine {
        arch: options.arch,
        clock: Clock::Host,
        lsm: options.lsm,
    };
    let mut machines = Vec::new();
    for (name, kernel) in kernels {
        machines.push(Boot {
            name,
            qemu: machine.qemu(&kernel.image, &initramfs),
            log: paths::target("vm").join(format!("console-{}{secured}.log", kernel.release)),
            release: kernel.release,
        });
    }
    Ok(machines)
}

/// A machine to be started.
struct Boot {
    name: &'static str,
    release: String,
    qemu: Command,
    log: PathBuf,
}

/// Runs the machines side by side; the names of those that failed.
fn all_at_once(machines: Vec<Boot>) -> Vec<&'static str> {
    let failed = side_by_side(machines, |machine| {
        let name = machine.name;
        let error = one(machine).err()?;
        sh::say("Failed", format!("kernel {name}: {error:#}"));
        Some(name)
    });
    failed.into_iter().flatten().collect()
}

/// What comes of each machine, in their order. There runs one more than there are processors, so that none is idle while
/// the last ones end.
pub(crate) fn side_by_side<T: Send, R: Send>(
    machines: Vec<T>,
    run: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let workers = thread::available_parallelism().map_or(1, usize::from) + 1;
    let waiting = Mutex::new(machines.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    let next = || waiting.lock().ok().and_then(|mut all| all.next());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((number, machine)) = next() {
                    let result = run(machine);
                    let mut done = done.lock().expect("no thread panics with it");
                    done.push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no thread panics with it");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

fn one(machine: Boot) -> Result<()> {
    let Boot {
        name,
        release,
        qemu,
        log,
    } = machine;
    sh::say("Testing", format!("on kernel {release}"));
    let started = Instant::now();
    let outcome = boot(qemu, name, &log, SILENCE)?;
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
    let kernels: Vec<&Kernel> = kernels.iter().map(|kernel| &kernel.1).collect();
    let mut archive = options
        .arch
        .files(&programs.init, &programs.others, &kernels)?;
    archive.file(Path::new("/plan"), plan(programs, options)?.bytes())?;
    let path = paths::target("vm").join(format!("initramfs-{}-{number}.cpio", options.arch.rust));
    fs::write(&path, archive.finish()?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Every test, with what it is asked for.
fn plan(programs: &Programs, options: &Options) -> Result<Plan> {
    let mut plan = Plan::new();
    plan.env("RUST_BACKTRACE", "1");
    plan.env("LINEAGE_BIN", "/lineage/lineage");
    // One random policy is enough there: what compiles them is tested elsewhere.
    plan.env("LINEAGE_SEED", "24301");
    for test in &programs.tests {
        let name = test.file_name().context("a test has a name")?;
        let name = name.to_string_lossy();
        let program = format!("{HOME}/{name}");
        let mut words = vec![program.as_str()];
        words.extend(options.for_tests.iter().map(String::as_str));
        plan.run(&name, &words);
    }
    Ok(plan)
}
