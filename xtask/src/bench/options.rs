//! What can be asked of the benchmark.

use anyhow::{Context, Result, bail};

pub(super) const HELP: &str = "\
Usage: cargo xtask bench [PART]... [OPTIONS]

What recording costs, how fast reviewers have their answers, and whether the budgets are met: a table, and all
of it with its commands in target/bench/results.json. Needs root for most. Without PART everything is measured.

Parts:
  compare     workloads under `lineage` and under other tracers that are here, in turns with no tracer
  kernel      how long the probes run for an event, next to a hook that does nothing
  host        what is not recorded, while something else is
  saturation  all CPUs busy: losses, memory, CPU time, size of the evidence
  window      the recorder is killed: what was complete and is missing
  curves      cost as events, history, lineages, processes and rules grow; plots in target/bench/curves
  emulated    instructions of calls on every kernel, in QEMU: the same on every host
  micro       each stage from a frame to a verdict by itself, timed
  instructions  the same, by their instructions, next to those that were committed
  review      questions, verification, pages

Options:
  --rounds N           rounds of each comparison [default: 7]
  --workload NAME      only this one of compare: compile, git, agent, open, transfer, exec, tcp, udp, mixed
                       (may be repeated); of host: compile, call, transfer; of curves: events, history, lineages,
                       processes, policy
  --tracer NAME        only this one of compare, as the table names it (may be repeated)
  --install-peers      installs the tracers that Debian has and that are absent: strace, bpftrace, libbpf-tools
  --audit              compares with auditd, too. Once used, the kernel looks at the rules of its audit system for
                       every new process until it is booted again, which other measurements notice
  --check              measures nothing but whether a stage needs more instructions than were committed, by over 3 %
  --bless              with --check: commits what is needed now
  --peer NAME=PROGRAM  compares with this one, too: `PROGRAM OUTPUT-DIRECTORY -- COMMAND...` must record COMMAND
                       while that runs, and end after it (may be repeated)

Reading the table: ratios are of the workload alone, to the runs without a tracer right before and after, as median
(quartiles). `events` and `lost` are what the tracer says, `found` is how many percent of the opens are in its output,
`s/M events` the tracer's own CPU seconds for a million stored events without its start and end.

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
        Ok(options)
    }

    pub(super) fn wants_workload(&self, name: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|wanted| wanted == name)
    }

    pub(super) fn wants_tracer(&self, name: &str) -> bool {
        self.tracers.is_empty() || self.tracers.iter().any(|wanted| wanted == name)
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
    fn what_nobody_means_is_refused() {
        for line in [
            "--rounds",
            "--rounds 0",
            "--rounds x",
            "--peer a",
            "--fast",
            "--bless",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
