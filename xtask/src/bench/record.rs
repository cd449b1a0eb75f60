//! What recording costs, against the same work without it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::figure::{Budget, Figure};
use super::{median, program};
use crate::{packages, paths, sh};

/// Rounds of each of the two, alternating.
const ROUNDS: usize = 9;
/// Opens per round.
const OPENS: u64 = 300_000;
/// Writes, each with a read, per round.
const TRANSFERS: u64 = 1_000_000;
/// Opens, each with its close, that make ten million events.
const MANY_OPENS: u64 = 5_000_000;
/// Processes of the storm, on every CPU.
const STORM: u64 = 5_000;
/// Runs of the demo's agent in the mix.
const MIX_RUNS: usize = 20;

/// What must be reached.
mod budget {
    use super::Budget;

    /// CPU time of open and close, traced to untraced.
    pub(super) const OPEN_RATIO: Budget = Budget::at_most(1.7);
    /// CPU time of a write and a read of one byte, likewise.
    pub(super) const TRANSFER_RATIO: Budget = Budget::at_most(1.6);
    /// CPU time of open and close under a policy, to recorded without one.
    pub(super) const VERDICT_RATIO: Budget = Budget::at_most(1.2);
    /// Of that under five thousand rules, to under five.
    pub(super) const RULES_RATIO: Budget = Budget::at_most(1.3);
    /// Resident memory of the recorder over ten million events.
    pub(super) const RSS_BYTES: Budget = Budget::at_most(64.0 * 1024.0 * 1024.0);
    /// Evidence per event of the mix.
    pub(super) const BYTES_PER_EVENT: Budget = Budget::at_most(25.0);
    /// Events lost.
    pub(super) const LOST: Budget = Budget::at_most(0.0);
}

/// Measures everything.
pub(super) fn figures() -> Result<Vec<Figure>> {
    packages::programs("the mix runs it", &[("python3", "python3"), ("git", "git")])?;
    let bench = Bench {
        load: program("load")?,
        place: paths::target("bench"),
        cpus: cpus(),
    };
    Ok([
        bench.open_ratio()?,
        bench.transfer_ratio()?,
        bench.verdict()?,
        bench.many()?,
        bench.storm()?,
        bench.mix()?,
    ]
    .concat())
}

struct Bench {
    load: PathBuf,
    place: PathBuf,
    cpus: usize,
}

impl Bench {
    fn open_ratio(&self) -> Result<Vec<Figure>> {
        let work = self.load("open", OPENS, 1);
        let ratio = self.ratio("open+close, CPU traced / untraced (median)", &work)?;
        Ok(vec![ratio.within(budget::OPEN_RATIO)])
    }

    fn transfer_ratio(&self) -> Result<Vec<Figure>> {
        let work = self.load("transfer", TRANSFERS, 1);
        let ratio = self.ratio("1-byte write+read, CPU traced / untraced (median)", &work)?;
        Ok(vec![ratio.within(budget::TRANSFER_RATIO)])
    }

    /// CPU time of a workload, alternating without and with the recorder.
    fn ratio(&self, what: &'static str, work: &[String]) -> Result<Figure> {
        let (mut plain, mut traced) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            sh::say("Measuring", format!("{what}, round {round} of {ROUNDS}"));
            let (program, arguments) = work.split_first().context("a command")?;
            let output = sh::output(sh::command(program, arguments))?;
            plain.push(cpu_ns(&output)?);
            traced.push(cpu_ns(&self.record(work)?.output)?);
        }
        let ratio = median(traced) / median(plain);
        Ok(Figure::told(what, work.join(" "), ratio, "times"))
    }

    /// What judging an open adds to recording it, in turns with few rules, many, and none.
    fn verdict(&self) -> Result<Vec<Figure>> {
        let work = self.load("open", OPENS, 1);
        fs::create_dir_all(&self.place)?;
        let policies = [5, 5000].map(|rules| self.policy(rules));
        let [few, many] = policies;
        let (few, many) = (few?, many?);
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for round in 1..=ROUNDS {
            sh::say("Measuring", format!("verdicts, round {round} of {ROUNDS}"));
            for (times, options) in times.iter_mut().zip([&[][..], &few, &many]) {
                times.push(cpu_ns(&self.record_with(options, &work)?.output)?);
            }
        }
        let [none, few, many] = times.map(median);
        let figure =
            |name, value, budget| Figure::told(name, work.join(" "), value, "times").within(budget);
        Ok(vec![
            figure(
                "open+close, CPU with a policy / without (median)",
                few / none,
                budget::VERDICT_RATIO,
            ),
            figure(
                "open+close, CPU with 5000 rules / 5 (median)",
                many / few,
                budget::RULES_RATIO,
            ),
        ])
    }

    /// The options for a policy of so many rules, which allows everything.
    fn policy(&self, rules: usize) -> Result<Vec<String>> {
        let mut text = "permit (principal, action, resource);\n".to_owned();
        for number in 1..rules {
            text += &format!(
                "forbid (principal, action == Action::\"read\", resource is File) when {{ resource.path like \"/d/{number}/*\" }};\n"
            );
        }
        let file = self.place.join(format!("{rules}.cedar"));
        fs::write(&file, text)?;
        Ok(["--policy".to_owned(), file.display().to_string()].to_vec())
    }

    /// Ten million events on all CPUs: nothing lost, memory bounded.
    fn many(&self) -> Result<Vec<Figure>> {
        sh::say("Measuring", "ten million events");
        let work = self.load("open", MANY_OPENS / self.cpus as u64, self.cpus);
        let recorded = self.record(&work)?;
        Ok(vec![
            recorded.lost("open/close loop on all CPUs: events lost"),
            Figure::told(
                "10 M events: peak memory of the recorder",
                &recorded.command,
                recorded.number("peak_rss_bytes")?,
                "bytes",
            )
            .within(budget::RSS_BYTES),
        ])
    }

    /// Processes created and executed as fast as all CPUs can.
    fn storm(&self) -> Result<Vec<Figure>> {
        sh::say("Measuring", "fork and exec storm");
        let recorded = self.record(&self.load("storm", STORM, self.cpus))?;
        Ok(vec![
            recorded.lost("fork+exec storm on all CPUs: events lost"),
        ])
    }

    /// The demo's agent and its servers, over and over.
    fn mix(&self) -> Result<Vec<Figure>> {
        sh::say("Measuring", "the mix of the demo");
        let demo = paths::root().join("examples/agent/demo.py");
        let loop_ = format!(
            "i=0; while [ $i -lt {MIX_RUNS} ]; do python3 {} >/dev/null || exit 1; i=$((i+1)); done",
            demo.display()
        );
        let recorded = self.record(&["sh".to_owned(), "-c".to_owned(), loop_])?;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let bytes = size(&self.place.join("evidence"))? as f64;
        Ok(vec![
            recorded.lost("demo mix: events lost"),
            Figure::told(
                "demo mix: evidence per event",
                &recorded.command,
                bytes / recorded.number("records")?,
                "bytes",
            )
            .within(budget::BYTES_PER_EVENT),
        ])
    }

    fn load(&self, what: &str, count: u64, processes: usize) -> Vec<String> {
        [
            self.load.display().to_string(),
            what.to_owned(),
            count.to_string(),
            processes.to_string(),
        ]
        .to_vec()
    }

    /// Records a command with everything as it is by default.
    fn record(&self, work: &[String]) -> Result<Recorded> {
        self.record_with(&[], work)
    }

    fn record_with(&self, options: &[String], work: &[String]) -> Result<Recorded> {
        let evidence = self.place.join("evidence");
        if evidence.exists() {
            fs::remove_dir_all(&evidence)?;
        }
        fs::create_dir_all(&self.place)?;
        let mut command = Command::new(paths::lineage());
        command.args(["record", "--json", "-o"]).arg(&evidence);
        command
            .arg("--keys")
            .arg(self.place.join("keys"))
            .args(options)
            .arg("--")
            .args(work);
        let shown = sh::shown_as(&command);
        let output = command.stdin(Stdio::null()).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let summary = errors
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str(line).ok());
        match summary {
            Some(summary) if output.status.success() => Ok(Recorded {
                command: shown,
                output: String::from_utf8(output.stdout)?,
                summary,
            }),
            _ => bail!("{shown} ended with {}:\n{errors}", output.status),
        }
    }
}

/// What a recording printed and summed up.
struct Recorded {
    command: String,
    output: String,
    summary: Value,
}

impl Recorded {
    fn number(&self, name: &str) -> Result<f64> {
        let value = self.summary.get(name).and_then(Value::as_f64);
        value.with_context(|| format!("the summary has no `{name}`: {}", self.summary))
    }

    fn lost(&self, name: &'static str) -> Figure {
        // A summary without the figure must not pass for one without losses.
        let lost = self.number("lost").unwrap_or(f64::NAN);
        Figure::told(name, &self.command, lost, "events").within(budget::LOST)
    }
}

/// Nanoseconds per operation in the first line that tells.
fn cpu_ns(output: &str) -> Result<f64> {
    let line: Value = serde_json::from_str(output.lines().next().unwrap_or_default())
        .with_context(|| format!("the load printed {output:?}"))?;
    let number = |name: &str| line.get(name).and_then(Value::as_f64);
    let cpu = number("cpu_ns")
        .zip(number("operations"))
        .map(|(cpu, count)| cpu / count);
    cpu.context("the load printed no figures")
}

/// Bytes of all files below a directory.
fn size(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
