//! Merkle trees of RFC 6962's shape: streaming roots, inclusion proofs of one leaf or many.
//!
//! Two of them are in the format: the record tree of a segment (keyed BLAKE3) and the host log over
//! manifests (SHA-256, as RFC 6962 has it), which is also the tree over epoch statements.

mod partial;
mod proof;

pub use partial::{PartialTree, shared_proof};
pub use proof::{inclusion, inclusion_root};

use std::marker::PhantomData;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

pub use super::lanes::BATCH;
use super::lanes::keyed_hashes;

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
    pub fn push(&mut self, leaf: Hash, completed: impl FnMut(usize, &Hash)) {
        self.push_subtree(0, leaf, completed);
    }

    /// Appends a complete subtree of `level`, 2^level leaves at once, as [`Frontier::push`] does. Its
    /// place must be free, which it is when the size is a multiple of that.
    #[inline]
    pub fn push_subtree(
        &mut self,
        level: usize,
        subtree: Hash,
        mut completed: impl FnMut(usize, &Hash),
    ) {
        debug_assert!(self.size.is_multiple_of(1 << level));
        let mut hash = subtree;
        let mut at = level;
        while self.size >> at & 1 == 1 {
            hash = H::node(&self.subtrees[at], &hash);
            at += 1;
            completed(at, &hash);
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

/// Leaf hashes of encoded records, at most [`BATCH`] of them: as [`Records::leaf`] of each, in less
/// than half the time.
pub fn record_leaves(records: &[&[u8]], out: &mut [Hash]) {
    keyed_hashes(&LEAF_KEY, records, out);
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
        self.push_subtree(0, leaf);
    }

    /// Appends records by their leaf hashes, which are used up: many at a time is faster.
    pub fn push_all(&mut self, leaves: &mut [Hash]) {
        let mut rest = leaves;
        while !rest.is_empty() {
            // The largest complete subtree that can begin here.
            let room = (rest.len().ilog2()).min(self.size().trailing_zeros());
            let level = room.min(BATCH.ilog2()) as usize;
            let (subtree, tail) = rest.split_at_mut(1 << level);
            self.push_subtree(level, fold_subtree(subtree));
            rest = tail;
        }
    }

    fn push_subtree(&mut self, level: usize, root: Hash) {
        let blocks = &mut self.blocks;
        self.frontier.push_subtree(level, root, |level, hash| {
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

/// Root of a complete subtree of at most [`BATCH`] leaves, which are overwritten.
fn fold_subtree(hashes: &mut [Hash]) -> Hash {
    let mut len = hashes.len();
    while len > 1 {
        let mut nodes = [[0; 32]; BATCH / 2];
        let nodes = &mut nodes[..len / 2];
        let mut pairs: [&[u8]; BATCH / 2] = [&[]; BATCH / 2];
        for (pair, both) in pairs
            .iter_mut()
            .zip(hashes[..len].as_flattened().chunks(64))
        {
            *pair = both;
        }
        keyed_hashes(&NODE_KEY, &pairs[..len / 2], nodes);
        hashes[..len / 2].copy_from_slice(nodes);
        len /= 2;
    }
    hashes[0]
}

#[cfg(test)]
mod tests;
