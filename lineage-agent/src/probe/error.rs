//! Why the probes cannot be used.

use aya::programs::ProgramError;

use super::{btf::BtfError, layout::LayoutError};

/// Each in words that read after "cannot record: ".
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No privilege.
    #[error("{missing} is missing: run as root, or grant it to the program")]
    Capability {
        /// Name of the missing capability.
        missing: &'static str,
    },
    /// The agent sees other process ids than the probes.
    #[error("this process is in a pid namespace of its own: run in the host's")]
    PidNamespace,
    /// The kernel does not describe its types.
    #[error(
        "this kernel has no {path}: it needs CONFIG_DEBUG_INFO_BTF, which distributions have set since Linux 5.4"
    )]
    NoBtf {
        /// Where they would be.
        path: &'static str,
    },
    /// The guarded entry points need the descriptions of trace events.
    #[error(
        "tracefs is not mounted, which this kernel's probes are attached with: mount -t tracefs tracefs {path}"
    )]
    NoTracefs {
        /// Where it belongs.
        path: &'static str,
    },
    /// A trace event does not exist, or may not be read.
    #[error(
        "the format of the trace event {event} cannot be read: the kernel needs CONFIG_FTRACE_SYSCALLS and this process the right to read tracefs"
    )]
    NoEvent {
        /// Group and name.
        event: &'static str,
    },
    /// A trace event has another form.
    #[error("this kernel's trace event {event} has no field `{declaration}` where it is expected")]
    Event {
        /// Group and name.
        event: &'static str,
        /// The field.
        declaration: &'static str,
    },
    /// The kernel is too old.
    #[error(
        "this kernel ({release}) has no {feature}, needed for {used_for}: Linux {since} has it"
    )]
    TooOld {
        /// The running kernel.
        release: String,
        /// What it lacks.
        feature: &'static str,
        /// What needs it.
        used_for: &'static str,
        /// The first kernel that has it.
        since: &'static str,
    },
    /// The probes do not know this architecture's registers.
    #[error("the probes know no register layout for {0}")]
    Architecture(&'static str),
    /// The kernel's type information is malformed.
    #[error("the kernel's type information is unusable: {0}")]
    Btf(#[from] BtfError),
    /// The kernel's structures are not what the probes need.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The object was built from another version of the wire format.
    #[error("the embedded probes speak wire version {found:?}, this program {expected}")]
    Version {
        /// This program's version.
        expected: u32,
        /// The object's.
        found: Option<u32>,
    },
    /// A ring size the kernel would refuse.
    #[error("a ring of {0} bytes is not a power of two of at least a page")]
    RingSize(u32),
    /// A map or program is not in the object, or a system file does not have the usual form.
    #[error("{0} is not as expected")]
    Object(&'static str),
    /// A file of the system could not be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel refused the object.
    #[error("the kernel refused the probes: {0:#}")]
    Load(anyhow::Error),
    /// The kernel refused a program.
    #[error("the kernel refused the probe {name}: {}", brief(said))]
    Program {
        /// The program.
        name: &'static str,
        /// What the kernel said, with the whole log of its verifier.
        said: anyhow::Error,
    },
    /// A map could not be mapped into memory.
    #[error("the kernel refused to share a map: {0}")]
    Map(rustix::io::Errno),
    /// The self-check could not be carried out.
    #[error("the self-check of the probes failed: {0}")]
    Check(std::io::Error),
    /// The self-check found the probes to read something else than what is there.
    #[error(
        "the probes do not read this kernel rightly: {what} is {expected}, they say {found}; nothing they record could be believed"
    )]
    Untrue {
        /// What was compared.
        what: &'static str,
        /// What it is.
        expected: String,
        /// What the probes said.
        found: String,
    },
    /// The self-check's child did not show up in the rings.
    #[error(
        "the probes did not report {0} of the self-check: nothing they record could be believed"
    )]
    Silent(&'static str),
    /// What processes have could not be read.
    #[error("what processes have open cannot be read: {0}")]
    Found(std::io::Error),
    /// The process does not exist.
    #[error("there is no process {0}")]
    NoProcess(u32),
    /// No control groups of the unified hierarchy.
    #[error(
        "the unified hierarchy of control groups (cgroup2) is not mounted here from its root on: connections cannot be prevented"
    )]
    NoUnifiedHierarchy,
    /// The process is not recorded.
    #[error("process {0} is not recorded here")]
    NotTracked(u32),
    /// A hook of the tier cannot be used.
    #[error(
        "the kernel refused the hook {hook} of the tier {tier}: {}; nothing is enforced, and nothing was started",
        brief(said)
    )]
    Hook {
        /// The tier.
        tier: &'static str,
        /// The hook, or the function.
        hook: &'static str,
        /// What the kernel said.
        said: anyhow::Error,
    },
    /// What is denied is not stopped as the tier promises.
    #[error("what a policy denies is not stopped here by the tier {tier}: the kernel does not ask")]
    Powerless {
        /// The tier.
        tier: &'static str,
    },
    /// A better tier was demanded than there is.
    #[error("this host has no tier {required} for policies: {why}")]
    Tier {
        /// The tier demanded.
        required: &'static str,
        /// Why it is not there.
        why: String,
    },
    /// No room for another policy.
    #[error("there is no room for another policy in the kernel's tables")]
    Governed,
    /// Not every descendant could be followed while attaching.
    #[error("processes are created faster than they can be listed ({missed} links missed)")]
    LinksMissed {
        /// Links for which the map had no room.
        missed: u32,
    },
    /// The table of tracked processes refused an entry.
    #[error("process {pid} cannot be tracked: {source:#}")]
    Track {
        /// The process.
        pid: u32,
        /// What the kernel said.
        source: anyhow::Error,
    },
}

impl From<aya::maps::MapError> for ProbeError {
    fn from(error: aya::maps::MapError) -> Self {
        Self::Load(error.into())
    }
}

/// What the kernel said, with the last words only of a verifier's log, which can have megabytes.
fn brief(error: &anyhow::Error) -> String {
    let Some(ProgramError::LoadError {
        io_error,
        verifier_log,
    }) = error.downcast_ref()
    else {
        return format!("{error:#}");
    };
    let log = verifier_log.to_string();
    let last = log
        .lines()
        .rev()
        .find(|line| !line.is_empty() && !line.starts_with("processed "));
    match last {
        Some(line) => format!("{io_error}: {line}"),
        None => io_error.to_string(),
    }
}
