//! What is in a host's directory at one moment: evidence may be verified while it is being written.
//!
//! A recorder only adds files, except that a sealed segment's spool and the partial tiles of a full
//! one go, and the newest checkpoint is replaced. So names are listed first, spools last of them, and
//! the newest checkpoint is read after that, once: whatever is listed is then covered by this
//! checkpoint or explained by a spool that is listed, unless something is wrong.

use std::collections::BTreeSet;

use super::access::HostDir;
use super::finding::Finding;
use super::layout::{CHECKPOINT, spool_segment};
use crate::evidence::note::NOTE_BYTES_MAX;

/// Names in a host's directory, and its newest checkpoint.
pub(super) struct Snapshot {
    /// Paths of everything below `events`.
    pub(super) events: Vec<String>,
    /// Paths of everything below `log/tile`.
    pub(super) tiles: Vec<String>,
    /// Names in `log`, but for its folders' when those are empty.
    pub(super) log: Vec<String>,
    /// Names in `manifests`.
    pub(super) manifests: Vec<String>,
    /// Names in `blocks`.
    pub(super) blocks: Vec<String>,
    /// Names in `log/checkpoints`.
    pub(super) checkpoints: Vec<String>,
    /// Segments that have a spool.
    pub(super) spools: BTreeSet<u64>,
    /// `log/checkpoint`.
    pub(super) newest: Result<Vec<u8>, Finding>,
}

impl Snapshot {
    /// Whether there is nothing in which records could be, nor anything signed about them.
    pub(super) fn is_empty(&self) -> bool {
        let lists = [
            &self.events,
            &self.log,
            &self.manifests,
            &self.blocks,
            &self.checkpoints,
        ];
        lists.iter().all(|names| names.is_empty()) && self.spools.is_empty()
    }

    pub(super) fn take(dir: &HostDir) -> Self {
        let (events, log) = (dir.walk("events"), dir.walk("log"));
        let tiles = log.iter().filter(|path| path.starts_with("log/tile/"));
        let tiles = tiles.cloned().collect();
        let (manifests, blocks) = (dir.names("manifests"), dir.names("blocks"));
        let checkpoints = dir.names("log/checkpoints");
        let spools = dir.names("spool");
        Self {
            events,
            tiles,
            log,
            manifests,
            blocks,
            checkpoints,
            spools: spools
                .iter()
                .filter_map(|name| spool_segment(name))
                .collect(),
            newest: dir.read(CHECKPOINT, NOTE_BYTES_MAX as u64),
        }
    }
}
