//! Starts a command that waits until it is tracked, so that nothing it does goes unseen.
//!
//! The child is forked by the standard library in a thread of its own (which waits there for the
//! exec's outcome), reports its process id and stops itself before the exec; a stop, unlike a read
//! from a pipe, leaves nothing of ours in the record. Terminal, session and process group stay
//! those of the caller, so interactive programs work.

#![expect(
    unsafe_code,
    reason = "code between fork and exec cannot be expressed safely"
)]

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    thread,
};

use rustix::{
    fs::{Access, AtFlags, CWD, FileType, accessat},
    io::{read, write},
    pipe::{PipeFlags, pipe_with},
    process::{
        Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, set_parent_process_death_signal,
        waitid,
    },
};
use tokio::sync::oneshot;

use super::control::VARIABLE;

/// Why a command cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No such program.
    #[error("run {0:?}: command not found")]
    NotFound(OsString),
    /// It is there and cannot be executed.
    #[error("run {0:?}: permission denied or not a program")]
    NotExecutable(OsString),
    /// No process or pipe could be made.
    #[error("start the command: {0}")]
    Start(#[source] io::Error),
}

impl LaunchError {
    /// The exit status shells give for this.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable(_) => 126,
            Self::Start(_) => 125,
        }
    }
}

/// A command that exists as a process and has not executed its program yet.
#[derive(Debug)]
pub struct Waiting {
    pid: Pid,
    stopped: Stopped,
    executed: oneshot::Receiver<io::Result<()>>,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    /// Its end; must be awaited once.
    pub ended: oneshot::Receiver<io::Result<ExitStatus>>,
}

/// Finds the program as a shell would, without starting anything.
///
/// # Errors
///
/// [`LaunchError::NotFound`] or [`LaunchError::NotExecutable`], as a shell would judge.
pub fn find(program: &OsString) -> Result<PathBuf, LaunchError> {
    let path = Path::new(program);
    let candidates: Vec<PathBuf> = if path.components().count() > 1 || path.is_absolute() {
        vec![path.to_owned()]
    } else {
        let search = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        std::env::split_paths(&search)
            .map(|folder| folder.join(path))
            .collect()
    };
    let mut found = false;
    for candidate in candidates {
        let is_file = rustix::fs::stat(&candidate)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        if is_file && accessat(CWD, &candidate, Access::EXEC_OK, AtFlags::EACCESS).is_ok() {
            return Ok(candidate);
        }
        found |= candidate.exists();
    }
    Err(if found {
        LaunchError::NotExecutable(program.clone())
    } else {
        LaunchError::NotFound(program.clone())
    })
}

/// Starts the process that is to execute `path`, known to itself as the command's first word; it
/// waits for [`Waiting::release`]. Where its recorder listens is in its environment, if it does.
///
/// # Errors
///
/// [`LaunchError::Start`] when the process cannot be made.
pub fn start(
    path: &Path,
    command: &[OsString],
    control: Option<&Path>,
) -> Result<Waiting, LaunchError> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| LaunchError::NotFound(OsString::new()))?;
    let (report, reporter) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|error| LaunchError::Start(error.into()))?;
    let mut child = Command::new(path);
    child.arg0(program).args(arguments);
    child.env_remove(VARIABLE);
    child.envs(control.map(|path| (VARIABLE, path)));
    // SAFETY: the closure only makes system calls that are safe between fork and exec and touches
    // no memory that a thread of the parent could have left locked.
    unsafe {
        child.pre_exec(move || {
            // Until it is let go the child must not outlive us, stopped for ever.
            set_parent_process_death_signal(Some(Signal::KILL))?;
            let pid = getpid();
            write(&reporter, &pid.as_raw_nonzero().get().to_ne_bytes())?;
            kill_process(pid, Signal::STOP)?;
            set_parent_process_death_signal(None)?;
            Ok(())
        });
    }
    let (executed_tx, executed) = oneshot::channel();
    let (ended_tx, ended) = oneshot::channel();
    thread::Builder::new()
        .name("lineage-launch".to_owned())
        .spawn(move || {
            // A receiver that is gone has no use for the outcome.
            match child.spawn() {
                Ok(mut running) => {
                    let _ = executed_tx.send(Ok(()));
                    let _ = ended_tx.send(running.wait());
                }
                Err(error) => {
                    let _ = executed_tx.send(Err(error));
                }
            }
        })
        .map_err(LaunchError::Start)?;
    let mut pid = [0; 4];
    match read(&report, &mut pid) {
        Ok(4) => {}
        Ok(_) => return Err(failed_start(executed)),
        Err(error) => return Err(LaunchError::Start(error.into())),
    }
    let pid = Pid::from_raw(i32::from_ne_bytes(pid))
        .ok_or_else(|| LaunchError::Start(io::ErrorKind::InvalidData.into()))?;
    let stop = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(pid), stop) {
        Ok(Some(status)) if status.stopped() => Ok(Waiting {
            pid,
            stopped: Stopped(Some(pid)),
            executed,
            ended,
        }),
        Ok(_) => Err(failed_start(executed)),
        Err(error) => Err(LaunchError::Start(error.into())),
    }
}

/// Why the thread ended without a process.
fn failed_start(mut executed: oneshot::Receiver<io::Result<()>>) -> LaunchError {
    match executed.try_recv() {
        Ok(Err(error)) => LaunchError::Start(error),
        _ => LaunchError::Start(io::ErrorKind::BrokenPipe.into()),
    }
}

impl Waiting {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Lets the command execute its program.
    ///
    /// # Errors
    ///
    /// When the exec failed: the process has ended again.
    pub async fn release(mut self, program: &OsString) -> Result<Running, LaunchError> {
        kill_process(self.pid, Signal::CONT).map_err(|error| LaunchError::Start(error.into()))?;
        self.stopped.0 = None;
        match self.executed.await {
            Ok(Ok(())) => Ok(Running { ended: self.ended }),
            Ok(Err(error)) => Err(match error.kind() {
                io::ErrorKind::NotFound => LaunchError::NotFound(program.clone()),
                io::ErrorKind::PermissionDenied => LaunchError::NotExecutable(program.clone()),
                _ => LaunchError::Start(error),
            }),
            Err(_) => Err(LaunchError::Start(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

/// A stopped process that goes with this value unless it is let go.
#[derive(Debug)]
struct Stopped(Option<Pid>);

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It has not begun: nobody misses it, and stopped it would stay for ever.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
