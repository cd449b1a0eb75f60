//! What recording costs in instructions, on the kernels the project supports.
//!
//! In an emulated machine whose clock counts instructions, nothing depends on how fast or how busy the host is. Counted are
//! those of the kernel, the probes and the loop that makes the calls. Caches, branch predictors and mitigations have no part
//! in it: on a real processor they make every system call dearer, and the share of the probes smaller.

mod host;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use self::host::{CALLS, HOSTS, Host, STATES, State};
use super::figure::Figure;
use super::program;
use crate::vm::{self, ARCHS, Arch, Clock, HOME, KERNELS, Machine, Plan};
use crate::{paths, sh};

/// How long nothing may be heard of a machine: the kernel's verifier reads every probe at each start of the recorder.
const SILENCE: Duration = Duration::from_secs(600);

/// Where it is counted.
const ARCH: &Arch = &ARCHS[0];

/// Allows everything, of which the recorder has to be sure each time.
const POLICY: &[u8] = br#"permit (principal, action, resource);
forbid (principal, action == Action::"read", resource is File) when { resource.path like "/d/1/*" };
"#;

/// What one machine has said.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    /// Instructions per call, by the state's name and the call's.
    instructions: BTreeMap<(String, String), f64>,
    /// Events lost, of each recording.
    lost: Vec<u64>,
}

/// Measures everything. All counts are in a file and a table of their own, figures are what follows from them.
pub(super) fn figures() -> Result<Vec<Figure>> {
    ARCH.ensure("instructions are counted in virtual machines")?;
    let programs = [program("init")?, program("count")?, paths::lineage()];
    fs::create_dir_all(paths::target("vm"))?;
    let mut boots = Vec::new();
    for host in &HOSTS {
        boots.push(Boot::prepared(host, &programs)?);
    }
    let counted = vm::side_by_side(boots, Boot::counts);
    let counted = counted.into_iter().collect::<Result<Vec<_>>>()?;
    let (mut figures, mut all) = (Vec::new(), Vec::new());
    for (host, counts) in HOSTS.iter().zip(&counted) {
        figures.extend(host.figures(counts)?);
        println!("\n{}", table(host, counts)?);
        all.extend(rows(host, counts)?);
    }
    let file = paths::target("bench").join("emulated.json");
    fs::write(&file, serde_json::to_vec_pretty(&all)?)?;
    println!("\nwritten to {}", file.display());
    Ok(figures)
}

/// A machine that is ready to start.
struct Boot {
    host: &'static Host,
    qemu: Command,
    log: PathBuf,
}

impl Boot {
    fn prepared(host: &'static Host, [init, count, lineage]: &[PathBuf; 3]) -> Result<Self> {
        let suite = KERNELS.iter().find(|kernel| kernel.0 == host.kernel);
        let kernel = ARCH.kernel(suite.context("it is one of the kernels")?.1)?;
        let mut files = ARCH.files(init, &[count.clone(), lineage.clone()], &[&kernel])?;
        files.file(&Path::new(HOME).join(host::POLICY_FILE), POLICY)?;
        files.file(Path::new("/plan"), plan(host).bytes())?;
        let name = format!("{}-{}", kernel.release, host.tier);
        let initramfs = paths::target("vm").join(format!("emulated-{name}.cpio"));
        fs::write(&initramfs, files.finish()?)
            .with_context(|| format!("cannot write {}", initramfs.display()))?;
        let machine = Machine {
            arch: ARCH,
            clock: Clock::Instructions,
            lsm: host.tier == "lsm",
        };
        Ok(Self {
            host,
            qemu: machine.qemu(&kernel.image, &initramfs),
            log: paths::target("vm").join(format!("console-emulated-{name}.log")),
        })
    }

    fn counts(self) -> Result<Counts> {
        let Self { host, qemu, log } = self;
        sh::say(
            "Counting",
            format!("instructions on kernel {}", host.name()),
        );
        let outcome = vm::boot(qemu, host.kernel, &log, SILENCE)?;
        if let Some(what) = outcome.bad() {
            bail!(
                "{what} on kernel {}; the console is in {}",
                host.name(),
                log.display()
            );
        }
        sh::say("Counted", format!("kernel {}", host.name()));
        let console = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        Ok(Counts::read(&String::from_utf8_lossy(&console)))
    }
}

fn plan(host: &Host) -> Plan {
    let mut plan = Plan::new();
    for state in STATES {
        let command = host.command(state);
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        plan.run(state.name(), &words);
    }
    plan
}

impl Counts {
    /// From lines of the console. What else is there is talk.
    fn read(console: &str) -> Self {
        let mut counts = Self::default();
        for line in console.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
            let instructions = line.get("instructions").and_then(Value::as_f64);
            if let (Some(state), Some(call), Some(number)) =
                (text("state"), text("call"), instructions)
            {
                counts.instructions.insert((state, call), number);
            }
            counts.lost.extend(line.get("lost").and_then(Value::as_u64));
        }
        counts
    }

    /// Instructions per call. One that was not counted is an error, and no figure.
    fn of(&self, state: State, call: &str) -> Result<f64> {
        let key = (state.name().to_owned(), call.to_owned());
        let found = self.instructions.get(&key);
        found.copied().with_context(|| {
            format!(
                "the machine did not count `{call}` in state `{}`",
                state.name()
            )
        })
    }
}

/// As a person reads it: a row for each call, a column for each state.
fn table(host: &Host, counts: &Counts) -> Result<String> {
    let mut lines = format!("{:<34}", format!("instructions per call, {}", host.name()));
    for state in STATES {
        lines += &format!("{:>20}", state.name());
    }
    for call in CALLS {
        lines += &format!("\n{call:<34}");
        for state in STATES {
            lines += &format!("{:>20.1}", counts.of(state, call)?);
        }
    }
    Ok(lines)
}

/// As a program reads it.
fn rows(host: &Host, counts: &Counts) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    for state in STATES {
        for call in CALLS {
            rows.push(json!({
                "host": host.name(), "state": state.name(), "call": call,
                "instructions": counts.of(state, call)?, "command": host.command(state).join(" "),
            }));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_among_other_lines() {
        let console = r#"
@vm start no-tracer
{"state":"no-tracer","call":"read","instructions":12.5}
[    1.0] {"state":"no-tracer"
{"records":14,"lost":3}
@vm end no-tracer 0"#;
        let counts = Counts::read(console);
        assert_eq!(counts.of(State::Untraced, "read").unwrap(), 12.5);
        assert!(counts.of(State::Untraced, "getppid").is_err());
        assert_eq!(counts.lost, [3]);
    }
}
