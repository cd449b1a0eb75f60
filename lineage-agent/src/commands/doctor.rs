//! `lineage doctor`: tells what can be recorded on this host, and what cannot.

use std::{io::Write as _, process::ExitCode};

use serde_json::json;

use crate::{
    cli,
    host::{
        blind_spots,
        environment::{Environment, Recorder},
    },
    probe::{Options, Probes},
};

/// How observation works here. Only one way exists so far; it works on every supported kernel.
const TIER: &str = "trace";
/// What that way costs and cannot do.
const TIER_LIMITS: &str =
    "observes only: nothing is denied, and every system call of the host pays for one empty hook";

/// Loads and checks the probes, and says what that showed. Exit status 1 when nothing can be
/// recorded here.
pub(super) fn run(options: &cli::Doctor) -> anyhow::Result<ExitCode> {
    let loaded = Probes::load(&Options::default()).map(|(probes, _)| probes);
    let loaded = loaded.as_ref();
    let unseen = loaded.map(Probes::unseen).unwrap_or_default();
    let blind_spots = blind_spots::here(&unseen);
    let names: Vec<&str> = blind_spots.iter().map(|spot| spot.name).collect();
    let environment = Environment::read(Recorder {
        version: env!("CARGO_PKG_VERSION"),
        digest: "",
        probes: "",
        layout: "",
        tier: TIER,
        blind_spots: &names,
        mounts: None,
        clock_steps: 0,
        recognisers: &[],
        left_out: &[],
    });
    let works = loaded.is_ok();
    let mut out = std::io::stdout().lock();
    if options.json {
        let object = json!({
            "works": works,
            "why_not": loaded.err().map(ToString::to_string),
            "entry": loaded.ok().map(|probes| probes.entry().name()),
            "verified_instructions": loaded.map_or_else(|_| json!({}), verified),
            "tier": TIER,
            "tier_limits": TIER_LIMITS,
            "kernel": environment.kernel,
            "cgroups": environment.cgroups,
            "clock": environment.clock,
            "not_seen": names,
        });
        writeln!(out, "{object}")?;
    } else {
        match loaded {
            Ok(probes) => {
                let entry = probes.entry();
                writeln!(
                    out,
                    "recording   works: the probes load, and what they see agrees with procfs"
                )?;
                writeln!(out, "probes      {}: {}", entry.name(), entry.why())?;
            }
            Err(error) => writeln!(out, "recording   DOES NOT WORK: {error}")?,
        }
        writeln!(out, "tier        {TIER}: {TIER_LIMITS}")?;
        writeln!(out, "kernel      {}", environment.kernel.release)?;
        writeln!(out, "cgroups     {}", environment.cgroups)?;
        writeln!(out, "not seen")?;
        for spot in blind_spots {
            writeln!(out, "  {:<24} {}", spot.name, spot.doc)?;
        }
    }
    Ok(if works {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Instructions the kernel's verifier looked at, by program.
fn verified(probes: &Probes) -> serde_json::Value {
    let programs = probes.verified();
    let programs = programs
        .iter()
        .map(|(name, count)| ((*name).to_owned(), json!(count)));
    serde_json::Value::Object(programs.collect())
}
