//! `cargo xtask setup`: what the probes need to be compiled.
//!
//! Two ways lead to a compiler with a `core` library for the BPF target: Debian's packages hold a
//! prebuilt one, and a nightly toolchain with its sources can build it. Either needs `bpf-linker`,
//! linked with the same major version of LLVM as that compiler, because it reads its bitcode.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{packages, paths, sh};

/// The target the probes are compiled for: little-endian, like every machine the agent supports.
pub(crate) const BPF_TARGET: &str = "bpfel-unknown-none";

const LINKER_VERSION: &str = "0.13.0";
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

/// Names of Debian's packages: the compiler, its cargo and `core` for BPF. The first is the newer
/// compiler that a stable release gets beside its own.
const DEBIAN: [[&str; 3]; 2] = [
    ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"],
    ["rustc", "cargo", "libstd-rust-dev-bpf"],
];

/// A compiler for the probes and a linker that fits it.
pub(crate) struct Toolchain {
    /// The compiler's `rustc`.
    pub(crate) rustc: PathBuf,
    /// Whether `core` has to be built from its sources.
    pub(crate) build_std: bool,
    /// The linker.
    pub(crate) linker: PathBuf,
    /// The compiler's version, as it names itself.
    pub(crate) version: String,
}

/// The task.
pub(crate) fn run(args: &[String]) -> Result<()> {
    sh::no_arguments(args)?;
    let toolchain = ensure()?;
    sh::say(
        "Ready",
        format!("{} with {}", toolchain.version, toolchain.linker.display()),
    );
    Ok(())
}

/// Finds the toolchain and installs what is missing of it.
pub(crate) fn ensure() -> Result<Toolchain> {
    let compiler = match find_compiler() {
        Some(compiler) => compiler,
        None => install_compiler()?,
    };
    let linker = ensure_linker(&compiler)?;
    let Compiler {
        rustc,
        build_std,
        version,
        ..
    } = compiler;
    Ok(Toolchain {
        rustc,
        build_std,
        linker,
        version,
    })
}

struct Compiler {
    rustc: PathBuf,
    build_std: bool,
    version: String,
    llvm: u32,
}

fn find_compiler() -> Option<Compiler> {
    let system = PathBuf::from(SYSTEM_RUSTC);
    if has_core(&system) {
        return describe(system, false);
    }
    let nightly = nightly_rustc()?;
    let sysroot = sh::output(sh::command(&nightly, ["--print", "sysroot"])).ok()?;
    let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
    if sources.is_dir() {
        describe(nightly, true)
    } else {
        None
    }
}

/// Whether a compiler comes with `core` for the BPF target.
fn has_core(rustc: &Path) -> bool {
    let query = sh::command(rustc, ["--print", "target-libdir", "--target", BPF_TARGET]);
    let Ok(dir) = sh::output(query) else {
        return false;
    };
    let Ok(entries) = fs::read_dir(dir.trim()) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

fn nightly_rustc() -> Option<PathBuf> {
    let query = sh::command("rustup", ["which", "--toolchain", "nightly", "rustc"]);
    sh::output(query)
        .ok()
        .map(|path| PathBuf::from(path.trim()))
}

fn describe(rustc: PathBuf, build_std: bool) -> Option<Compiler> {
    let text = sh::output(sh::command(&rustc, ["-vV"])).ok()?;
    let version = text.lines().next()?.to_owned();
    let llvm = text
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    let llvm = llvm.split('.').next()?.parse().ok()?;
    Some(Compiler {
        rustc,
        build_std,
        version,
        llvm,
    })
}

fn install_compiler() -> Result<Compiler> {
    if packages::have_apt() {
        for family in DEBIAN {
            if packages::offered(family[2])? {
                packages::install("the compiler for the probes", &family)?;
                return find_compiler().with_context(|| {
                    format!(
                        "{} is installed, but {SYSTEM_RUSTC} cannot use it",
                        family[2]
                    )
                });
            }
        }
    }
    if sh::find("rustup").is_some() {
        sh::say(
            "Installing",
            "a nightly toolchain with its sources, which the probes need",
        );
        let install = [
            "toolchain",
            "install",
            "nightly",
            "--profile",
            "minimal",
            "-c",
            "rust-src",
        ];
        if sh::quiet("rustup", sh::command("rustup", install)).is_ok()
            && let Some(compiler) = find_compiler()
        {
            return Ok(compiler);
        }
    }
    bail!(
        "no compiler here builds for {BPF_TARGET}; with NN the LLVM version of the nightly \
         compiler (`rustc +nightly -vV`), run\n    \
         rustup toolchain install nightly --component rust-src\n    {}",
        install_linker_by_hand("NN")
    );
}

/// The linker, built for the compiler's LLVM and kept with a stamp that says so.
fn ensure_linker(compiler: &Compiler) -> Result<PathBuf> {
    let root = paths::target("tools");
    let linker = root.join("bin/bpf-linker");
    let stamp_path = root.join("bpf-linker.stamp");
    let stamp = format!("bpf-linker {LINKER_VERSION}, LLVM {}\n", compiler.llvm);
    if linker.is_file() && fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp) {
        return Ok(linker);
    }
    let prefix = ensure_llvm(compiler.llvm)?;
    sh::say(
        "Installing",
        format!(
            "bpf-linker {LINKER_VERSION} for LLVM {}, about a minute, once",
            compiler.llvm
        ),
    );
    let feature = format!("llvm-{}", compiler.llvm);
    let mut install = sh::cargo([
        "install",
        "bpf-linker",
        "--locked",
        "--force",
        "--version",
        LINKER_VERSION,
        "--no-default-features",
        "--features",
        &feature,
        "--root",
    ]);
    // Its own build directory, outside which nothing of it is of use.
    let scratch = root.join("build");
    install
        .arg(&root)
        .env("LLVM_PREFIX", prefix)
        .env("CARGO_TARGET_DIR", &scratch);
    sh::quiet("bpf-linker", install)?;
    sh::output(sh::command(&linker, ["--version"])).context("the new linker does not start")?;
    // Failing to free the space is no reason to stop.
    let _ = fs::remove_dir_all(&scratch);
    sh::write_if_changed(&stamp_path, stamp.as_bytes())?;
    Ok(linker)
}

/// Where LLVM is, with the headers and libraries the linker is built with.
fn ensure_llvm(major: u32) -> Result<PathBuf> {
    let places = [
        format!("/usr/lib/llvm-{major}"),
        format!("/usr/lib64/llvm{major}"),
        format!("/usr/lib/llvm{major}"),
    ];
    let found = || {
        places
            .iter()
            .map(PathBuf::from)
            .find(|dir| dir.join("include/llvm-c").is_dir())
    };
    if let Some(prefix) = found() {
        return Ok(prefix);
    }
    if packages::have_apt() {
        packages::install("the linker for the probes", &[&format!("llvm-{major}-dev")])?;
    }
    found().with_context(|| {
        format!(
            "LLVM {major} is not in {}; install its development files, then run\n    {}",
            places[0],
            install_linker_by_hand(&major.to_string())
        )
    })
}

fn install_linker_by_hand(llvm: &str) -> String {
    format!(
        "LLVM_PREFIX=/usr/lib/llvm-{llvm} cargo install bpf-linker --version {LINKER_VERSION} \
         --no-default-features --features llvm-{llvm} --root target/tools"
    )
}
