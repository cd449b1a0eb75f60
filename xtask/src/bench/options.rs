//! What can be asked of the benchmark.

use anyhow::{Context, Result, bail};

pub(super) const HELP: &str = "\
Usage: cargo xtask bench [PART]... [OPTIONS]

What recording costs, how fast reviewers have their answers, and whether the budgets are met: a table, and all
of it with its commands in target/bench/results.json, where each part stays until it is measured again. Needs root
for most. Without PART everything is measured, which takes an hour.

Parts, and some minutes they take on two CPUs:
  compare      28  workloads under `lineage` and under other tracers that are here, in turns with no tracer
  kernel        2  how long the probes run for an event, next to a hook that does nothing
  host          5  what is not recorded, while something else is
  saturation    1  all CPUs busy: losses, memory, CPU time, size of the evidence
  window        2  the recorder is killed: what was complete and is missing
  curves        6  cost as events, history, lineages, processes and rules grow; plots in target/bench/curves.
                   Raises kernel.pid_max as long as it has 100,000 processes
  emulated      2  instructions of calls on every kernel, in QEMU: the same on every host. Downloads the kernels
  micro         1  each stage from a frame to a verdict by itself, timed
  instructions  3  the same, by their instructions, next to those that were committed
  review        3  questions, verification, pages

Options:
  --rounds N           rounds of each comparison of compare and host [default: 7]; the others have their own number
  --workload NAME      only this one of compare and kernel: compile, git, agent, open, transfer, exec, tcp, udp, mixed
                       (may be repeated); of host: compile, call, transfer; of curves: events, history, lineages,
                       processes, policy
  --tracer NAME        only this one of compare, as the table names it (may be repeated)
  --install-peers      installs the tracers that Debian has and that are absent: strace, bpftrace, libbpf-tools
  --audit              compares with auditd, too. Once used, the kernel looks at the rules of its audit system for
                       every new process until it is booted again, which other measurements notice
  --check              measures nothing but whether a stage needs more instructions than were committed, by over 3 %
  --bless              with --check: commits what is needed now
  --peer NAME=PROGRAM  compares with this one, too: `PROGRAM OUTPUT-DIRECTORY -- COMMAND...` must record COMMAND
                       while that runs, and end after it (may be repeated). What it stored is not looked into

Reading the table: ratios are of the workload alone, to the runs without a tracer right before and after, as median
(quartiles). `events` and `lost` are what the tracer says, `lost` in all rounds, `found` is how many percent of the
opens are in its output, `s/M events` the tracer's own CPU seconds for a million stored events without its start and
end.

Reading the figures below: behind each that has a budget is the least that must be reached and, in brackets, what is
aimed at. A budget that is missed says MISSED, and the command fails; docs/cost.md tells which are known to be, and why.

A machine that does other things shows larger quartiles; the medians are still of use.";

/// What was asked.
pub(super) struct Options {
    pub(super) parts: Vec<String>,
    pub(super) rounds: usize,
    pub(super) install_peers: bool,
    pub(super) audit: bool,
    pub(super) check: bool,
    pub(super) bless: bool,
    pub(super) peers: Vec<(String, String)>,
    workloads: Vec<String>,
    tracers: Vec<String>,
}

impl Options {
    pub(super) fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self {
            parts: Vec::new(),
            rounds: 7,
            install_peers: false,
            audit: false,
            check: false,
            bless: false,
            peers: Vec::new(),
            workloads: Vec::new(),
            tracers: Vec::new(),
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || {
                args.next()
                    .with_context(|| format!("`{arg}` needs a value"))
            };
            match arg.as_str() {
                "--rounds" => {
                    options.rounds = value()?.parse().context("`--rounds` is a number")?;
                }
                "--workload" => options.workloads.push(value()?.clone()),
                "--tracer" => options.tracers.push(value()?.clone()),
                "--install-peers" => options.install_peers = true,
                "--audit" => options.audit = true,
                "--check" => options.check = true,
                "--bless" => options.bless = true,
                "--peer" => {
                    let (name, program) = value()?
                        .split_once('=')
                        .context("`--peer` is NAME=PROGRAM")?;
                    let is_plain =
                        |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
                    if name.is_empty() || !name.chars().all(is_plain) {
                        bail!(
                            "a name of `--peer` has letters, digits, `-`, `_` and `.`, not {name:?}"
                        );
                    }
                    options.peers.push((name.to_owned(), program.to_owned()));
                }
                other if other.starts_with('-') => bail!("`{other}` is no option; see --help"),
                part => options.parts.push(part.to_owned()),
            }
        }
        if options.rounds == 0 {
            bail!("`--rounds` is one or more");
        }
        if options.bless && !options.check {
            bail!("`--bless` goes with `--check`");
        }
        let chosen = [&options.parts, &options.workloads, &options.tracers];
        if options.check && chosen.iter().any(|chosen| !chosen.is_empty()) {
            bail!("`--check` goes by itself: it looks at all stages");
        }
        Ok(options)
    }

    /// Refuses workloads that are none of these: what nobody measures must not look as if it had been.
    pub(super) fn knows_workloads(&self, known: &[&str]) -> Result<()> {
        let known: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
        refuse_others("workload", &self.workloads, &known)
    }

    /// Likewise of tracers.
    pub(super) fn knows_tracers(&self, known: &[String]) -> Result<()> {
        refuse_others("tracer", &self.tracers, known)
    }

    pub(super) fn wants_workload(&self, name: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|wanted| wanted == name)
    }

    pub(super) fn wants_tracer(&self, name: &str) -> bool {
        self.tracers.is_empty() || self.tracers.iter().any(|wanted| wanted == name)
    }
}

fn refuse_others(what: &str, asked: &[String], known: &[String]) -> Result<()> {
    match asked.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(other) if known.is_empty() => {
            bail!("`--{what} {other}`: nothing that is measured has a {what}")
        }
        Some(other) => {
            // Names of tracers have commas in them.
            let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            bail!(
                "`{other}` is no {what} of what is measured: {}",
                known.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn parts_and_options_go_together() {
        let options = parse("compare --rounds 3 --peer a=/b/c host --workload open").expect("good");
        assert_eq!(options.parts, ["compare", "host"]);
        assert_eq!(options.rounds, 3);
        assert_eq!(options.peers, [("a".to_owned(), "/b/c".to_owned())]);
        assert!(options.wants_workload("open") && !options.wants_workload("tcp"));
        assert!(options.wants_tracer("strace"));
    }

    #[test]
    fn what_nobody_measures_is_refused() {
        let options = parse("--workload open --tracer strace").expect("good");
        assert!(options.knows_workloads(&["open", "tcp"]).is_ok());
        assert!(options.knows_workloads(&["tcp"]).is_err());
        assert!(options.knows_tracers(&["strace".to_owned()]).is_ok());
        assert!(options.knows_tracers(&[]).is_err());
        assert!(parse("").expect("good").knows_tracers(&[]).is_ok());
    }

    #[test]
    fn what_nobody_means_is_refused() {
        for line in [
            "--rounds",
            "--rounds 0",
            "--rounds x",
            "--peer a",
            "--peer =/b",
            "--peer a\u{1b}=/b",
            "--fast",
            "--bless",
            "--check host",
            "--check --workload open",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
