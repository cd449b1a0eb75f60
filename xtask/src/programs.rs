//! `cargo xtask programs`: programs that nobody here wrote, recorded and compared with strace, and a browser that
//! opens reports and Perfetto.
//!
//! Some of them install packages, as people do, so the registries must answer. One that does not fails the
//! task: a run without it would look like one that passed.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, packages, paths, python, sh, test};

/// How often pip and npm ask a registry again, with longer and longer pauses: a minute in all.
const AGAIN: [(&str, &str); 5] = [
    ("PIP_RETRIES", "8"),
    ("PIP_TIMEOUT", "30"),
    ("npm_config_fetch_retries", "6"),
    ("npm_config_fetch_retry_mintimeout", "1000"),
    ("npm_config_fetch_retry_maxtimeout", "30000"),
];

/// What is run, and the packages that have it.
const PROGRAMS: [(&str, &str); 12] = [
    ("git", "git"),
    ("make", "make"),
    ("gcc", "gcc"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("strace", "strace"),
    ("unshare", "util-linux"),
    ("busybox", "busybox-static"),
    ("hostname", "hostname"),
    ("awk", "mawk"),
    ("chromium", "chromium"),
];

/// The task: `[-- TEST ARGUMENTS]`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let for_tests = match args {
        [separator, rest @ ..] if separator == "--" => rest,
        args => {
            sh::no_arguments(args)?;
            args
        }
    };
    test::require_root()?;
    build::all()?;
    install()?;
    python::independent()?;
    registries()?;
    sh::say("Testing", "programs that nobody here wrote");
    // As all other tests, so that everything is compiled once.
    let mut cargo = sh::cargo(["test", "--workspace", "--exclude", "lineage-ebpf"]);
    build::linked_statically(&mut cargo, std::env::consts::ARCH);
    cargo.args(["--test", "programs", "--", "--test-threads", "1"]);
    cargo.args(for_tests);
    test::environment(&mut cargo);
    cargo.envs(AGAIN);
    sh::loud(cargo)
}

fn install() -> Result<()> {
    packages::programs("the tests record it or open a report in it", &PROGRAMS)?;
    // Debian keeps what a virtual environment begins with in a package of its own.
    let complete = || sh::output(sh::command("python3", ["-c", "import ensurepip, venv"]));
    if complete().is_err() && packages::have_apt() {
        packages::install("Python's venv module", &["python3-venv"])?;
    }
    complete()
        .map(drop)
        .context("python3 cannot make virtual environments")
}

/// Asks for what the tests install, so that a registry that is away is not taken for a difference.
fn registries() -> Result<()> {
    let python = paths::target("venv/bin/python");
    let pip = ["-m", "pip", "download", "--no-deps", "--no-cache-dir"];
    let mut pip = sh::command(python, pip);
    pip.arg("--dest").arg(paths::target("xtask/pip"));
    pip.arg("requests");
    answers("Python's", "pip", pip)?;
    answers(
        "npm's",
        "npm",
        sh::command("npm", ["view", "yargs", "version"]),
    )
}

fn answers(whose: &str, name: &str, mut ask: Command) -> Result<()> {
    ask.envs(AGAIN);
    sh::quiet(&format!("registry-{name}"), ask).with_context(|| {
        format!(
            "{whose} package registry does not answer, also after several tries: the programs that are \
             recorded install packages from it"
        )
    })
}
