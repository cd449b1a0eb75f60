//! Frames in memory, as in a ring.

use lineage_agent::batch::{Frames, Place};
use lineage_common::frame::{Flags, Header, Kind};
use lineage_common::policy::{Operation, Outcome, Ruling};
use zerocopy::{Immutable, IntoBytes};

/// CPUs that make frames.
const CPUS: usize = 2;
/// From one frame to the next, in nanoseconds.
const STEP_NS: u64 = 10_000;

/// Who acts.
#[derive(Clone, Copy)]
pub(super) struct Actor {
    pub(super) pid: u32,
    /// Its start, in nanoseconds of boot time.
    pub(super) start: u64,
    pub(super) cpu: u32,
    pub(super) execs: u32,
    pub(super) comm: [u8; 16],
}

/// An act: everything of its frame but the body.
#[derive(Clone, Copy)]
pub(super) struct Act {
    pub(super) kind: Kind,
    pub(super) flags: Flags,
    pub(super) result: i64,
    /// Bytes of the path by which it was judged, which is the first of the texts; 0 where it was not.
    pub(super) judged_len: usize,
}

impl Act {
    pub(super) fn new(kind: Kind, result: i64) -> Self {
        Self {
            kind,
            flags: Flags::default(),
            result,
            judged_len: 0,
        }
    }

    /// One of which the kernel holds nothing, because it failed.
    pub(super) fn failed(kind: Kind, errno: i64) -> Self {
        Self {
            flags: Flags::CLAIMED,
            ..Self::new(kind, -errno)
        }
    }
}

/// The rules that allow, by their places in the list of all; none where nothing governs.
#[derive(Clone, Copy, Default)]
pub(super) struct Rules {
    pub(super) files: Option<u16>,
    pub(super) programs: Option<u16>,
}

/// The number of a frame, and the CPU that gave it.
pub(super) type Number = (u32, u64);

/// Frames one after the other.
pub struct Ring {
    /// Words, so that each frame is aligned as it is in a ring.
    words: Vec<u64>,
    places: Vec<Place>,
    numbers: [u64; CPUS],
    time_ns: u64,
    rules: Rules,
}

impl Ring {
    pub(super) fn new(begin_ns: u64, rules: Rules) -> Self {
        Self {
            words: Vec::new(),
            places: Vec::new(),
            numbers: [0; CPUS],
            time_ns: begin_ns,
            rules,
        }
    }

    /// Where the frames are, in the order of time.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Boot time in nanoseconds, after the last of them.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.time_ns
    }

    pub(super) fn push<T: IntoBytes + Immutable>(
        &mut self,
        who: &Actor,
        act: Act,
        body: &T,
        texts: &[&[u8]],
    ) -> Number {
        let text = texts.concat();
        let fixed = size_of::<Header>() + size_of::<T>();
        let len = fixed + text.len();
        let (ruling, outcome) = self.decision(act);
        let judged = outcome != Outcome::UNGOVERNED;
        let number = self.numbers[who.cpu as usize];
        let header = Header {
            len: u32::try_from(len).expect("frames are small"),
            kind: act.kind,
            flags: act.flags,
            number,
            time: self.time_ns,
            start: who.start,
            result: act.result,
            cpu: who.cpu,
            pid: who.pid,
            tid: who.pid,
            lineage: 0,
            exec: who.execs,
            ruling,
            outcome,
            generation: u32::from(judged),
            comm: who.comm,
            judged_len: if judged { act.judged_len as u32 } else { 0 },
            judged_at: if judged { fixed as u32 } else { 0 },
        };
        self.numbers[who.cpu as usize] += 1;
        self.time_ns += STEP_NS;
        let begin = self.words.len();
        self.words.resize(begin + len.div_ceil(8), 0);
        let frame = [header.as_bytes(), body.as_bytes(), &text].concat();
        self.words[begin..].as_mut_bytes()[..len].copy_from_slice(&frame);
        self.places.push(Place {
            position: 8 * begin as u64,
            len: len as u32,
            ring: 0,
        });
        (who.cpu, number)
    }

    /// What was decided about it.
    fn decision(&self, act: Act) -> (Ruling, Outcome) {
        let (operation, rule) = match act.kind {
            Kind::FILE_OPEN => (Operation::READ, self.rules.files),
            Kind::EXEC => (Operation::EXEC, self.rules.programs),
            _ => return (Ruling::NONE, Outcome::UNGOVERNED),
        };
        match rule {
            Some(rule) if act.judged_len > 0 => {
                let ruling = Ruling {
                    allowed: 1,
                    level: 0,
                    rule,
                };
                (ruling, Outcome(Outcome::ALLOWED.0 | Outcome::of(operation)))
            }
            _ => (Ruling::NONE, Outcome::UNGOVERNED),
        }
    }
}

impl Frames for Ring {
    fn frame(&self, place: &Place) -> &[u8] {
        let begin = usize::try_from(place.position).expect("it is in memory");
        &self.words.as_bytes()[begin..begin + place.len as usize]
    }
}
