//! Registers lineages: their identity, context and first records.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use lineage_common::limits::ARGV_BYTES_MAX;
use serde_json::{Value, json};

use crate::{
    authority::selector::Candidate,
    clock::{Clock as _, SystemClock},
    evidence::{
        digest,
        escape::escape,
        writer::{Identity, Writer},
    },
    host::procfs::Procfs,
    lineage::{
        identity::{Birth, BootId, lineage_uid},
        process::Snapshot,
    },
    probe::{Probes, Tracked},
};

use super::{
    RecordError, Request,
    contexts::Governed,
    governor::Governor,
    recognisers::Files,
    snapshot,
    surroundings::{Parts, Surroundings},
};

/// Where the kernel tells the id of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How a lineage came about.
#[derive(Debug)]
pub(super) enum Origin {
    /// This command was launched.
    Launch(Vec<OsString>),
    /// This process was attached.
    Attach(u32),
}

/// A lineage whose processes are tracked.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) origin: Origin,
    /// Its processes, parents first.
    pub(super) tracked: Vec<Tracked>,
    /// What a grant asks of the first one; none when nothing governs.
    pub(super) candidate: Option<Candidate>,
}

/// One lineage, ready to be recorded.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) governed: Governed,
    /// The names of the rules that govern it, if any do.
    pub(super) rules: Option<Arc<[String]>>,
    pub(super) time_ns: u64,
    pub(super) detail: String,
    /// Whether it was there before recording reached it: what it has is recorded then.
    pub(super) attached: bool,
    /// Its processes, parents first.
    pub(super) snapshots: Vec<Snapshot>,
}

/// All lineages, and what they are recorded in.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) boot: BootId,
    pub(super) lineages: Vec<Registration>,
    pub(super) surroundings: Surroundings,
}

/// What all lineages of a recording share.
#[derive(Debug)]
pub(super) struct Registrar<'a> {
    procfs: &'a Procfs,
    boot_text: String,
    boot: BootId,
    parts: Parts,
}

impl<'a> Registrar<'a> {
    pub(super) fn new(probes: &Probes, procfs: &'a Procfs) -> Result<Self, RecordError> {
        let system = |what| move |source| RecordError::System { what, source };
        let boot_text = std::fs::read_to_string(BOOT_ID).map_err(system("read the boot id"))?;
        let boot_text = boot_text.trim().to_owned();
        let boot = BootId::parse(&boot_text).ok_or(RecordError::System {
            what: "read the boot id",
            source: std::io::ErrorKind::InvalidData.into(),
        })?;
        let program = std::fs::File::open("/proc/self/exe").map_err(system("read this program"))?;
        Ok(Self {
            procfs,
            boot_text,
            boot,
            parts: Parts {
                agent: digest::of_reader(program).map_err(system("read this program"))?,
                probes: digest::of(probes.object()),
                layout: digest::of(probes.layout_bytes()),
                recognisers: Vec::new(),
                unseen: probes.unseen(),
                tier: probes.tier(),
                left_out: Vec::new(),
            },
        })
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            hostname: rustix::system::uname().nodename().to_bytes().to_vec(),
            boot: self.boot_text.clone(),
            agent: self.parts.agent,
            probes: self.parts.probes,
        }
    }

    /// Stores the documents that govern the lineages and reads what their processes are now.
    pub(super) fn register(
        &self,
        writer: &Writer,
        lineages: Vec<Found>,
        request: &Request,
        recognisers: &Files,
        governor: Option<&Governor>,
    ) -> Result<Registered, RecordError> {
        let artifacts = writer.artifacts();
        let parts = Parts {
            recognisers: recognisers.store(&artifacts)?,
            left_out: request.left_out.names().collect(),
            ..self.parts.clone()
        };
        let surroundings = Surroundings::read(parts, &artifacts)?;
        let in_force = governor.map(|governor| governor.store(&artifacts));
        let in_force = in_force.transpose()?;
        let mut registrations = Vec::new();
        for (number, found) in (0..).zip(lineages) {
            let mut registration = self.registration(number, found, request)?;
            let governed = &mut registration.governed;
            if let Some(in_force) = &in_force {
                governed.enforcement = in_force.mode;
                governed.stored = Some(in_force.stored.clone());
                registration.rules = Some(in_force.rules.clone());
            }
            governed.govern(surroundings.digest(), "start", &artifacts)?;
            registrations.push(registration);
        }
        Ok(Registered {
            boot: self.boot,
            lineages: registrations,
            surroundings,
        })
    }

    /// A lineage that nothing governs yet, with what its processes are now.
    fn registration(
        &self,
        number: u32,
        found: Found,
        request: &Request,
    ) -> Result<Registration, RecordError> {
        let Found {
            origin,
            tracked,
            candidate,
        } = found;
        let time_ns = u64::try_from(SystemClock.now().boot_ns).unwrap_or(0);
        let mut snapshots = Vec::new();
        for process in tracked {
            let shown = request.environment;
            snapshots.push(snapshot::take(self.procfs, process, time_ns, shown)?);
        }
        let root = snapshots.first();
        let (pid_ns, ns_pid) = root.and_then(|root| root.namespace).unwrap_or_default();
        let birth = Birth {
            start_ns: root.map_or(0, |root| root.start_ns),
            pid_ns,
            ns_pid,
        };
        let container = root.and_then(|root| self.container_of(root));
        let mut detail = detail(&origin, container.as_deref(), request);
        if let Some(candidate) = candidate {
            detail["bound"] = json!(candidate);
        }
        let governed = Governed {
            enforcement: "observe",
            stored: None,
            lapsed: None,
            lineage: lineage_uid(self.boot, birth, number),
            parent: None,
            container,
            context: String::new(),
        };
        Ok(Registration {
            governed,
            rules: None,
            time_ns,
            detail: detail.to_string(),
            attached: matches!(origin, Origin::Attach(_)),
            snapshots,
        })
    }

    /// The container of a process, if it is still there: its id may be another's by now.
    fn container_of(&self, process: &Snapshot) -> Option<String> {
        let shown = self.procfs.snapshot(process.pid).ok()??;
        shown
            .start
            .contains(process.start_ns)
            .then_some(shown.container)?
    }
}

/// How a lineage came about, as JSON.
fn detail(origin: &Origin, container: Option<&str>, request: &Request) -> Value {
    let uid = rustix::process::getuid().as_raw();
    let recorder = json!({ "pid": std::process::id(), "uid": uid });
    let mut detail = match origin {
        Origin::Launch(command) => {
            let kept = kept(command);
            let left_out = command.len() - kept.len();
            let command = escaped(kept.iter().map(|word| word.as_bytes()));
            let mut detail = json!({ "command": command, "how": "launch", "recorder": recorder });
            if left_out > 0 {
                detail["arguments_left_out"] = left_out.into();
            }
            detail
        }
        Origin::Attach(pid) => json!({ "how": "attach", "pid": pid, "recorder": recorder }),
    };
    if let Some(container) = container {
        detail["container"] = container.into();
    }
    // That there are no digests may be what was wanted; then it is said.
    detail["digests"] = match &request.digests {
        Some(digests) => {
            json!({ "patterns": escaped(digests.patterns.iter().map(String::as_bytes)) })
        }
        None => json!(false),
    };
    if !request.left_out.kinds.is_empty() {
        detail["left_out"] = json!(request.left_out.kinds);
    }
    detail
}

/// The first words of a command, up to as many bytes as are kept of the arguments of an exec: a record has
/// no room for all that the kernel takes.
fn kept(command: &[OsString]) -> &[OsString] {
    let mut bytes = 0;
    let count = command.iter().take_while(|word| {
        bytes += word.len() + 1;
        bytes <= ARGV_BYTES_MAX
    });
    &command[..count.count()]
}

fn escaped<'a>(words: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    words.map(escape).collect()
}
