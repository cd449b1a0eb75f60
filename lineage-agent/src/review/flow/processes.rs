//! Which program a process runs, and what it has in common with others as long as it does.

use std::collections::HashMap;

use super::places::{Place, Places};
use super::{Flow, Node, Rule};

/// Processes remembered at one time: more than a kernel runs.
const PROCESSES_MAX: usize = 1 << 22;

/// Things that one program has in common with others that are remembered.
const LASTING_MAX: usize = 1 << 16;

/// All processes that run, by `process_uid`.
#[derive(Debug, Default)]
pub(super) struct Processes {
    running: HashMap<Box<str>, Process>,
}

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    /// A number of its own.
    pub(super) id: u64,
    /// What it runs.
    pub(super) program: Node,
    lasting: Vec<Lasting>,
}

/// Data that can move until the program ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lasting {
    pub(super) other: Other,
    pub(super) since: u64,
    pub(super) rule: Rule,
    /// Whether it can move to the program, and from it.
    pub(super) ways: [bool; 2],
}

/// What the program has something in common with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Other {
    Place(Place),
    Program(Node),
}

impl Processes {
    /// The process with this `process_uid`.
    pub(super) fn get(&self, uid: &str) -> Option<&Process> {
        self.running.get(uid)
    }

    /// Notes that the process runs this program from here on.
    pub(super) fn becomes(
        &mut self,
        uid: &str,
        program: Node,
        seq: u64,
        places: &Places,
        out: &mut Vec<Flow>,
    ) {
        let known = self.running.remove(uid);
        if let Some(process) = &known {
            process.ended(seq, places, out);
        }
        if self.running.len() < PROCESSES_MAX {
            let id = known.map_or(program.seq(), |process| process.id);
            let process = Process {
                id,
                program,
                lasting: Vec::new(),
            };
            self.running.insert(uid.into(), process);
        }
    }

    /// Notes what a program has in common with another from here on.
    pub(super) fn lasts(&mut self, uid: &str, program: Node, lasting: Lasting) {
        let process = self.running.get_mut(uid);
        if let Some(process) = process.filter(|process| process.program == program)
            && process.lasting.len() < LASTING_MAX
        {
            process.lasting.push(lasting);
        }
    }

    /// The process ended.
    pub(super) fn ends(&mut self, uid: &str, seq: u64, places: &Places, out: &mut Vec<Flow>) {
        if let Some(process) = self.running.remove(uid) {
            process.ended(seq, places, out);
        }
    }

    /// What lasts as long as something is recorded.
    pub(super) fn finish(self, places: &Places, out: &mut Vec<Flow>) {
        let mut left: Vec<_> = self.running.into_values().collect();
        left.sort_unstable_by_key(|process| process.id);
        for process in left {
            process.ended(u64::MAX, places, out);
        }
    }
}

impl Process {
    /// Adds what could move while the program ran.
    fn ended(&self, last: u64, places: &Places, out: &mut Vec<Flow>) {
        for lasting in &self.lasting {
            let Lasting {
                since, rule, ways, ..
            } = *lasting;
            let others = match lasting.other {
                Other::Program(program) => vec![(program, since, last)],
                Other::Place(Place::File(file)) => places.contents(file, since, last),
                Other::Place(_) => Vec::new(),
            };
            for (other, first, last) in others {
                let both = [(other, self.program), (self.program, other)];
                for ((from, to), _) in both.into_iter().zip(ways).filter(|(_, goes)| *goes) {
                    out.push(Flow {
                        from,
                        to,
                        first,
                        last,
                        record: since,
                        rule,
                    });
                }
            }
        }
    }
}
