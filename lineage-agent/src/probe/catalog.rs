//! The probes as data: what is loaded, where it is attached, since which kernel, and why there.

/// A program of the object and the hook it is attached to.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Name of the program, and of the tracepoint.
    pub name: &'static str,
    /// Oldest kernel that has the hook in this form.
    pub since: &'static str,
    /// What it sees.
    pub sees: &'static str,
}

/// Every program, in the order they are attached: what ends and what begins a process first, so
/// that no tracked process is missed when system calls start to be seen.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "sched_process_exit",
        since: "5.5",
        sees: "the end of processes and threads",
    },
    Probe {
        name: "sched_process_fork",
        since: "5.5",
        sees: "the creation of processes and threads",
    },
    Probe {
        name: "sched_process_exec",
        since: "5.5",
        sees: "the execution of programs",
    },
    Probe {
        name: "sys_exit",
        since: "5.5",
        sees: "files, sockets and failed calls, when a system call returns",
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
