//! A virtual machine: how QEMU starts it, and what is in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::initramfs::Archive;
use super::kernel::{self, Kernel};
use crate::{build, cross, packages, sh};

/// The release whose busybox is used on every kernel.
const BUSYBOX_SUITE: &str = "bookworm";

/// Where the programs are in the machine.
pub(crate) const HOME: &str = "/lineage";

const MEMORY_MIB: &str = "2048";

/// A machine type and what it is called by each of the tools.
pub(crate) struct Arch {
    pub(crate) rust: &'static str,
    pub(super) debian: &'static str,
    qemu: &'static str,
    package: &'static str,
    console: &'static str,
    machine: &'static str,
    cpu: &'static str,
}

pub(crate) const ARCHS: [Arch; 2] = [
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

/// What a machine's clock follows.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Clock {
    /// The host's. Two processors.
    Host,
    /// The instructions of its one processor, each a nanosecond: what takes how long is the same on every host.
    Instructions,
}

/// How to start one.
pub(crate) struct Machine<'a> {
    pub(crate) arch: &'a Arch,
    pub(crate) clock: Clock,
    /// Whether BPF is an active security module.
    pub(crate) lsm: bool,
}

impl Arch {
    /// Installs what emulates it, and what links programs for it.
    pub(crate) fn ensure(&self, why: &str) -> Result<()> {
        packages::programs(why, &[(self.qemu, self.package)])?;
        cross::ensure(self.rust)?;
        if !build::static_libc(self.rust) {
            bail!("virtual machines hold nothing but our programs; install `glibc-static`");
        }
        Ok(())
    }

    /// The kernel of a Debian release for it.
    pub(crate) fn kernel(&self, suite: &str) -> Result<Kernel> {
        kernel::kernel(suite, self.debian)
    }

    /// A file system with `init`, these programs and what the kernels need; all but the plan.
    pub(crate) fn files(
        &self,
        init: &Path,
        programs: &[PathBuf],
        kernels: &[&Kernel],
    ) -> Result<Archive> {
        let mut archive = Archive::new()?;
        archive.program(Path::new("/init"), init)?;
        let busybox = kernel::busybox(BUSYBOX_SUITE, self.debian)?;
        archive.program(Path::new("/bin/busybox"), &busybox)?;
        for directory in ["/root", "/run", "/var/lib", "/etc"] {
            archive.directory(Path::new(directory))?;
        }
        archive.file(Path::new("/etc/passwd"), b"root:x:0:0:root:/root:/bin/sh\n")?;
        for program in programs {
            let name = program.file_name().context("a program has a name")?;
            archive.program(&Path::new(HOME).join(name), program)?;
        }
        for kernel in kernels {
            let place = Path::new("/modules").join(&kernel.release);
            for module in &kernel.modules {
                let name = module.file_name().context("a module has a name")?;
                archive.program(&place.join(name), module)?;
            }
        }
        Ok(archive)
    }
}

impl Machine<'_> {
    /// The command that starts it.
    pub(crate) fn qemu(&self, kernel: &Path, initramfs: &Path) -> Command {
        let arch = self.arch;
        // The agent must work with the security modules that distributions switch on, of which BPF is one only here and
        // there.
        let bpf = if self.lsm { ",bpf" } else { "" };
        let mut boot = format!(
            "console={} quiet oops=panic panic=-1 mitigations=off lsm=lockdown,yama{bpf}",
            arch.console
        );
        // Emulated even where the host could help, so that it behaves the same everywhere. One host
        // thread for both processors: with two, the emulator can miss how a kernel exchanges code that
        // the other processor is about to run, which attaching a probe does.
        let mut qemu = sh::command(arch.qemu, ["-machine", arch.machine, "-cpu", arch.cpu]);
        qemu.args(["-accel", "tcg,thread=single"]);
        match self.clock {
            Clock::Host => qemu.args(["-smp", "2"]),
            Clock::Instructions => {
                // Time that is not waited for: what sleeps goes on at once.
                boot.push_str(" tsc=reliable clocksource=tsc");
                qemu.args(["-smp", "1", "-icount", "shift=0,sleep=off"])
            }
        };
        qemu.args(["-m", MEMORY_MIB, "-display", "none", "-monitor", "none"])
            .args(["-serial", "stdio", "-nic", "none", "-no-reboot"])
            .args(["-append", &boot])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs);
        qemu
    }
}
