//! `lineage policy check`: what policies say rule by rule, and what becomes of what they deny.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Context as _;
use lineage_common::{
    policy::Operation,
    tier::{Denied, Tier},
};
use serde_json::json;

use super::word;
use crate::{
    authority::{
        files,
        policy::{
            Compiled, Named, compile,
            profile::Target,
            source::{Schema, Source, SourceRule},
        },
        statement::Digest,
    },
    cli::policy::Check,
    commands::{screen, visible},
    counted::counted,
};

/// Runs `lineage policy check`.
pub(super) fn run(options: &Check) -> anyhow::Result<ExitCode> {
    let schema = Schema::new();
    let sources = options
        .files
        .iter()
        .map(|path| files::policy(path, &schema));
    let sources: Vec<Source> = sources.collect::<Result<_, _>>()?;
    let levels = [sources];
    let compiled = compile(&levels, &schema).context("enforce these policies")?;
    let [sources] = levels;
    let tier = options.tier.unwrap_or_else(here);
    if options.json {
        let document = json(&sources, &compiled, tier);
        return screen::print(&screen::json(&document));
    }
    let columns = screen::terminal_columns().unwrap_or(usize::MAX);
    screen::print(&text(&sources, &compiled, tier, columns))
}

/// The tier in which this host would enforce them; the least one where that cannot be told.
#[cfg(feature = "record")]
fn here() -> Tier {
    use crate::{
        commands::remark,
        probe::{Options, Probes},
    };
    let options = Options {
        governs: true,
        ..Options::default()
    };
    match Probes::load(&options) {
        Ok((probes, _)) => probes.tier().unwrap_or(Tier::Trace),
        Err(error) => {
            remark(&format!(
                "told for tier trace, which every host has; which one this host has is not known: {error}"
            ));
            Tier::Trace
        }
    }
}

/// The least tier: nothing is enforced by this program.
#[cfg(not(feature = "record"))]
const fn here() -> Tier {
    Tier::Trace
}

/// The rules, each with what the compiler says about it.
fn rules<'a>(
    sources: &'a [Source],
    compiled: &'a Compiled,
) -> impl Iterator<Item = (&'a SourceRule, &'a Named)> {
    let written = sources.iter().flat_map(|source| &source.rules);
    written.zip(&compiled.rules)
}

fn json(sources: &[Source], compiled: &Compiled, tier: Tier) -> serde_json::Value {
    let policies = sources
        .iter()
        .map(|source| json!({ "name": source.name, "blake3": Digest::of(&source.bytes) }));
    let listed = rules(sources, compiled).map(|(rule, named)| {
        json!({
            "rule": rule.name,
            "effect": word(rule.effect),
            "actions": named.actions,
            "denied": denied(&named.targets, tier),
            "text": rule.text,
        })
    });
    let warnings = compiled
        .warnings
        .iter()
        .map(|warning| json!({ "rule": warning.rule, "what": warning.what }));
    json!({
        "tier": tier.name(),
        "policies": policies.collect::<Vec<_>>(),
        "rules": listed.collect::<Vec<_>>(),
        "path_entries": compiled.table.paths.len(),
        "address_entries": compiled.table.addresses.len(),
        "port_ranges": compiled.table.port_bounds.len() + 1,
        "warnings": warnings.collect::<Vec<_>>(),
    })
}

/// What becomes of what is denied, with the actions that this is the case for; one can be in several.
fn ways(targets: &[Target], tier: Tier) -> BTreeMap<Denied, Vec<String>> {
    let mut ways: BTreeMap<Denied, Vec<String>> = BTreeMap::new();
    for target in targets {
        for way in tier.denied(target.operation, target.resource) {
            ways.entry(*way).or_default().push(called(*target));
        }
    }
    ways
}

/// The action; where it can be done to several kinds of things, with the one it is.
fn called(target: Target) -> String {
    let name = target.operation.name().unwrap_or_default();
    let of = Operation::ALL
        .iter()
        .find(|(known, ..)| *known == target.operation);
    match of {
        Some((.., [_])) | None => name.to_owned(),
        Some(_) => format!("{name} {}", target.resource.name()),
    }
}

/// The same for programs.
fn denied(targets: &[Target], tier: Tier) -> serde_json::Value {
    let each = targets.iter().map(|target| {
        let ways = tier.denied(target.operation, target.resource).iter();
        let ways = ways.map(
            |way| json!({ "effect": way.effect(), "by_name": *way == Denied::KilledAfterByName }),
        );
        json!({
            "action": target.operation.name(),
            "resource": target.resource.name(),
            "ways": ways.collect::<Vec<_>>(),
        })
    });
    each.collect()
}

/// Columns that a policy's digest goes further in where it has a line of its own.
const HANG: usize = 4;

/// For people, in lines of so many columns.
fn text(sources: &[Source], compiled: &Compiled, tier: Tier, columns: usize) -> String {
    let mut out = String::new();
    for source in sources {
        let (name, digest) = (visible(source.name.as_bytes()), Digest::of(&source.bytes));
        let count = counted(source.rules.len(), "rule", "rules");
        let said = format!("{name} {count}, {digest}\n");
        out += &screen::fitted(&said, Some(columns), |_| HANG);
    }
    let mut line = |label: &str, what: &str| {
        let indent = label.chars().count();
        out += &format!("{label}{}\n", screen::wrapped(what, indent, columns));
    };
    for (rule, named) in rules(sources, compiled) {
        let (name, actions) = (visible(rule.name.as_bytes()), named.actions.join(", "));
        line(
            &format!("{} ", word(rule.effect)),
            &format!("{name}: {actions}"),
        );
        for (way, actions) in ways(&named.targets, tier) {
            let actions = actions.join(", ");
            line("  denied: ", &format!("{}: {actions}", way.words()));
        }
    }
    line(&format!("tier {}: ", tier.name()), tier.does());
    let table = &compiled.table;
    let entries = [
        counted(table.paths.len(), "path entry", "path entries"),
        counted(table.addresses.len(), "address entry", "address entries"),
        counted(
            table.port_bounds.len() + 1,
            "range of ports",
            "ranges of ports",
        ),
    ];
    line("tables: ", &entries.join(", "));
    for warning in &compiled.warnings {
        line("warning: ", &visible(warning.to_string().as_bytes()));
    }
    out
}
