//! One boot of a virtual machine: its console is read line by line, its tests are counted, and it is
//! killed when it takes too long.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Marks the lines of the machine's `init`; the rest is output of the tests and the kernel.
const MARK: &str = "@vm ";

/// How one boot ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Programs that ended with status 0.
    pub(crate) passed: u32,
    /// Programs that did not, with their status.
    pub(crate) failed: Vec<(String, String)>,
    /// Whether `init` reached its end. A machine that died has no say in the result.
    pub(crate) finished: bool,
}

impl Outcome {
    /// What went wrong, if anything. A machine in which nothing ran has proven nothing.
    pub(crate) fn bad(&self) -> Option<String> {
        if !self.finished {
            return Some("the machine died".to_owned());
        }
        if self.failed.is_empty() {
            return (self.passed == 0).then(|| "nothing ran".to_owned());
        }
        let failed = self
            .failed
            .iter()
            .map(|(name, status)| format!("{name} ({status})"));
        Some(format!("{} failed", failed.collect::<Vec<_>>().join(", ")))
    }

    fn note(&mut self, line: &str) {
        let Some(mark) = line.strip_prefix(MARK) else {
            return;
        };
        match mark.split(' ').collect::<Vec<_>>()[..] {
            ["end", name, "0"] => {
                let _ = name;
                self.passed += 1;
            }
            ["end", name, status] => self.failed.push((name.to_owned(), status.to_owned())),
            ["done"] => self.finished = true,
            _ => {}
        }
    }
}

/// Boots and waits for the machine to power off. The whole console goes to `log`, results to the
/// terminal after `name`. One of whose tests nothing is heard for so long has failed.
pub(crate) fn boot(
    mut qemu: Command,
    name: &str,
    log: &Path,
    silence: Duration,
) -> Result<Outcome> {
    let mut log_file =
        File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = qemu
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("cannot start qemu")?;
    let lines = console(&mut child)?;
    let mut outcome = Outcome::default();
    let mut deadline = Instant::now() + silence;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                // A kernel that hangs may go on complaining.
                if line.starts_with("test ") || line.starts_with(MARK) {
                    deadline = Instant::now() + silence;
                }
                // A full disk must not hide the result; the log is for reading afterwards.
                let _ = writeln!(log_file, "{line}");
                if worth_showing(&line) {
                    eprintln!("{name:>12} {line}");
                }
                outcome.note(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                bail!(
                    "no test has ended or complained for {} s; see {}",
                    silence.as_secs(),
                    log.display()
                );
            }
        }
    }
    let status = child.wait().context("cannot wait for qemu")?;
    if !status.success() {
        bail!("qemu failed ({status}); see {}", log.display());
    }
    Ok(outcome)
}

fn console(child: &mut Child) -> Result<Receiver<String>> {
    let stdout = child.stdout.take().context("the console is a pipe")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}

/// Results and failures, not the kernel's and the firmware's talk.
fn worth_showing(line: &str) -> bool {
    [
        "test ",
        "test result",
        "verified ",
        "---- ",
        "thread '",
        "error",
        "  left:",
        " right:",
        "Kernel panic",
    ]
    .iter()
    .any(|start| line.starts_with(start))
        || line.contains(" panicked at ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lines: &[&str]) -> Outcome {
        let mut outcome = Outcome::default();
        for line in lines {
            outcome.note(line);
        }
        outcome
    }

    #[test]
    fn a_machine_that_died_is_not_good() {
        assert!(outcome(&["@vm end exec 0"]).bad().is_some());
        assert!(outcome(&["@vm end exec 0", "@vm done"]).bad().is_none());
    }

    #[test]
    fn a_machine_that_ran_nothing_is_not_good() {
        assert!(outcome(&["@vm done"]).bad().is_some());
    }

    #[test]
    fn any_status_but_zero_is_a_failure() {
        let outcome = outcome(&["@vm end exec 0", "@vm end file signal-9", "@vm done"]);
        assert_eq!(outcome.failed, [("file".to_owned(), "signal-9".to_owned())]);
        assert!(outcome.bad().is_some());
    }
}
