//! `lineage grant issue` and `narrow`: from options to a signed grant.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use jiff::{Span, SpanRelativeTo};

use super::{now, write};
use crate::{
    authority::{
        chain::Chain,
        files,
        grant::{Budgets, Grant, Purpose},
        policy::{compile, source::Schema},
        selector::{Executable, Selector},
        statement::{self, Digest, Subject},
        time::Time,
    },
    cli::grant::{Issue, Narrow, Terms},
    commands::remark,
    evidence::{
        keys::{IssuerKey, PublicKey},
        text::parse_hex,
    },
};

/// Runs `lineage grant issue`.
pub(super) fn issue(options: &Issue) -> anyhow::Result<ExitCode> {
    let terms = &options.terms;
    let key = IssuerKey::open(&terms.key).context("read the key")?;
    let not_before = match &terms.not_before {
        Some(text) => time("--not-before", text)?,
        None => now()?,
    };
    let Some(not_after) = end(terms, not_before)? else {
        bail!("issue a grant without an end: say --for DURATION or --not-after TIME");
    };
    let narrowed_by = keys(&terms.narrowed_by)?;
    let grant = Grant {
        issuer: key.public(),
        purpose: Purpose::new(options.purpose.clone()),
        selector: selector(terms, &Selector::default())?,
        not_before,
        not_after,
        max_depth: depth(terms, &narrowed_by),
        narrowed_by,
        parent: None,
        budgets: budgets(terms, Budgets::default()),
    };
    if not_after <= now()? {
        remark("this grant is over already");
    }
    let envelope = statement::sign(policies(&options.policies)?, grant, &key);
    let chain = Chain::parse(envelope.as_bytes()).context("issue this grant")?;
    write(terms.output.as_deref(), &chain.to_text())
}

/// Runs `lineage grant narrow`.
pub(super) fn narrow(options: &Narrow) -> anyhow::Result<ExitCode> {
    let terms = &options.terms;
    let chain = files::chain(&options.grant)?;
    let parent = chain.last();
    let above = &parent.predicate;
    let key = IssuerKey::open(&terms.key).context("read the key")?;
    let not_before = match &terms.not_before {
        Some(text) => time("--not-before", text)?,
        None => now()?.max(above.not_before),
    };
    let narrowed_by = keys(&terms.narrowed_by)?;
    let grant = Grant {
        issuer: key.public(),
        purpose: match &options.purpose {
            Some(text) => Purpose::new(text.clone()),
            None => above.purpose.clone(),
        },
        selector: selector(terms, &above.selector)?,
        not_before,
        not_after: end(terms, not_before)?.unwrap_or(above.not_after),
        max_depth: depth(terms, &narrowed_by),
        narrowed_by,
        parent: Some(parent.id),
        budgets: budgets(terms, above.budgets),
    };
    let mut subjects = parent.subjects.clone();
    if !options.policies.is_empty() {
        subjects = policies(&options.policies)?;
    }
    let envelope = statement::sign(subjects, grant, &key);
    let chain = chain.with(&envelope).context("narrow the grant")?;
    write(terms.output.as_deref(), &chain.to_text())
}

pub(super) fn time(option: &str, text: &str) -> anyhow::Result<Time> {
    text.parse().with_context(|| format!("use {option}"))
}

/// The end, where one is said.
fn end(terms: &Terms, begin: Time) -> anyhow::Result<Option<Time>> {
    if let Some(text) = &terms.not_after {
        return time("--not-after", text).map(Some);
    }
    let Some(text) = &terms.lasts else {
        return Ok(None);
    };
    let span: Span = text
        .parse()
        .with_context(|| format!("use --for {text}: expected a time such as 90s, 8h or 30d"))?;
    let lasts = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .ok()
        .with_context(|| {
            format!("use --for {text}: months and years differ in length; say it in days")
        })?;
    let end = begin.seconds().checked_add(lasts.as_secs());
    let end = end.and_then(Time::from_seconds);
    end.with_context(|| format!("use --for {text}: it ends too late"))
        .map(Some)
}

fn keys(texts: &[String]) -> anyhow::Result<Vec<PublicKey>> {
    let keys = texts.iter().map(|text| files::public_key(text));
    Ok(keys.collect::<Result<_, _>>()?)
}

fn depth(terms: &Terms, narrowed_by: &[PublicKey]) -> u32 {
    terms
        .max_depth
        .unwrap_or(u32::from(!narrowed_by.is_empty()))
}

/// What the options select; where they say nothing, what is selected above.
fn selector(terms: &Terms, above: &Selector) -> anyhow::Result<Selector> {
    fn or<T: Clone>(said: Vec<T>, above: &Option<Vec<T>>) -> Option<Vec<T>> {
        if said.is_empty() {
            above.clone()
        } else {
            Some(said)
        }
    }
    let executables = terms.executables.iter().map(|text| executable(text));
    Ok(Selector {
        executables: or(
            executables.collect::<anyhow::Result<_>>()?,
            &above.executables,
        ),
        uids: or(terms.uids.clone(), &above.uids),
        cgroups: or(terms.cgroups.clone(), &above.cgroups),
        launch_only: terms.launch_only || above.launch_only,
    })
}

fn executable(text: &str) -> anyhow::Result<Executable> {
    let Some(digits) = text.strip_prefix("blake3:") else {
        return Ok(Executable::Path(text.to_owned()));
    };
    match parse_hex(digits) {
        Some(digest) => Ok(Executable::Blake3(Digest(digest))),
        None => bail!("use --executable {text}: a digest has 64 lowercase hex digits"),
    }
}

fn budgets(terms: &Terms, above: Budgets) -> Budgets {
    Budgets {
        execs: terms.max_execs.or(above.execs),
        connections: terms.max_connections.or(above.connections),
        bytes_sent: terms.max_bytes_sent.or(above.bytes_sent),
    }
}

/// Policies as the grant names them: such as can be enforced.
fn policies(paths: &[PathBuf]) -> anyhow::Result<Vec<Subject>> {
    let schema = Schema::new();
    let (mut sources, mut subjects) = (Vec::new(), Vec::new());
    for path in paths {
        let source = files::policy(path, &schema)?;
        subjects.push(Subject::new(source.name.clone(), &source.bytes));
        sources.push(source);
    }
    compile(&[sources], &schema).context("enforce these policies")?;
    Ok(subjects)
}
