//! A process that is not recorded.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::programs::ACTOR;
use crate::wait;

/// An actor that is not recorded. It ends with this.
#[derive(Debug)]
pub struct Outsider(pub Child);

impl Outsider {
    /// One that waits for its end.
    #[must_use]
    pub fn new() -> Self {
        Self::does("pause")
    }

    /// One with a script of words without spaces in them.
    ///
    /// # Panics
    ///
    /// When the actor does not run.
    #[must_use]
    pub fn does(script: &str) -> Self {
        let mut command = Command::new(&*ACTOR);
        command.args(script.split_whitespace()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the actor runs"))
    }

    /// Whether it runs.
    ///
    /// # Panics
    ///
    /// When that cannot be asked.
    pub fn lives(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_none()
    }

    /// A script in which `PID` stands for it, and `MEMORY` for an address that it has.
    ///
    /// # Panics
    ///
    /// When it has ended.
    #[must_use]
    pub fn named(&self, script: &str) -> String {
        let pid = self.0.id().to_string();
        // Until the kernel has mapped the program there is a stack that it moves.
        let memory = wait::until("the program in its memory", || {
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it lives");
            let program = maps.lines().find(|line| line.ends_with("/actor"))?;
            let (first, _) = program.split_once('-')?;
            u64::from_str_radix(first, 16).ok()
        });
        script
            .replace("PID", &pid)
            .replace("MEMORY", &memory.to_string())
    }
}

impl Default for Outsider {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
