//! `lineage policy learn`: propose a policy from what was recorded.

use std::{collections::BTreeMap, fmt::Write as _, ops::ControlFlow, process::ExitCode};

use anyhow::Context as _;
use serde_json::json;

use crate::{
    authority::policy::{
        compile,
        learn::{DIFFERENT_MAX, Learner, Options, Proposal, Reason},
        source::{Schema, Source},
    },
    cli::policy::Learn,
    commands::{grant::write, remark, screen, shown, visible},
    counted::counted,
};

/// What was read of a host.
struct Read {
    host: String,
    records: u64,
}

/// Runs `lineage policy learn`.
pub(super) fn run(options: &Learn) -> anyhow::Result<ExitCode> {
    let evidence = screen::open(&options.evidence)?;
    let mut learner = Learner::default();
    let mut read = Vec::new();
    let mut missing = Vec::new();
    for host in evidence.hosts() {
        let mut records = 0;
        let visited = host.records(|record| {
            let lineage = record.lineage.unwrap_or_default();
            let wanted = &options.lineage;
            if wanted.is_empty() || wanted.iter().any(|id| lineage.starts_with(&**id)) {
                records += 1;
                learner.add(record);
            }
            ControlFlow::<()>::Continue(())
        });
        if let Err(error) = visited {
            missing.push(visible(error.to_string().as_bytes()));
        }
        let host = host.id().to_string();
        read.push(Read { host, records });
    }
    let proposal = learner.propose(Options {
        siblings_max: options.group,
        address_blocks: options.group_addresses,
    });
    let text = text(options, &proposal, &read, &missing)?;
    let schema = Schema::new();
    let source = Source::parse("proposal", text.as_bytes(), &schema);
    let usable = source
        .context("read it")
        .and_then(|source| compile(&[vec![source]], &schema).context("enforce it"));
    usable.context("propose a policy that can be used (a lower --group makes it smaller)")?;
    for error in &missing {
        remark(&format!("this is from a part of the evidence: {error}"));
    }
    let ended = if options.json {
        let document = json(options, &proposal, &read, &missing, &text);
        write(options.output.as_deref(), &screen::json(&document))?
    } else {
        write(options.output.as_deref(), &text)?
    };
    Ok(if missing.is_empty() {
        ended
    } else {
        ExitCode::FAILURE
    })
}

/// The policy, with what it is in comments at its beginning.
fn text(
    options: &Learn,
    proposal: &Proposal,
    read: &[Read],
    missing: &[String],
) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let evidence = shown(&options.evidence);
    let told = &proposal.told;
    writeln!(
        out,
        "// PROPOSED by `lineage policy learn`, for people to read before it is used: it permits what was"
    )?;
    writeln!(
        out,
        "// done while this was recorded, right or wrong. From {evidence}:"
    )?;
    for Read { host, records } in read {
        let records = counted(*records as usize, "record", "records");
        writeln!(out, "//   host {host}: {records}")?;
    }
    writeln!(
        out,
        "// Not verified. Ask first: lineage verify {evidence} --trust ROOT_OR_KEY_OF_THAT_HOST"
    )?;
    for error in missing {
        writeln!(out, "// NOT ALL of it could be read: {error}")?;
    }
    writeln!(
        out,
        "// Permitted below: what {} tell of.",
        counted(told.used as usize, "record", "records")
    )?;
    if told.would_deny > 0 {
        writeln!(
            out,
            "// An audited policy would have denied {} of them.",
            told.would_deny
        )?;
    }
    for (reason, left) in &told.left_out {
        let records = counted(left.records as usize, "record", "records");
        writeln!(
            out,
            "// Left out: {records} {} (first: {}).",
            reason.words(),
            left.first
        )?;
    }
    remarks(&mut out, options, proposal)?;
    for rule in &proposal.rules {
        write!(out, "\n{}", rule.text)?;
    }
    Ok(out)
}

/// What is to be known about the rules, in comments.
fn remarks(out: &mut String, options: &Learn, proposal: &Proposal) -> std::fmt::Result {
    if proposal.told.left_out.contains_key(&Reason::TooMany) {
        writeln!(
            out,
            "// There is room for {DIFFERENT_MAX} different paths and as many ends of connections."
        )?;
    }
    for directory in &proposal.directories {
        let directory = visible(directory.as_bytes());
        writeln!(
            out,
            "// Grouped: {directory}/*, also what was not used: more than {} of its files were.",
            options.group
        )?;
    }
    for path in &proposal.secrets {
        let path = visible(path.as_bytes());
        writeln!(out, "// May hold a secret: {path}")?;
    }
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in &proposal.made_up {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        places.entry(directory).or_default().push(path);
    }
    for (directory, paths) in places {
        let [directory, first] = [directory, paths[0]].map(|path| visible(path.as_bytes()));
        let others = match paths.len() as u64 - 1 {
            0 => String::new(),
            more => format!(" and {} there", counted(more, "other", "others")),
        };
        writeln!(
            out,
            "// Looks made up: {first}{others}. Such a name differs the next time: a rule for it names the directory, {directory}/*."
        )?;
    }
    if proposal.of_processes > 0 {
        let paths = counted(proposal.of_processes, "path", "paths");
        writeln!(
            out,
            "// Of one run only: {paths} below /proc/PID, which is another one the next time."
        )?;
    }
    if let Some(least) = proposal.ports_from {
        writeln!(
            out,
            "// Grouped: ports from {least} on: a table does not tell so many apart."
        )?;
    }
    Ok(())
}

/// The same for programs.
fn json(
    options: &Learn,
    proposal: &Proposal,
    read: &[Read],
    missing: &[String],
    text: &str,
) -> serde_json::Value {
    let told = &proposal.told;
    let hosts = read
        .iter()
        .map(|Read { host, records }| json!({ "host": host, "records": records }));
    let left_out = told.left_out.iter().map(|(reason, left)| {
        json!({ "reason": reason.name(), "records": left.records, "first": left.first })
    });
    json!({
        "proposal": true,
        "verified": false,
        "evidence": shown(&options.evidence),
        "hosts": hosts.collect::<Vec<_>>(),
        "not_read": missing,
        "records_used": told.used,
        "records_would_deny": told.would_deny,
        "left_out": left_out.collect::<Vec<_>>(),
        "grouped": proposal.directories,
        "may_be_secret": proposal.secrets,
        "ports_from": proposal.ports_from,
        "rules": proposal.rules.iter().map(|rule| &rule.id).collect::<Vec<_>>(),
        "policy": text,
    })
}
