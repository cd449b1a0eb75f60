//! Flows in files are those in memory, and a damaged file says so.

use std::fs;
use std::ops::ControlFlow;

use proptest::prelude::*;

use super::super::flow::{NodeKind, Rule};
use super::*;

const KINDS: [NodeKind; 5] = [
    NodeKind::Program,
    NodeKind::Content,
    NodeKind::Sent,
    NodeKind::Received,
    NodeKind::Device,
];

/// A few nodes, so that flows meet, and times from near to as far as they can be.
fn flow() -> impl Strategy<Value = Flow> {
    let node = (0..KINDS.len(), prop_oneof![0..9_u64, Just((1 << 60) - 1)]);
    let node = node.prop_map(|(kind, seq)| Node::new(KINDS[kind], seq));
    let time = prop_oneof![4 => 0..20_u64, 1 => Just(u64::MAX)];
    let rule = (0..Rule::ALL.len()).prop_map(|rule| Rule::ALL[rule]);
    let times = (time.clone(), time.clone(), time);
    (node.clone(), node, times, rule).prop_map(|(from, to, (one, other, record), rule)| Flow {
        from,
        to,
        first: one.min(other),
        last: one.max(other),
        record,
        rule,
    })
}

/// Writes flows as an index, a few in memory at a time.
fn written(flows: &[Flow], memory: usize, covers: &Covers) -> (tempfile::TempDir, Dir) {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::open(place.path()).unwrap();
    for (order, name) in NAMES {
        let mut sorter = Sorter::new(order, memory);
        for flow in flows {
            if sorter.push(*flow) {
                sorter.spill(&dir).unwrap();
            }
        }
        sorter.finish(&dir, name, covers).unwrap();
    }
    (place, dir)
}

/// All that can be found: for each node and time what leads there and what goes out.
fn found(flows: &dyn Flows, nodes: &[Node]) -> Result<Vec<Flow>> {
    let mut all = Vec::new();
    let visit = &mut |flow: &Flow| {
        all.push(*flow);
        ControlFlow::Continue(())
    };
    for &node in nodes {
        for time in [0, 3, 19, u64::MAX] {
            flows.each_into(node, time, visit)?;
            flows.each_out_of(node, time, visit)?;
        }
    }
    Ok(all)
}

fn nodes(flows: &[Flow]) -> Vec<Node> {
    let mut nodes: Vec<_> = flows.iter().flat_map(|flow| [flow.from, flow.to]).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

proptest! {
    #[test]
    fn files_give_what_memory_gives(
        flows in prop::collection::vec(flow(), 0..4000),
        memory in prop_oneof![Just(7_usize), 500..5000_usize],
    ) {
        let (_place, dir) = written(&flows, memory.max(flows.len() / 50), &Covers::default());
        let index = Index::open(&dir).unwrap().expect("both files");
        let nodes = nodes(&flows);
        let expected = found(&Sorted::new(flows), &nodes).unwrap();
        prop_assert!(found(&index, &nodes).unwrap() == expected);
        // Nothing is left of the way there.
        prop_assert_eq!(dir.names().unwrap().len(), 2);
    }
}

#[test]
fn a_changed_byte_is_noticed() {
    let flows: Vec<Flow> = (0..40)
        .map(|seq| Flow {
            from: Node::new(NodeKind::Program, seq % 3),
            to: Node::new(NodeKind::Content, seq % 5),
            first: seq,
            last: seq + 1,
            record: seq,
            rule: Rule::Write,
        })
        .collect();
    let covers = Covers {
        segments: 2,
        root: [7; 32],
        records: 40,
    };
    let (place, dir) = written(&flows, 10, &covers);
    let nodes = nodes(&flows);
    let whole = Index::open(&dir).unwrap().unwrap();
    assert_eq!(*whole.files[0].covers(), covers);
    let expected = found(&whole, &nodes).unwrap();
    let path = place.path().join(NAMES[0].1);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        fs::write(&path, &changed).unwrap();
        // Another one is covered, so both files are not of one piece; or it is an error; or the file is none.
        if let Some(index) = Index::open(&dir).unwrap() {
            let again = found(&index, &nodes);
            assert!(
                again.is_err(),
                "byte {at}: {:?}",
                again.map(|again| again == expected)
            );
        }
    }
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(Index::open(&dir).unwrap().is_none(), "{length} bytes");
    }
}
