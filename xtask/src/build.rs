//! `cargo xtask build`: the probes, then the agent with the probes inside.

use std::fs;

use anyhow::{Context, Result};

use crate::setup::{self, BPF_TARGET, Toolchain};
use crate::{paths, sh};

/// The task.
pub(crate) fn run(args: &[String]) -> Result<()> {
    sh::no_arguments(args)?;
    all()
}

/// Sets up, then builds everything that is shipped.
pub(crate) fn all() -> Result<()> {
    let toolchain = setup::ensure()?;
    probes(&toolchain)?;
    sh::say("Building", "the agent");
    sh::loud(sh::cargo([
        "build",
        "--release",
        "--package",
        "lineage-agent",
    ]))?;
    sh::say("Built", paths::lineage().display().to_string());
    Ok(())
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
pub(crate) fn probe_cargo(
    toolchain: &Toolchain,
    verb: &str,
    more_flags: &[&str],
) -> std::process::Command {
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
