//! The ways into the probes that miss nothing on the running kernel.

use lineage_agent::probe::btf::{self, Btf};
use lineage_agent::probe::catalog::Entry;

/// The way that fits, and where that is the typed one the other too: trace events are complete on
/// every kernel that has them, typed hooks only where nothing preempts them.
///
/// # Panics
///
/// When the kernel's types cannot be read.
#[must_use]
pub fn complete() -> &'static [Entry] {
    let types = std::fs::read(btf::VMLINUX).expect("the kernel has its types");
    match Entry::fitting(&Btf::parse(&types).expect("types")) {
        Entry::Typed => &[Entry::Typed, Entry::Guarded],
        Entry::Guarded => &[Entry::Guarded],
    }
}
