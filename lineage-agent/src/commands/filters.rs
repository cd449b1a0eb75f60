//! Which records a command goes through: from its options to a filter.

use crate::cli::filters::Filters;
use crate::glob::Glob;
use crate::review::filter::{Filter, kinds_named};

/// The filter that the options ask for.
pub(super) fn filter(options: &Filters) -> anyhow::Result<Filter> {
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
    })
}
