//! The kernel boundary: loads the probes, tracks processes, reads frames.
//!
//! [`Probes::load`] either attaches everything and has checked it, or refuses with one sentence
//! that says what is missing. Only this module knows that the probes are BPF programs.

#![allow(
    unsafe_code,
    reason = "the rings and counters are memory shared with the kernel"
)]

use lineage_common::{
    frame::CpuCounters,
    layout::KernelLayout,
    limits::{BULK_RING_BYTES, CONTROL_RING_BYTES},
    task::Task,
};
use zerocopy::IntoBytes;

mod attach;
pub mod btf;
pub mod catalog;
mod counters;
pub mod layout;
mod reader;
mod ring;
pub mod syscalls;

pub use counters::Counters;
pub use reader::{Drained, Reader};

use attach::{Attached, TaskValue};
use btf::Btf;
use syscalls::Machine;

/// How to load the probes.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Size of the ring for forks, execs and exits in bytes: a power of two, at least a page.
    pub control_ring_bytes: u32,
    /// Size of the ring for files and sockets in bytes: a power of two, at least a page.
    pub bulk_ring_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            control_ring_bytes: CONTROL_RING_BYTES,
            bulk_ring_bytes: BULK_RING_BYTES,
        }
    }
}

/// Why the probes cannot be used, each in words that read after "cannot record: ".
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No privilege.
    #[error("{missing} is missing: run as root, or grant it to the program")]
    Capability {
        /// Name of the missing capability.
        missing: &'static str,
    },
    /// The kernel does not describe its types.
    #[error(
        "this kernel has no {path}: it needs CONFIG_DEBUG_INFO_BTF, which distributions have set since Linux 5.4"
    )]
    NoBtf {
        /// Where they would be.
        path: &'static str,
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
    Btf(#[from] btf::BtfError),
    /// The kernel's structures are not what the probes need.
    #[error(transparent)]
    Layout(#[from] layout::LayoutError),
    /// The object was built from another version of the wire format.
    #[error("the embedded probes speak wire version {found:?}, this program {expected}")]
    Version {
        /// This program's version.
        expected: u32,
        /// The object's.
        found: Option<u32>,
    },
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
    #[error("the kernel refused the probe {name}: {source:#}")]
    Program {
        /// The program.
        name: &'static str,
        /// What the kernel said.
        source: anyhow::Error,
    },
    /// A map could not be mapped into memory.
    #[error("the kernel refused to share a map: {0}")]
    Map(rustix::io::Errno),
    /// The process does not exist.
    #[error("there is no process {0}")]
    NoProcess(u32),
    /// The table of tracked processes refused an entry.
    #[error("process {pid} cannot be tracked: {source:#}")]
    Track {
        /// The process.
        pid: u32,
        /// What the kernel said.
        source: anyhow::Error,
    },
}

/// A process that [`Probes::track`] or [`Probes::attach_tree`] began to track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tracked {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Process id of its parent.
    pub parent: u32,
    /// Its start (`CLOCK_BOOTTIME` in nanoseconds), as in [`lineage_common::frame::Header::start`].
    pub start: u64,
}

/// The probes, attached. Dropping it detaches them.
#[derive(Debug)]
pub struct Probes {
    attached: Attached,
    layout: KernelLayout,
    counters: Counters,
}

impl Probes {
    /// Loads, attaches and checks the probes.
    ///
    /// # Errors
    ///
    /// [`ProbeError`]; nothing is left attached.
    pub fn load(options: &Options) -> Result<(Self, Reader), ProbeError> {
        let machine = Machine::native().ok_or(ProbeError::Architecture(std::env::consts::ARCH))?;
        let layout = {
            let bytes = std::fs::read(btf::VMLINUX)
                .map_err(|_| ProbeError::NoBtf { path: btf::VMLINUX })?;
            let btf = Btf::parse(&bytes)?;
            check_features(&btf)?;
            layout::resolve(&btf, machine)?
        };
        let (attached, reader) = attach::attach(options, &layout, machine)?;
        let counters = reader.counters().clone();
        let probes = Self {
            attached,
            layout,
            counters,
        };
        Ok((probes, reader))
    }

    /// Tracks one process and all it will create from now on.
    ///
    /// # Errors
    ///
    /// [`ProbeError::NoProcess`] when it does not exist, [`ProbeError::Track`] when the table is
    /// full.
    pub fn track(&mut self, pid: u32, lineage: u32) -> Result<Tracked, ProbeError> {
        let (parent, start) = parent_and_start(pid)?;
        let task = TaskValue(Task::attached(start, lineage));
        self.attached
            .tasks
            .insert(pid, task, 0)
            .map_err(|error| ProbeError::Track {
                pid,
                source: error.into(),
            })?;
        Ok(Tracked { pid, parent, start })
    }

    /// Tracks a running process and all its descendants.
    ///
    /// # Errors
    ///
    /// As [`Self::track`]; a descendant that ends meanwhile is not an error.
    pub fn attach_tree(&mut self, pid: u32, lineage: u32) -> Result<Vec<Tracked>, ProbeError> {
        let mut tracked = vec![self.track(pid, lineage)?];
        loop {
            let before = tracked.len();
            for child in processes() {
                let Ok((parent, _)) = parent_and_start(child) else {
                    continue;
                };
                let has = |pid| tracked.iter().any(|known: &Tracked| known.pid == pid);
                if has(parent)
                    && !has(child)
                    && let Ok(new) = self.track(child, lineage)
                {
                    tracked.push(new);
                }
            }
            if tracked.len() == before {
                return Ok(tracked);
            }
        }
    }

    /// How many processes are tracked now.
    #[must_use]
    pub fn tracked(&self) -> usize {
        self.attached.tasks.keys().filter(Result::is_ok).count()
    }

    /// Runs of the probes that the kernel skipped: events that nobody saw.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Object`] when a program is gone.
    pub fn recursion_misses(&self) -> Result<u64, ProbeError> {
        self.attached.recursion_misses()
    }

    /// The counters of one CPU.
    #[must_use]
    pub fn counters(&self, cpu: usize) -> CpuCounters {
        self.counters.read(cpu)
    }

    /// The object that was loaded, byte for byte: its digest goes into the environment record.
    #[must_use]
    pub fn object(&self) -> &'static [u8] {
        attach::object()
    }

    /// The resolved layout of the kernel: its digest goes into the environment record.
    #[must_use]
    pub fn layout_bytes(&self) -> &[u8] {
        self.layout.as_bytes()
    }
}

fn check_features(btf: &Btf<'_>) -> Result<(), ProbeError> {
    for feature in catalog::FEATURES {
        if !btf.has_function(feature.function) {
            return Err(ProbeError::TooOld {
                release: rustix::system::uname()
                    .release()
                    .to_string_lossy()
                    .into_owned(),
                feature: feature.function,
                used_for: feature.used_for,
                since: feature.since,
            });
        }
    }
    Ok(())
}

/// Ids of all processes.
fn processes() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Parent and start of a process, the start in nanoseconds of `CLOCK_BOOTTIME`.
fn parent_and_start(pid: u32) -> Result<(u32, u64), ProbeError> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|_| ProbeError::NoProcess(pid))?;
    let (_, fields) = stat.rsplit_once(')').ok_or(ProbeError::NoProcess(pid))?;
    let field = |index| {
        fields
            .split_whitespace()
            .nth(index)
            .and_then(|value| value.parse::<u64>().ok())
    };
    match (field(1), field(19)) {
        (Some(parent), Some(ticks)) => Ok((u32::try_from(parent).unwrap_or(0), ticks * 10_000_000)),
        _ => Err(ProbeError::NoProcess(pid)),
    }
}
