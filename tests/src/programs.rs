//! Where the programs under test are.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The program that does what its arguments say; see its own documentation.
pub static ACTOR: LazyLock<PathBuf> = LazyLock::new(|| existing(&directory().join("actor")));

/// The `lineage` binary: the one `LINEAGE_BIN` names (`cargo xtask test` does), else one built now
/// when Cargo runs the tests, else the one beside the tests (in a virtual machine).
pub static LINEAGE: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(path) = std::env::var_os("LINEAGE_BIN") {
        return existing(Path::new(&path));
    }
    if let Some(cargo) = std::env::var_os("CARGO") {
        build(Path::new(&cargo));
    }
    existing(&directory().join("lineage"))
});

/// A copy of it that everybody may execute, in a directory that goes with the result: its own place may be
/// open to its builder only.
pub fn lineage_for_everybody() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .expect("writable");
    let program = directory.path().join("lineage");
    // By another process: a child of another test would have this one's descriptor that writes, and nobody executes what is
    // written to.
    let copied = Command::new("cp").arg(&*LINEAGE).arg(&program).status();
    assert!(copied.expect("cp runs").success());
    (directory, program)
}

/// The Python of the virtual environment that `cargo xtask test` prepares.
///
/// # Panics
///
/// When it is not there, or without what `tests/independent/requirements.txt` and `tests/exports/requirements.txt` name.
#[must_use]
pub fn python() -> PathBuf {
    const LIBRARIES: &str = "import pyarrow, blake3, nacl, duckdb, polars, securesystemslib, in_toto_attestation, jsonschema, prov";
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
    let ready = Command::new(&python).args(["-c", LIBRARIES]).output();
    assert!(
        ready.is_ok_and(|output| output.status.success()),
        "{} or a library of it is missing; `cargo xtask test` prepares them",
        python.display()
    );
    python
}

/// Where Cargo puts programs of this profile: the tests themselves are in `deps/` below it.
fn directory() -> PathBuf {
    let tests = std::env::current_exe().expect("procfs is mounted");
    let parent = tests.parent().expect("an executable is in a directory");
    if parent.ends_with("deps") {
        parent.parent().unwrap_or(parent).to_path_buf()
    } else {
        parent.to_path_buf()
    }
}

fn build(cargo: &Path) {
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "--package",
        "lineage-agent",
        "--bin",
        "lineage",
    ]);
    if directory().ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "cannot build the lineage binary");
}

fn existing(path: &Path) -> PathBuf {
    assert!(path.exists(), "{} is missing", path.display());
    path.canonicalize().expect("it exists")
}
