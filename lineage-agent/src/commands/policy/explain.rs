//! `lineage policy explain`: whether something would be allowed, and by which rule.

use std::{fmt::Write as _, net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use lineage_common::policy::{Named, Operation, Protocol, Resource, UNIX};
use serde_json::json;

use super::word;
use crate::{
    authority::{
        files,
        policy::{
            compile,
            engine::{Answer, Engine, Object},
            levels,
            profile::Target,
            source::{Schema, Source, SourceRule},
        },
        selector::is_plain,
    },
    cli::policy::Explain,
    commands::{remark, screen, visible},
};

/// Runs `lineage policy explain`.
pub(super) fn run(options: &Explain) -> anyhow::Result<ExitCode> {
    let schema = Arc::new(Schema::new());
    let sources = options
        .policies
        .iter()
        .map(|path| files::policy(path, &schema));
    let sources: Vec<Source> = sources.collect::<Result<_, _>>()?;
    let levels = match &options.grant {
        Some(path) => levels(&files::chain(path)?, &sources).context("use these policies")?,
        None => vec![sources],
    };
    let (target, object) = question(&options.action, &options.object)?;
    let compiled = compile(&levels, &schema).context("enforce these policies")?;
    let engine = Engine::new(&levels, schema);
    let engine = engine
        .map_err(anyhow::Error::msg)
        .context("use these policies")?;
    let answer = engine.decide(target, &object);
    let by_table = match &object {
        Object::Path(path) => compiled.table.path(target, path.as_bytes()),
        Object::Endpoint {
            address,
            port,
            protocol,
        } => compiled
            .table
            .address(target.operation, *protocol, *address, *port),
    };
    ensure!(
        by_table.is_some_and(|ruling| (ruling.allowed == 1) == answer.allowed),
        "trust this program: its tables and Cedar do not agree about this; please report it"
    );
    let deciding = levels.get(usize::from(answer.level)).into_iter().flatten();
    let rules = deciding.flat_map(|source| &source.rules);
    let deciding: Vec<&SourceRule> = rules
        .filter(|rule| answer.rules.binary_search(&rule.name).is_ok())
        .collect();
    if options.grant.is_some() && !options.json {
        remark("whether the grant authorises anything is for `lineage grant inspect` to say");
    }
    let text = if options.json {
        screen::json(&json(&answer, &deciding))
    } else {
        text(options, &answer, &deciding, levels.len())?
    };
    screen::print(&text)?;
    Ok(if answer.allowed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn json(answer: &Answer, deciding: &[&SourceRule]) -> serde_json::Value {
    let rules = deciding
        .iter()
        .map(|rule| json!({ "rule": rule.name, "effect": word(rule.effect), "text": rule.text }));
    json!({
        "allowed": answer.allowed,
        "grant": answer.level,
        "rules": rules.collect::<Vec<_>>(),
        "errors": answer.errors,
    })
}

fn text(
    options: &Explain,
    answer: &Answer,
    deciding: &[&SourceRule],
    levels: usize,
) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let verdict = if answer.allowed { "allowed" } else { "denied" };
    let object = visible(options.object.as_bytes());
    write!(out, "{verdict}: {} {object}", options.action)?;
    if levels > 1 {
        write!(out, " (grant {} of {levels})", answer.level + 1)?;
    }
    writeln!(out)?;
    for rule in deciding {
        writeln!(out, "by {}:", visible(rule.name.as_bytes()))?;
        for line in rule.text.lines() {
            writeln!(out, "  {}", visible(line.as_bytes()))?;
        }
    }
    for error in &answer.errors {
        writeln!(out, "because of an error: {}", visible(error.as_bytes()))?;
    }
    if deciding.is_empty() && answer.errors.is_empty() {
        writeln!(out, "no rule allows it")?;
    }
    Ok(out)
}

/// What is asked.
fn question(action: &str, object: &str) -> anyhow::Result<(Target, Object)> {
    let known = Operation::ALL.iter().find(|(_, name, _)| *name == action);
    let Some((operation, _, resources)) = known else {
        let names: Vec<&str> = Operation::ALL.iter().map(|(_, name, _)| *name).collect();
        bail!(
            "ask about {action}: an action is one of {}",
            names.join(", ")
        );
    };
    let (resource, object) = match resources {
        [resource @ (Resource::Program | Resource::File)] => {
            (*resource, Object::Path(path(object)?))
        }
        [resource @ (Resource::Facility | Resource::Process)] => {
            (*resource, Object::Path(name(*resource, object)?))
        }
        _ => match object.strip_prefix(UNIX) {
            Some(name) if name.starts_with('@') => {
                (Resource::UnixSocket, Object::Path(name.to_owned()))
            }
            Some(socket) => (Resource::UnixSocket, Object::Path(path(socket)?)),
            None => (Resource::Endpoint, endpoint(object)?),
        },
    };
    let operation = *operation;
    Ok((
        Target {
            operation,
            resource,
        },
        object,
    ))
}

fn path(text: &str) -> anyhow::Result<String> {
    ensure!(
        is_plain(text),
        "ask about {text}: a path begins with a slash and has no `.`, `..`, empty name or slash at its end, as \
         the kernel writes it"
    );
    Ok(text.to_owned())
}

/// `io_uring`, `inside`
fn name(resource: Resource, text: &str) -> anyhow::Result<String> {
    let facilities = Named::FACILITIES.iter().map(|(_, name, _)| *name);
    let relations = Named::RELATIONS.into_iter().map(|(_, name)| name);
    let names: Vec<&str> = facilities
        .chain(relations)
        .filter(|name| resource.has(name))
        .collect();
    ensure!(
        resource.has(text),
        "ask about {text}: expected one of {}",
        names.join(", ")
    );
    Ok(text.to_owned())
}

/// `10.0.0.1:443/tcp`, `[::1]:53/udp`
fn endpoint(text: &str) -> anyhow::Result<Object> {
    let (address, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let known = Protocol::ALL
        .into_iter()
        .find(|(_, name)| *name == protocol);
    let socket: Option<SocketAddr> = address.parse().ok();
    match (socket, known) {
        (Some(socket), Some((protocol, _))) => Ok(Object::Endpoint {
            address: socket.ip(),
            port: socket.port(),
            protocol,
        }),
        _ => bail!(
            "ask about {text}: expected unix:PATH, or an address and port such as 10.0.0.1:443, \
             [::1]:53/udp"
        ),
    }
}
