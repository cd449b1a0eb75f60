//! Embeds the probes.
//!
//! With the feature `record` the program carries the BPF object that `cargo xtask build` (and
//! every other xtask command that needs it) leaves under `target/probes/`. This script never
//! builds it: another compiler and a linker are needed for that.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=CARGO_FEATURE_RECORD");
    if env::var_os("CARGO_FEATURE_RECORD").is_none() {
        return;
    }
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let object = manifest.join("../target/probes/lineage-ebpf.o");
    println!("cargo::rerun-if-changed={}", object.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    if let Err(error) = fs::copy(&object, out.join("lineage-ebpf.o")) {
        println!(
            "cargo::error=the probes are not built ({}: {error}); run `cargo xtask build`, \
             or leave out the feature `record`",
            object.display()
        );
    }
}
