//! Records: from the kernel's rings to sealed evidence.
//!
//! The caller's thread launches or attaches, then watches for the end; one thread of its own
//! (`engine`) does all the work on events, so that order and numbering need no locks.

pub mod authority;
mod binding;
mod changes;
mod contexts;
pub mod control;
mod digests;
mod ending;
mod engine;
mod found;
mod governor;
pub mod launch;
mod missing;
mod output;
mod pending;
pub mod recognisers;
mod registration;
mod sink;
mod snapshot;
pub mod status;
mod surroundings;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    authority::policy::source::Schema,
    clock::{Clock as _, SystemClock},
    decisions::Decisions,
    evidence::{
        error::Error as EvidenceError,
        keys::Keys,
        manifest::Reason,
        writer::{Summary, Writer},
    },
    host::procfs::{Procfs, ProcfsError},
    lineage::{left_out::LeftOut, variables},
    probe::{self, ProbeError, Probes, Reader},
};

use authority::{AuthorityError, Files as AuthorityFiles};
use changes::Watch;
use contexts::Contexts;
use control::Control;
use ending::Governing;
use engine::{Begin, Engine, Finish, Finished};
use governor::{Governor, Told};
use launch::{LaunchError, Waiting};
use recognisers::{FileError, Files};
use registration::{Found, Origin, Registrar};
use status::Published;
use surroundings::Surroundings;

pub use digests::{Left, Request as DigestRequest};
pub use ending::{Ending, Why};
pub use missing::{Missed, Missing};

/// What to record, and where to.
#[derive(Debug)]
pub struct Request {
    /// Directory of the evidence; new or empty unless `append`.
    pub output: PathBuf,
    /// Go on with the log in there, and leave it so that it can be gone on with.
    pub append: bool,
    /// The command to launch; empty to only attach.
    pub command: Vec<OsString>,
    /// Processes to attach to, with their descendants.
    pub pids: Vec<u32>,
    /// Stop when the command ends, whatever still runs.
    pub until_exit: bool,
    /// How much of the environments of processes is recorded.
    pub environment: variables::Shown,
    /// A file of recognisers, besides those that come with the program.
    pub recognisers: Option<PathBuf>,
    /// Kinds of records that are not wanted.
    pub left_out: LeftOut,
    /// Rings, and the calls that are left out with these kinds.
    pub probes: probe::Options,
    /// Which files are read for their digest; none when there shall be no digests.
    pub digests: Option<DigestRequest>,
    /// What governs what is recorded; none when it is only observed.
    pub authority: Option<AuthorityFiles>,
}

impl Request {
    /// What the log ends with.
    fn reason(&self) -> Reason {
        if self.append {
            Reason::Stop
        } else {
            Reason::Shutdown
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The sealed log.
    pub summary: Summary,
    /// How it ended.
    pub ending: Ending,
    /// Frames the kernel had no room for.
    pub lost: u64,
    /// What else is not recorded.
    pub missing: Missing,
    /// What was decided, in this session.
    pub decisions: Decisions,
}

impl Outcome {
    fn of(finished: Finished, ending: Ending) -> Self {
        let Finished {
            summary,
            missing,
            decisions,
        } = finished;
        let cpus = summary.counters.cpus.iter();
        Self {
            lost: cpus.flat_map(|cpu| cpu.lost).sum(),
            summary,
            ending,
            missing,
            decisions,
        }
    }
}

/// Why nothing was recorded, or why recording stopped.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The command cannot be run.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The kernel side does not work here.
    #[error("record: {0}")]
    Probe(#[from] ProbeError),
    /// Evidence cannot be written.
    #[error("write the evidence: {0}")]
    Evidence(#[from] EvidenceError),
    /// Nothing is authorised.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// What to recognise cannot be understood.
    #[error(transparent)]
    Recognisers(#[from] FileError),
    /// A process to attach to is not there.
    #[error("attach to {0}: no such process")]
    NoProcess(u32),
    /// A process to attach to is the one that records.
    #[error("attach to {0}: it is the recorder itself")]
    Itself(u32),
    /// Processes cannot be looked at.
    #[error(transparent)]
    Procfs(#[from] ProcfsError),
    /// The directory for the evidence has something in it.
    #[error("record into {}: the directory is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The directory for the evidence is in other evidence.
    #[error("record into {}: {} holds evidence, which nothing may be added to", path.display(), evidence.display())]
    Inside {
        /// The directory.
        path: PathBuf,
        /// The one above that holds evidence.
        evidence: PathBuf,
    },
    /// The directory for the evidence cannot be used.
    #[error("record into {}: {source}", path.display())]
    Output {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A system call on the recorder's own behalf failed.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The engine's thread died.
    #[error("go on: the recording thread ended unexpectedly")]
    Engine,
}

/// Everything that can be had without keys and without a trace: what is left to do cannot fail for
/// a reason that was there to see before.
#[derive(Debug)]
pub struct Ready {
    procfs: Procfs,
    probes: Probes,
    reader: Reader,
    program: Option<PathBuf>,
    recognisers: Files,
}

/// Checks what was asked for, and loads the probes.
///
/// # Errors
///
/// [`RecordError`]: the command, a process, the directory or the kernel is not as needed. Nothing
/// was written.
pub fn prepare(request: &Request) -> Result<Ready, RecordError> {
    let program = request.command.first().map(launch::find).transpose()?;
    let recognisers = Files::read(request.recognisers.as_deref())?;
    output::check(&request.output, request.append)?;
    let procfs = Procfs::open()?;
    for pid in &request.pids {
        if *pid == std::process::id() {
            return Err(RecordError::Itself(*pid));
        }
        if procfs.snapshot(*pid)?.is_none() {
            return Err(RecordError::NoProcess(*pid));
        }
    }
    if let Some(files) = &request.authority {
        // Said before anything is loaded; read again when it is to govern.
        files.read(&Schema::new(), SystemClock.now())?;
    }
    let (probes, reader) = Probes::load(&request.probes)?;
    Ok(Ready {
        procfs,
        probes,
        reader,
        program,
        recognisers,
    })
}

/// What whoever records may want to tell the user meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Everything is in place; a command is let go next.
    Started,
    /// Something is not recorded, in a sentence.
    Warning(String),
    /// The command has ended, and this many processes it started still run.
    Waiting(usize),
    /// Recording has ended, and files are still being read for their digests.
    Reading(Left),
    /// They no longer are.
    Read,
}

/// Records until what is recorded has ended or somebody stops it. `tell` is called with the news.
///
/// # Errors
///
/// [`RecordError`]. Before [`News::Started`] nothing has run and no evidence is left behind;
/// afterwards everything up to the error is in the evidence's spool.
pub async fn record(
    request: &Request,
    ready: Ready,
    keys: &Arc<Keys>,
    mut tell: impl FnMut(News),
) -> Result<Outcome, RecordError> {
    let Ready {
        procfs,
        mut probes,
        reader,
        program,
        recognisers,
    } = ready;
    let mut signals = ending::Signals::catch()?;
    ending::catch_file_size()?;
    let mut engine = Engine::spawn(reader)?;
    let waiting = program.as_deref().map(|path| launched(path, request));
    let waiting = waiting.transpose()?;
    let mut lineages = track(&mut probes, request, waiting.as_ref())?;
    let program = program.as_deref();
    let mut governor = govern(request, &mut probes, &procfs, &mut lineages, program)?;
    let registrar = Registrar::new(&probes, &procfs)?;
    let writer = open_writer(request, keys, &registrar)?;
    let governs = governor.as_ref();
    let registered = registrar.register(&writer, lineages, request, &recognisers, governs)?;
    let begin = Begin {
        mounts: registered.surroundings.mounts(),
        containers: procfs.containers(),
        pipes: procfs.pipes(),
        recognisers: recognisers.recognisers,
        environment: request.environment,
        digests: request.digests.clone(),
        found: found(request, &mut probes)?,
        published: Published::begin(&request.output, keys.path()),
        writer,
        boot: registered.boot,
        lineages: registered.lineages,
    };
    let around = registered.surroundings;
    let watch = start(&mut engine, begin, around, governor.as_mut()).await?;
    let mut control = governor.as_ref().and_then(|_| listen(&mut tell));
    tell(News::Started);
    let governing = Governing {
        governor: governor.as_mut(),
        control: control.as_mut(),
        procfs: &procfs,
    };
    let asked = (waiting, request);
    let on = (&mut probes, &mut engine);
    let ending = ending::wait(&mut signals, on, governing, asked, &mut tell).await?;
    let warnings = probes.warnings().into_iter();
    warnings.map(News::Warning).for_each(&mut tell);
    let misses = probes.recursion_misses()?;
    // Detached first: what was counted then is exactly what there is to read.
    drop(probes);
    drop((watch, governor, control));
    let finish = Finish {
        time_ns: now_ns(),
        reason: request.reason(),
        detail: ending.detail(),
        misses,
        wait: ending::patience(&ending, request),
    };
    let finished = ending::finish(&mut signals, engine, finish, &mut tell).await?;
    Ok(Outcome::of(finished, ending))
}

/// What looks at what attached processes have, if there are any.
fn found(request: &Request, probes: &mut Probes) -> Result<Option<probe::Found>, ProbeError> {
    match &request.pids[..] {
        [] => Ok(None),
        _ => probes.found().map(Some),
    }
}

/// What governs the lineages from here on, if anything does.
fn govern(
    request: &Request,
    probes: &mut Probes,
    procfs: &Procfs,
    lineages: &mut [Found],
    program: Option<&Path>,
) -> Result<Option<Governor>, RecordError> {
    let Some(files) = &request.authority else {
        return Ok(None);
    };
    let candidates = binding::candidates(procfs, lineages, program)?;
    Governor::begin(files, probes, &candidates).map(Some)
}

/// Boot time in nanoseconds.
fn now_ns() -> u64 {
    u64::try_from(SystemClock.now().boot_ns).unwrap_or(0)
}

/// The command, which waits; where its recorder listens, if it does, is in its environment.
fn launched(path: &Path, request: &Request) -> Result<Waiting, LaunchError> {
    let listens = request.authority.as_ref();
    let control = listens.map(|_| control::path_of(std::process::id()));
    launch::start(path, &request.command, control.as_deref())
}

/// Listens to what others ask.
fn listen(tell: &mut impl FnMut(News)) -> Option<Control> {
    match Control::listen(std::process::id()) {
        Ok(control) => Some(control),
        Err(error) => {
            let why = format!("nobody can ask for another policy or a lineage of its own: {error}");
            tell(News::Warning(why));
            None
        }
    }
}

/// Lets the engine begin, and watches what it records in, and what governs that.
async fn start(
    engine: &mut Engine,
    begin: Begin,
    surroundings: Surroundings,
    governor: Option<&mut Governor>,
) -> Result<Watch, RecordError> {
    let (artifacts, boot) = (begin.writer.artifacts(), begin.boot);
    let governed = begin.lineages.iter();
    let governed = governed.map(|lineage| lineage.governed.clone()).collect();
    engine.begin(begin).await?;
    let environment = surroundings.digest().to_owned();
    let contexts = Contexts::new(governed, environment, artifacts.clone(), engine.changes());
    if let Some(governor) = governor {
        let told = Told {
            artifacts: artifacts.clone(),
            boot,
        };
        governor.tell(contexts.clone(), told);
    }
    Watch::spawn(surroundings, contexts, artifacts, engine.changes())
}

/// Starts the log, or goes on with the one that is there.
fn open_writer(
    request: &Request,
    keys: &Arc<Keys>,
    registrar: &Registrar<'_>,
) -> Result<Writer, RecordError> {
    let output = &request.output;
    if request.append && output.exists() {
        match Writer::open(output, registrar.identity(), keys, Box::new(SystemClock)) {
            Err(EvidenceError::Absent { .. }) => {}
            opened => return Ok(opened?),
        }
    }
    let made = output::make(output);
    let created = Writer::create(output, registrar.identity(), keys, Box::new(SystemClock));
    if created.is_err() && made {
        // Unless somebody else has put something there meanwhile.
        let _ = std::fs::remove_dir(output);
    }
    Ok(created?)
}

/// Tracks everything asked for: a lineage for the command, and one for each process attached.
fn track(
    probes: &mut Probes,
    request: &Request,
    waiting: Option<&Waiting>,
) -> Result<Vec<Found>, RecordError> {
    let mut lineages = Vec::new();
    if let Some(waiting) = waiting {
        lineages.push(Found {
            origin: Origin::Launch(request.command.clone()),
            tracked: vec![probes.track(waiting.pid(), 0)?],
            candidate: None,
        });
    }
    for pid in &request.pids {
        let number = u32::try_from(lineages.len()).unwrap_or(u32::MAX);
        lineages.push(Found {
            origin: Origin::Attach(*pid),
            tracked: probes.attach_tree(*pid, number)?,
            candidate: None,
        });
    }
    Ok(lineages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorder_does_not_attach_to_itself() {
        let request = Request {
            output: "/nonexistent".into(),
            append: false,
            command: Vec::new(),
            pids: vec![std::process::id()],
            until_exit: false,
            recognisers: None,
            environment: variables::Shown::default(),
            left_out: LeftOut::default(),
            probes: probe::Options::default(),
            digests: None,
            authority: None,
        };
        // It would wait for its own end, and record what it does about that.
        let refused = prepare(&request).map(drop);
        assert!(
            matches!(refused, Err(RecordError::Itself(_))),
            "{refused:?}"
        );
    }
}
