//! `cargo xtask bless`: rewrites the generated documents and the expected outputs of the golden
//! tests. What it changed is then reviewed like any other change.

use anyhow::Result;

use crate::{build, paths, sh};

/// The task.
pub(crate) fn run(args: &[String]) -> Result<()> {
    sh::no_arguments(args)?;
    build::all()?;
    sh::say(
        "Blessing",
        "docs/schema.md, docs/coverage.md and tests/golden/",
    );
    let mut cargo = sh::cargo(["test", "--package", "lineage-tests", "--test", "hermetic"]);
    build::linked_statically(&mut cargo, std::env::consts::ARCH);
    cargo
        .args(["--", "--quiet"])
        .env("BLESS", "1")
        .env("LINEAGE_BIN", paths::lineage());
    sh::loud(cargo)
}
