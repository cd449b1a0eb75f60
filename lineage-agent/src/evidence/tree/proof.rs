//! Inclusion proofs.

use super::{Hash, Hashing, root};

/// Inclusion proof (RFC 6962 section 2.1.1) of leaf `index`: siblings from the leaf upwards.
///
/// # Panics
///
/// When `index` is not below the number of leaves.
#[must_use]
pub fn inclusion<H: Hashing>(leaves: &[Hash], index: usize) -> Vec<Hash> {
    assert!(index < leaves.len(), "a proof is of a leaf of the tree");
    if leaves.len() == 1 {
        return Vec::new();
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    if index < split {
        let mut path = inclusion::<H>(left, index);
        path.push(root::<H>(right.iter().copied()));
        path
    } else {
        let mut path = inclusion::<H>(right, index - split);
        path.push(root::<H>(left.iter().copied()));
        path
    }
}

/// The root an inclusion proof leads to (RFC 9162 section 2.1.3.2); `None` when the proof cannot be
/// one of leaf `index` of `size`.
#[must_use]
pub fn inclusion_root<H: Hashing>(
    leaf: Hash,
    index: u64,
    size: u64,
    path: &[Hash],
) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = H::node(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = H::node(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}
