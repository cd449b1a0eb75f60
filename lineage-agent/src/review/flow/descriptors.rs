//! What went through descriptors: uses told of one by one, and their end with the sum of bytes.

use std::collections::HashMap;

use super::places::{Place, Places};
use super::{Flow, Node, Rule};

/// Descriptors remembered at one time: more than a recorder does.
const OPEN_MAX: usize = 1 << 20;

/// Uses of one descriptor that are kept until its end, to know whether they were all.
const USES_MAX: usize = 64;

/// Which way bytes went, seen from the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// All open descriptors, by the record that their close names.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    open: HashMap<u64, Descriptor>,
}

#[derive(Debug)]
struct Descriptor {
    place: Place,
    ways: [Uses; 2],
}

/// The uses of one way.
#[derive(Debug, Default)]
struct Uses {
    /// Program and `seq`, ascending.
    told: Vec<(Node, u64)>,
    /// Bytes that they moved.
    bytes: u64,
    /// Whether earlier ones were given away already, so that the sum says nothing.
    partial: bool,
}

/// The end of a descriptor, or of all that is recorded of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Who had it last.
    pub(super) program: Option<Node>,
    pub(super) seq: u64,
    /// Bytes in and out in all, when they are known.
    pub(super) moved: Option<[u64; 2]>,
}

impl Descriptors {
    /// Notes a descriptor.
    pub(super) fn opened(&mut self, seq: u64, place: Place) {
        if self.open.len() < OPEN_MAX {
            self.open.entry(seq).or_insert_with(|| Descriptor {
                place,
                ways: Default::default(),
            });
        }
    }

    /// Notes a use of a descriptor; false when the descriptor is not known.
    pub(super) fn used(
        &mut self,
        opened: u64,
        way: Way,
        one: (Node, u64, u64),
        places: &Places,
        out: &mut Vec<Flow>,
    ) -> bool {
        let (program, seq, bytes) = one;
        let Some(descriptor) = self.open.get_mut(&opened) else {
            return false;
        };
        let uses = &mut descriptor.ways[way as usize];
        if uses.told.len() == USES_MAX {
            let told = std::mem::take(&mut uses.told);
            uses.partial = true;
            spans(&told, (program, seq), |program, span| {
                push(descriptor.place, way, program, span, places, out);
            });
        }
        let uses = &mut descriptor.ways[way as usize];
        uses.told.push((program, seq));
        uses.bytes = uses.bytes.saturating_add(bytes);
        true
    }

    /// What went through a descriptor that ends.
    pub(super) fn closed(&mut self, opened: u64, end: End, places: &Places, out: &mut Vec<Flow>) {
        if let Some(descriptor) = self.open.remove(&opened) {
            descriptor.ended(opened, end, places, out);
        }
    }

    /// What went through all descriptors whose end is not recorded.
    pub(super) fn finish(mut self, places: &Places, out: &mut Vec<Flow>) {
        let mut left: Vec<_> = self.open.drain().collect();
        left.sort_unstable_by_key(|(opened, _)| *opened);
        let end = End {
            program: None,
            seq: u64::MAX,
            moved: None,
        };
        for (opened, descriptor) in left {
            descriptor.ended(opened, end, places, out);
        }
    }
}

impl Descriptor {
    fn ended(self, opened: u64, end: End, places: &Places, out: &mut Vec<Flow>) {
        for (way, mut uses) in [Way::In, Way::Out].into_iter().zip(self.ways) {
            let moved = end.moved.map(|moved| moved[way as usize]);
            if moved == Some(uses.bytes) && !uses.partial {
                for (program, seq) in uses.told {
                    push(self.place, way, program, (seq, seq, seq), places, out);
                }
                continue;
            }
            // The first use has no record of its own.
            if uses.told.is_empty()
                && moved > Some(0)
                && let Some(program) = end.program
            {
                uses.told.push((program, opened.max(program.seq())));
            }
            let last = end
                .program
                .or(uses.told.last().map(|(program, _)| *program));
            if let Some(last) = last {
                spans(&uses.told, (last, end.seq), |program, span| {
                    push(self.place, way, program, span, places, out);
                });
            }
        }
    }
}

/// The spans between uses: each ends with the next, or with its program, which the next record of the process
/// tells.
fn spans(told: &[(Node, u64)], end: (Node, u64), mut each: impl FnMut(Node, (u64, u64, u64))) {
    for (at, &(program, seq)) in told.iter().enumerate() {
        let (next, until) = told.get(at + 1).copied().unwrap_or(end);
        let last = if next == program { until } else { next.seq() };
        each(program, (seq, last.max(seq), seq));
    }
}

/// Adds the flows between a program and a place within a span (first, last, record).
fn push(
    place: Place,
    way: Way,
    program: Node,
    (first, last, record): (u64, u64, u64),
    places: &Places,
    out: &mut Vec<Flow>,
) {
    let mut add = |thing: Node, first, last| {
        let (from, to, rule) = match way {
            Way::In => (thing, program, Rule::Read),
            Way::Out => (program, thing, Rule::Write),
        };
        out.push(Flow {
            from,
            to,
            first,
            last,
            record,
            rule,
        });
    };
    match place {
        Place::File(file) => {
            for (content, first, last) in places.contents(file, first, last) {
                add(content, first, last);
            }
        }
        Place::Socket(socket) => {
            let thing = match way {
                Way::In => socket.received,
                Way::Out => socket.sent,
            };
            add(thing, first, last);
        }
        Place::Device(device) => add(device, first, last),
    }
}
