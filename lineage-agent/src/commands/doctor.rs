//! `lineage doctor`: tells what can be recorded on this host, and what cannot.

use std::process::ExitCode;

use lineage_common::tier::Tier;
use serde_json::json;

use super::screen;
use crate::{
    cli,
    host::{
        blind_spots::{self, BlindSpot},
        environment::{Environment, Recorder},
    },
    probe::{Options, ProbeError, Probes},
};

/// How observation works. Only one way exists so far; it works on every supported kernel.
const OBSERVES: &str = "trace";
/// What that way costs.
const OBSERVING: &str = "as calls return: every system call of the host pays for one look at a table while something is recorded";
/// Columns before what is said.
const INDENT: usize = 12;
/// Columns before what is not seen, which has a name each.
const INDENT_NAMED: usize = 27;

/// Loads and checks the probes, and says what that showed. Exit status 1 when nothing can be
/// recorded here.
pub(super) fn run(options: &cli::Doctor) -> anyhow::Result<ExitCode> {
    let load = |governs| {
        let options = Options {
            governs,
            ..Options::default()
        };
        Probes::load(&options).map(|(probes, _)| probes)
    };
    // What cannot govern may still record.
    let (loaded, ungoverned) = match load(true) {
        Ok(probes) => (Ok(probes), None),
        Err(why) => (load(false), Some(why.to_string())),
    };
    let loaded = loaded.as_ref();
    let tiers = Tiers {
        tier: loaded.ok().and_then(Probes::tier),
        better: loaded.map_or(&[][..], |probes| probes.better()),
        none: ungoverned.as_deref(),
    };
    let unseen = loaded.map(Probes::unseen).unwrap_or_default();
    let blind_spots = blind_spots::here(&unseen);
    let names: Vec<&str> = blind_spots.iter().map(|spot| spot.name).collect();
    let environment = Environment::read(Recorder {
        version: env!("CARGO_PKG_VERSION"),
        digest: "",
        probes: "",
        layout: "",
        tier: OBSERVES,
        enforcement: None,
        blind_spots: &names,
        mounts: None,
        clock_steps: 0,
        recognisers: &[],
        left_out: &[],
    });
    let works = loaded.is_ok();
    let text = if options.json {
        let object = json!({
            "works": works,
            "why_not": loaded.err().map(ToString::to_string),
            "entry": loaded.ok().map(|probes| probes.entry().name()),
            "verified_instructions": loaded.map_or_else(|_| json!({}), verified),
            "observes": OBSERVES,
            "tier": tiers.tier.map(Tier::name),
            "tier_limits": tiers.limits(),
            "not_prevented": tiers.tier.map(Tier::gaps),
            "tiers_not_here": tiers.refused(),
            "kernel": environment.kernel,
            "cgroups": environment.cgroups,
            "clock": environment.clock,
            "not_seen": names,
        });
        format!("{object}\n")
    } else {
        text(
            loaded,
            &tiers,
            &environment,
            &blind_spots,
            screen::columns(),
        )
    };
    let ending = screen::print(&text)?;
    Ok(if works { ending } else { ExitCode::FAILURE })
}

/// How policies are enforced here.
struct Tiers<'a> {
    tier: Option<Tier>,
    /// Better ones, and why they are not.
    better: &'a [(Tier, String)],
    /// Why there is none.
    none: Option<&'a str>,
}

impl Tiers<'_> {
    /// What becomes of what is denied, or why nothing does.
    fn limits(&self) -> String {
        match (self.tier, self.none) {
            (Some(tier), _) => tier.does().to_owned(),
            (None, why) => format!(
                "policies cannot be enforced: {}",
                why.unwrap_or("the probes do not load")
            ),
        }
    }

    /// Why better ones are not to be had, by name.
    fn refused(&self) -> serde_json::Value {
        let better = self.better.iter();
        let better = better.map(|(tier, why)| (tier.name().to_owned(), json!(why)));
        serde_json::Value::Object(better.collect())
    }
}

/// For people.
fn text(
    loaded: Result<&Probes, &ProbeError>,
    tiers: &Tiers<'_>,
    environment: &Environment<'_>,
    blind_spots: &[&BlindSpot],
    columns: usize,
) -> String {
    let mut out = String::new();
    let mut line = |name: &str, indent: usize, what: &str| {
        let what = screen::wrapped(what, indent, columns);
        out += &format!("{name:<indent$}{what}\n");
    };
    match loaded {
        Ok(probes) => {
            let entry = probes.entry();
            let works = "works: the probes load, and what they see agrees with procfs";
            line("recording", INDENT, works);
            let probes = format!("{}: attached {}", entry.name(), entry.why());
            line("probes", INDENT, &probes);
        }
        Err(error) => line("recording", INDENT, &format!("DOES NOT WORK: {error}")),
    }
    line("observes", INDENT, OBSERVING);
    let tier = tiers.tier.map_or("none", Tier::name);
    line("tier", INDENT, &format!("{tier}: {}", tiers.limits()));
    for (tier, why) in tiers.better {
        line("", INDENT, &format!("not {}: {why}", tier.name()));
    }
    line("kernel", INDENT, &environment.kernel.release);
    let cgroups = format!("{}: {}", environment.cgroups, groups(environment.cgroups));
    line("cgroups", INDENT, &cgroups);
    line("not seen", INDENT, "");
    for spot in blind_spots {
        line(&format!("  {}", spot.name), INDENT_NAMED, spot.doc);
    }
    out.lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// What it means for records how control groups are mounted.
fn groups(mode: &str) -> &'static str {
    match mode {
        "unified" => "version 2 only; records name each process's group",
        "hybrid" => "version 2 beside version 1; records name the group of version 2",
        "legacy" => "version 1 only; records name no group that tells processes apart",
        _ => "none are mounted; no container can be told by them",
    }
}

/// Instructions the kernel's verifier looked at, by program.
fn verified(probes: &Probes) -> serde_json::Value {
    let programs = probes.verified();
    let programs = programs
        .iter()
        .map(|(name, count)| ((*name).to_owned(), json!(count)));
    serde_json::Value::Object(programs.collect())
}
