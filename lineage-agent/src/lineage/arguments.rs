//! What the arguments of a recorded call say, as JSON with the kernel's names.
//!
//! Numbers only: what an argument points to in the caller's memory is not looked at.

use lineage_common::frame::{Call, Clone3};
use serde_json::{Map, Value, json};

use crate::names;

mod numbers;

use numbers::{
    BPF, CLONE, KEYS, LANDLOCK_RULES, LIMITS, MAPPING, OPTIONS, PERF_FLAGS, POLICIES, PRIORITIES,
    PROTECTION, REQUESTS, RESTRICT_FLAGS, SECCOMP,
};

/// What bits or numbers are called.
type Names = &'static [(u64, &'static str)];

/// How an argument reads.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// A signed number of 32 bits: a descriptor, an id, a count.
    Int,
    /// A number of 64 bits: a size, an offset.
    Size,
    /// Permission bits, in octal.
    Octal,
    /// One of these.
    One(Names),
    /// Several of these.
    Bits(Names),
    /// A signal.
    Signal,
}

use Form::{Bits, Int, Octal, One, Signal, Size};

/// An argument of a call: its position, its name, how it reads.
type Argument = (usize, &'static str, Form);

const AT_FLAGS: Form = Bits(&[
    (0x100, "AT_SYMLINK_NOFOLLOW"),
    (0x400, "AT_SYMLINK_FOLLOW"),
    (0x1000, "AT_EMPTY_PATH"),
]);

const REMOVE_FLAGS: Form = Bits(&[(0x200, "AT_REMOVEDIR")]);

const RENAME_FLAGS: Form = Bits(&[
    (1, "RENAME_NOREPLACE"),
    (2, "RENAME_EXCHANGE"),
    (4, "RENAME_WHITEOUT"),
]);

const FALLOCATE: Form = Bits(&[
    (1, "FALLOC_FL_KEEP_SIZE"),
    (2, "FALLOC_FL_PUNCH_HOLE"),
    (8, "FALLOC_FL_COLLAPSE_RANGE"),
    (0x10, "FALLOC_FL_ZERO_RANGE"),
    (0x20, "FALLOC_FL_INSERT_RANGE"),
    (0x40, "FALLOC_FL_UNSHARE_RANGE"),
]);

const ATTRIBUTE_FLAGS: Form = Bits(&[(1, "XATTR_CREATE"), (2, "XATTR_REPLACE")]);

const MOUNT_FLAGS: Form = Bits(&[
    (1, "MS_RDONLY"),
    (2, "MS_NOSUID"),
    (4, "MS_NODEV"),
    (8, "MS_NOEXEC"),
    (0x20, "MS_REMOUNT"),
    (0x1000, "MS_BIND"),
    (0x2000, "MS_MOVE"),
    (0x4000, "MS_REC"),
    (0x2_0000, "MS_UNBINDABLE"),
    (0x4_0000, "MS_PRIVATE"),
    (0x8_0000, "MS_SLAVE"),
    (0x10_0000, "MS_SHARED"),
]);

const UMOUNT_FLAGS: Form = Bits(&[
    (1, "MNT_FORCE"),
    (2, "MNT_DETACH"),
    (4, "MNT_EXPIRE"),
    (8, "UMOUNT_NOFOLLOW"),
]);

const TREE_FLAGS: Form = Bits(&[
    (1, "OPEN_TREE_CLONE"),
    (0x100, "AT_SYMLINK_NOFOLLOW"),
    (0x1000, "AT_EMPTY_PATH"),
    (0x8000, "AT_RECURSIVE"),
]);

const PERSONA: Form = Bits(&[
    (0x002_0000, "UNAME26"),
    (0x004_0000, "ADDR_NO_RANDOMIZE"),
    (0x010_0000, "MMAP_PAGE_ZERO"),
    (0x020_0000, "ADDR_COMPAT_LAYOUT"),
    (0x040_0000, "READ_IMPLIES_EXEC"),
    (0x080_0000, "ADDR_LIMIT_32BIT"),
    (0x400_0000, "STICKY_TIMEOUTS"),
    (0x800_0000, "ADDR_LIMIT_3GB"),
]);

const CONTROL: Form = One(&[(0, "IPC_RMID"), (1, "IPC_SET"), (2, "IPC_STAT")]);

const RINGS: Form = Size;

/// The arguments that are told, by the name of the call.
const CALLS: &[(&str, &[Argument])] = &[
    ("renameat2", &[(4, "flags", RENAME_FLAGS)]),
    ("linkat", &[(4, "flags", AT_FLAGS)]),
    ("unlinkat", &[(2, "flags", REMOVE_FLAGS)]),
    (
        "fallocate",
        &[
            (1, "mode", FALLOCATE),
            (2, "offset", Size),
            (3, "length", Size),
        ],
    ),
    ("fchmodat2", &[(3, "flags", AT_FLAGS)]),
    ("chown", &[(1, "owner", Int), (2, "group", Int)]),
    ("lchown", &[(1, "owner", Int), (2, "group", Int)]),
    ("fchown", &[(1, "owner", Int), (2, "group", Int)]),
    (
        "fchownat",
        &[(2, "owner", Int), (3, "group", Int), (4, "flags", AT_FLAGS)],
    ),
    ("utimensat", &[(3, "flags", AT_FLAGS)]),
    (
        "setxattr",
        &[(3, "bytes", Size), (4, "flags", ATTRIBUTE_FLAGS)],
    ),
    (
        "lsetxattr",
        &[(3, "bytes", Size), (4, "flags", ATTRIBUTE_FLAGS)],
    ),
    (
        "fsetxattr",
        &[(3, "bytes", Size), (4, "flags", ATTRIBUTE_FLAGS)],
    ),
    ("mount", &[(3, "flags", MOUNT_FLAGS)]),
    ("umount2", &[(1, "flags", UMOUNT_FLAGS)]),
    ("open_tree", &[(2, "flags", TREE_FLAGS)]),
    ("mount_setattr", &[(2, "flags", TREE_FLAGS)]),
    ("fsconfig", &[(1, "command", Int)]),
    ("unshare", &[(0, "flags", CLONE)]),
    ("setns", &[(1, "flags", CLONE)]),
    (
        "prctl",
        &[
            (0, "option", OPTIONS),
            (1, "value", Size),
            (2, "second", Size),
        ],
    ),
    ("seccomp", &[(0, "operation", SECCOMP), (1, "flags", Size)]),
    (
        "landlock_create_ruleset",
        &[(1, "bytes", Size), (2, "flags", Size)],
    ),
    (
        "landlock_add_rule",
        &[(0, "ruleset", Int), (1, "type", LANDLOCK_RULES)],
    ),
    (
        "landlock_restrict_self",
        &[(0, "ruleset", Int), (1, "flags", RESTRICT_FLAGS)],
    ),
    ("lsm_set_self_attr", &[(0, "attribute", Int)]),
    ("personality", &[(0, "persona", PERSONA)]),
    ("kill", &[(0, "pid", Int), (1, "signal", Signal)]),
    ("tkill", &[(0, "tid", Int), (1, "signal", Signal)]),
    (
        "tgkill",
        &[(0, "pid", Int), (1, "tid", Int), (2, "signal", Signal)],
    ),
    ("rt_sigqueueinfo", &[(0, "pid", Int), (1, "signal", Signal)]),
    (
        "rt_tgsigqueueinfo",
        &[(0, "pid", Int), (1, "tid", Int), (2, "signal", Signal)],
    ),
    (
        "pidfd_send_signal",
        &[(0, "pidfd", Int), (1, "signal", Signal)],
    ),
    ("ptrace", &[(0, "request", REQUESTS), (1, "pid", Int)]),
    ("process_vm_readv", &[(0, "pid", Int)]),
    ("process_vm_writev", &[(0, "pid", Int)]),
    ("process_madvise", &[(0, "pidfd", Int), (3, "advice", Int)]),
    ("process_mrelease", &[(0, "pidfd", Int)]),
    ("move_pages", &[(0, "pid", Int), (1, "pages", Size)]),
    ("migrate_pages", &[(0, "pid", Int)]),
    ("sched_setaffinity", &[(0, "pid", Int)]),
    (
        "sched_setscheduler",
        &[(0, "pid", Int), (1, "policy", POLICIES)],
    ),
    ("sched_setparam", &[(0, "pid", Int)]),
    ("sched_setattr", &[(0, "pid", Int)]),
    (
        "setpriority",
        &[
            (0, "which", PRIORITIES),
            (1, "id", Int),
            (2, "priority", Int),
        ],
    ),
    ("prlimit64", &[(0, "pid", Int), (1, "resource", LIMITS)]),
    ("pidfd_getfd", &[(0, "pidfd", Int), (1, "fd", Int)]),
    (
        "shmget",
        &[(0, "key", Int), (1, "bytes", Size), (2, "flags", Octal)],
    ),
    ("shmat", &[(0, "id", Int), (2, "flags", Octal)]),
    ("shmctl", &[(0, "id", Int), (1, "command", CONTROL)]),
    ("msgget", &[(0, "key", Int), (1, "flags", Octal)]),
    ("msgsnd", &[(0, "id", Int), (2, "bytes", Size)]),
    ("msgrcv", &[(0, "id", Int)]),
    ("msgctl", &[(0, "id", Int), (1, "command", CONTROL)]),
    (
        "semget",
        &[(0, "key", Int), (1, "count", Int), (2, "flags", Octal)],
    ),
    (
        "semctl",
        &[(0, "id", Int), (1, "number", Int), (2, "command", CONTROL)],
    ),
    ("bpf", &[(0, "command", BPF)]),
    (
        "perf_event_open",
        &[
            (1, "pid", Int),
            (2, "cpu", Int),
            (3, "group", Int),
            (4, "flags", PERF_FLAGS),
        ],
    ),
    ("userfaultfd", &[(0, "flags", Size)]),
    ("io_uring_setup", &[(0, "entries", RINGS)]),
    ("io_uring_register", &[(0, "ring", Int), (1, "opcode", Int)]),
    ("io_setup", &[(0, "events", Size)]),
    ("fanotify_init", &[(0, "flags", Size)]),
    ("fanotify_mark", &[(0, "group", Int), (1, "flags", Size)]),
    ("keyctl", &[(0, "operation", KEYS), (1, "key", Int)]),
    ("finit_module", &[(2, "flags", Size)]),
    ("init_module", &[(1, "bytes", Size)]),
    ("kexec_load", &[(1, "segments", Size), (3, "flags", Size)]),
    ("kexec_file_load", &[(4, "flags", Size)]),
    ("reboot", &[(2, "command", Size)]),
    ("swapon", &[(1, "flags", Size)]),
    ("quotactl", &[(0, "command", Size), (2, "id", Int)]),
    ("quotactl_fd", &[(1, "command", Size), (2, "id", Int)]),
    ("clock_settime", &[(0, "clock", Int)]),
    ("clock_adjtime", &[(0, "clock", Int)]),
    ("syslog", &[(0, "command", Int)]),
    ("iopl", &[(0, "level", Int)]),
    (
        "ioperm",
        &[(0, "from", Size), (1, "ports", Size), (2, "on", Int)],
    ),
];

/// What the arguments of a call say, by name.
pub(super) fn of(name: &str, call: &Call) -> Map<String, Value> {
    let arguments = CALLS
        .iter()
        .find_map(|(known, arguments)| (*known == name).then_some(*arguments));
    let mut told = Map::new();
    for (position, argument, form) in arguments.unwrap_or_default() {
        told.insert(
            (*argument).to_owned(),
            form.value(call.arguments[*position]),
        );
    }
    told
}

/// Appends the `PROT_*` of a mapping (`include/uapi/asm-generic/mman-common.h`), as JSON.
pub(super) fn protection_into(raw: u32, out: &mut String) {
    PROTECTION.write(raw, out);
}

/// Appends the `MAP_*`, likewise. Those of huge pages have their size in the highest bits.
pub(super) fn mapping_into(raw: u32, out: &mut String) {
    MAPPING.write(raw, out);
}

/// How a process or thread was created.
pub(super) fn clone3(flags: Clone3) -> Value {
    CLONE.value(flags.0)
}

impl Form {
    /// Appends [`Self::value`] as text.
    fn write(self, raw: u32, out: &mut String) {
        match self {
            Bits(names) => bits_into(names, raw.into(), out),
            other => out.push_str(&other.value(raw.into()).to_string()),
        }
    }

    fn value(self, raw: u64) -> Value {
        // The kernel takes half a word of what it declares as `int`.
        #[expect(clippy::cast_possible_truncation, reason = "as the kernel does")]
        let half = (raw as u32).cast_signed();
        match self {
            Int => json!(half),
            Size => json!(raw),
            Octal => json!(format!("{half:#o}")),
            One(names) => names
                .iter()
                .find_map(|(value, name)| (*value == raw).then(|| json!(name)))
                .unwrap_or_else(|| json!(raw)),
            Bits(names) => bits(names, raw),
            Signal => {
                let name = names::signal(i64::from(half));
                name.map_or_else(|| json!(half), |name| json!(name))
            }
        }
    }
}

/// The names of the bits that are set; what has no name, in hexadecimal.
fn bits(names: Names, raw: u64) -> Value {
    let mut told = Vec::new();
    each_bit(names, raw, |name| told.push(json!(name)));
    Value::Array(told)
}

/// [`bits`] as text. The names need no escape.
fn bits_into(names: Names, raw: u64, out: &mut String) {
    out.push('[');
    each_bit(names, raw, |name| {
        if !out.ends_with('[') {
            out.push(',');
        }
        out.extend(["\"", name, "\""]);
    });
    out.push(']');
}

fn each_bit(names: Names, raw: u64, mut tell: impl FnMut(&str)) {
    let mut rest = raw;
    for (bit, name) in names {
        if rest & bit == *bit {
            tell(name);
            rest &= !bit;
        }
    }
    if rest != 0 {
        tell(&format!("{rest:#x}"));
    }
}

#[cfg(test)]
mod tests {
    use lineage_common::calls::SYSCALLS;
    use zerocopy::FromZeros;

    use super::*;

    #[test]
    fn every_call_told_is_recorded() {
        for (name, _) in CALLS {
            assert!(SYSCALLS.iter().any(|call| call.name == *name), "{name}");
        }
    }

    #[test]
    fn numbers_read_as_the_kernel_names_them() {
        let mut call = Call::new_zeroed();
        call.arguments[..5].copy_from_slice(&[0, 0, 0, 0, 9]);
        let told = Value::Object(of("renameat2", &call));
        assert_eq!(told, json!({ "flags": ["RENAME_NOREPLACE", "0x8"] }));
        call.arguments[..2].copy_from_slice(&[u64::MAX, 9]);
        let told = Value::Object(of("kill", &call));
        assert_eq!(told, json!({ "pid": -1, "signal": "SIGKILL" }));
        assert!(of("no such call", &call).is_empty());
    }
}
