//! `lineage policy`: check policies, and ask what they allow.

mod explain;

use std::{fmt::Write as _, path::Path, process::ExitCode};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{screen, shown, visible};
use crate::{
    authority::{
        policy::{
            Compiled, Named, compile,
            source::{Effect, POLICY_BYTES_MAX, SCHEMA, Schema, Source, SourceRule},
        },
        statement::Digest,
    },
    cli::policy as cli,
    counted::counted,
    evidence::files,
};

/// Runs `lineage policy …`.
pub(super) fn run(command: &cli::Policy) -> anyhow::Result<ExitCode> {
    match command {
        cli::Policy::Check(options) => check(options),
        cli::Policy::Explain(options) => explain::run(options),
        cli::Policy::Schema => screen::print(SCHEMA),
    }
}

/// Reads a policy file.
pub(super) fn read(path: &Path, schema: &Schema) -> anyhow::Result<Source> {
    let (name, bytes) = file(path)?;
    Source::parse(&name, &bytes, schema).with_context(|| format!("use the policy {}", shown(path)))
}

/// The name of a policy file, and what is in it.
pub(super) fn file(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let bytes = files::read_named(path, POLICY_BYTES_MAX as u64).context("read the policy")?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    match name.to_str() {
        Some(name) => Ok((name.to_owned(), bytes)),
        None => bail!("use the policy {}: its name is not text", shown(path)),
    }
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    }
}

fn check(options: &cli::Check) -> anyhow::Result<ExitCode> {
    let schema = Schema::new();
    let sources = options.files.iter().map(|path| read(path, &schema));
    let sources: Vec<Source> = sources.collect::<anyhow::Result<_>>()?;
    let levels = [sources];
    let compiled = compile(&levels, &schema).context("enforce these policies")?;
    let [sources] = levels;
    if options.json {
        return screen::print(&screen::json(&json(&sources, &compiled)));
    }
    screen::print(&text(&sources, &compiled)?)
}

/// The rules, each with what the compiler says about it.
fn rules<'a>(
    sources: &'a [Source],
    compiled: &'a Compiled,
) -> impl Iterator<Item = (&'a SourceRule, &'a Named)> {
    let written = sources.iter().flat_map(|source| &source.rules);
    written.zip(&compiled.rules)
}

fn json(sources: &[Source], compiled: &Compiled) -> serde_json::Value {
    let policies = sources
        .iter()
        .map(|source| json!({ "name": source.name, "blake3": Digest::of(&source.bytes) }));
    let listed = rules(sources, compiled).map(|(rule, named)| {
        json!({
            "rule": rule.name,
            "effect": word(rule.effect),
            "actions": named.actions,
            "text": rule.text,
        })
    });
    let warnings = compiled
        .warnings
        .iter()
        .map(|warning| json!({ "rule": warning.rule, "what": warning.what }));
    json!({
        "policies": policies.collect::<Vec<_>>(),
        "rules": listed.collect::<Vec<_>>(),
        "path_entries": compiled.table.paths.len(),
        "address_entries": compiled.table.addresses.len(),
        "port_ranges": compiled.table.port_bounds.len() + 1,
        "warnings": warnings.collect::<Vec<_>>(),
    })
}

fn text(sources: &[Source], compiled: &Compiled) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    for source in sources {
        let count = counted(source.rules.len(), "rule", "rules");
        writeln!(
            out,
            "{} {count}, {}",
            visible(source.name.as_bytes()),
            Digest::of(&source.bytes)
        )?;
    }
    for (rule, named) in rules(sources, compiled) {
        let (name, actions) = (visible(rule.name.as_bytes()), named.actions.join(", "));
        writeln!(out, "{} {name}: {actions}", word(rule.effect))?;
    }
    let table = &compiled.table;
    writeln!(
        out,
        "tables: {}, {}, {}",
        counted(table.paths.len(), "path entry", "path entries"),
        counted(table.addresses.len(), "address entry", "address entries"),
        counted(
            table.port_bounds.len() + 1,
            "range of ports",
            "ranges of ports"
        ),
    )?;
    for warning in &compiled.warnings {
        writeln!(out, "warning: {}", visible(warning.to_string().as_bytes()))?;
    }
    Ok(out)
}
