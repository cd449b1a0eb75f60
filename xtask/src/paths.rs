//! Where things are. Nothing is written outside `target/`.

use std::env;
use std::path::PathBuf;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // Cargo names the crate's directory at run time; the compiled-in one serves a binary run by hand.
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// A path under `target/`.
pub(crate) fn target(sub: &str) -> PathBuf {
    root().join("target").join(sub)
}

/// The finished probes, as the agent's build script embeds them.
pub(crate) fn probes() -> PathBuf {
    target("probes/lineage-ebpf.o")
}

/// The finished binary.
pub(crate) fn lineage() -> PathBuf {
    target("release/lineage")
}
