//! The tests' Python environments, under `target/`: what they need from the package registry.

use std::fs;

use anyhow::{Context, Result};

use crate::{packages, paths, sh};

/// The libraries of the independent verifier, and other tools that tests compare with.
pub(crate) fn independent() -> Result<()> {
    environment(
        "venv",
        &[
            "tests/independent/requirements.txt",
            "tests/exports/requirements.txt",
        ],
        "libraries of the independent verifier and of other tools",
    )
}

/// The engines that people read evidence with: an environment of its own, because they are large.
pub(crate) fn consumers() -> Result<()> {
    environment(
        "consumers",
        &["tests/consumers/requirements.txt"],
        "DuckDB, Spark, ClickHouse, polars and pandas, once",
    )
}

/// Makes an environment anew unless it has what is required.
fn environment(name: &str, requirements: &[&str], what: &str) -> Result<()> {
    let mut wanted = String::new();
    for file in requirements {
        let path = paths::root().join(file);
        let text = fs::read_to_string(&path);
        wanted += &text.with_context(|| format!("cannot read {}", path.display()))?;
    }
    let place = paths::target(name);
    let stamp = place.join("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|old| old == wanted) {
        return Ok(());
    }
    sh::say("Installing", format!("{what}, in target/{name}"));
    create(&format!("target/{name}"))?;
    let install = ["-m", "pip", "install", "--disable-pip-version-check"];
    let mut pip = sh::command(place.join("bin/python"), install);
    for file in requirements {
        pip.args(["--requirement", file]);
    }
    sh::quiet("pip", pip)?;
    sh::write_if_changed(&stamp, wanted.as_bytes())?;
    Ok(())
}

fn create(place: &str) -> Result<()> {
    let create = || sh::command("python3", ["-m", "venv", "--clear", place]);
    if sh::quiet("venv", create()).is_ok() {
        return Ok(());
    }
    // Debian keeps the module in a package of its own.
    if packages::have_apt() {
        packages::install("Python's venv module", &["python3-venv"])?;
        return sh::quiet("venv", create());
    }
    sh::quiet("venv", sh::command("virtualenv", ["--clear", place]))
        .context("neither `python3 -m venv` nor `virtualenv` works; install one of them")
}
