//! When recording ends: the last process is gone, the command ended, or somebody said stop.
//!
//! Signals mean what they mean without us. While a command runs on a terminal, Ctrl-C is the
//! command's affair. A signal sent to the recorder itself is passed on to the command, whose end is
//! then recorded; a second one stops recording at once.

use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use serde_json::json;
use tokio::{
    signal::unix::{Signal as Stream, SignalKind, signal},
    sync::oneshot,
    time::{MissedTickBehavior, interval, interval_at},
};

use super::{
    Missing, News, RecordError, Request,
    control::{Asked, Control},
    engine::{Engine, Finish, Finished},
    governor::{self, Governor},
    launch::Waiting,
};
use crate::{host::procfs::Procfs, probe::Probes};

/// How often it is checked whether anything tracked still runs.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long after the command's end others may still run without a word about it.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the probes are asked for warnings.
const LISTEN_EVERY: Duration = Duration::from_millis(250);

/// How recording ended.
#[derive(Debug)]
pub struct Ending {
    /// Why.
    pub why: Why,
    /// Whether there was a command.
    pub launched: bool,
    /// The command's own end, when there was a command and it ended first.
    pub status: Option<ExitStatus>,
    /// Tracked processes that still ran.
    pub running: usize,
}

/// Why recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Everything recorded has ended.
    Ended,
    /// The command has, and no more was asked for.
    CommandEnded,
    /// This signal.
    Signal(i32),
}

impl Ending {
    /// As JSON, for the record that ends a lineage.
    pub(super) fn detail(&self) -> String {
        let reason = match self.why {
            Why::Ended => "ended",
            Why::CommandEnded => "command-ended",
            Why::Signal(_) => "signal",
        };
        json!({ "reason": reason, "running": self.running }).to_string()
    }

    /// The exit status to pass on: the command's, 128 + N when signal N ended it, or us before it.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        let by_signal = |number: i32| u8::try_from(128 + number).unwrap_or(u8::MAX);
        match (self.status, self.why) {
            (Some(status), _) => match (status.code(), status.signal()) {
                (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
                (None, Some(number)) => by_signal(number),
                (None, None) => u8::MAX,
            },
            (None, Why::Signal(number)) if self.launched => by_signal(number),
            // Stopping is how an attachment is meant to end.
            (None, _) => 0,
        }
    }
}

/// Catches a signal from now on.
fn handler(kind: SignalKind) -> Result<Stream, RecordError> {
    signal(kind).map_err(|source| RecordError::System {
        what: "handle signals",
        source,
    })
}

/// Makes a file that grows over its limit an error of the write, like a full disk.
pub(super) fn catch_file_size() -> Result<(), RecordError> {
    handler(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

/// Signals to the recorder that it answers. Caught before there is a command or a directory of
/// evidence that a death would leave behind; answered once recording has begun.
pub(super) struct Signals {
    interrupt: Stream,
    quit: Stream,
    terminate: Stream,
    hangup: Stream,
    user_1: Stream,
    user_2: Stream,
    alarm: Stream,
}

impl Signals {
    /// Catches them from now on.
    pub(super) fn catch() -> Result<Self, RecordError> {
        Ok(Self {
            interrupt: handler(SignalKind::interrupt())?,
            quit: handler(SignalKind::quit())?,
            terminate: handler(SignalKind::terminate())?,
            hangup: handler(SignalKind::hangup())?,
            user_1: handler(SignalKind::user_defined1())?,
            user_2: handler(SignalKind::user_defined2())?,
            alarm: handler(SignalKind::alarm())?,
        })
    }

    /// The next that arrives or has arrived.
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.user_1.recv() => Signal::USR1,
            _ = self.user_2.recv() => Signal::USR2,
            _ = self.alarm.recv() => Signal::ALARM,
        }
    }
}

/// What governs meanwhile, and who may ask for something.
pub(super) struct Governing<'a> {
    pub(super) governor: Option<&'a mut Governor>,
    pub(super) control: Option<&'a mut Control>,
    pub(super) procfs: &'a Procfs,
}

impl Governing<'_> {
    /// The next question.
    async fn asked(&mut self) -> Asked {
        match &mut self.control {
            Some(control) => control.next().await,
            None => std::future::pending().await,
        }
    }

    /// Answers it.
    async fn answer(&mut self, probes: &mut Probes, asked: Asked) -> Result<(), RecordError> {
        match &mut self.governor {
            Some(governor) => governor.answer(probes, self.procfs, asked).await,
            None => Ok(()),
        }
    }

    /// Ends what is over by now.
    fn look(
        &mut self,
        probes: &mut Probes,
        tell: &mut impl FnMut(News),
    ) -> Result<(), RecordError> {
        let ended = match &mut self.governor {
            Some(governor) => governor.look(probes)?,
            None => Vec::new(),
        };
        let mut last = None;
        for why in ended {
            // Several lineages often have one grant.
            if last.as_ref() != Some(&why) {
                let text = format!("nothing is authorised any more: {why}");
                tell(News::Warning(text));
                last = Some(why);
            }
        }
        Ok(())
    }
}

/// Lets the command go and waits for the end.
pub(super) async fn wait(
    signals: &mut Signals,
    (probes, engine): (&mut Probes, &mut Engine),
    mut governing: Governing<'_>,
    (waiting, request): (Option<Waiting>, &Request),
    tell: &mut impl FnMut(News),
) -> Result<Ending, RecordError> {
    let mut command = Command::new(waiting, request).await?;
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut listen = interval(LISTEN_EVERY);
    listen.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut govern = interval(governor::LOOK_EVERY);
    govern.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut missed = Missing::default();
    let mut asked = 0;
    let mut ended = None;
    let ending = loop {
        let received = tokio::select! {
            status = command.ended(), if command.runs() => {
                command.note(status?);
                ended = Some(Instant::now());
                if request.until_exit {
                    break command.ending(Why::CommandEnded, probes);
                }
                continue;
            }
            _ = listen.tick() => {
                probes.warnings().into_iter().map(News::Warning).for_each(&mut *tell);
                missed.warnings(probes).into_iter().map(News::Warning).for_each(&mut *tell);
                continue;
            }
            _ = look.tick(), if !command.runs() => {
                let running = probes.tracked();
                if running == 0 {
                    break command.ending(Why::Ended, probes);
                }
                if ended.is_some_and(|ended| ended.elapsed() >= PATIENCE) {
                    ended = None;
                    tell(News::Waiting(running));
                }
                continue;
            }
            _ = govern.tick(), if governing.governor.is_some() => {
                governing.look(probes, tell)?;
                continue;
            }
            asked = governing.asked() => {
                governing.answer(probes, asked).await?;
                continue;
            }
            error = engine.failed() => return Err(error),
            signal = signals.next() => signal,
        };
        if command.runs() && matches!(received, Signal::INT | Signal::QUIT) && on_terminal() {
            continue;
        }
        asked += 1;
        if command.runs() && asked == 1 {
            command.pass_on(received);
        } else {
            break command.ending(Why::Signal(received.as_raw()), probes);
        }
    };
    // What was denied since the last look has its reason in the evidence.
    governing.look(probes, tell)?;
    Ok(ending)
}

/// How long the end waits for files that are still being read: not at all when somebody did not want
/// to wait for the command.
pub(super) fn patience(ending: &Ending, request: &Request) -> Duration {
    let command_runs = !request.command.is_empty() && ending.status.is_none();
    let impatient = matches!(ending.why, Why::Signal(_)) && command_runs;
    match &request.digests {
        Some(digests) if !impatient => digests.wait,
        _ => Duration::ZERO,
    }
}

/// Lets the engine finish. A signal means that files are not waited for.
pub(super) async fn finish(
    signals: &mut Signals,
    engine: Engine,
    finish: Finish,
    tell: &mut impl FnMut(News),
) -> Result<Finished, RecordError> {
    let watched = engine.watched();
    let mut finished = Box::pin(engine.finish(finish));
    // Most of the time nothing is left that is worth a word.
    let mut look = interval_at((Instant::now() + LISTEN_EVERY).into(), LISTEN_EVERY);
    loop {
        tokio::select! {
            finished = &mut finished => {
                tell(News::Read);
                return finished;
            }
            _ = signals.next() => watched.hurry(),
            _ = look.tick() => if let Some(left) = watched.left() {
                tell(News::Reading(left));
            },
        }
    }
}

/// Whether the terminal delivers its signals to us and the command alike.
fn on_terminal() -> bool {
    rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

/// The command, if there is one.
struct Command {
    pid: Option<Pid>,
    end: Option<oneshot::Receiver<io::Result<ExitStatus>>>,
    status: Option<ExitStatus>,
}

impl Command {
    async fn new(waiting: Option<Waiting>, request: &Request) -> Result<Self, RecordError> {
        let (Some(waiting), Some(program)) = (waiting, request.command.first()) else {
            return Ok(Self {
                pid: None,
                end: None,
                status: None,
            });
        };
        let pid = i32::try_from(waiting.pid()).ok().and_then(Pid::from_raw);
        let running = waiting.release(program).await?;
        Ok(Self {
            pid,
            end: Some(running.ended),
            status: None,
        })
    }

    fn runs(&self) -> bool {
        self.end.is_some()
    }

    async fn ended(&mut self) -> Result<ExitStatus, RecordError> {
        let wait_error = |source| RecordError::System {
            what: "wait for the command",
            source,
        };
        let Some(end) = &mut self.end else {
            return std::future::pending().await;
        };
        match end.await {
            Ok(status) => status.map_err(wait_error),
            Err(_) => Err(wait_error(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn note(&mut self, status: ExitStatus) {
        self.end = None;
        self.status = Some(status);
    }

    fn pass_on(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            // It may have ended in this moment, which is what was wanted.
            let _ = kill_process(pid, signal);
        }
    }

    fn ending(&self, why: Why, probes: &mut Probes) -> Ending {
        Ending {
            why,
            launched: self.pid.is_some(),
            status: self.status,
            running: probes.tracked(),
        }
    }
}
