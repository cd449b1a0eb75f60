//! Starts a command that waits until it is tracked, so that nothing it does goes unseen.
//!
//! The child is forked by the standard library in a thread of its own (which waits there for the
//! exec's outcome), reports its process id and waits before the exec for a word that both processes
//! have in common. That, unlike a read from a pipe, leaves nothing of ours in the record, and unlike
//! a stop nobody else can end it. Terminal, session and process group stay those of the caller, so
//! interactive programs work.

#![expect(
    unsafe_code,
    reason = "code between fork and exec, and memory that both processes have, cannot be expressed safely"
)]

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    fs::{Access, AtFlags, CWD, FileType, accessat},
    io::{read, write},
    mm::{MapFlags, ProtFlags, mmap_anonymous, munmap},
    pipe::{PipeFlags, pipe_with},
    process::{
        Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, set_parent_process_death_signal,
        waitid,
    },
    thread::futex,
    time::Timespec,
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
    held: Held,
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
    let gate = Arc::new(Gate::new().map_err(LaunchError::Start)?);
    let before = Arc::clone(&gate);
    let mut child = Command::new(path);
    child.arg0(program).args(arguments);
    child.env_remove(VARIABLE);
    child.envs(control.map(|path| (VARIABLE, path)));
    // SAFETY: the closure only makes system calls that are safe between fork and exec and touches
    // no memory that a thread of the parent could have left locked.
    unsafe {
        child.pre_exec(move || {
            // Until it is let go the child must not outlive us, waiting for ever.
            set_parent_process_death_signal(Some(Signal::KILL))?;
            write(&reporter, &getpid().as_raw_nonzero().get().to_ne_bytes())?;
            before.pass();
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
    if !gate.reached(pid) {
        return Err(failed_start(executed));
    }
    Ok(Waiting {
        held: Held {
            pid,
            gate: Some(gate),
        },
        executed,
        ended,
    })
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
        self.held.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Lets the command execute its program.
    ///
    /// # Errors
    ///
    /// When the exec failed: the process has ended again.
    pub async fn release(mut self, program: &OsString) -> Result<Running, LaunchError> {
        if let Some(gate) = self.held.gate.take() {
            gate.open();
        }
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

/// A process at a gate, which goes with this value unless it is let through.
#[derive(Debug)]
struct Held {
    pid: Pid,
    gate: Option<Arc<Gate>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.gate.is_some() {
            // It has not begun: nobody misses it, and it would wait for ever.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// Where a process waits between fork and exec: a word that it and its creator have in common.
#[derive(Debug)]
struct Gate(ptr::NonNull<AtomicU32>);

// SAFETY: all that is behind the pointer is an atomic, and it stays until the last owner is gone.
unsafe impl Send for Gate {}
// SAFETY: as above.
unsafe impl Sync for Gate {}

impl Gate {
    /// Nobody is there yet.
    const FAR: u32 = 0;
    /// The process is there.
    const REACHED: u32 = 1;
    /// It may go on.
    const OPEN: u32 = 2;

    fn new() -> io::Result<Self> {
        let (access, shared) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses where; what is new is all 0, as the word is at first.
        let page = unsafe { mmap_anonymous(ptr::null_mut(), size_of::<u32>(), access, shared)? };
        let word = ptr::NonNull::new(page.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self(word))
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: mapped while this value is there.
        unsafe { self.0.as_ref() }
    }

    /// Waits there. Makes calls only that nobody records.
    fn pass(&self) {
        self.word().store(Self::REACHED, Ordering::Release);
        let _ = futex::wake(self.word(), futex::Flags::empty(), 1);
        while self.word().load(Ordering::Acquire) != Self::OPEN {
            let _ = futex::wait(self.word(), futex::Flags::empty(), Self::REACHED, None);
        }
    }

    /// Waits until the process is there; false when it has ended before.
    fn reached(&self, pid: Pid) -> bool {
        const LOOK: Duration = Duration::from_millis(20);
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while self.word().load(Ordering::Acquire) == Self::FAR {
            if !matches!(waitid(WaitId::Pid(pid), ended), Ok(None)) {
                return false;
            }
            let wait = Timespec::try_from(LOOK).ok();
            let _ = futex::wait(self.word(), futex::Flags::empty(), Self::FAR, wait.as_ref());
        }
        true
    }

    /// Lets it go on.
    fn open(&self) {
        self.word().store(Self::OPEN, Ordering::Release);
        let _ = futex::wake(self.word(), futex::Flags::empty(), 1);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // SAFETY: nobody has it any more.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), size_of::<u32>()) };
    }
}
