//! The flows of a host, for the commands that follow them: where they are kept, and what is seen while they are made.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::{refuse_inside, shown};
use crate::cli::review::Index;
use crate::evidence::reader::Host;
use crate::evidence::{digest, text::hex};
use crate::review::index::{HostFlows, Keeping, MEMORY_FLOWS, Until};

/// The flows of a host of this evidence.
pub(super) fn of(
    host: &Host,
    until: Until,
    evidence: &Path,
    options: &Index,
) -> anyhow::Result<HostFlows> {
    let place = match &options.index {
        Some(place) => {
            refuse_inside(evidence, place)?;
            place.clone()
        }
        None => usual_place(evidence)?,
    };
    let bar = progress_bar();
    let progress = |done: u64, total: Option<u64>| {
        bar.set_length(total.unwrap_or(done).max(done));
        bar.set_position(done);
    };
    let keeping = Keeping {
        place: &place,
        memory: MEMORY_FLOWS,
        progress: &progress,
    };
    let flows = HostFlows::of(host, until, &keeping);
    bar.finish_and_clear();
    flows.with_context(|| format!("find what moved where, with an index in {}", shown(&place)))
}

/// Where flows are kept when nobody says: a cache of this user, by where the evidence is
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
fn usual_place(evidence: &Path) -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let Some(cache) = cache else {
        bail!(
            "say where an index may be kept: neither XDG_CACHE_HOME nor HOME is set, so give a directory with --index"
        );
    };
    let evidence = evidence.canonicalize();
    let evidence = evidence.context("find the evidence's own path")?;
    let name = hex(&digest::of(evidence.as_os_str().as_encoded_bytes())[..8]);
    Ok(cache.join("lineage").join(name))
}

/// Shows itself on a terminal only, and goes without a trace.
fn progress_bar() -> ProgressBar {
    let style =
        "{bar:30} {human_pos}/{human_len} records indexed, once for all questions, {eta} left";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}
