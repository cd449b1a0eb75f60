//! Tracers that are attached from outside: started, ready once they show a canary, and interrupted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};

use anyhow::{Context, Result, bail};

use super::{Traced, untraced};
use crate::bench::run::{Bench, Cost, command};
use crate::bench::workload::Workload;
use crate::sh;

/// Commands that a tracer may miss before it is given up: each takes some milliseconds, and output waits
/// in buffers until there is more of it.
const CANARIES_MAX: usize = 5_000;
/// Canaries between two looks at the output.
const CANARIES_AT_ONCE: usize = 20;

/// One that runs. It ends with this, because its input does.
pub(crate) struct Attached {
    child: Child,
    input: Option<ChildStdin>,
    output: PathBuf,
    shown: String,
}

impl Attached {
    /// Starts one with its output in a file. It gets this signal at its end.
    pub(crate) fn start(
        bench: &Bench,
        tracer: &[String],
        signal: &str,
        output: &Path,
    ) -> Result<Self> {
        let options = ["--until-input-ends", signal];
        let words = bench.measured("outer.json", &options, tracer);
        let mut command = command(&words)?;
        command.stdin(Stdio::piped());
        command.stdout(File::create(output)?);
        command.stderr(File::create(errors(output))?);
        let shown = tracer.join(" ");
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {shown}"))?;
        Ok(Self {
            input: child.stdin.take(),
            child,
            output: output.to_owned(),
            shown,
        })
    }

    /// Runs a command that reads a file of this name until the output has the name.
    pub(crate) fn canary(
        &mut self,
        bench: &Bench,
        name: &str,
        wrap: &[&str],
        output: &Path,
    ) -> Result<()> {
        let file = bench.word(name);
        fs::write(&file, "")?;
        let words = [wrap, &["cat", &file]].concat();
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        self.until(name, output, || sh::output(command(&words)?).map(drop))
    }

    /// Waits until a file has a text, for those that say themselves when they are ready.
    pub(crate) fn says(&mut self, text: &str, output: &Path) -> Result<()> {
        self.until(text, output, || {
            sh::output(command(&["true".to_owned()])?).map(drop)
        })
    }

    fn until(&mut self, text: &str, output: &Path, canary: impl Fn() -> Result<()>) -> Result<()> {
        for attempt in 0..CANARIES_MAX {
            canary()?;
            if attempt % CANARIES_AT_ONCE == 0 && has(output, text.as_bytes())? {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() {
                break;
            }
        }
        let said = fs::read_to_string(errors(&self.output)).unwrap_or_default();
        bail!("{} does not show {text}: {}", self.shown, said.trim());
    }

    /// Ends it; what it cost, and what it said to standard error.
    pub(crate) fn end(mut self, bench: &Bench) -> Result<(Cost, String)> {
        drop(self.input.take());
        self.child.wait()?;
        let said = fs::read(errors(&self.output))?;
        Ok((
            bench.cost("outer.json")?,
            String::from_utf8_lossy(&said).into_owned(),
        ))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        drop(self.input.take());
        // Nobody is left to tell of an error.
        let _ = self.child.wait();
    }
}

/// Has a tracer of the whole host look on while a workload runs; what it said to standard error.
pub(crate) fn look_on(
    bench: &Bench,
    work: &Workload,
    tracer: &[String],
    output: &Path,
) -> Result<(Traced, String)> {
    let mut attached = Attached::start(bench, tracer, "INT", output)?;
    attached.canary(bench, "canary-begin", &[], output)?;
    let workload = untraced(bench, work)?;
    attached.canary(bench, "canary-end", &[], output)?;
    let (cost, said) = attached.end(bench)?;
    let traced = Traced {
        command: tracer.join(" "),
        workload,
        cpu_ns: Some(cost.cpu_ns),
        peak_rss_bytes: Some(cost.peak_rss_bytes),
        ..Traced::default()
    };
    Ok((traced, said))
}

/// The same command where tracefs is mounted where it belongs: in a mount namespace of its own, so that
/// nothing changes for others.
pub(crate) fn with_tracefs(command: &[&str]) -> Vec<String> {
    const SCRIPT: &str = "test -e /sys/kernel/tracing/events || mount -t tracefs tracefs /sys/kernel/tracing; exec \"$@\"";
    let before = ["unshare", "--mount", "sh", "-c", SCRIPT, "sh"];
    let words = before.iter().chain(command);
    words.map(|&word| word.to_owned()).collect()
}

fn errors(output: &Path) -> PathBuf {
    output.with_extension("err")
}

fn has(file: &Path, word: &[u8]) -> Result<bool> {
    // Not there yet: some tracers make it themselves.
    let Ok(text) = fs::read(file) else {
        return Ok(false);
    };
    Ok(text.windows(word.len()).any(|window| window == word))
}
