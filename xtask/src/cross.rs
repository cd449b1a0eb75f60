//! Building for another machine type than this one: its Rust library, C compiler and C library.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{packages, sh};

/// Whether programs for a machine type do not run on this one.
pub(crate) fn is_foreign(arch: &str) -> bool {
    arch != std::env::consts::ARCH
}

/// A tool of the GNU binutils or compiler for a machine type.
pub(crate) fn tool(arch: &str, name: &str) -> String {
    if is_foreign(arch) {
        format!("{arch}-linux-gnu-{name}")
    } else {
        name.to_owned()
    }
}

/// Finds or installs what building for a machine type needs.
pub(crate) fn ensure(arch: &str) -> Result<()> {
    if !is_foreign(arch) {
        return Ok(());
    }
    let why = format!("programs for {arch}");
    let compiler = tool(arch, "gcc");
    packages::programs(
        &why,
        &[(&compiler, &format!("gcc-{}", compiler_package(arch)))],
    )?;
    if packages::have_apt() {
        packages::install(&why, &[&format!("libc6-dev-{}-cross", debian(arch))])?;
    }
    let triple = format!("{arch}-unknown-linux-gnu");
    if has_library(&triple) {
        return Ok(());
    }
    if sh::find("rustup").is_none() {
        bail!("this Rust compiler has no library for {triple}, and there is no rustup to get it");
    }
    sh::say("Installing", format!("Rust's library for {triple}"));
    sh::quiet(
        "rustup-target",
        sh::command("rustup", ["target", "add", &triple]),
    )
}

/// Tells cargo who links programs for a machine type. C code finds its compiler by itself.
pub(crate) fn environment(cargo: &mut Command, arch: &str) {
    if is_foreign(arch) {
        let variable = format!(
            "CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_LINKER",
            arch.to_uppercase()
        );
        cargo.env(variable, tool(arch, "gcc"));
    }
}

/// Debian spells architectures in its own way, and with a dash in the names of compilers.
fn debian(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn compiler_package(arch: &str) -> String {
    format!("{}-linux-gnu", arch.replace('_', "-"))
}

/// Whether the compiler that cargo uses has the standard library for a target.
fn has_library(triple: &str) -> bool {
    let query = sh::command("rustc", ["--print", "target-libdir", "--target", triple]);
    sh::output(query).is_ok_and(|dir| std::path::Path::new(dir.trim()).is_dir())
}
