//! `cargo xtask bench instructions`: how many instructions each stage takes from a frame to a verdict, and whether that
//! has grown.
//!
//! Times on a shared machine differ by a tenth from one run to the next, instructions by less than a thousandth. Callgrind
//! counts them. It shows programs the same processor everywhere, but for its vector extensions, by which hashing and copying
//! choose their code. So figures are kept by those, and hold only for the compiler, the C library and the Valgrind that
//! they were made with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::figure::{Budget, Figure};
use super::program;
use crate::{packages, paths, sh};

/// The part of the benchmark, as it is asked for.
const COMMAND: &str = "cargo xtask bench instructions";
/// What makes its figures the committed ones.
const BLESS: &str = "cargo xtask bench --check --bless";

/// Growth that is a mistake, and shrinking that is worth keeping.
const TOLERANCE: f64 = 0.03;

/// Counts, as what they are, and compares where that can be done.
pub(super) fn figures() -> Result<Vec<Figure>> {
    let counted = Counted::now()?;
    let known = counted.committed();
    if let Err(why) = &known {
        sh::say("Not compared", format!("{why:#}"));
    }
    let known = known.unwrap_or_default();
    let figures = counted.stages.iter().map(|stage| {
        let figure = stage.figure();
        match known.get(&stage.name) {
            Some(known) => figure.within(budget(*known)),
            None => figure,
        }
    });
    Ok(figures.collect())
}

/// Fails where more instructions are needed than were committed, or nothing can be said about that; or commits those
/// that are needed now.
pub(super) fn check(bless: bool) -> Result<()> {
    let counted = Counted::now()?;
    if bless {
        return counted.bless();
    }
    let known = counted.committed()?;
    let (mut grown, mut shrunk) = (Vec::new(), Vec::new());
    println!();
    for stage in &counted.stages {
        let Some(known) = known.get(&stage.name) else {
            bail!("no figure for `{}`: {BLESS}", stage.name);
        };
        println!("{}", stage.figure().within(budget(*known)).line());
        let growth = stage.instructions / known - 1.0;
        let told = format!("{} {:+.1} %", stage.name, 100.0 * growth);
        if growth > TOLERANCE {
            grown.push(told);
        } else if growth < -TOLERANCE {
            shrunk.push(told);
        }
    }
    if !shrunk.is_empty() {
        sh::say(
            "Shrunk",
            format!("{}: keep it with `{BLESS}`", shrunk.join(", ")),
        );
    }
    ensure!(
        grown.is_empty(),
        "more instructions than committed: {}; `callgrind_annotate --inclusive=yes {}` shows where",
        grown.join(", "),
        profile("STAGE", RUNS[1]).display()
    );
    Ok(())
}

/// The limit is what would be a mistake, the aim what is worth keeping.
fn budget(known: f64) -> Budget {
    let tenths = |value: f64| (10.0 * value).round() / 10.0;
    Budget::AtMost {
        limit: tenths(known * (1.0 + TOLERANCE)),
        aim: tenths(known * (1.0 - TOLERANCE)),
    }
}

/// What figures hold for.
#[derive(Debug, PartialEq)]
struct Conditions {
    compiler: String,
    libc: String,
    valgrind: String,
}

impl Conditions {
    fn here() -> Result<Self> {
        let said = |program: &str, argument: &str| {
            let output = sh::output(sh::command(program, [argument]))?;
            anyhow::Ok(output.trim().to_owned())
        };
        Ok(Self {
            compiler: said("rustc", "--version")?,
            libc: said("getconf", "GNU_LIBC_VERSION")?,
            valgrind: said("valgrind", "--version")?,
        })
    }

    /// Which of them another one is of.
    fn difference(&self, committed: &Value) -> Option<String> {
        let all = [
            ("compiler", &self.compiler),
            ("libc", &self.libc),
            ("valgrind", &self.valgrind),
        ];
        let mut others = all
            .into_iter()
            .filter(|(name, here)| committed[name].as_str() != Some(here));
        others.next().map(|(name, here)| {
            let of = committed[name].as_str().unwrap_or("nobody knows what");
            format!("they are of {of}, and here is {here}")
        })
    }
}

/// A stage with what it takes.
struct Stage {
    name: String,
    unit: String,
    instructions: f64,
    command: String,
}

impl Stage {
    fn figure(&self) -> Figure {
        let name = format!("{}: instructions per {}", self.name, self.unit);
        Figure::told(name, &self.command, self.instructions, "")
    }
}

/// Everything counted here and now.
struct Counted {
    /// The processor as programs see it.
    processor: String,
    conditions: Conditions,
    stages: Vec<Stage>,
}

/// How often a stage is run to know what one run takes.
const RUNS: [u32; 2] = [1, 2];

impl Counted {
    fn now() -> Result<Self> {
        packages::programs("counting instructions", &[("valgrind", "valgrind")])?;
        let hotpath = program("hotpath")?;
        fs::create_dir_all(paths::target("bench"))?;
        let mut list = Command::new(&hotpath);
        list.arg("list");
        let mut stages = Vec::new();
        for line in sh::output(list)?.lines() {
            let (name, unit) = line.split_once(' ').context("a stage and its unit")?;
            sh::say("Counting", format!("instructions of {name}"));
            stages.push(count(&hotpath, name, unit)?);
        }
        Ok(Self {
            processor: processor()?,
            conditions: Conditions::here()?,
            stages,
        })
    }

    /// The committed figures, by stage, where they can be compared with these.
    fn committed(&self) -> Result<BTreeMap<String, f64>> {
        let (file, processor) = (file(), &self.processor);
        let all = read(&file)?;
        let Some(known) = all.get(processor) else {
            bail!(
                "{} has no figures for {processor}: `{BLESS}` adds them",
                file.display()
            );
        };
        if let Some(difference) = self.conditions.difference(known) {
            bail!(
                "{} has no figures for this: {difference}; `{BLESS}` renews them",
                file.display()
            );
        }
        let stages = known["instructions"].as_object().context("no stages")?;
        let figure = |(name, value): (&String, &Value)| Some((name.clone(), value.as_f64()?));
        Ok(stages.iter().filter_map(figure).collect())
    }

    fn bless(&self) -> Result<()> {
        let file = file();
        let mut all = read(&file)?;
        let instructions: Map<String, Value> = self
            .stages
            .iter()
            .map(|stage| {
                let tenths = (10.0 * stage.instructions).round() / 10.0;
                (stage.name.clone(), json!(tenths))
            })
            .collect();
        let Conditions {
            compiler,
            libc,
            valgrind,
        } = &self.conditions;
        let figures = json!({
            "command": COMMAND, "compiler": compiler, "libc": libc, "valgrind": valgrind,
            "instructions": instructions,
        });
        all.insert(self.processor.clone(), figures);
        fs::write(&file, serde_json::to_string_pretty(&all)? + "\n")?;
        sh::say("Written", file.display().to_string());
        Ok(())
    }
}

/// Where the committed figures are.
fn file() -> PathBuf {
    paths::root().join("xtask/instructions.json")
}

fn read(file: &Path) -> Result<Map<String, Value>> {
    if !file.exists() {
        return Ok(Map::new());
    }
    let text = fs::read_to_string(file)?;
    serde_json::from_str(&text).with_context(|| format!("cannot read {}", file.display()))
}

/// Instructions of one run: what two take more than one. Whatever comes before and after is the same.
fn count(hotpath: &Path, name: &str, unit: &str) -> Result<Stage> {
    let (mut totals, mut units, mut shown) = ([0.0; 2], 0.0, String::new());
    for (total, runs) in totals.iter_mut().zip(RUNS) {
        let out = profile(name, runs);
        let mut command = Command::new("valgrind");
        command
            .args(["--quiet", "--vgdb=no", "--tool=callgrind"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(hotpath)
            .args([name, &runs.to_string()]);
        // The size of the environment moves the stack, and with it how memory is copied.
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("TMPDIR", paths::target("bench"));
        shown = sh::shown_as(&command);
        units = sh::output(command)?.trim().parse()?;
        *total = summary(&fs::read_to_string(&out)?)?;
    }
    Ok(Stage {
        name: name.to_owned(),
        unit: unit.to_owned(),
        instructions: (totals[1] - totals[0]) / units,
        command: shown,
    })
}

/// Where the profile of a stage is left.
fn profile(name: &str, runs: u32) -> PathBuf {
    paths::target("bench").join(format!("callgrind.{name}.{runs}"))
}

/// All instructions of a profile.
fn summary(profile: &str) -> Result<f64> {
    let mut lines = profile.lines();
    let line = lines.find_map(|line| line.strip_prefix("summary: "));
    let total = line.and_then(|line| line.trim().parse().ok());
    total.context("a profile without its summary")
}

/// The machine type, and the widest vectors of those that Valgrind knows.
fn processor() -> Result<String> {
    let about = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    Ok(shown(std::env::consts::ARCH, &about))
}

fn shown(arch: &str, about: &str) -> String {
    let flags = about.lines().find(|line| line.starts_with("flags"));
    let has = |wanted: &str| flags.is_some_and(|line| line.split(' ').any(|flag| flag == wanted));
    match ["avx2", "avx"].into_iter().find(|wanted| has(wanted)) {
        Some(vectors) => format!("{arch} {vectors}"),
        None => arch.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_ends_with_its_sum() {
        let text = "version: 1\nevents: Ir\nfn=(1) main\n3 14\n\nsummary: 1234\n";
        assert_eq!(summary(text).expect("a summary"), 1234.0);
        assert!(summary("version: 1\n").is_err());
    }

    #[test]
    fn a_processor_is_named_by_its_vectors() {
        let about = "processor\t: 0\nflags\t\t: fpu sse2 avx avx2 avx512f\n";
        assert_eq!(shown("x86_64", about), "x86_64 avx2");
        let about = "flags\t\t: fpu sse2 avx\n";
        assert_eq!(shown("x86_64", about), "x86_64 avx");
        assert_eq!(shown("aarch64", "Features\t: fp asimd\n"), "aarch64");
    }

    #[test]
    fn figures_of_others_are_not_compared() {
        let here = Conditions {
            compiler: "rustc 2".to_owned(),
            libc: "glibc 3".to_owned(),
            valgrind: "valgrind-4".to_owned(),
        };
        let mut committed =
            json!({ "compiler": "rustc 2", "libc": "glibc 3", "valgrind": "valgrind-4" });
        assert_eq!(here.difference(&committed), None);
        committed["compiler"] = json!("rustc 1");
        let told = here.difference(&committed).expect("another compiler");
        assert!(
            told.contains("rustc 1") && told.contains("rustc 2"),
            "{told}"
        );
        assert!(here.difference(&json!({})).is_some());
    }

    #[test]
    fn three_percent_more_are_missed() {
        let met = |value| budget(100.0).met(value);
        assert!(met(100.0) && met(103.0) && !met(103.2));
    }
}
