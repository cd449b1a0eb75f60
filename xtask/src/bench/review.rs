//! How fast reviewers have their answers: questions about a long history, verification, a page.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::figure::{Budget, Figure};
use super::{median, program};
use crate::{paths, sh};

/// Records of the long history.
const MANY: u64 = 50_000_000;
/// Memory of a question and of making the index, whatever the process asks for.
const MEMORY_KIB: u64 = 1_000_000;
/// Records that are verified.
const VERIFIED: u64 = 2_000_000;
/// Records of a page.
const PAGE: u64 = 100_000;
/// Rounds of what is measured in turns.
const ROUNDS: usize = 5;

/// What must be reached.
mod budget {
    use super::Budget;

    /// A question, once there is an index.
    pub(super) const QUESTION_SECONDS: Budget = Budget::at_most(2.0);
    /// Rows a second of verifying, to those of only reading the Parquet files, each with one thread.
    pub(super) const VERIFY_RATIO: Budget = Budget::AtLeast {
        limit: 0.25,
        aim: 0.5,
    };
    /// Making a page.
    pub(super) const PAGE_SECONDS: Budget = Budget::at_most(5.0);
}

/// Measures everything.
pub(super) fn figures() -> Result<Vec<Figure>> {
    let bench = Bench {
        history: program("history")?,
        place: paths::target("bench"),
    };
    Ok([bench.question()?, bench.verify()?, bench.page()?].concat())
}

struct Bench {
    history: PathBuf,
    place: PathBuf,
}

/// Evidence that was made for this.
struct History {
    evidence: PathBuf,
    root: String,
    /// What was sent last: its causes go back to the beginning.
    sent: String,
}

impl Bench {
    /// Why something was sent, before and after there is an index.
    fn question(&self) -> Result<Vec<Figure>> {
        let history = self.history(MANY)?;
        let index = self.place.join("index");
        if index.exists() {
            fs::remove_dir_all(&index)?;
        }
        let why = || {
            let mut why = bounded();
            why.arg(paths::lineage())
                .arg("why")
                .arg(&history.evidence)
                .arg(&history.sent);
            why.arg("--index").arg(&index);
            why
        };
        sh::say("Measuring", "why among 50 million records, first question");
        let first = Run::of(why())?;
        sh::say("Measuring", "why among 50 million records, once more");
        let again = Run::of(why())?;
        Ok(vec![
            first.seconds(
                "why among 50 M, 1 GB of memory, first question",
                Budget::None,
            ),
            again.seconds(
                "why among 50 M, 1 GB of memory, later questions",
                budget::QUESTION_SECONDS,
            ),
        ])
    }

    /// Verifying and only reading, in turns.
    fn verify(&self) -> Result<Vec<Figure>> {
        let history = self.history(VERIFIED)?;
        let (mut verified, mut read, mut command) = (Vec::new(), Vec::new(), String::new());
        for round in 1..=ROUNDS {
            sh::say("Measuring", format!("verify, round {round} of {ROUNDS}"));
            let mut verify = Command::new(paths::lineage());
            verify.arg("verify").arg(&history.evidence);
            verify.args(["--trust", &history.root, "--threads", "1"]);
            let run = Run::of(verify)?;
            verified.push(run.seconds);
            command = run.command;
            let mut reading = Command::new(&self.history);
            reading.arg("read").arg(&history.evidence);
            read.push(Run::of(reading)?.seconds);
        }
        Ok(vec![
            Figure::told(
                "only reading the Parquet / verify, one thread (median)",
                command,
                median(read) / median(verified),
                "times",
            )
            .within(budget::VERIFY_RATIO),
        ])
    }

    fn page(&self) -> Result<Vec<Figure>> {
        sh::say("Measuring", "a page of 100,000 records");
        let history = self.history(PAGE)?;
        let mut report = Command::new(paths::lineage());
        report.arg("report").arg(&history.evidence);
        report
            .args(["--html", "--force", "-o"])
            .arg(self.place.join("page.html"));
        let run = Run::of(report)?;
        Ok(vec![run.seconds(
            "report of 100,000 records",
            budget::PAGE_SECONDS,
        )])
    }

    /// Evidence of so many records, made once.
    fn history(&self, records: u64) -> Result<History> {
        let place = self.place.join(format!("history-{records}"));
        let told = place.join("told");
        if !told.exists() {
            sh::say("Making", format!("evidence of {records} records, once"));
            if place.exists() {
                fs::remove_dir_all(&place)?;
            }
            let mut make = Command::new(&self.history);
            make.arg("make").arg(&place).arg(records.to_string());
            let said = sh::output(make)?;
            fs::write(&told, said)?;
        }
        let said = fs::read_to_string(&told)?;
        let (root, sent) = said.trim().split_once(' ').context("a root and a number")?;
        Ok(History {
            evidence: place.join("evidence"),
            root: root.to_owned(),
            sent: sent.to_owned(),
        })
    }
}

/// A command that ran to its end.
struct Run {
    command: String,
    seconds: f64,
}

impl Run {
    fn of(mut command: Command) -> Result<Self> {
        let shown = sh::shown_as(&command);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let status = command.status();
        let status = status.with_context(|| format!("cannot start {shown}"))?;
        if !status.success() {
            bail!("{shown} ended with {status}");
        }
        Ok(Self {
            command: shown,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    fn seconds(&self, name: &str, budget: Budget) -> Figure {
        Figure::told(name, &self.command, self.seconds, "seconds").within(budget)
    }
}

/// A command that has no more memory than it may take: with more it fails.
fn bounded() -> Command {
    let script = format!("ulimit -v {MEMORY_KIB}; exec \"$@\"");
    sh::command("sh", ["-c", &script, "sh"])
}
