//! What is missing when the recorder is killed: how long it takes for what was done to be out of reach of whoever kills it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::figure::{Budget, Figure};
use super::run::{Bench, command, remove};
use super::tracer::lineage::Lineage;
use crate::{paths, sh};

/// Opens before the kill, and how many each second.
const COUNT: usize = 30_000;
const PER_SECOND: usize = 10_000;
/// Kills, of which the worst is told: each hits another moment of the recorder's work.
const KILLS: usize = 5;

/// Milliseconds of completed operations that are missing.
const MISSING: Budget = Budget::AtMost {
    limit: 1000.0,
    aim: 100.0,
};

/// Measures it.
pub(super) fn figures() -> Result<Vec<Figure>> {
    let bench = Bench::new()?;
    let (mut worst, mut shown) = (0.0_f64, String::new());
    for kill in 1..=KILLS {
        sh::say("Killing", format!("the recorder, {kill} of {KILLS}"));
        let (missing_ms, command) = killed(&bench)?;
        worst = worst.max(missing_ms);
        shown = command;
    }
    let name = "completed opens missing after kill -9 of the recorder, worst";
    Ok(vec![Figure::told(name, shown, worst, "ms").within(MISSING)])
}

/// Records until the load kills the recorder; milliseconds from the first open that is missing to the kill.
fn killed(bench: &Bench) -> Result<(f64, String)> {
    let (evidence, opened) = (bench.place.join("evidence"), bench.place.join("opened"));
    let done = bench.place.join("done");
    for directory in [&evidence, &opened] {
        remove(directory)?;
    }
    fs::create_dir_all(&opened)?;
    let _ = fs::remove_file(&done);
    let load = bench.load.display().to_string();
    let [count, rate] = [COUNT, PER_SECOND].map(|number| number.to_string());
    let words = [
        &load,
        "paced",
        &bench.word("opened"),
        &count,
        &rate,
        &bench.word("done"),
    ];
    let words = words.map(str::to_owned);
    let words = [&Lineage::observe().command(bench)[..], &words].concat();
    let mut command = command(&words)?;
    let shown = words.join(" ");
    // The load goes on when the recorder is gone; its end of the pipe says when it has ended, too.
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()?;
    if output.status.code().is_some() {
        bail!(
            "{shown} was not killed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let times = fs::read_to_string(&done).context("the load did not end well")?;
    let times: Vec<f64> = times.lines().map(str::parse).collect::<Result<_, _>>()?;
    let (killed, complete) = times.split_last().context("the time of the kill")?;
    if complete.len() != COUNT {
        bail!("the load completed {} of {COUNT} opens", complete.len());
    }
    recover(bench, &evidence)?;
    let kept = kept(&evidence, &opened)?;
    let mut missing = complete.iter().enumerate();
    let first = missing.find(|(number, _)| !kept.contains(number));
    Ok((first.map_or(0.0, |(_, time)| (killed - time) / 1e6), shown))
}

/// As an operator does after a crash.
fn recover(bench: &Bench, evidence: &Path) -> Result<()> {
    let mut seal = sh::command(paths::lineage(), ["seal"]);
    seal.arg(evidence)
        .arg("--keys")
        .arg(bench.place.join("keys"));
    sh::output(seal).map(drop)
}

/// Numbers of the files whose opens are in the evidence.
fn kept(evidence: &Path, opened: &Path) -> Result<BTreeSet<usize>> {
    let opened = opened.canonicalize()?;
    let all = opened.join("*");
    let mut ls = sh::command(
        paths::lineage(),
        ["ls", "--ndjson", "--kind", "file.open", "--path"],
    );
    ls.arg(all).arg(evidence);
    let listed = sh::output(ls)?;
    let numbers = listed.lines().map(|line| {
        let record: Value = serde_json::from_str(line)?;
        let path = record
            .get("path")
            .and_then(Value::as_str)
            .context("a path")?;
        let name = Path::new(path).file_name().context("a name")?;
        Ok(name.to_string_lossy().parse()?)
    });
    numbers.collect()
}
