//! One sealed segment: its file against its manifest.

use std::collections::{BTreeMap, BTreeSet};

use super::access::HostDir;
use super::chain::Entry;
use super::epochs::Keys;
use super::facts::{Facts, Proven};
use super::finding::{Code, Finding};
use super::layout::{manifest_path, parquet_path};
use super::place::widened_window;
use super::progress::Progress;
use super::rows::{self, Expected, Summary};
use crate::evidence::manifest::{MANIFEST_BYTES_MAX, Manifest};
use crate::evidence::segment::{registry_digest, registry_text};
use crate::evidence::tree::{Hash, Hashing as _, Log, Records};

/// What a segment gave.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// Records whose root is the signed one.
    pub(super) records: u64,
    pub(super) session: u64,
    /// Sum of `lost_count` by CPU.
    pub(super) lost: BTreeMap<u32, u64>,
    /// Artifacts it names.
    pub(super) named: BTreeSet<Hash>,
    pub(super) times: Option<(i64, i64)>,
    pub(super) lineages: Vec<String>,
    /// What governed.
    pub(super) facts: Facts,
    pub(super) good: bool,
}

/// Checks the segment whose manifest is this leaf of the log.
pub(super) fn check(
    dir: &HostDir,
    keys: &Keys,
    segment: u64,
    entry: &Entry,
    progress: &Progress<'_>,
) -> Checked {
    let mut checked = Checked::default();
    let Some(manifest) = manifest(dir, segment, entry, &mut checked.findings) else {
        return checked;
    };
    checked.session = manifest.head.session;
    checked.named.insert(manifest.head.registry);
    checked.named.extend(&manifest.contexts);
    if let crate::evidence::manifest::Cpus::Artifact(digest) = manifest.cpus {
        checked.named.insert(digest);
    }
    let summary = if manifest.count == 0 {
        check_empty(&manifest, &mut checked.findings)
    } else {
        check_file(dir, keys, &manifest, progress, &mut checked.findings)
    };
    progress.finish(manifest.count);
    if let Some(summary) = summary {
        checked.records = manifest.count;
        checked.times = manifest.times;
        checked.lost = summary.lost;
        checked.facts = summary.facts;
        checked.facts.proven = Proven::records(manifest.head.first, manifest.count);
        checked.lineages = manifest
            .lineages
            .into_iter()
            .map(|range| range.lineage)
            .collect();
        checked.good = checked
            .findings
            .iter()
            .all(|finding| finding.code == Code::ReEncoded);
    }
    checked
}

/// The manifest again: it is not kept in memory, and must still be what was read first.
fn manifest(
    dir: &HostDir,
    segment: u64,
    entry: &Entry,
    findings: &mut Vec<Finding>,
) -> Option<Manifest> {
    entry.epoch?;
    let path = manifest_path(segment);
    let bytes = dir
        .read(&path, MANIFEST_BYTES_MAX as u64)
        .map_err(|finding| findings.push(finding))
        .ok()?;
    if Log::leaf(&bytes) == entry.leaf {
        return Manifest::parse(&bytes).ok();
    }
    findings.push(
        Finding::new(Code::ManifestBad)
            .file(path)
            .segment(segment)
            .found("changed while it was verified"),
    );
    None
}

fn check_empty(manifest: &Manifest, findings: &mut Vec<Finding>) -> Option<Summary> {
    if manifest.root == Records::empty()
        && manifest.lineages.is_empty()
        && manifest.contexts.is_empty()
    {
        return Some(Summary::default());
    }
    findings.push(
        Finding::new(Code::RecordRule)
            .file(manifest_path(manifest.head.segment))
            .segment(manifest.head.segment)
            .expected("the root of no records, no lineages, no contexts")
            .found("others"),
    );
    None
}

fn check_file(
    dir: &HostDir,
    keys: &Keys,
    manifest: &Manifest,
    progress: &Progress<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Summary> {
    let segment = manifest.head.segment;
    let about = |code| {
        Finding::new(code)
            .file(manifest_path(segment))
            .segment(segment)
    };
    let path = parquet_path(segment, manifest.head.opened);
    let Some(file) = &manifest.parquet else {
        return None;
    };
    if file.path != path {
        findings.push(about(Code::ManifestBad).expected(&path).found(&file.path));
        return None;
    }
    if let Err(reason) = check_registry(dir, &manifest.head.registry) {
        findings.push(about(Code::Unreadable).found(reason));
        return None;
    }
    if let Err(finding) = rows::read_blocks(dir, segment, manifest.count, &manifest.root) {
        findings.push(finding);
    }
    let expected = Expected {
        segment,
        path: &path,
        first: manifest.head.first,
        count: manifest.count,
        root: manifest.root,
        window: keys.epochs.get(&manifest.head.epoch).map(widened_window),
        contexts: Some(&manifest.contexts),
        file: Some(file),
    };
    let summary = rows::check(dir, &expected, progress, findings)?;
    let tally = &summary.tally;
    let says = (tally.times(), tally.lineages(), tally.contexts());
    if says
        != (
            manifest.times,
            manifest.lineages.clone(),
            manifest.contexts.clone(),
        )
    {
        findings.push(
            about(Code::RecordRule)
                .expected("times, lineages and contexts of the records")
                .found("others in the manifest"),
        );
    }
    Some(summary)
}

/// Whether records of this registry can be judged: it is ours, or an earlier one. Fields are only
/// ever appended.
pub(super) fn check_registry(dir: &HostDir, digest: &Hash) -> Result<(), String> {
    if *digest == registry_digest() {
        return Ok(());
    }
    // A registry that is not there is reported with the artifacts.
    let Ok(text) = super::artifacts::read(dir, digest) else {
        return Err("the field registry it was written with is not there".to_owned());
    };
    if registry_text().as_bytes().starts_with(&text) {
        return Ok(());
    }
    Err("written with a newer field registry than this verifier has".to_owned())
}
