//! The probes as data: what is loaded, where it is attached, since which kernel, and why there.

use lineage_common::layout::{ABSENT, KernelLayout};

use super::btf::Btf;

/// How the probes are entered.
///
/// Both see the same and report it the same way. A kernel that can preempt a probe skips it for
/// whoever runs on that processor until it is back; what is skipped is counted as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// By hooks that hand over typed kernel structures: the cheapest.
    Typed,
    /// By hooks of trace events, where nothing can preempt a probe.
    Guarded,
}

impl Entry {
    /// The one that misses nothing on this kernel.
    ///
    /// Linux 7.0 put the typed hooks under the protection of `tracepoint_srcu` instead of switching
    /// preemption off ([a46023d5616e](https://git.kernel.org/linus/a46023d5616e)). Kernels up to 6.12
    /// had a variable of that name for something else, and `struct tracepoint` no extension yet.
    #[must_use]
    pub fn fitting(btf: &Btf<'_>) -> Self {
        let preemptible =
            btf.has_variable("tracepoint_srcu_srcu_data") && btf.size("tracepoint_ext").is_some();
        if preemptible {
            Self::Guarded
        } else {
            Self::Typed
        }
    }

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Typed => "typed",
            Self::Guarded => "guarded",
        }
    }

    /// Why it is used, for a person.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Typed => "to typed trace points, where this kernel runs them to their end",
            Self::Guarded => {
                "to trace events: elsewhere this kernel would preempt them, and miss what comes next"
            }
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Typed, Self::Guarded]
            .into_iter()
            .find(|entry| entry.name() == name)
    }

    /// Every program, in the order they are attached: what ends and what begins a process first, so
    /// that no tracked process is missed when system calls start to be seen.
    #[must_use]
    pub fn probes(self) -> &'static [Probe] {
        match self {
            Self::Typed => TYPED,
            Self::Guarded => GUARDED,
        }
    }

    /// The optional programs of which this kernel has the hook, each with the first that it has.
    pub(super) fn optional(self, btf: &Btf<'_>, layout: &KernelLayout) -> Vec<&'static Optional> {
        let all = match self {
            Self::Typed => OPTIONAL_TYPED,
            Self::Guarded => OPTIONAL_GUARDED,
        };
        let readable = match self {
            Self::Typed => layout.io_kiocb_opcode,
            Self::Guarded => layout.derived.event_opcode,
        };
        let mut found: Vec<&Optional> = Vec::new();
        for optional in all {
            let probe = optional.probe;
            let fits = btf.tracepoint_arguments(probe.hook) == Some(optional.arguments);
            let is_new = found.iter().all(|known| known.probe.name != probe.name);
            if fits && is_new && readable != ABSENT {
                found.push(optional);
            }
        }
        found
    }
}

/// A program of the object and the hook it is attached to.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Name of the program.
    pub name: &'static str,
    /// Group of the trace event it is attached to; empty for a typed hook, which a guarded way in may have
    /// too, where the kernel itself keeps others off the processor.
    pub group: &'static str,
    /// The tracepoint.
    pub hook: &'static str,
    /// Oldest kernel that has the hook in this form.
    pub since: &'static str,
    /// What it sees.
    pub sees: &'static str,
    /// Whether somebody can bring the kernel to write a warning into its log because of it. Where
    /// that stops the machine it is left out, and every exec says that its interpreter is not known.
    pub may_warn: bool,
}

/// A program that recording can do without.
#[derive(Debug, Clone, Copy)]
pub struct Optional {
    /// The program and its hook.
    pub probe: Probe,
    /// How many arguments the hook has where it is the one meant.
    pub arguments: usize,
    /// The blind spot there is without it: a name in [`crate::host::blind_spots`].
    pub without: &'static str,
}

/// Names of the blind spots that are there without an optional program.
pub const WITHOUT_OPTIONAL: &[&str] = &[SUBMISSIONS];

const SUBMISSIONS: &str = "io-uring-submissions";

const OPTIONAL_TYPED: &[Optional] = &[
    Optional {
        probe: Probe {
            name: "io_uring_submit",
            group: "",
            hook: "io_uring_submit_req",
            since: "6.4",
            sees: "requests submitted to an io_uring",
            may_warn: false,
        },
        arguments: 1,
        without: SUBMISSIONS,
    },
    Optional {
        probe: Probe {
            name: "io_uring_submit",
            group: "",
            hook: "io_uring_submit_sqe",
            since: "6.0",
            sees: "requests submitted to an io_uring",
            may_warn: false,
        },
        arguments: 2,
        without: SUBMISSIONS,
    },
];

const OPTIONAL_GUARDED: &[Optional] = &[Optional {
    probe: Probe {
        name: "guarded_io_uring_submit",
        group: "io_uring",
        hook: "io_uring_submit_req",
        since: "6.4",
        sees: "requests submitted to an io_uring",
        may_warn: false,
    },
    arguments: 1,
    without: SUBMISSIONS,
}];

const CGROUP: Probe = Probe {
    name: "cgroup_attach_task",
    group: "",
    hook: "cgroup_attach_task",
    since: "5.5",
    sees: "moves to other control groups",
    may_warn: false,
};

const TYPED: &[Probe] = &[
    Probe {
        name: "process_exit",
        group: "",
        hook: "sched_process_exit",
        since: "5.5",
        sees: "the end of processes and threads",
        may_warn: false,
    },
    Probe {
        name: "process_fork",
        group: "",
        hook: "sched_process_fork",
        since: "5.5",
        sees: "the creation of processes and threads",
        may_warn: false,
    },
    Probe {
        name: "process_exec",
        group: "",
        hook: "sched_process_exec",
        since: "5.5",
        sees: "the execution of programs",
        may_warn: false,
    },
    CGROUP,
    Probe {
        name: "sys_exit",
        group: "",
        hook: "sys_exit",
        since: "5.5",
        sees: "files, sockets and failed calls, when a system call returns",
        may_warn: false,
    },
];

const GUARDED: &[Probe] = &[
    Probe {
        name: "guarded_exit",
        group: "sched",
        hook: "sched_process_exit",
        since: "5.15",
        sees: "the end of processes and threads",
        may_warn: false,
    },
    Probe {
        name: "guarded_fork",
        group: "sched",
        hook: "sched_process_fork",
        since: "5.15",
        sees: "the creation of processes and threads",
        may_warn: false,
    },
    Probe {
        name: "guarded_prepare",
        group: "sched",
        hook: "sched_prepare_exec",
        since: "6.10",
        sees: "the interpreter of a program about to be executed",
        may_warn: true,
    },
    Probe {
        name: "guarded_exec",
        group: "sched",
        hook: "sched_process_exec",
        since: "5.15",
        sees: "the execution of programs",
        may_warn: false,
    },
    CGROUP,
    Probe {
        name: "guarded_sys_exit",
        group: "raw_syscalls",
        hook: "sys_exit",
        since: "5.15",
        sees: "files, sockets and failed calls, when a system call returns",
        may_warn: false,
    },
];

/// A kernel function that must exist, the first kernel that has it, and what needs it.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    /// Name of the kernel function.
    pub function: &'static str,
    /// First upstream kernel that has it; distributions carry it back.
    pub since: &'static str,
    /// What needs it.
    pub used_for: &'static str,
}

/// What the kernel must have beside type information.
pub const FEATURES: &[Feature] = &[Feature {
    function: "bpf_loop",
    since: "5.17",
    used_for: "walking paths",
}];
