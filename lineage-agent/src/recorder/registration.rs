//! Registers lineages: their identity, context and first records.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use lineage_common::limits::ARGV_BYTES_MAX;
use serde_json::json;

use crate::{
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
    changes::Governed,
    policy::Policy,
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

/// One lineage, ready to be recorded.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) governed: Governed,
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
        lineages: Vec<(Origin, Vec<Tracked>)>,
        request: &Request,
        recognisers: &Files,
    ) -> Result<Registered, RecordError> {
        let artifacts = writer.artifacts();
        let parts = Parts {
            recognisers: recognisers.store(&artifacts)?,
            left_out: request.left_out.names().collect(),
            ..self.parts.clone()
        };
        let surroundings = Surroundings::read(parts, &artifacts)?;
        let policy = request.policy.as_ref();
        let policy = policy.map(|policy| policy.store(&artifacts)).transpose()?;
        let mut registrations = Vec::new();
        for (number, (origin, tracked)) in (0..).zip(lineages) {
            let time_ns = u64::try_from(SystemClock.now().boot_ns).unwrap_or(0);
            let mut snapshots = Vec::new();
            for process in tracked {
                snapshots.push(snapshot::take(
                    self.procfs,
                    process,
                    time_ns,
                    request.environment,
                )?);
            }
            let root = snapshots.first().map_or(0, |root| root.start_ns);
            let (pid_ns, ns_pid) = snapshots
                .first()
                .and_then(|root| root.namespace)
                .unwrap_or_default();
            let birth = Birth {
                start_ns: root,
                pid_ns,
                ns_pid,
            };
            let uid = lineage_uid(self.boot, birth, number);
            let container = snapshots.first().and_then(|root| self.container_of(root));
            let detail = detail(&origin, container.as_deref(), request);
            let mut governed = Governed {
                enforcement: request.policy.as_ref().map_or("observe", Policy::mode),
                policy: policy.clone(),
                lineage: uid,
                container,
                context: String::new(),
            };
            governed.govern(surroundings.digest(), "start", &artifacts)?;
            registrations.push(Registration {
                governed,
                time_ns,
                detail,
                attached: matches!(origin, Origin::Attach(_)),
                snapshots,
            });
        }
        Ok(Registered {
            boot: self.boot,
            lineages: registrations,
            surroundings,
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
fn detail(origin: &Origin, container: Option<&str>, request: &Request) -> String {
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
    detail.to_string()
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
