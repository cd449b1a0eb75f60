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
