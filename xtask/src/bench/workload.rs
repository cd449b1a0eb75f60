//! What is done while tracers look on.

mod project;
mod repository;

use std::path::PathBuf;

use anyhow::Result;

use super::run::{Bench, remove};
use crate::{packages, paths};

/// One of them: a command that does the same each time.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) command: Vec<String>,
    /// Removed before each run, because the run makes it.
    makes: Option<PathBuf>,
    /// A file that only it opens so often, to count what a tracer found.
    pub(super) opens: Option<(&'static str, f64)>,
}

/// Opened by `load open`.
const OPENED: &str = "/etc/hostname";
/// Operations of one run: a second or so on a small machine, and several under the slowest tracer.
const OPENS: u32 = 150_000;
const TRANSFERS: u64 = 500_000;
const EXECS: u64 = 1_000;
const CONNECTIONS: u64 = 20_000;
const DATAGRAMS: u64 = 200_000;
const MIXED: u64 = 2_000;
/// Runs of the demo's agent.
const AGENT_RUNS: usize = 3;

/// Names of all of them, in the order of the table.
pub(super) const NAMES: [&str; 9] = [
    "compile", "git", "agent", "open", "transfer", "exec", "tcp", "udp", "mixed",
];

impl Workload {
    /// Prepares the one of this name; what takes long is prepared once.
    pub(super) fn named(name: &'static str, bench: &Bench) -> Result<Self> {
        let plain = |command| Self::plain(name, command);
        Ok(match name {
            "compile" => compile(name, bench)?,
            "git" => git(name, bench)?,
            "agent" => plain(agent(AGENT_RUNS)?),
            "open" => Self {
                opens: Some((OPENED, f64::from(OPENS))),
                ..plain(bench.load("open", OPENS.into(), 1))
            },
            "transfer" => plain(bench.load("transfer", TRANSFERS, 1)),
            "exec" => plain(bench.load("storm", EXECS, 1)),
            "tcp" => plain(bench.load("tcp", CONNECTIONS, 1)),
            "udp" => plain(bench.load("udp", DATAGRAMS, 1)),
            _ => plain(bench.load("mixed", MIXED, bench.cpus)),
        })
    }

    /// The same on one CPU.
    pub(super) fn on_cpu(mut self, cpu: usize) -> Self {
        self.command = on_cpu(cpu, &self.command);
        self
    }

    /// As before the first run.
    pub(super) fn reset(&self) -> Result<()> {
        self.makes.as_deref().map_or(Ok(()), remove)
    }

    /// A command that leaves nothing behind.
    pub(super) fn plain(name: &'static str, command: Vec<String>) -> Self {
        Self {
            name,
            command,
            makes: None,
            opens: None,
        }
    }

    /// Nothing at all: what remains is the start and the end of a tracer.
    pub(super) fn nothing(bench: &Bench) -> Self {
        let load = bench.load.display().to_string();
        Self::plain("nothing", vec![load, "nothing".to_owned()])
    }
}

/// The same command on one CPU.
pub(super) fn on_cpu(cpu: usize, command: &[String]) -> Vec<String> {
    let mut words = ["taskset", "-c", &cpu.to_string()]
        .map(str::to_owned)
        .to_vec();
    words.extend_from_slice(command);
    words
}

/// The demo's agent with its servers, over and over.
pub(super) fn agent(runs: usize) -> Result<Vec<String>> {
    packages::programs(
        "the agent's work",
        &[("python3", "python3"), ("git", "git")],
    )?;
    let demo = paths::root().join("examples/agent/demo.py");
    let again = format!(
        "i=0; while [ $i -lt {runs} ]; do python3 {} >/dev/null || exit 1; i=$((i+1)); done",
        demo.display()
    );
    Ok(["sh", "-c", &again].map(str::to_owned).to_vec())
}

/// A C project with `make -j`.
fn compile(name: &'static str, bench: &Bench) -> Result<Workload> {
    packages::programs("a compilation", &[("gcc", "gcc"), ("make", "make")])?;
    let project = bench.place.join("project");
    project::make(&project)?;
    let made = bench.place.join("project-made");
    let (from, to) = (project.display(), made.display());
    let command = ["make", "-s", &format!("-j{}", bench.cpus), "-C"].map(str::to_owned);
    let rest = [from.to_string(), format!("OUT={to}")];
    Ok(Workload {
        name,
        command: [&command[..], &rest[..]].concat(),
        makes: Some(made),
        opens: None,
    })
}

/// What developers and agents do with a repository all day.
fn git(name: &'static str, bench: &Bench) -> Result<Workload> {
    packages::programs("work with git", &[("git", "git")])?;
    let repository = bench.place.join("repository.git");
    repository::make(&repository)?;
    let clone = bench.place.join("clone");
    let script = format!(
        "git clone -q --no-local {} {to} && git -C {to} log --stat >/dev/null && git -C {to} checkout -q HEAD~{} && git -C {to} status >/dev/null",
        repository.display(),
        repository::COMMITS / 2,
        to = clone.display()
    );
    Ok(Workload {
        name,
        command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        makes: Some(clone),
        opens: None,
    })
}
