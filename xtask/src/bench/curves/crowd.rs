//! Others that are recorded at the same time, and do nothing.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, Result};

use super::axis::{Axis, Run};
use super::plot::short;
use crate::bench::figure::{Budget, Figure};
use crate::bench::run::Bench;
use crate::bench::tracer::lineage::Lineage;
use crate::bench::workload::Workload;
use crate::sh;

/// Lineages of one recording: all but one are of a process that is attached to.
pub(super) struct Lineages;

impl Axis for Lineages {
    fn unit(&self) -> &'static str {
        "lineages"
    }

    fn sizes(&self) -> &[u32] {
        &[1, 10, 100, 1000]
    }

    fn record(&self, bench: &Bench, size: u32, work: &Workload) -> Result<Run> {
        // What is attached to runs on when the command has ended.
        let lineage = Lineage::observe().with(&["--until-exit", "-p", "{}"]);
        let lineage = lineage.within(crowd(bench, size - 1));
        Run::of(&lineage.record(bench, work, &[])?.traced)
    }
}

/// Processes of one lineage, all alive at once.
pub(super) struct Processes {
    sizes: Vec<u32>,
    /// As long as there may be so many processes.
    _room: Option<Room>,
}

/// The kernel's table has room for 131,072 (`TASKS_MAX` in `lineage-common`), of which some are needed for what
/// surrounds the crowd.
const SIZES: [u32; 5] = [10, 100, 1000, 10_000, 100_000];
/// So many are to be recorded at once.
const REACHED: Budget = Budget::AtLeast {
    limit: 100_000.0,
    aim: 100_000.0,
};
/// Memory that an idle process of `load crowd` takes in the kernel, and a margin: some 23 KB were measured.
const PROCESS_KIB: u64 = 32;
/// Process ids for all else on the host.
const OTHERS: u32 = 4096;

impl Processes {
    /// Leaves out what this host has no room for, and says so.
    pub(super) fn new(bench: &Bench) -> Result<Self> {
        let room = Room::make(SIZES[SIZES.len() - 1] + OTHERS)?;
        let available = memory_kib()?;
        let mut sizes = Vec::new();
        for size in SIZES {
            let needed = u64::from(size) * PROCESS_KIB;
            let tried = if needed > available {
                Err(anyhow::anyhow!("they need {} MB of memory", needed / 1024))
            } else {
                let nothing = Workload::nothing(bench).command;
                bench
                    .quiet(&[crowd(bench, size), nothing].concat())
                    .map(drop)
            };
            match tried {
                Ok(()) => sizes.push(size),
                Err(error) => {
                    let size = short(size.into());
                    sh::say("Skipping", format!("{size} processes: {error:#}"));
                }
            }
        }
        Ok(Self { sizes, _room: room })
    }
}

impl Axis for Processes {
    fn unit(&self) -> &'static str {
        "tracked processes"
    }

    fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    fn record(&self, bench: &Bench, size: u32, work: &Workload) -> Result<Run> {
        // What the crowd itself costs is none of the workload's.
        let command = bench.measured("crowd.json", &[], &work.command);
        let command = [crowd(bench, size), command].concat();
        let work = Workload::plain("crowd", command);
        let run = Run::of(&Lineage::observe().record(bench, &work, &[])?.traced)?;
        let workload_ns = bench.cost("crowd.json")?.cpu_ns;
        Ok(Run { workload_ns, ..run })
    }

    fn reached(&self, complete: &[u32]) -> Option<Figure> {
        let most = complete.iter().max().copied().unwrap_or(0);
        let command = format!("lineage record -- load crowd {most} -- load open");
        let name = "tracked processes at once, most with nothing missing";
        Some(Figure::told(name, command, most.into(), "").within(REACHED))
    }
}

/// The words in front of a command that has so many idle processes around it.
fn crowd(bench: &Bench, count: u32) -> Vec<String> {
    let load = bench.load.display().to_string();
    [load, "crowd".to_owned(), count.to_string(), "--".to_owned()].to_vec()
}

/// More process ids than the kernel gives by default on a small machine. The old limit comes back when the benchmark
/// ends, however that is: it is a shell that sets it, as soon as nobody holds the other end of its input.
struct Room {
    after: Child,
}

impl Room {
    const FILE: &str = "/proc/sys/kernel/pid_max";

    /// Nothing is changed where there is enough.
    fn make(ids: u32) -> Result<Option<Self>> {
        let before = fs::read_to_string(Self::FILE)?;
        let now: u32 = before.trim().parse().context("a number of process ids")?;
        if now >= ids {
            return Ok(None);
        }
        let script = format!("read -r _; echo {now} > {}", Self::FILE);
        // A session of its own: what ends the benchmark, as a key of the terminal does, must not end it.
        let mut shell = sh::command("setsid", ["sh", "-c", &script]);
        let after = shell.stdin(Stdio::piped()).spawn();
        let room = Self {
            after: after.context("cannot start setsid")?,
        };
        if let Err(error) = fs::write(Self::FILE, ids.to_string()) {
            sh::say("Keeping", format!("kernel.pid_max at {now}: {error}"));
            return Ok(None);
        }
        sh::say(
            "Raising",
            format!("kernel.pid_max from {now} to {ids}, for now"),
        );
        Ok(Some(room))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // To wait for it closes its input.
        if !self.after.wait().is_ok_and(|status| status.success()) {
            sh::say("Failing", format!("to set {} again", Self::FILE));
        }
    }
}

/// Memory that can be had without swapping.
fn memory_kib() -> Result<u64> {
    let file = Path::new("/proc/meminfo");
    let text = fs::read_to_string(file)?;
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.with_context(|| format!("no MemAvailable in {}", file.display()))
}
