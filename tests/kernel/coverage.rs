//! Every system call of the running kernel is in `docs/coverage.md`.

use std::collections::BTreeSet;
use std::fs;

use lineage_common::calls::{SYSCALLS, coverage};

/// What the functions of native calls are called here: `__x64_sys_read`.
const PREFIX: &str = if cfg!(target_arch = "x86_64") {
    "__x64_sys_"
} else {
    "__arm64_sys_"
};

/// Functions that are named otherwise than their call.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("fadvise64_64", "fadvise64"),
    ("mmap_pgoff", "mmap"),
    ("newfstat", "fstat"),
    ("newlstat", "lstat"),
    ("newstat", "stat"),
    ("newuname", "uname"),
    ("sendfile64", "sendfile"),
    ("umount", "umount2"),
];

/// Functions that no native call of x86-64 and 64-bit ARM leads to: they are for 32-bit programs or
/// other machines, and the kernel has them, or an empty one, all the same.
const NOT_NATIVE: &str = "\
    arm64_personality fstat64 fstatat64 fstatfs64 gethostname ipc llseek lstat64 ni_syscall nice \
    old_getrlimit old_mmap old_msgctl old_readdir old_select old_semctl old_shmctl oldumount \
    olduname pciconfig_iobase pciconfig_read pciconfig_write ppc_rtas recv rtas s390_ipc \
    s390_pci_mmio_read s390_pci_mmio_write send sgetmask sigaction signal sigpending sigprocmask \
    sigsuspend socketcall spu_create spu_run ssetmask stat64 statfs64 stime subpage_prot \
    swapcontext sync_file_range2 vm86 vm86old waitpid";

#[test]
fn every_call_of_the_kernel_is_covered() {
    let known: BTreeSet<&str> = SYSCALLS
        .iter()
        .map(|call| call.name)
        .chain(coverage::unrecorded().map(|(name, _)| name))
        .collect();
    let calls = of_the_kernel();
    assert!(calls.len() > 300, "only {calls:?}");
    let uncovered: Vec<&String> = calls
        .iter()
        .filter(|name| !known.contains(name.as_str()))
        .collect();
    assert!(
        uncovered.is_empty(),
        "add to lineage-common/src/calls.rs or calls/coverage.rs, with the reason: {uncovered:?}"
    );
}

/// The names of the native calls of the running kernel.
fn of_the_kernel() -> BTreeSet<String> {
    let symbols = fs::read_to_string("/proc/kallsyms").expect("the kernel tells its symbols");
    symbols
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(2)?.strip_prefix(PREFIX))
        // The compiler may have put a part of a function elsewhere: `setitimer.cold`.
        .filter(|name| !name.contains('.') && !foreign(name))
        .map(|name| {
            let other = OTHER_NAMES.iter().find(|(function, _)| *function == name);
            other.map_or(name, |(_, call)| *call).to_owned()
        })
        .collect()
}

fn foreign(name: &str) -> bool {
    name.ends_with("32")
        || name.ends_with("16")
        || name.starts_with("ia32_")
        || name.starts_with("aarch32_")
        || NOT_NATIVE
            .split_ascii_whitespace()
            .any(|known| known == name)
}
