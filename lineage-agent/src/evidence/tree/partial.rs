//! One proof for many leaves: the roots of the largest subtrees that hold none of them, left to right.
//!
//! Whoever knows size and leaves knows which subtrees these are, so the roots alone are the proof, none of
//! them twice. A proof of one leaf has the hashes of its inclusion proof in another order.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Hash, Hashing};

/// Makes the proof of the leaves with these ascending indexes, out of a tree of this size. `subtree` gives the
/// root over a range of leaves, which is a subtree of the tree.
///
/// # Errors
///
/// What `subtree` returns.
pub fn shared_proof<E>(
    size: u64,
    wanted: &[u64],
    subtree: &mut impl FnMut(Range<u64>) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let mut proof = Vec::new();
    cover(0..size, wanted, &mut |range| {
        proof.push(subtree(range)?);
        Ok(())
    })?;
    Ok(proof)
}

/// Visits the largest subtrees of a range that hold no wanted leaf, left to right.
fn cover<E>(
    range: Range<u64>,
    wanted: &[u64],
    visit: &mut impl FnMut(Range<u64>) -> Result<(), E>,
) -> Result<(), E> {
    if wanted.is_empty() {
        return visit(range);
    }
    let Some(middle) = split(&range) else {
        return Ok(());
    };
    let (left, right) = wanted.split_at(wanted.partition_point(|index| *index < middle));
    cover(range.start..middle, left, visit)?;
    cover(middle..range.end, right, visit)
}

/// Where the right half of a subtree begins; none of a leaf.
fn split(range: &Range<u64>) -> Option<u64> {
    let length = range.end.saturating_sub(range.start);
    (length > 1).then(|| range.start + (1 << (length - 1).ilog2()))
}

/// A tree of which some leaves are known, and of everything else the roots of subtrees.
#[derive(Debug)]
pub struct PartialTree<H> {
    size: u64,
    /// By first and last leaf.
    known: BTreeMap<(u64, u64), Hash>,
    hashing: std::marker::PhantomData<H>,
}

impl<H: Hashing> PartialTree<H> {
    /// Puts together leaves, by their indexes, and their proof. `None` when it cannot be one: there are no leaves, they
    /// do not ascend or are not in a tree of this size, or the proof has more or fewer hashes than it must.
    #[must_use]
    pub fn new(size: u64, leaves: &[(u64, Hash)], proof: &[Hash]) -> Option<Self> {
        let indexes: Vec<u64> = leaves.iter().map(|(index, _)| *index).collect();
        if !indexes.is_sorted_by(|one, next| one < next) || *indexes.last()? >= size {
            return None;
        }
        let mut known: BTreeMap<_, _> = (leaves.iter())
            .map(|(index, hash)| ((*index, *index), *hash))
            .collect();
        let mut rest = proof.iter();
        cover(0..size, &indexes, &mut |range| {
            let hash = rest.next().ok_or(())?;
            known.insert((range.start, range.end - 1), *hash);
            Ok::<_, ()>(())
        })
        .ok()?;
        rest.next().is_none().then_some(Self {
            size,
            known,
            hashing: std::marker::PhantomData,
        })
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        self.root_of(self.size)
    }

    /// The root the tree had when it had so many leaves, if it follows: it does where the last of these is known.
    #[must_use]
    pub fn root_of(&self, size: u64) -> Option<Hash> {
        if size == 0 || size > self.size {
            return None;
        }
        self.fold(0..size)
    }

    fn fold(&self, range: Range<u64>) -> Option<Hash> {
        if let Some(hash) = self.known.get(&(range.start, range.end - 1)) {
            return Some(*hash);
        }
        let middle = split(&range)?;
        let left = self.fold(range.start..middle)?;
        Some(H::node(&left, &self.fold(middle..range.end)?))
    }
}
