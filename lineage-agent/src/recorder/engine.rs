//! The thread that turns frames into records: drain, order, fold, append, commit.

mod finish;

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lineage_common::frame::Clone3;
use tokio::sync::oneshot;

use crate::{
    decisions::Decisions,
    event::{Body, Event},
    evidence::{
        counters::{Counters, CpuCount},
        error::Error as EvidenceError,
        manifest::Reason,
        writer::{Summary, Writer},
    },
    host::procfs::{Containers, Pipes},
    lineage::{
        fold::{ContextChange, Fold, LineageStart},
        identity::BootId,
        mounts::Mounts,
        order::{Order, Ordered},
        recognise::Recognisers,
        variables::Shown,
    },
    probe::{Found, Reader},
};

use super::{
    RecordError,
    digests::{self, Digests, Watched},
    missing::Missing,
    pending::{Change, Changes, Pending, What},
    registration::Registration,
    sink::Numbered,
    status::{Published, Reading, Status},
};

/// Longest a frame stays in a ring that is not filling up.
const DRAIN_EVERY: Duration = Duration::from_millis(20);
/// How often what was recorded is signed, and out of reach of whoever ends this process. A signature takes some 30 µs.
const COMMIT_EVERY: Duration = Duration::from_millis(75);
/// How often those are told who ask how far it has come.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Scheduling priority of the engine: it must keep up when every CPU is busy with the workload.
const NICE: i32 = -15;
/// Most commands that wait for the engine; beyond, whoever has another waits.
const COMMANDS_MAX: usize = 64;

/// What the engine starts with.
pub(super) struct Begin {
    pub(super) writer: Writer,
    pub(super) boot: BootId,
    pub(super) lineages: Vec<Registration>,
    /// What the host has mounted, if that is known.
    pub(super) mounts: Option<Arc<Mounts>>,
    pub(super) containers: Containers,
    pub(super) pipes: Pipes,
    pub(super) recognisers: Recognisers,
    /// What is recorded of environments.
    pub(super) environment: Shown,
    /// Which files are read for their digest; none when nothing is asked for.
    pub(super) digests: Option<digests::Request>,
    /// What the processes that were there have.
    pub(super) found: Option<Found>,
    /// Where to tell how far it has come.
    pub(super) published: Option<Published>,
}

/// What the engine ends with.
#[derive(Debug)]
pub(super) struct Finish {
    /// Boot time in nanoseconds by which everything of interest has happened.
    pub(super) time_ns: u64,
    /// What the log ends with.
    pub(super) reason: Reason,
    /// Why, as JSON.
    pub(super) detail: String,
    /// Runs of the probes that the kernel skipped.
    pub(super) misses: u64,
    /// How long files are waited for that are still being read.
    pub(super) wait: Duration,
}

/// What has come of it.
#[derive(Debug)]
pub(super) struct Finished {
    /// The sealed log.
    pub(super) summary: Summary,
    /// What is not recorded, but for lost frames.
    pub(super) missing: Missing,
    /// What was decided.
    pub(super) decisions: Decisions,
}

/// What the engine is told.
pub(super) enum Control {
    /// Begins, and says so when what the processes have is recorded.
    Begin(Box<Begin>, mpsc::Sender<()>),
    Change(Result<Change, RecordError>),
    Mounts(u64, Option<Arc<Mounts>>),
    Finish(Finish),
}

/// The engine, from outside.
pub(super) struct Engine {
    control: mpsc::SyncSender<Control>,
    ended: oneshot::Receiver<Result<Option<Finished>, RecordError>>,
    watched: Arc<Watched>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the thread. It looks into the rings at once, and what comes stays there until
    /// [`Self::begin`].
    pub(super) fn spawn(reader: Reader) -> Result<Self, RecordError> {
        let (control, commands) = mpsc::sync_channel(COMMANDS_MAX);
        let (done, ended) = oneshot::channel();
        let watched = Arc::<Watched>::default();
        let shown = watched.clone();
        let thread = thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                // Without the privilege it runs at the usual priority, and losses are counted.
                let _ = rustix::process::setpriority_process(None, NICE);
                let mut work = Work::new(reader, shown);
                // Nobody listens any more when the caller failed first.
                let _ = done.send(work.run(&commands));
            })
            .map_err(|source| RecordError::System {
                what: "start a thread",
                source,
            })?;
        Ok(Self {
            control,
            ended,
            watched,
            thread: Some(thread),
        })
    }

    /// Hands over the writer and the lineages, and waits until what they begin with is recorded.
    pub(super) async fn begin(&mut self, begin: Begin) -> Result<(), RecordError> {
        let (begun, wait) = mpsc::channel();
        // When it cannot be sent the engine has ended, and there is no answer either.
        let _ = self.control.send(Control::Begin(Box::new(begin), begun));
        match wait.recv() {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failed().await),
        }
    }

    /// Where changes are told. To be dropped before the engine, whose thread waits for all senders.
    pub(super) fn changes(&self) -> Changes {
        Changes::to(self.control.clone())
    }

    /// For whoever waits for [`Self::finish`].
    pub(super) fn watched(&self) -> Arc<Watched> {
        self.watched.clone()
    }

    /// Ready when the engine has failed by itself.
    pub(super) async fn failed(&mut self) -> RecordError {
        match (&mut self.ended).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => RecordError::Engine,
        }
    }

    /// Records what is left, seals and closes.
    pub(super) async fn finish(mut self, finish: Finish) -> Result<Finished, RecordError> {
        // A failed send means that the engine has ended; its outcome says why.
        let _ = self.control.send(Control::Finish(finish));
        let outcome = (&mut self.ended).await.map_err(|_| RecordError::Engine)?;
        outcome?.ok_or(RecordError::Engine)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let (closed, _) = mpsc::sync_channel(0);
        // Without a sender the thread ends; it has no writer then, or everything is in the spool.
        drop(std::mem::replace(&mut self.control, closed));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Everything the thread owns.
struct Work {
    reader: Reader,
    order: Order,
    recording: Option<Recording>,
    committed: Instant,
    told: Instant,
    watched: Arc<Watched>,
}

/// A recording that has begun.
pub(super) struct Recording {
    pub(super) fold: Fold,
    pub(super) sink: Numbered,
    lineages: u32,
    containers: Containers,
    /// Changes whose time has not come yet.
    changes: Pending,
    /// Frames that became no record: not understood, or not waited for.
    pub(super) unrecorded: u64,
    /// What of all that is missing there are records of.
    pub(super) missing: Missing,
    published: Option<Published>,
}

impl Work {
    fn new(reader: Reader, watched: Arc<Watched>) -> Self {
        Self {
            reader,
            order: Order::default(),
            recording: None,
            committed: Instant::now(),
            told: Instant::now(),
            watched,
        }
    }

    /// Works until told to finish; `None` when the caller went away before anything was recorded.
    fn run(&mut self, commands: &mpsc::Receiver<Control>) -> Result<Option<Finished>, RecordError> {
        loop {
            // Not more in a row: meanwhile the rings fill up.
            for _ in 0..COMMANDS_MAX {
                match commands.try_recv() {
                    Ok(command) => {
                        if let Some(finish) = self.follow(command)? {
                            return self.finish(&finish).map(Some);
                        }
                    }
                    Err(mpsc::TryRecvError::Disconnected) => return Ok(None),
                    Err(mpsc::TryRecvError::Empty) => break,
                }
            }
            let (_, more) = self.step()?;
            if self.committed.elapsed() >= COMMIT_EVERY {
                self.commit(0)?;
            }
            if !more {
                self.reader.wait(DRAIN_EVERY).map_err(poll_error)?;
            }
        }
    }

    /// Does what a command says; gives back the last one.
    fn follow(&mut self, command: Control) -> Result<Option<Finish>, RecordError> {
        match command {
            Control::Begin(begin, begun) => {
                self.recording = Some(Recording::begin(*begin)?);
                // Nobody waits any more when the caller is going away.
                let _ = begun.send(());
            }
            Control::Change(change) => self.note(change)?,
            Control::Mounts(time_ns, mounts) => {
                if let Some(recording) = &mut self.recording {
                    recording.fold.set_mounts(time_ns, mounts);
                }
            }
            Control::Finish(finish) => return Ok(Some(finish)),
        }
        Ok(None)
    }

    /// Takes note of a change, or gives up because it could not be made.
    fn note(&mut self, change: Result<Change, RecordError>) -> Result<(), RecordError> {
        let Some(recording) = &mut self.recording else {
            return change.map(drop);
        };
        match change {
            Ok(change) => recording.changes.add(change),
            Err(RecordError::Evidence(error)) => {
                return Err(recording.sink.writer.give_up(error).into());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Drains once and records what is known to be complete: up to when, and whether more waits.
    fn step(&mut self) -> Result<(Option<u64>, bool), RecordError> {
        let drained = self.reader.drain(&mut self.order.arrived);
        let (Some(recording), Some(watermark)) = (&mut self.recording, &drained.watermark) else {
            return Ok((None, drained.more));
        };
        let take = |ordered: Ordered<'_>| recording.take(&ordered);
        self.order.release(watermark, &self.reader, take)?;
        recording.change_until(watermark.time)?;
        recording.changes.recorded(watermark.time);
        self.reader.free(&self.order.arrived);
        recording.tend()?;
        Ok((Some(watermark.time), drained.more))
    }

    fn commit(&mut self, misses: u64) -> Result<(), RecordError> {
        self.committed = Instant::now();
        let Some(recording) = &mut self.recording else {
            return Ok(());
        };
        if let Some(digests) = &mut recording.sink.digests {
            digests.look_after();
        }
        recording.digests()?;
        let counters = self.reader.counters();
        let cpus: Vec<_> = (0..counters.cpus()).map(|cpu| counters.read(cpu)).collect();
        let dropped = recording.unrecorded + self.reader.malformed() + misses;
        let missing = Missing::of(cpus.iter().copied(), dropped);
        recording.missing(&missing, false)?;
        let writer = &mut recording.sink.writer;
        let counters = Counters::new(&cpus, dropped);
        writer.commit(&counters)?;
        recording.fold.set_utc_offset(writer.offset_ns());
        let lost = counters.cpus.iter().map(CpuCount::lost_total).sum();
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            recording.tell(lost, missing);
        }
        Ok(())
    }
}

impl Recording {
    /// Registers the lineages and the processes they start with.
    fn begin(begin: Begin) -> Result<Self, RecordError> {
        let mut fold = Fold::new(begin.boot);
        fold.set_mounts(0, begin.mounts);
        fold.recognise_by(begin.recognisers);
        fold.show_environment(begin.environment);
        let digests = begin.digests.as_ref().map(Digests::start).transpose()?;
        let mut sink = Numbered {
            writer: begin.writer,
            digests,
            decisions: Decisions::default(),
        };
        fold.set_utc_offset(sink.writer.offset_ns());
        let mut lineages = 0;
        for registration in &begin.lineages {
            let start = LineageStart {
                uid: &registration.governed.lineage,
                context: &registration.governed.context,
                time_ns: registration.time_ns,
                detail: &registration.detail,
                rules: registration.rules.as_ref(),
                from: None,
            };
            fold.start_lineage(&start, &mut sink)?;
            for snapshot in &registration.snapshots {
                fold.snapshot(lineages, snapshot, &mut sink)?;
            }
            lineages += 1;
        }
        let mut recording = Self {
            fold,
            sink,
            lineages,
            containers: begin.containers,
            changes: Pending::default(),
            unrecorded: 0,
            missing: Missing::default(),
            published: begin.published,
        };
        if let Some(found) = begin.found {
            recording.found(found, begin.pipes, &begin.lineages)?;
        }
        Ok(recording)
    }

    /// Tells whoever asks how far it has come.
    fn tell(&mut self, lost: u64, missing: Missing) {
        if let Some(published) = &mut self.published {
            published.tell(Status {
                records: self.sink.writer.next_seq(),
                lost,
                missing,
                decisions: self.sink.decisions,
                processes: self.fold.live_processes() as u64,
                reading: self.sink.digests.as_ref().and_then(Reading::of),
                ..published.told().clone()
            });
        }
    }

    /// Records what is known of files by now.
    fn tend(&mut self) -> Result<(), EvidenceError> {
        if let Some(digests) = &mut self.sink.digests {
            digests.tend();
        }
        self.digests()
    }

    /// Records what is decided.
    fn digests(&mut self) -> Result<(), EvidenceError> {
        while let Some(decided) = self.sink.digests.as_mut().and_then(Digests::decided) {
            self.fold.digest(&decided.as_digest(), &mut self.sink)?;
        }
        Ok(())
    }

    fn take(&mut self, ordered: &Ordered<'_>) -> Result<(), EvidenceError> {
        match ordered {
            Ordered::Frame(frame) => match Event::decode(frame) {
                Ok(event) => {
                    self.change_until(event.header.time)?;
                    self.name_container(&event);
                    self.fold.event(&event, &mut self.sink)?;
                    self.digests()
                }
                Err(_) => {
                    self.unrecorded += 1;
                    Ok(())
                }
            },
            Ordered::Loss(loss) => {
                self.change_until(loss.time)?;
                self.fold.loss(loss, &mut self.sink)
            }
        }
    }

    /// Tells the fold in which container a process is now: only here is it known what the kernel's id of
    /// a control group means.
    fn name_container(&mut self, event: &Event<'_>) {
        let group = match event.body {
            Body::Exec(image) if event.header.result >= 0 => image.exec.cgroup,
            Body::Fork(fork) if fork.how.has_any(Clone3::INTO_CGROUP) => fork.cgroup,
            Body::Cgroup(event) if event.moved.hierarchy == 0 => event.moved.id,
            _ => return,
        };
        if let Some(container) = self.containers.of_group(group) {
            self.fold.set_container(group, container);
        }
    }

    /// Makes the changes noticed by this boot time.
    fn change_until(&mut self, time_ns: u64) -> Result<(), EvidenceError> {
        while let Some(change) = self.changes.due(time_ns) {
            self.changes.recorded(change.time_ns);
            let Self { fold, sink, .. } = self;
            let time_ns = change.time_ns;
            match change.what {
                What::Contexts { detail, contexts } => {
                    for new in &contexts {
                        let change = ContextChange {
                            context: &new.context,
                            time_ns,
                            detail: &detail,
                            rules: new.rules.as_ref(),
                        };
                        fold.change_context(new.lineage, &change, sink)?;
                    }
                }
                What::Lineage(delegated) => {
                    let start = LineageStart {
                        uid: &delegated.uid,
                        context: &delegated.context,
                        time_ns,
                        detail: &delegated.detail,
                        rules: Some(&delegated.rules),
                        from: Some(delegated.from),
                    };
                    fold.start_lineage(&start, sink)?;
                    self.lineages += 1;
                }
            }
            // Most do not wait for it.
            let _ = change.recorded.send(());
        }
        Ok(())
    }
}

fn poll_error(errno: rustix::io::Errno) -> RecordError {
    RecordError::System {
        what: "wait for the kernel",
        source: errno.into(),
    }
}
