//! Which files a proof has: no less than it needs, and no more.

use std::collections::{BTreeMap, BTreeSet};

use super::super::layout::{CHECKPOINT, ENROLMENT, checkpoint_path, epoch_path, manifest_path};

/// Checkpoints before the newest, of tree size `size`, that a proof of segments needs, each with its epoch.
///
/// A key that signed the newest may be one of a later epoch, and in the hands of whoever took the host since. So
/// each segment is below a checkpoint that a key of its own epoch signed: the one made after the last of
/// these segments of the epoch.
#[must_use]
pub fn checkpoints(size: u64, epochs: &BTreeMap<u64, u32>) -> BTreeMap<u64, u32> {
    let last: BTreeMap<u32, u64> = (epochs.iter())
        .map(|(segment, epoch)| (*epoch, *segment))
        .collect();
    let sizes = last
        .into_iter()
        .map(|(epoch, segment)| (segment.saturating_add(1), epoch));
    sizes.filter(|(one, _)| *one < size).collect()
}

/// Paths of the files that a proof of segments needs, but for artifacts: of segments by their epochs, and the tree size and
/// the epoch of the newest checkpoint.
#[must_use]
pub fn files(size: u64, newest: Option<u32>, epochs: &BTreeMap<u64, u32>) -> BTreeSet<String> {
    let manifests = epochs.keys().map(|segment| manifest_path(*segment));
    let keys = epochs.values().copied().chain(newest).map(epoch_path);
    let checkpoints = checkpoints(size, epochs).into_keys().map(checkpoint_path);
    let always = [CHECKPOINT, ENROLMENT].map(str::to_owned);
    always
        .into_iter()
        .chain(manifests)
        .chain(keys)
        .chain(checkpoints)
        .collect()
}
