use super::*;
use crate::evidence::text::hex;
use proptest::prelude::*;

/// RFC 6962 section 2.1, word for word.
fn by_definition<H: Hashing>(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => H::empty(),
        [leaf] => *leaf,
        _ => {
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            H::node(
                &by_definition::<H>(&leaves[..split]),
                &by_definition::<H>(&leaves[split..]),
            )
        }
    }
}

fn leaves<H: Hashing>(count: usize) -> Vec<Hash> {
    (0..count).map(|n| H::leaf(&n.to_le_bytes())).collect()
}

#[test]
fn keys_and_empty_roots_are_the_published_ones() {
    assert_eq!(
        hex(&*LEAF_KEY),
        "7c32f2bf64bc6ef4e9299837cb54bc37e1104707e7dfd033b3d15036109232a7"
    );
    assert_eq!(
        hex(&*NODE_KEY),
        "ffeede4ae881bbb2e2be80f19820e2665270b6618e3e3762fdf596bed2746727"
    );
    assert_eq!(
        hex(&Records::empty()),
        "e307a24ff03a14ee0cfc19a99d3675e9a6887ecdf3be690f08f8d00a380731b1"
    );
    assert_eq!(
        hex(&Log::empty()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn streaming_gives_the_defined_root() {
    for count in (0..70).chain([1023, 1024, 1025, 3000]) {
        let leaves = leaves::<Records>(count);
        assert_eq!(
            root::<Records>(leaves.iter().copied()),
            by_definition::<Records>(&leaves),
            "{count}"
        );
    }
}

#[test]
fn blocks_are_subtrees_that_lead_to_the_root() {
    for count in [1, 1023, 1024, 1025, 2048, 5000, 10_240] {
        let leaves = leaves::<Records>(count);
        let mut tree = RecordTree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        let record_root = tree.root();
        let blocks = tree.into_blocks();
        assert_eq!(blocks.len(), count.div_ceil(1024));
        for (block, leaves) in blocks.iter().zip(leaves.chunks(1024)) {
            assert_eq!(*block, by_definition::<Records>(leaves));
        }
        assert_eq!(root::<Records>(blocks), record_root);
    }
}

proptest! {
    #[test]
    fn many_at_a_time_is_the_same_tree(batches in prop::collection::vec(0usize..200, 1..40)) {
        let all = leaves::<Records>(batches.iter().sum());
        let (mut one, mut many) = (RecordTree::default(), RecordTree::default());
        all.iter().for_each(|leaf| one.push(*leaf));
        let mut rest = all.clone();
        let mut rest = rest.as_mut_slice();
        for batch in batches {
            let (now, later) = rest.split_at_mut(batch);
            many.push_all(now);
            rest = later;
        }
        prop_assert_eq!(one.root(), many.root());
        prop_assert_eq!(one.into_blocks(), many.into_blocks());
    }

    #[test]
    fn every_leaf_has_a_proof(count in 1usize..300, index: prop::sample::Index) {
        let leaves = leaves::<Log>(count);
        let index = index.index(count);
        let path = inclusion::<Log>(&leaves, index);
        let root = by_definition::<Log>(&leaves);
        let claimed = |leaf, index: usize, size: usize, path: &[Hash]| {
            inclusion_root::<Log>(leaf, index as u64, size as u64, path)
        };
        prop_assert_eq!(claimed(leaves[index], index, count, &path), Some(root));
        prop_assert_ne!(claimed(Log::leaf(b"other"), index, count, &path), Some(root));
        prop_assert_eq!(claimed(leaves[index], count, count, &path), None);
        let mut longer = path.clone();
        longer.push(root);
        prop_assert_ne!(claimed(leaves[index], index, count, &longer), Some(root));
        if !path.is_empty() {
            prop_assert_ne!(claimed(leaves[index], index, count, &path[1..]), Some(root));
            prop_assert_ne!(claimed(leaves[index], index, count, &path[..path.len() - 1]), Some(root));
        }
    }
}

/// The proof of these leaves, and whether the tree that follows from it is the whole one.
fn shared<H: Hashing>(leaves: &[Hash], wanted: &[u64]) -> (Vec<(u64, Hash)>, Vec<Hash>) {
    let mut subtree = |range: std::ops::Range<u64>| {
        let (start, end) = (range.start as usize, range.end as usize);
        Ok::<_, ()>(root::<H>(leaves[start..end].iter().copied()))
    };
    let proof = shared_proof(leaves.len() as u64, wanted, &mut subtree).unwrap();
    let known = wanted.iter().map(|at| (*at, leaves[*at as usize]));
    (known.collect(), proof)
}

proptest! {
    #[test]
    fn a_shared_proof_leads_to_the_root_and_to_earlier_ones(
        count in 1..200_usize,
        wanted in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
    ) {
        let leaves = leaves::<Log>(count);
        let wanted: std::collections::BTreeSet<u64> =
            wanted.iter().map(|at| at.index(count) as u64).collect();
        let wanted: Vec<u64> = wanted.into_iter().collect();
        let (known, proof) = shared::<Log>(&leaves, &wanted);
        let tree = PartialTree::<Log>::new(count as u64, &known, &proof).unwrap();
        prop_assert_eq!(tree.root(), Some(by_definition::<Log>(&leaves)));
        for at in &wanted {
            let earlier = by_definition::<Log>(&leaves[..=*at as usize]);
            prop_assert_eq!(tree.root_of(at + 1), Some(earlier));
        }
        prop_assert_eq!(tree.root_of(0), None);
        prop_assert_eq!(tree.root_of(count as u64 + 1), None);
        // No other number of hashes is a proof.
        let mut longer = proof.clone();
        longer.push([0; 32]);
        prop_assert!(PartialTree::<Log>::new(count as u64, &known, &longer).is_none());
        if let Some((_, shorter)) = proof.split_last() {
            prop_assert!(PartialTree::<Log>::new(count as u64, &known, shorter).is_none());
        }
        // Every hash counts, and every leaf.
        for at in 0..proof.len() {
            let mut other = proof.clone();
            other[at][0] ^= 1;
            let tree = PartialTree::<Log>::new(count as u64, &known, &other).unwrap();
            prop_assert_ne!(tree.root(), Some(by_definition::<Log>(&leaves)));
        }
    }
}

#[test]
fn a_proof_of_one_leaf_has_the_hashes_of_its_inclusion_proof() {
    let leaves = leaves::<Records>(77);
    for at in 0..77 {
        let (_, mut proof) = shared::<Records>(&leaves, &[at]);
        let mut path = inclusion::<Records>(&leaves, at as usize);
        proof.sort_unstable();
        path.sort_unstable();
        assert_eq!(proof, path, "leaf {at}");
    }
}

#[test]
fn what_is_no_partial_tree_is_refused() {
    let hash = [7; 32];
    let tree = PartialTree::<Log>::new;
    assert!(tree(0, &[], &[]).is_none());
    assert!(tree(2, &[], &[hash]).is_none());
    assert!(tree(2, &[(2, hash)], &[hash]).is_none());
    assert!(tree(2, &[(1, hash), (0, hash)], &[]).is_none());
    assert!(tree(2, &[(1, hash), (1, hash)], &[]).is_none());
    // However large a tree is said to be.
    let huge = tree(u64::MAX, &[(5, hash)], &[hash; 64]).unwrap();
    assert!(huge.root().is_some());
    assert!(huge.root_of(1 << 63).is_some());
    assert_eq!(huge.root_of((1 << 63) + 1), None);
}
