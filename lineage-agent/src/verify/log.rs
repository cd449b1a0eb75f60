//! The host log: its newest checkpoint, the manifests it covers, the root over them.

use super::access::HostDir;
use super::chain::{Chain, Entry};
use super::checkpoints::{self, Claim};
use super::epochs::Keys;
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::layout::{CHECKPOINT, manifest_path, numbered};
use super::snapshot::Snapshot;
use super::tiles;
use crate::evidence::origin::Origin;
use crate::evidence::text::decimal;
use crate::evidence::tree::{Frontier, Hash, Log};

/// What is known of a log once its manifests are read.
pub(super) struct HostLog<'a> {
    pub(super) chain: Chain<'a>,
    /// What `log/checkpoint` says.
    pub(super) newest: Option<Claim>,
    /// Manifests the newest checkpoint covers, as far as it is worth looking.
    pub(super) size: u64,
    /// One per manifest up to `size`; none where it is missing.
    pub(super) entries: Vec<Option<Entry>>,
    /// Leaf hashes: of the manifests, or from tiles where they are missing.
    pub(super) leaves: Vec<Option<Hash>>,
    /// Root over the first n + 1 leaves, as long as all are known.
    pub(super) roots: Vec<Option<Hash>>,
}

/// Most missing manifests at the end of the log that are named one by one.
const TAIL_MAX: u64 = 4096;

impl<'a> HostLog<'a> {
    /// Reads the newest checkpoint and every manifest it covers.
    pub(super) fn read(
        dir: &'a HostDir,
        snapshot: &Snapshot,
        keys: &'a Keys,
        findings: &mut Findings,
    ) -> Self {
        let newest = newest(dir, snapshot, findings);
        let claimed = newest
            .as_ref()
            .map_or_else(|| fallback_size(snapshot), |newest| newest.size);
        let size = bounded_size(snapshot, claimed, findings);
        let mut chain = Chain::new(dir, keys, newest.as_ref().map(|newest| newest.origin));
        let entries: Vec<Option<Entry>> = (0..size)
            .map(|segment| chain.push(segment, findings))
            .collect();
        let mut leaves: Vec<Option<Hash>> = entries
            .iter()
            .map(|entry| entry.map(|entry| entry.leaf))
            .collect();
        fill_from_tiles(dir, claimed, &mut leaves);
        Self {
            roots: roots(&leaves),
            chain,
            newest,
            size,
            entries,
            leaves,
        }
    }

    /// The log's origin, if anything says it.
    pub(super) fn origin(&self) -> Option<Origin> {
        self.chain.origin
    }

    /// What the checkpoint of this size must be.
    pub(super) fn expected(&self, size: u64) -> Option<checkpoints::Expected> {
        let at = usize::try_from(size.checked_sub(1)?).ok()?;
        Some(checkpoints::Expected {
            origin: self.origin()?,
            size,
            root: *self.roots.get(at)?,
            epoch: self.entries.get(at)?.as_ref().and_then(|entry| entry.epoch),
        })
    }

    /// Checks that `log/checkpoint` is the checkpoint of its size.
    pub(super) fn check_newest(
        &self,
        dir: &HostDir,
        snapshot: &Snapshot,
        keys: &Keys,
        findings: &mut Findings,
    ) {
        let (Some(newest), Ok(bytes)) = (&self.newest, &snapshot.newest) else {
            return;
        };
        if newest.size != self.size {
            return;
        }
        let checked = match self.expected(newest.size) {
            Some(expected) => checkpoints::check_newest(dir, keys, bytes, &expected).map(drop),
            None => Err(Finding::new(Code::CheckpointBad)
                .file(CHECKPOINT)
                .found("the head of an empty log")),
        };
        findings.extend(checked.err());
    }
}

/// What `log/checkpoint` says. A log whose first segment is still being written has none.
fn newest(dir: &HostDir, snapshot: &Snapshot, findings: &mut Findings) -> Option<Claim> {
    let claim = match &snapshot.newest {
        Ok(bytes) => checkpoints::read_claim(dir, CHECKPOINT, bytes),
        Err(finding) => Err(finding.clone()),
    };
    let absent = |finding: &Finding| finding.code == Code::FileMissing && finding.found.is_none();
    let fresh = snapshot.spools.contains(&0);
    let begun = !snapshot.manifests.is_empty() || !snapshot.checkpoints.is_empty();
    match claim {
        Ok(claim) => return Some(claim),
        Err(finding) if absent(&finding) && (fresh || !begun) => {}
        Err(finding) => findings.push(finding),
    }
    None
}

/// The size of the log when `log/checkpoint` does not tell: none before the first segment is
/// sealed, otherwise what the newest other checkpoint or manifest says.
fn fallback_size(snapshot: &Snapshot) -> u64 {
    if snapshot.spools.contains(&0) {
        return 0;
    }
    let sizes = snapshot.checkpoints.iter().filter_map(|name| decimal(name));
    let segments = snapshot
        .manifests
        .iter()
        .filter_map(|name| numbered(name, 10));
    sizes
        .chain(segments.filter_map(|segment| segment.checked_add(1)))
        .max()
        .unwrap_or(0)
}

/// A claimed size costs nothing to write: how far it is worth looking for manifests follows from
/// those that are there.
fn bounded_size(snapshot: &Snapshot, claimed: u64, findings: &mut Findings) -> u64 {
    let names = &snapshot.manifests;
    let present = names
        .iter()
        .filter_map(|name| numbered(name, 10))
        .filter(|segment| *segment < claimed);
    let there = present.max().map_or(0, |last| last + 1);
    // Someone can also leave a single manifest of a high number.
    let worth = there.min(
        (names.len() as u64)
            .saturating_mul(TAIL_MAX)
            .saturating_add(TAIL_MAX),
    );
    let size = claimed.min(worth.saturating_add(TAIL_MAX));
    if size < claimed {
        findings.push(
            Finding::new(Code::FileMissing)
                .file(manifest_path(size))
                .segment(size)
                .expected(format!("manifests up to {}", claimed - 1))
                .found(format!("none of the last {}", claimed - size)),
        );
    }
    size
}

fn fill_from_tiles(dir: &HostDir, size: u64, leaves: &mut [Option<Hash>]) {
    let mut at = 0;
    while let Some(missing) = leaves[at..]
        .iter()
        .position(Option::is_none)
        .map(|offset| at + offset)
    {
        at = missing + 1;
        if let Some((first, hashes)) = tiles::leaves_near(dir, missing as u64, size) {
            let first = usize::try_from(first).unwrap_or(usize::MAX);
            for (leaf, hash) in leaves.iter_mut().skip(first).zip(hashes) {
                leaf.get_or_insert(hash);
            }
        }
    }
}

fn roots(leaves: &[Option<Hash>]) -> Vec<Option<Hash>> {
    let mut frontier = Some(Frontier::<Log>::default());
    let root = |leaf: &Option<Hash>| {
        match (leaf, &mut frontier) {
            (Some(leaf), Some(frontier)) => frontier.push(*leaf, |_, _| ()),
            _ => frontier = None,
        }
        frontier.as_ref().map(Frontier::root)
    };
    leaves.iter().map(root).collect()
}
