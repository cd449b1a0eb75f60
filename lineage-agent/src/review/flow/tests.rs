//! Flows of small stories, and what is a cause in them.

use super::super::walk::{Direction, Limits, Sorted, Walk};
use super::*;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

const REGULAR: i64 = 0o100_644;
const PIPE: i64 = 0o010_600;

/// Records of two processes, `a` and `b`, that are made one after the other; their `seq` counts from 0.
#[derive(Default)]
struct Story {
    gather: Gather,
    next: u64,
}

impl Story {
    /// A lineage with two programs: their nodes.
    fn begin() -> (Self, [(&'static str, Node); 2]) {
        let mut story = Self::default();
        story.say(Record {
            kind: Some(kinds::LINEAGE_START),
            ..Record::default()
        });
        let programs = ["a", "b"].map(|uid| {
            let seq = story.say(Record {
                kind: Some(kinds::PROCESS_SNAPSHOT),
                process_uid: Some(uid),
                cause: Some(0),
                ..Record::default()
            });
            (uid, Node::new(NodeKind::Program, seq))
        });
        (story, programs)
    }

    fn say(&mut self, record: Record<'_>) -> u64 {
        let seq = self.next;
        self.gather.record(&Record {
            seq: Some(seq),
            ..record
        });
        self.next += 1;
        seq
    }

    fn act(&mut self, who: (&'static str, Node), record: Record<'_>) -> u64 {
        self.say(Record {
            process_uid: Some(who.0),
            cause: Some(who.1.seq()),
            ..record
        })
    }

    fn open(&mut self, who: (&'static str, Node), ino: i64, flags: i64, size: i64) -> u64 {
        self.act(
            who,
            Record {
                kind: Some(kinds::FILE_OPEN),
                dev: Some(1),
                ino: Some(ino),
                mode: Some(REGULAR),
                flags: Some(flags),
                size: Some(size),
                result: Some(3),
                ..Record::default()
            },
        )
    }

    fn use_of(
        &mut self,
        who: (&'static str, Node),
        kind: &'static str,
        opened: u64,
        result: i64,
    ) -> u64 {
        self.act(
            who,
            Record {
                kind: Some(kind),
                opened: Some(opened),
                result: Some(result),
                ..Record::default()
            },
        )
    }

    fn close(&mut self, who: (&'static str, Node), opened: u64, moved: [u64; 2]) -> u64 {
        self.act(
            who,
            Record {
                kind: Some(kinds::FILE_CLOSE),
                opened: Some(opened),
                bytes_read: Some(moved[0]),
                bytes_written: Some(moved[1]),
                ..Record::default()
            },
        )
    }

    fn flows(self) -> Sorted {
        Sorted::new(self.gather.finish())
    }
}

/// All nodes that data can have come from, until this moment.
fn causes(flows: &Sorted, node: Node, time: u64) -> Vec<Node> {
    let limits = Limits {
        distance: u32::MAX,
        nodes: 1000,
    };
    let walk = Walk::new(flows, Direction::Back, &[(node, time)], limits, |_| true).unwrap();
    let mut nodes: Vec<_> = walk.reached().iter().map(|it| it.node).collect();
    nodes.sort_unstable();
    nodes
}

fn content(seq: u64) -> Node {
    Node::new(NodeKind::Content, seq)
}

#[test]
fn what_is_read_after_the_last_byte_was_written_is_no_cause() {
    let (mut story, [a, b]) = Story::begin();
    let out = story.open(a, 7, 0o1101, 0);
    let early = story.open(a, 8, 0, 5);
    story.use_of(a, kinds::FILE_READ, early, 5);
    story.use_of(a, kinds::FILE_WRITE, out, 5);
    let late = story.open(a, 9, 0, 5);
    story.use_of(a, kinds::FILE_READ, late, 5);
    story.close(a, late, [5, 0]);
    story.close(a, early, [5, 0]);
    // All that went out is what the one record says: it went in that moment.
    story.close(a, out, [0, 5]);
    let input = story.open(b, 7, 0, 5);
    let read = story.use_of(b, kinds::FILE_READ, input, 5);
    story.close(b, input, [5, 0]);
    let found = causes(&story.flows(), b.1, read);
    assert!(found.contains(&content(early)), "{found:?}");
    assert!(!found.contains(&content(late)), "{found:?}");
}

#[test]
fn what_is_read_before_more_was_written_may_be_a_cause() {
    let (mut story, [a, b]) = Story::begin();
    let out = story.open(a, 7, 0o1101, 0);
    story.use_of(a, kinds::FILE_WRITE, out, 5);
    let late = story.open(a, 9, 0, 5);
    story.use_of(a, kinds::FILE_READ, late, 5);
    story.close(a, late, [5, 0]);
    story.close(a, out, [0, 9]);
    let input = story.open(b, 7, 0, 9);
    let read = story.use_of(b, kinds::FILE_READ, input, 9);
    let flows = story.flows();
    let found = causes(&flows, b.1, read);
    assert!(found.contains(&content(late)), "{found:?}");
    // Nothing leads from who reads to who writes.
    assert!(!causes(&flows, a.1, read).contains(&b.1));
}

#[test]
fn what_was_in_a_file_before_it_was_emptied_is_no_cause() {
    let (mut story, [a, b]) = Story::begin();
    let secret = story.open(a, 8, 0, 5);
    story.use_of(a, kinds::FILE_READ, secret, 5);
    let out = story.open(a, 7, 0o1101, 0);
    story.use_of(a, kinds::FILE_WRITE, out, 5);
    story.close(a, out, [0, 5]);
    let emptied = story.open(b, 7, 0o1001, 0);
    story.use_of(b, kinds::FILE_WRITE, emptied, 3);
    story.close(b, emptied, [0, 3]);
    let input = story.open(b, 7, 0, 3);
    let read = story.use_of(b, kinds::FILE_READ, input, 3);
    story.close(b, input, [3, 0]);
    let found = causes(&story.flows(), b.1, read);
    assert!(found.contains(&content(emptied)), "{found:?}");
    assert!(!found.contains(&a.1), "{found:?}");
}

#[test]
fn a_pipe_carries_what_was_written_before_it_was_read() {
    let (mut story, [a, b]) = Story::begin();
    let end = |flags| Record {
        kind: Some(kinds::FILE_INHERIT),
        dev: Some(2),
        ino: Some(7),
        mode: Some(PIPE),
        flags: Some(flags),
        ..Record::default()
    };
    let [into, out] = [(a, 1), (b, 0)].map(|(who, flags)| story.act(who, end(flags)));
    let read = story.use_of(b, kinds::FILE_READ, out, 1);
    story.use_of(a, kinds::FILE_WRITE, into, 1);
    let later = story.use_of(b, kinds::FILE_READ, out, 1);
    story.close(a, into, [0, 1]);
    story.close(b, out, [2, 0]);
    let flows = story.flows();
    assert!(!causes(&flows, b.1, read).contains(&a.1));
    assert!(causes(&flows, b.1, later).contains(&a.1));
}

#[test]
fn effects_are_the_converse_of_causes() {
    let (mut story, [a, b]) = Story::begin();
    let mut opened = Vec::new();
    for (at, who) in [a, b, a, b, b, a].into_iter().enumerate() {
        for ino in [7, 8] {
            let one = story.open(who, ino, 2, i64::from(at > 0));
            story.use_of(who, kinds::FILE_READ, one, 3);
            story.use_of(who, kinds::FILE_WRITE, one, 3);
            opened.push((who, one));
        }
        if at % 2 == 1 {
            let (who, one) = opened.remove(0);
            story.close(who, one, [3, 4]);
        }
    }
    let last = story.next;
    let flows = story.flows();
    let limits = Limits {
        distance: u32::MAX,
        nodes: 1000,
    };
    let walk = |direction, start| Walk::new(&flows, direction, &[start], limits, |_| true).unwrap();
    let back = walk(Direction::Back, (b.1, last));
    let nodes: Vec<Node> = back.reached().iter().map(|it| it.node).collect();
    let mut pairs = 0;
    for &one in &nodes {
        for at in 0..last {
            let on = walk(Direction::On, (one, at));
            for &other in &nodes {
                for until in 0..last {
                    let back = walk(Direction::Back, (other, until));
                    let cause = back.find(one).is_some_and(|it| it.time >= at);
                    let effect = on.find(other).is_some_and(|it| it.time <= until);
                    assert_eq!(cause, effect, "{one:?} at {at}, {other:?} until {until}");
                    pairs += usize::from(cause);
                }
            }
        }
    }
    assert!(pairs > 100, "{pairs}");
}
