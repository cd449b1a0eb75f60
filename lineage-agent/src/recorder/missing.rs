//! What is not recorded and only counted: for which the tables of the kernel side had no room, and what
//! else became no frame. The counters are signed with the evidence; here they are put in words.

use std::fmt;

use lineage_common::frame::CpuCounters;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{RecordError, engine::Recording, now_ns};
use crate::{counted::counted, probe::Probes};

/// How often something was not recorded since recording began, by the name of the counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// There was no room for a descriptor.
    pub descriptors_full: u64,
    /// There was no room for the count of a call.
    pub tallies_full: u64,
    /// There was no room for a process.
    pub tasks_full: u64,
    /// A probe interrupted another one.
    pub busy: u64,
    /// What was asked at a hook was not looked at.
    pub unjudged: u64,
    /// A decision is in no record.
    pub undecided: u64,
    /// The recorder, or the kernel before any probe ran, let an event go.
    pub dropped: u64,
}

/// One of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Its name.
    pub counter: &'static str,
    /// How often.
    pub times: u64,
    /// What that means: goes on after "so many times".
    pub what: &'static str,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", counted(self.times, "time", "times"), self.what)
    }
}

impl Missed {
    /// For a record, as JSON.
    pub(super) fn detail(&self) -> String {
        json!({ "what": self.what, "times": self.times, "counter": self.counter }).to_string()
    }
}

impl Missing {
    /// What all CPUs have counted, and what the recorder has.
    pub(super) fn of(cpus: impl IntoIterator<Item = CpuCounters>, dropped: u64) -> Self {
        let mut missing = Self {
            dropped,
            ..Self::default()
        };
        for cpu in cpus {
            missing.descriptors_full += cpu.descriptors_full;
            missing.tallies_full += cpu.tallies_full;
            missing.tasks_full += cpu.tasks_full;
            missing.busy += cpu.busy;
            missing.unjudged += cpu.unjudged;
            missing.undecided += cpu.undecided;
        }
        missing
    }

    /// What an operator is to hear of that begins to be missing; this says what was heard of. The probes
    /// themselves say when a process is not recorded.
    pub(super) fn warnings(&mut self, probes: &Probes) -> Vec<String> {
        let cpus = (0..probes.cpus()).map(|cpu| probes.counters(cpu));
        let now = Self {
            tasks_full: 0,
            ..Self::of(cpus, 0)
        };
        let heard = *self;
        let more = now.since(self, false);
        let begins = |missed: &&Missed| heard.told().all(|heard| heard.counter != missed.counter);
        let first = more.iter().filter(begins);
        first
            .map(|missed| format!("{missed}; the evidence counts how often that is"))
            .collect()
    }

    /// What there is of it.
    pub fn told(&self) -> impl Iterator<Item = Missed> + use<> {
        self.all().into_iter().filter(|missed| missed.times > 0)
    }

    /// What has come to these since `told`, which is brought up to date. Before the `last` time, only of
    /// counters that have doubled at least: each is told when it begins, and not again and again.
    pub(super) fn since(&self, told: &mut Self, last: bool) -> Vec<Missed> {
        let mut more = Vec::new();
        for (now, told) in self.all().into_iter().zip(told.all_mut()) {
            let times = now.times.saturating_sub(*told);
            if times > 0 && (last || times >= *told) {
                *told = now.times;
                more.push(Missed { times, ..now });
            }
        }
        more
    }

    fn all(&self) -> [Missed; 7] {
        [
            (
                "descriptors_full",
                self.descriptors_full,
                "there was no room for a descriptor: its reads, writes and totals are missing",
            ),
            (
                "tallies_full",
                self.tallies_full,
                "there was no room to count a call: how often it was made is missing",
            ),
            (
                "tasks_full",
                self.tasks_full,
                "there was no room for a process: what it and its descendants do is missing",
            ),
            (
                "busy",
                self.busy,
                "a probe was interrupted by another, whose event is missing",
            ),
            (
                "unjudged",
                self.unjudged,
                "there was no room to judge an act before it happened: it was denied where the policy is enforced",
            ),
            (
                "undecided",
                self.undecided,
                "a decision was made about an act that has no record",
            ),
            (
                "dropped",
                self.dropped,
                "the recorder, or the kernel before any probe ran, let an event go",
            ),
        ]
        .map(|(counter, times, what)| Missed {
            counter,
            times,
            what,
        })
    }

    /// The counters in the order of [`Self::all`].
    fn all_mut(&mut self) -> [&mut u64; 7] {
        [
            &mut self.descriptors_full,
            &mut self.tallies_full,
            &mut self.tasks_full,
            &mut self.busy,
            &mut self.unjudged,
            &mut self.undecided,
            &mut self.dropped,
        ]
    }
}

impl Recording {
    /// Records what more is missing than there are records of. The `last` time that is all of it.
    pub(super) fn missing(&mut self, now: &Missing, last: bool) -> Result<(), RecordError> {
        for missed in now.since(&mut self.missing, last) {
            self.fold
                .missing(now_ns(), &missed.detail(), &mut self.sink)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros as _;

    #[test]
    fn what_all_processors_counted_is_said_in_words() {
        let mut cpus = [CpuCounters::new_zeroed(); 2];
        (cpus[0].descriptors_full, cpus[1].descriptors_full) = (98_000, 208);
        cpus[1].tasks_full = 1;
        let missing = Missing::of(cpus, 0);
        let said: Vec<String> = missing.told().map(|missed| missed.to_string()).collect();
        assert_eq!(
            said,
            [
                "98 208 times there was no room for a descriptor: its reads, writes and totals are missing",
                "1 time there was no room for a process: what it and its descendants do is missing",
            ]
        );
    }

    #[test]
    fn each_is_told_when_it_begins_when_it_doubles_and_at_the_end() {
        let mut told = Missing::default();
        let mut tell = |full, last| -> Vec<u64> {
            let now = Missing {
                tallies_full: full,
                ..Missing::default()
            };
            let more = now.since(&mut told, last);
            assert!(more.iter().all(|missed| missed.counter == "tallies_full"));
            more.iter().map(|missed| missed.times).collect()
        };
        assert!(tell(0, false).is_empty());
        assert_eq!(tell(3, false), [3]);
        assert!(tell(5, false).is_empty());
        assert_eq!(tell(6, false), [3]);
        assert_eq!(tell(7, true), [1]);
        assert!(tell(7, true).is_empty());
    }
}
