//! What is known of each version of a file, and which lineages were told.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use crate::host::digest::{Found, Identity};

/// Most versions remembered; of one that was forgotten everything is found and told again.
const KNOWN_MAX: usize = 1 << 15;

/// How often a file is looked for that could not be had: another process may still hold it.
const TRIES_MAX: u8 = 4;

/// What to do about a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing: its lineage was told.
    Told,
    /// It is going to be read, under this ticket, and this lineage has to be told as well.
    Waits(u64),
    /// It was read; this lineage has to be told. With it, whether its last change was recent then: another
    /// one in the same tick, after it was read, would not show.
    Is(Found, bool),
    /// It has to be read.
    New,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// How often it was tried.
    tries: u8,
    /// The lineages that were told, or will be.
    lineages: Vec<u32>,
}

#[derive(Debug)]
enum State {
    Waits(u64),
    Found(Found, bool),
    /// In a word: why.
    Missed(&'static str),
}

/// Versions of files, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: HashMap<Identity, Entry, RandomState>,
    order: VecDeque<Identity>,
}

impl Known {
    /// What to do about this version of a file for this lineage; `room` says whether it could be read.
    pub(super) fn ask(&mut self, identity: &Identity, lineage: u32, room: bool) -> Asked {
        let Some(entry) = self.entries.get_mut(identity) else {
            return Asked::New;
        };
        let told = entry.lineages.contains(&lineage);
        match entry.state {
            State::Missed(why) => {
                let again = match why {
                    "queue-full" => room,
                    "gone" | "unreadable" => room && entry.tries < TRIES_MAX,
                    _ => false,
                };
                if told && !again {
                    Asked::Told
                } else {
                    Asked::New
                }
            }
            _ if told => Asked::Told,
            State::Waits(ticket) => {
                entry.lineages.push(lineage);
                Asked::Waits(ticket)
            }
            State::Found(found, recent) => {
                entry.lineages.push(lineage);
                Asked::Is(found, recent)
            }
        }
    }

    /// Whether this lineage was told of this version, or will be.
    pub(super) fn is_told(&self, identity: &Identity, lineage: u32) -> bool {
        self.entries.get(identity).is_some_and(|entry| {
            entry.lineages.contains(&lineage) && !matches!(entry.state, State::Missed(_))
        })
    }

    /// It is going to be read.
    pub(super) fn waits(&mut self, identity: Identity, lineage: u32, ticket: u64) {
        self.note(identity, lineage, State::Waits(ticket));
    }

    /// It is not going to be read.
    pub(super) fn failed(&mut self, identity: Identity, lineage: u32, why: &'static str) {
        self.note(identity, lineage, State::Missed(why));
    }

    /// It was read, and its last change was recent or was not.
    pub(super) fn found(&mut self, identity: Identity, found: Found, recent: bool) {
        if let Some(entry) = self.entries.get_mut(&identity) {
            entry.state = State::Found(found, recent);
        }
    }

    /// It was looked for in vain.
    pub(super) fn missed(&mut self, identity: Identity, why: &'static str) {
        if let Some(entry) = self.entries.get_mut(&identity) {
            entry.state = State::Missed(why);
        }
    }

    fn note(&mut self, identity: Identity, lineage: u32, state: State) {
        if let Some(entry) = self.entries.get_mut(&identity) {
            entry.state = state;
            entry.tries = entry.tries.saturating_add(1);
            if !entry.lineages.contains(&lineage) {
                entry.lineages.push(lineage);
            }
            return;
        }
        self.forget();
        self.order.push_back(identity);
        let entry = Entry {
            state,
            tries: 1,
            lineages: vec![lineage],
        };
        self.entries.insert(identity, entry);
    }

    /// Makes room; what is waited for stays.
    fn forget(&mut self) {
        let mut looked = 0;
        while self.order.len() >= KNOWN_MAX && looked < KNOWN_MAX {
            looked += 1;
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            let waits = |entry: &Entry| matches!(entry.state, State::Waits(_));
            if self.entries.get(&oldest).is_some_and(waits) {
                self.order.push_back(oldest);
            } else {
                self.entries.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lineage_common::frame::Version;

    use super::*;

    fn identity(ino: u64) -> Identity {
        Identity {
            dev: 1,
            ino,
            version: Version::default(),
        }
    }

    const FOUND: Found = Found {
        digest: [1; 32],
        other_device: false,
    };

    #[test]
    fn each_lineage_is_told_once_and_the_file_read_once() {
        let mut known = Known::default();
        let file = identity(1);
        assert_eq!(known.ask(&file, 0, true), Asked::New);
        known.waits(file, 0, 9);
        assert_eq!(known.ask(&file, 0, true), Asked::Told);
        assert_eq!(known.ask(&file, 1, true), Asked::Waits(9));
        assert_eq!(known.ask(&file, 1, true), Asked::Told);
        known.found(file, FOUND, true);
        assert_eq!(known.ask(&file, 0, true), Asked::Told);
        assert_eq!(known.ask(&file, 2, true), Asked::Is(FOUND, true));
        assert_eq!(known.ask(&file, 2, true), Asked::Told);
    }

    #[test]
    fn what_was_missed_is_looked_for_again_but_not_for_ever() {
        let mut known = Known::default();
        let file = identity(1);
        known.failed(file, 0, "queue-full");
        assert_eq!(known.ask(&file, 0, false), Asked::Told);
        assert_eq!(known.ask(&file, 0, true), Asked::New);
        let mut tries = 1;
        while known.ask(&file, 0, true) == Asked::New {
            known.waits(file, 0, tries);
            known.missed(file, "gone");
            tries += 1;
        }
        assert_eq!(tries, u64::from(TRIES_MAX));
        known.failed(file, 0, "changed");
        assert_eq!(known.ask(&file, 0, true), Asked::Told);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_waited_for_stays() {
        let mut known = Known::default();
        known.waits(identity(0), 0, 5);
        let many = u64::try_from(KNOWN_MAX).unwrap() + 100;
        for ino in 1..many {
            known.failed(identity(ino), 0, "gone");
        }
        assert_eq!(known.entries.len(), KNOWN_MAX);
        assert_eq!(known.order.len(), KNOWN_MAX);
        assert_eq!(known.ask(&identity(0), 0, true), Asked::Told);
        assert_eq!(known.ask(&identity(1), 0, true), Asked::New);
    }
}
