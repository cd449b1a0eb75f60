use lineage_common::frame::{Flags, Header, Kind};
use proptest::prelude::*;
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::*;
use crate::batch::Place;

/// The order and the memory its frames are in.
#[derive(Default)]
struct Kept {
    order: Order,
    words: Words,
}

#[derive(Default)]
struct Words(Vec<u64>);

impl Frames for Words {
    fn frame(&self, place: &Place) -> &[u8] {
        let start = usize::try_from(place.position).unwrap();
        &self.0.as_bytes()[start..start + place.len as usize]
    }
}

fn frame(cpu: u32, number: u64, time: u64) -> Vec<u8> {
    let header = Header {
        len: u32::try_from(size_of::<Header>()).unwrap(),
        kind: Kind::EXIT,
        flags: Flags::default(),
        number,
        time,
        start: 0,
        result: 0,
        cpu,
        pid: 1,
        tid: 1,
        lineage: 0,
        exec: 0,
        ruling: lineage_common::policy::Ruling::NONE,
        outcome: lineage_common::policy::Outcome::UNGOVERNED,
        generation: 0,
        comm: [0; 16],
        judged_len: 0,
        judged_at: 0,
    };
    header.as_bytes().to_vec()
}

fn push(kept: &mut Kept, frame: &[u8]) -> bool {
    let words = &mut kept.words.0;
    let place = Place {
        position: size_of_val(words.as_slice()) as u64,
        len: u32::try_from(frame.len()).unwrap(),
        ring: 0,
    };
    words.resize(words.len() + frame.len().div_ceil(8), 0);
    words.as_mut_bytes()[usize::try_from(place.position).unwrap()..][..frame.len()]
        .copy_from_slice(frame);
    let frame = kept.words.frame(&place);
    kept.order.arrived.push(frame, place).is_some()
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Frame(u32, u64),
    Loss(u32, u64, u64),
}

fn release(kept: &mut Kept, time: u64, numbers: &[u64]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let watermark = Watermark {
        time,
        numbers: numbers.to_vec(),
    };
    let Kept { order, words } = kept;
    order
        .release(&watermark, words, |ordered| -> Result<(), ()> {
            seen.push(match ordered {
                Ordered::Frame(bytes) => {
                    let header = Header::ref_from_prefix(bytes).unwrap().0;
                    Seen::Frame(header.cpu, header.number)
                }
                Ordered::Loss(loss) => Seen::Loss(loss.cpu, loss.first, loss.count),
            });
            Ok(())
        })
        .unwrap();
    seen
}

#[test]
fn frames_of_two_cpus_come_out_by_time() {
    let mut kept = Kept::default();
    for (cpu, number, time) in [(1, 0, 20), (1, 1, 40), (0, 0, 10), (0, 1, 30)] {
        assert!(push(&mut kept, &frame(cpu, number, time)));
    }
    let all = [
        Seen::Frame(0, 0),
        Seen::Frame(1, 0),
        Seen::Frame(0, 1),
        Seen::Frame(1, 1),
    ];
    assert_eq!(release(&mut kept, 100, &[2, 2]), all);
    assert_eq!(kept.order.arrived.entries(), []);
}

#[test]
fn nothing_at_or_after_the_watermark_is_released() {
    let mut kept = Kept::default();
    push(&mut kept, &frame(0, 0, 10));
    push(&mut kept, &frame(0, 1, 20));
    assert_eq!(release(&mut kept, 20, &[2]), [Seen::Frame(0, 0)]);
    assert_eq!(release(&mut kept, 21, &[2]), [Seen::Frame(0, 1)]);
}

#[test]
fn a_gap_in_the_numbers_is_a_counted_loss_in_its_place() {
    let mut kept = Kept::default();
    push(&mut kept, &frame(0, 0, 10));
    push(&mut kept, &frame(0, 5, 20));
    let seen = release(&mut kept, 100, &[6]);
    assert_eq!(
        seen,
        [Seen::Frame(0, 0), Seen::Loss(0, 1, 4), Seen::Frame(0, 5)]
    );
}

#[test]
fn a_loss_no_frame_follows_is_found_from_the_numbers() {
    let mut kept = Kept::default();
    push(&mut kept, &frame(0, 0, 10));
    assert_eq!(
        release(&mut kept, 100, &[3, 2]),
        [Seen::Frame(0, 0), Seen::Loss(0, 1, 2), Seen::Loss(1, 0, 2)]
    );
    assert_eq!(release(&mut kept, 200, &[3, 2]), []);
}

#[test]
fn a_pending_frame_is_not_taken_for_a_loss() {
    let mut kept = Kept::default();
    push(&mut kept, &frame(0, 0, 150));
    assert_eq!(release(&mut kept, 100, &[1]), []);
    assert_eq!(release(&mut kept, 200, &[1]), [Seen::Frame(0, 0)]);
}

#[test]
fn a_frame_without_a_header_or_from_no_cpu_is_refused() {
    let mut kept = Kept::default();
    assert!(!push(&mut kept, b"short"));
    assert!(!push(&mut kept, &frame(u32::MAX, 0, 0)));
    assert_eq!(kept.order.arrived.entries(), []);
}

proptest! {
    /// Whatever was lost and however the frames were batched: what comes out is in order, and
    /// frames and losses together account for every number exactly once.
    #[test]
    fn every_number_is_accounted_for_once(
        produced in prop::collection::vec((0u32..3, any::<bool>()), 0..200),
        cuts in prop::collection::vec(0u64..200, 0..5),
    ) {
        let mut numbers = [0u64; 3];
        let mut kept = Kept::default();
        let mut seen = Vec::new();
        for (time, (cpu, arrives)) in (0u64..).zip(produced) {
            if arrives {
                push(&mut kept, &frame(cpu, numbers[cpu as usize], time));
            }
            numbers[cpu as usize] += 1;
            if cuts.contains(&time) {
                seen.extend(release(&mut kept, time + 1, &numbers));
            }
        }
        seen.extend(release(&mut kept, u64::MAX, &numbers));
        let mut next = [0u64; 3];
        for item in seen {
            let (cpu, first, count) = match item {
                Seen::Frame(cpu, number) => (cpu, number, 1),
                Seen::Loss(cpu, first, count) => (cpu, first, count),
            };
            prop_assert_eq!(next[cpu as usize], first);
            next[cpu as usize] += count;
        }
        prop_assert_eq!(next, numbers);
    }
}
