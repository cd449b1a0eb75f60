//! Which records a command goes through: from its options to a filter.

use anyhow::{anyhow, bail};

use super::remark;
use crate::cli::filters::Filters;
use crate::evidence::reader::Evidence;
use crate::glob::Glob;
use crate::review::filter::{Filter, kinds_named};
use crate::review::when::{Between, When};

/// The filter that the options ask for, of this evidence.
pub(super) fn filter(options: &Filters, evidence: &Evidence) -> anyhow::Result<Filter> {
    let mut kinds = Vec::new();
    for name in &options.kind {
        kinds.extend(kinds_named(name)?);
    }
    let globs = |patterns: &[String]| patterns.iter().map(|text| Glob::new(text)).collect();
    Ok(Filter {
        kinds,
        pids: options.pid.clone(),
        paths: globs(&options.path),
        peers: globs(&options.peer),
        comms: globs(&options.comm),
        recognised: globs(&options.recognised),
        lineages: options.lineage.clone(),
        decisions: options.decision.clone(),
        failed: options.failed,
        between: between(options, evidence)?,
    })
}

/// Says that no record is as the options want it, and what may be the reason.
pub(super) fn remark_nothing(options: &Filters) {
    let patterns = [
        &options.path,
        &options.peer,
        &options.comm,
        &options.recognised,
    ];
    let whole = (patterns.into_iter().flatten())
        .find(|text| !text.starts_with('/') && !text.contains(['*', '?', '[']));
    let why = whole
        .map(|text| format!(" (a pattern is for all of a name: '*{text}*' finds parts of names)"));
    remark(&format!(
        "there is no such record{}",
        why.unwrap_or_default()
    ));
}

fn between(options: &Filters, evidence: &Evidence) -> anyhow::Result<Between> {
    let when = |option: &str, text: &Option<String>| {
        let parsed = text.as_deref().map(str::parse::<When>).transpose();
        parsed.map_err(|expected| anyhow!("understand {option}: {expected}"))
    };
    let since = when("--since", &options.since)?;
    let until = when("--until", &options.until)?;
    let asks_for_end = |when: &Option<When>| when.is_some_and(When::is_relative);
    let end_ns = match asks_for_end(&since) || asks_for_end(&until) {
        true => end_ns(evidence)?,
        false => 0,
    };
    let between = Between::new(since, until, end_ns);
    if between.is_empty() {
        bail!("--since is after --until, so no record can be between them");
    }
    Ok(between)
}

/// When the last record of all hosts was made; 1970 when there is none.
fn end_ns(evidence: &Evidence) -> anyhow::Result<i64> {
    let mut end_ns = None;
    for host in evidence.hosts() {
        end_ns = end_ns.max(host.last_time_ns()?);
    }
    Ok(end_ns.unwrap_or_default())
}
