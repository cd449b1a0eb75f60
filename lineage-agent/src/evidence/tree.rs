//! Merkle trees of RFC 6962's shape: streaming roots, inclusion proofs.
//!
//! Two of them are in the format: the record tree of a segment (keyed BLAKE3) and the host log over
//! manifests (SHA-256, as RFC 6962 has it), which is also the tree over epoch statements.

use std::marker::PhantomData;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// A hash of either tree.
pub type Hash = [u8; 32];

/// Records whose subtree root `blocks/<segment>` keeps.
pub const BLOCK_RECORDS: u64 = 1 << BLOCK_LEVEL;

/// Level of a block's root above the leaves.
pub const BLOCK_LEVEL: usize = 10;

/// How a tree hashes.
pub trait Hashing {
    /// Hash of a leaf's data.
    fn leaf(data: &[u8]) -> Hash;
    /// Hash of an inner node.
    fn node(left: &Hash, right: &Hash) -> Hash;
    /// Root of a tree without leaves.
    fn empty() -> Hash;
}

/// The record tree.
#[derive(Debug, Clone, Copy)]
pub struct Records;

/// The host log.
#[derive(Debug, Clone, Copy)]
pub struct Log;

static LEAF_KEY: LazyLock<Hash> = LazyLock::new(|| blake3::derive_key("lineage v1 leaf", &[]));
static NODE_KEY: LazyLock<Hash> = LazyLock::new(|| blake3::derive_key("lineage v1 node", &[]));

impl Hashing for Records {
    #[inline]
    fn leaf(data: &[u8]) -> Hash {
        *blake3::keyed_hash(&LEAF_KEY, data).as_bytes()
    }

    #[inline]
    fn node(left: &Hash, right: &Hash) -> Hash {
        let mut both = [0; 64];
        both[..32].copy_from_slice(left);
        both[32..].copy_from_slice(right);
        *blake3::keyed_hash(&NODE_KEY, &both).as_bytes()
    }

    fn empty() -> Hash {
        *blake3::keyed_hash(&NODE_KEY, &[]).as_bytes()
    }
}

impl Hashing for Log {
    fn leaf(data: &[u8]) -> Hash {
        Sha256::new()
            .chain_update([0])
            .chain_update(data)
            .finalize()
            .into()
    }

    fn node(left: &Hash, right: &Hash) -> Hash {
        Sha256::new()
            .chain_update([1])
            .chain_update(left)
            .chain_update(right)
            .finalize()
            .into()
    }

    fn empty() -> Hash {
        Sha256::digest([]).into()
    }
}

/// A tree as it grows: only the roots of its complete subtrees, one per set bit of its size.
#[derive(Debug, Clone)]
pub struct Frontier<H> {
    /// `subtrees[level]` is meaningful when bit `level` of `size` is set.
    subtrees: [Hash; 64],
    size: u64,
    hashing: PhantomData<H>,
}

impl<H: Hashing> Default for Frontier<H> {
    fn default() -> Self {
        Self {
            subtrees: [[0; 32]; 64],
            size: 0,
            hashing: PhantomData,
        }
    }
}

impl<H: Hashing> Frontier<H> {
    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf's hash. `completed` is called with level and root of every subtree above the
    /// leaf that this completes, lowest first.
    #[inline]
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(usize, &Hash)) {
        let mut hash = leaf;
        let mut level = 0;
        while self.size >> level & 1 == 1 {
            hash = H::node(&self.subtrees[level], &hash);
            level += 1;
            completed(level, &hash);
        }
        self.subtrees[level] = hash;
        self.size += 1;
    }

    /// Appends a complete subtree of `level`: 2^level leaves at once. Its place must be free, which
    /// it is when larger subtrees come first.
    pub fn push_subtree(&mut self, level: usize, subtree: Hash) {
        let mut hash = subtree;
        let mut at = level;
        while self.size >> at & 1 == 1 {
            hash = H::node(&self.subtrees[at], &hash);
            at += 1;
        }
        self.subtrees[at] = hash;
        self.size += 1 << level;
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.fold(64).unwrap_or_else(H::empty)
    }

    /// Root over the leaves after the last complete subtree of `level`; `None` when there are none.
    #[must_use]
    pub fn tail(&self, level: usize) -> Option<Hash> {
        self.fold(level)
    }

    fn fold(&self, below: usize) -> Option<Hash> {
        (0..below)
            .filter(|level| self.size >> level & 1 == 1)
            .map(|level| self.subtrees[level])
            .reduce(|right, left| H::node(&left, &right))
    }
}

/// Root over leaf hashes.
pub fn root<H: Hashing>(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut frontier = Frontier::<H>::default();
    for leaf in leaves {
        frontier.push(leaf, |_, _| ());
    }
    frontier.root()
}

/// The record tree of a segment with the roots of its blocks.
#[derive(Debug, Clone, Default)]
pub struct RecordTree {
    frontier: Frontier<Records>,
    blocks: Vec<Hash>,
}

impl RecordTree {
    /// Appends a record by its leaf hash.
    #[inline]
    pub fn push(&mut self, leaf: Hash) {
        let blocks = &mut self.blocks;
        self.frontier.push(leaf, |level, hash| {
            if level == BLOCK_LEVEL {
                blocks.push(*hash);
            }
        });
    }

    /// Records so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The record root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Roots of all blocks, the last perhaps shorter.
    #[must_use]
    pub fn into_blocks(mut self) -> Vec<Hash> {
        self.blocks.extend(self.frontier.tail(BLOCK_LEVEL));
        self.blocks
    }
}

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

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
