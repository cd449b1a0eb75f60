//! `lineage key`: make the keys of this host, and show what to pin.

use std::{fmt::Write as _, path::Path, process::ExitCode};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;

use super::{screen, shown};
use crate::{
    cli,
    evidence::{
        epoch::Enrolment,
        keys::{KeyError, Keys, Plan, Secrets, read_public},
        note::VerifierKey,
        text::hex,
    },
};

/// Runs `lineage key …`.
pub(super) fn run(command: &cli::Key) -> anyhow::Result<ExitCode> {
    let text = match command {
        cli::Key::New { keys, epochs, json } => {
            let made = create(&keys.dir, *epochs)?;
            show(&keys.dir, &made.verifier(), made.enrolment(), *json)?
        }
        cli::Key::Show { keys, json } => {
            let public = read_public(&keys.dir).map_err(|error| advised(error, &keys.dir));
            let (verifier, enrolment) = public.context("show the keys")?;
            show(&keys.dir, &verifier, &enrolment, *json)?
        }
        cli::Key::Advance { keys, json } => advance(&keys.dir, *json)?,
        cli::Key::Root { keys } => {
            let public = read_public(&keys.dir).map_err(|error| advised(error, &keys.dir));
            let (_, enrolment) = public.context("show the epoch root")?;
            pin(&enrolment) + "\n"
        }
    };
    screen::print(&text)
}

/// Where there are no keys at all: how they are made.
fn advised(error: KeyError, dir: &Path) -> anyhow::Error {
    match error {
        KeyError::Missing(path) if path == dir => {
            anyhow::anyhow!("{}: `lineage key new` makes one", KeyError::Missing(path))
        }
        error => error.into(),
    }
}

/// Erases the seeds of ended epochs; what can still be signed.
fn advance(dir: &Path, json: bool) -> anyhow::Result<String> {
    let keys = Keys::open(dir).map_err(|error| advised(error, dir));
    let keys = keys.with_context(|| format!("use the keys in {}", shown(dir)))?;
    let now = u64::try_from(Timestamp::now().as_second()).context("use a clock before 1970")?;
    let seeds = keys.erase_ended(now).context("erase ended epochs")?;
    if json {
        let unsealed: Vec<_> = seeds
            .unsealed
            .iter()
            .map(|(epoch, log)| json!({ "log": log, "epoch": epoch }))
            .collect();
        return Ok(json!({ "epoch": seeds.host, "unsealed": unsealed }).to_string() + "\n");
    }
    let mut out = String::new();
    let (from, _) = keys.enrolment().window(seeds.host);
    writeln!(
        out,
        "this host's seed is of epoch {}: nothing before {} can be signed with it",
        seeds.host,
        utc(from)?
    )?;
    for (epoch, log) in &seeds.unsealed {
        let (from, _) = keys.enrolment().window(*epoch);
        writeln!(
            out,
            "log {log} is being recorded, or was left open by --append or a crash, and can be signed from \
             {} on; `lineage seal` on its evidence ends that; where that is gone, remove {}",
            utc(from)?,
            shown(&dir.join("logs").join(log))
        )?;
    }
    Ok(out)
}

/// Makes keys for this many hourly epochs from now on.
pub(super) fn create(dir: &Path, epochs: u32) -> anyhow::Result<Keys> {
    let now = u64::try_from(Timestamp::now().as_second()).context("use a clock before 1970")?;
    let plan = Plan {
        count: epochs,
        ..Plan::hourly(now)
    };
    Keys::create(dir, plan, &Secrets::random()?)
        .with_context(|| format!("make keys in {}", shown(dir)))
}

/// What an operator pins off the host, as `--trust` takes it.
pub(super) fn pin(enrolment: &Enrolment) -> String {
    format!("root:{}", hex(&enrolment.root))
}

fn show(
    dir: &Path,
    verifier: &VerifierKey,
    enrolment: &Enrolment,
    json: bool,
) -> anyhow::Result<String> {
    let (_, end) = enrolment.window(enrolment.count.saturating_sub(1));
    let (first, last) = (utc(enrolment.start)?, utc(end)?);
    if json {
        let object = json!({
            "directory": dir.to_string_lossy(),
            "host": enrolment.host.to_string(),
            "root": pin(enrolment),
            "verifier_key": verifier.to_string(),
            "epochs": enrolment.count,
            "epoch_seconds": enrolment.seconds,
            "valid_from": first.to_string(),
            "valid_until": last.to_string(),
        });
        return Ok(object.to_string() + "\n");
    }
    let mut out = String::new();
    writeln!(out, "host          {}", enrolment.host)?;
    writeln!(out, "epoch root    {}", pin(enrolment))?;
    writeln!(out, "verifier key  {verifier}")?;
    writeln!(
        out,
        "epochs        {} of {} s, {first} to {last}",
        enrolment.count, enrolment.seconds
    )?;
    writeln!(out, "directory     {}", shown(dir))?;
    writeln!(out)?;
    writeln!(
        out,
        "Pin the epoch root away from this host: with it, whoever takes the host later cannot\n\
         rewrite what was sealed in hours that are over and erased (`lineage key advance`). The\n\
         verifier key alone cannot tell that."
    )?;
    Ok(out)
}

fn utc(seconds: u64) -> anyhow::Result<Timestamp> {
    let seconds = i64::try_from(seconds).context("understand the enrolment's times")?;
    Timestamp::from_second(seconds).context("understand the enrolment's times")
}
