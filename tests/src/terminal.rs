//! A terminal for interactive tests: a pseudo-terminal with a program in its own session.

#![allow(unsafe_code)] // making a terminal the controlling one, between fork and exec

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{tcgetwinsize, tcsetwinsize};

use crate::wait::PATIENCE;

/// A program on a terminal.
pub struct Terminal {
    /// The program.
    pub child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What it has shown and no wait has consumed.
    shown: Vec<u8>,
}

impl Terminal {
    /// Runs a program on a new terminal, as its session's leader.
    ///
    /// # Errors
    ///
    /// When there is no terminal to be had or the program does not start.
    pub fn run(command: Command) -> io::Result<Self> {
        Self::run_with(command, None)
    }

    fn run_with(mut command: Command, columns: Option<u16>) -> io::Result<Self> {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        let name = ptsname(&controller, Vec::new())?;
        let terminal = rustix::fs::open(
            &name,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        if let Some(columns) = columns {
            let mut size = tcgetwinsize(&terminal)?;
            size.ws_col = columns;
            tcsetwinsize(&terminal, size)?;
        }
        let stdio = || -> io::Result<Stdio> { Ok(terminal.try_clone()?.into()) };
        command.stdin(stdio()?).stdout(stdio()?).stderr(stdio()?);
        let descriptor = terminal.as_raw_fd();
        // SAFETY: only async-signal-safe calls on a descriptor that is still open then.
        unsafe {
            command.pre_exec(move || {
                // Whoever runs the tests in the background may have them ignored.
                for signal in [libc::SIGINT, libc::SIGQUIT] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                if libc::setsid() < 0 || libc::ioctl(descriptor, libc::TIOCSCTTY, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        // Only the program has it open now: when the program ends, the screen does.
        drop(command);
        drop(terminal);
        let keyboard = File::from(controller.try_clone()?);
        Ok(Self {
            child,
            keyboard,
            screen: watch(controller),
            shown: Vec::new(),
        })
    }

    /// All that a program shows on a terminal of so many columns until it ends, with the
    /// terminal's line ends as plain ones.
    #[must_use]
    pub fn all_of(command: Command, columns: u16) -> String {
        Self::all_until(command, columns, 0)
    }

    /// [`Self::all_of`], of a program that ends with this status.
    #[must_use]
    pub fn all_until(command: Command, columns: u16, expected: i32) -> String {
        let mut terminal = Self::run_with(command, Some(columns)).expect("a terminal");
        let status = terminal.child.wait().expect("the program ends");
        assert_eq!(status.code(), Some(expected), "{status}");
        let mut shown = std::mem::take(&mut terminal.shown);
        // The reader stops when nobody has the terminal open any more.
        while let Ok(bytes) = terminal.screen.recv_timeout(PATIENCE) {
            shown.extend(bytes);
        }
        String::from_utf8(shown)
            .expect("UTF-8")
            .replace("\r\n", "\n")
    }

    /// Types.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard
            .write_all(text.as_bytes())
            .expect("the terminal is open");
    }

    /// Waits until the text is shown; gives all that was shown up to and with it.
    pub fn until(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let shown = String::from_utf8_lossy(&self.shown).into_owned();
            if let Some(at) = shown.find(text) {
                let end = at + text.len();
                self.shown = shown.as_bytes()[end..].to_vec();
                return shown[..end].to_owned();
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.shown.extend(bytes),
                Err(_) => panic!("waited in vain for {text:?} after {shown:?}"),
            }
        }
    }
}

/// Reads what is shown in a thread of its own, until the terminal closes.
fn watch(controller: OwnedFd) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    let mut screen = File::from(controller);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = screen.read(&mut buffer) {
            if sender.send(buffer[..bytes].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
