//! `cargo xtask ci`: everything that must hold before a change is accepted. `.ci/run` calls it.
//!
//! The cheap checks come first. The tests come last, so that the runner's own lines end the output.

use std::path::Path;

use anyhow::Result;

use crate::setup::{self, Toolchain};
use crate::{build, packages, programs, sh, test, tidy};

/// The task.
pub(crate) fn run(args: &[String]) -> Result<()> {
    sh::no_arguments(args)?;
    test::require_root()?;
    components()?;
    sh::say("Checking", "the formatting");
    sh::loud(sh::cargo(["fmt", "--all", "--check"]))?;
    tidy::run(&[])?;
    let toolchain = setup::ensure()?;
    build::probes(&toolchain)?;
    lint_probes(&toolchain)?;
    lint_host()?;
    documentation()?;
    // The tests are run also when this fails: whoever waits for both wants to know both.
    let programs = programs::run(&[]);
    if let Err(error) = &programs {
        sh::say("Failed", format!("programs: {error:#}"));
    }
    test::run(&[])?;
    programs
}

/// The parts of the compiler that checks need and a minimal installation lacks.
fn components() -> Result<()> {
    let works = |tool: &str| sh::output(sh::cargo([tool, "--version"])).is_ok();
    if works("fmt") && works("clippy") || sh::find("rustup").is_none() {
        return Ok(());
    }
    sh::say("Installing", "rustfmt and clippy");
    sh::quiet(
        "rustup",
        sh::command("rustup", ["component", "add", "rustfmt", "clippy"]),
    )
}

/// Clippy on the probes, with the clippy of the compiler that builds them.
fn lint_probes(toolchain: &Toolchain) -> Result<()> {
    let dir = toolchain.rustc.parent().unwrap_or(Path::new("/usr/bin"));
    let clippy = dir.join("cargo-clippy");
    if !clippy.is_file() && packages::have_apt() {
        for package in ["rust-web-clippy", "rust-clippy"] {
            if dir == Path::new("/usr/bin") && packages::offered(package)? {
                packages::install("clippy for the probes", &[package])?;
                break;
            }
        }
    }
    if !clippy.is_file() {
        sh::say(
            "Checking",
            "the probes with -D warnings only: their compiler has no clippy",
        );
        return sh::loud(build::probe_cargo(toolchain, "build", &["-D", "warnings"]));
    }
    sh::say("Checking", "the probes with clippy");
    let mut lint = build::probe_cargo(toolchain, "clippy", &[]);
    lint.args(["--", "-D", "warnings"]);
    sh::loud(sh::with_program(&lint, &clippy))
}

fn lint_host() -> Result<()> {
    sh::say("Checking", "the host side with clippy");
    sh::loud(sh::cargo([
        "clippy",
        "--workspace",
        "--exclude",
        "lineage-ebpf",
        "--all-targets",
        // Not among them, because it needs more than a compiler.
        "--test",
        "programs",
        "--",
        "-D",
        "warnings",
    ]))?;
    sh::say(
        "Checking",
        "that verifying and reviewing build without the recorder",
    );
    sh::loud(sh::cargo([
        "clippy",
        "--package",
        "lineage-agent",
        "--no-default-features",
        "--",
        "-D",
        "warnings",
    ]))
}

fn documentation() -> Result<()> {
    sh::say("Checking", "the documentation");
    let mut doc = sh::cargo([
        "doc",
        "--workspace",
        "--exclude",
        "lineage-ebpf",
        "--no-deps",
        "--document-private-items",
    ]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    sh::loud(doc)
}
