//! `cargo xtask build`: the probes, then the agent with the probes inside.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, BPF_TARGET, Toolchain};
use crate::{cross, paths, sh};

/// The task.
pub(crate) fn run(args: &[String]) -> Result<()> {
    sh::no_arguments(args)?;
    all()
}

/// Sets up, then builds everything that is shipped.
pub(crate) fn all() -> Result<()> {
    let toolchain = setup::ensure()?;
    probes(&toolchain)?;
    let built = agent(std::env::consts::ARCH)?;
    fs::create_dir_all(paths::target("release")).context("cannot create target/release")?;
    let place = paths::lineage();
    if inode(&built) != inode(&place) {
        let _ = fs::remove_file(&place);
        // A second name for the same file: whoever runs it keeps it when it is built anew.
        fs::hard_link(&built, &place)
            .with_context(|| format!("cannot make {}", place.display()))?;
    }
    sh::say("Built", place.display().to_string());
    Ok(())
}

/// Builds the agent with the probes inside, linked statically: one file that runs on any Linux of
/// its architecture, and in the virtual machines of the tests as it is.
pub(crate) fn agent(arch: &str) -> Result<PathBuf> {
    sh::say("Building", "the agent");
    let mut cargo = sh::cargo(["build", "--release", "--package", "lineage-agent"]);
    let triple = linked_statically(&mut cargo, arch);
    sh::loud(cargo)?;
    Ok(paths::target(&triple).join("release/lineage"))
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|data| data.ino())
}

/// Gives a cargo command what makes it link statically for a machine type, where the C library can
/// be linked so; the target it builds for.
///
/// The tests are built the same way on the live kernel and for virtual machines, so that they are
/// compiled once.
pub(crate) fn linked_statically(cargo: &mut Command, arch: &str) -> String {
    let triple = format!("{arch}-unknown-linux-gnu");
    cargo.args(["--target", &triple]);
    cross::environment(cargo, arch);
    if static_libc(arch) {
        let user = std::env::var("RUSTFLAGS").unwrap_or_default();
        let flags = format!("{user} -C target-feature=+crt-static");
        cargo.env("RUSTFLAGS", flags.trim());
    }
    triple
}

/// Whether the C library comes in a form that can be linked statically. On Debian it is part of the
/// C compiler's own needs; other systems have a package `glibc-static`.
pub(crate) fn static_libc(arch: &str) -> bool {
    let compiler = if cross::is_foreign(arch) {
        cross::tool(arch, "gcc")
    } else {
        "cc".to_owned()
    };
    let query = sh::command(compiler, ["-print-file-name=libc.a"]);
    sh::output(query).is_ok_and(|path| path.starts_with('/'))
}

/// Builds the probes and puts them where the agent's build script looks.
pub(crate) fn probes(toolchain: &Toolchain) -> Result<()> {
    sh::say("Building", format!("the probes ({})", toolchain.version));
    sh::loud(probe_cargo(toolchain, "build", &[]))?;
    let built = paths::target("bpf")
        .join(BPF_TARGET)
        .join("bpf/lineage-ebpf");
    let object = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    sh::write_if_changed(&paths::probes(), &object)?;
    Ok(())
}

/// A cargo command on the probes' crate with the compiler for them.
pub(crate) fn probe_cargo(toolchain: &Toolchain, verb: &str, more_flags: &[&str]) -> Command {
    let mut cargo = sh::cargo([
        verb,
        "--package",
        "lineage-ebpf",
        "--target",
        BPF_TARGET,
        "--profile",
        "bpf",
        "--target-dir",
        "target/bpf",
    ]);
    if toolchain.build_std {
        cargo.args(["-Z", "build-std=core"]);
    }
    let linker = format!("linker={}", toolchain.linker.display());
    // Debug information is what the linker makes BTF from, and the kernel wants BTF.
    let mut flags = vec!["-C", "debuginfo=2", "-C", &linker, "-C", "link-arg=--btf"];
    // Otherwise every small clearing becomes a call of a loop over bytes.
    flags.extend(["-C", "link-arg=--disable-expand-memcpy-in-order"]);
    flags.extend(more_flags);
    cargo
        .env("RUSTC", &toolchain.rustc)
        // The BPF crates use unstable features, with a stable compiler as well.
        .env("RUSTC_BOOTSTRAP", "1")
        // The encoded form takes paths with spaces and wins over flags from the environment.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    cargo
}
