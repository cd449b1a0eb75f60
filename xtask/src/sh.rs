//! Running other programs: their output goes to a log, which is shown only when they fail.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::paths;

/// Lines of a failed command's log that are shown; the file has the rest.
const TAIL_LINES: usize = 60;

/// One line of progress, aligned like cargo's own.
pub(crate) fn say(verb: &str, what: impl AsRef<str>) {
    let what = what.as_ref();
    let mut out = std::io::stderr().lock();
    // A closed stderr must not stop the work.
    let _ = if out.is_terminal() {
        writeln!(out, "\x1b[1;32m{verb:>12}\x1b[0m {what}")
    } else {
        writeln!(out, "{verb:>12} {what}")
    };
}

/// A program with its arguments, reading nothing from the terminal.
pub(crate) fn command<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(paths::root())
        .stdin(Stdio::null());
    command
}

/// The cargo that runs this task, without the variables it set for the task itself: they describe
/// `xtask` and must not reach the crates it builds.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command(program, args);
    for (name, _) in env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if ours {
            command.env_remove(name);
        }
    }
    // A redirected target directory would hide the results from everything that names `target/`.
    command.env("CARGO_TARGET_DIR", paths::target(""));
    command
}

/// The same command with another program in front.
pub(crate) fn with_program(command: &Command, program: &Path) -> Command {
    let mut other = self::command(program, command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}

/// Runs with the output in `target/xtask/NAME.log`, shown when it fails.
pub(crate) fn quiet(name: &str, mut command: Command) -> Result<()> {
    let log = log_path(name)?;
    let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let copy = file.try_clone().context("cannot share the log")?;
    let started = Instant::now();
    let status = command
        .stdout(file)
        .stderr(copy)
        .status()
        .with_context(|| format!("cannot start {}", shown_as(&command)))?;
    if !status.success() {
        show_tail(&log);
        bail!(
            "`{}` failed ({status}); its whole output is in {}",
            shown_as(&command),
            log.display()
        );
    }
    let seconds = started.elapsed().as_secs();
    if seconds >= 3 {
        say("", format!("done in {seconds} s"));
    }
    Ok(())
}

/// Runs with the output on the terminal.
pub(crate) fn loud(mut command: Command) -> Result<()> {
    let status = status(&mut command)?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown_as(&command));
    }
    Ok(())
}

/// Runs with the output on the terminal and returns how it ended.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .with_context(|| format!("cannot start {}", shown_as(command)))
}

/// Standard output of a command that must succeed.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let result = command
        .output()
        .with_context(|| format!("cannot start {}", shown_as(&command)))?;
    if !result.status.success() {
        let said = String::from_utf8_lossy(&result.stderr);
        bail!(
            "`{}` failed ({}): {}",
            shown_as(&command),
            result.status,
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

/// Where a program is, if `PATH` or the directories only root has in `PATH` hold it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Refuses arguments to a task that takes none.
pub(crate) fn no_arguments(args: &[String]) -> Result<()> {
    match args.first() {
        None => Ok(()),
        Some(arg) => bail!("this task takes no arguments, not `{arg}`"),
    }
}

/// Whether the task runs as root.
pub(crate) fn is_root() -> bool {
    // The second number of `Uid:` is the effective one.
    fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|ids| ids.split_whitespace().nth(1))
            == Some("0")
    })
}

/// Writes a file only when that changes it, so that nothing built from it is built again.
pub(crate) fn write_if_changed(path: &Path, content: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    let parent = path.parent().context("a file has a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

/// The command as a person would type it.
pub(crate) fn shown_as(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

fn log_path(name: &str) -> Result<PathBuf> {
    let dir = paths::target("xtask");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir.join(format!("{name}.log")))
}

fn show_tail(log: &Path) {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
        eprintln!("    {line}");
    }
}
