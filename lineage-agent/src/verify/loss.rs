//! Losses: what the kernel and the recorder counted, and whether the records own up to it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::chain::SessionEnd;
use super::finding::{Code, Finding};
use super::findings::Findings;
use crate::counted::counted;
use crate::evidence::counters::{Counters, CpuCount};

/// Losses of a host over all sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Events the kernel had no room for.
    pub lost: u64,
    /// Probe runs that could not even count.
    pub busy: u64,
    /// Descriptors and processes for which a table was full.
    pub full: u64,
    /// System calls of 32-bit programs, not decoded.
    pub compat: u64,
    /// Events the recorder dropped.
    pub dropped: u64,
}

/// Checks what every session counted at its end against its loss records.
pub(super) fn check(
    sessions: &[SessionEnd],
    recorded: &BTreeMap<(u64, u32), u64>,
    findings: &mut Findings,
) -> Loss {
    let mut total = Loss::default();
    for end in sessions {
        let loss = sum(&end.counters);
        total.add(&loss);
        report(end.session, &loss, findings);
        if end.orderly {
            compare(end, recorded, findings);
        }
    }
    total
}

impl Loss {
    fn add(&mut self, other: &Self) {
        let sum = |one: &mut u64, other: u64| *one = one.saturating_add(other);
        sum(&mut self.lost, other.lost);
        sum(&mut self.busy, other.busy);
        sum(&mut self.full, other.full);
        sum(&mut self.compat, other.compat);
        sum(&mut self.dropped, other.dropped);
    }
}

fn sum(counters: &Counters) -> Loss {
    let over = |value: fn(&CpuCount) -> u64| {
        let add = |sum: u64, cpu: &CpuCount| sum.saturating_add(value(cpu));
        counters.cpus.iter().fold(0, add)
    };
    Loss {
        lost: over(CpuCount::lost_total),
        busy: over(|cpu| cpu.busy),
        full: over(|cpu| cpu.descriptors_full.saturating_add(cpu.tasks_full)),
        compat: over(|cpu| cpu.compat),
        dropped: counters.dropped,
    }
}

fn report(session: u64, loss: &Loss, findings: &mut Findings) {
    let Loss {
        lost,
        busy,
        full,
        compat,
        dropped,
    } = *loss;
    let what = [
        (lost, "event lost", "events lost"),
        (
            busy,
            "event not even counted by kind",
            "events not even counted by kind",
        ),
        (full, "time no room in a table", "times no room in a table"),
        (
            compat,
            "call of a 32-bit program, not decoded",
            "calls of 32-bit programs, not decoded",
        ),
    ];
    let what = what.into_iter().filter(|(number, ..)| *number > 0);
    let what: Vec<String> = what
        .map(|(number, one, many)| counted(number, one, many))
        .collect();
    if !what.is_empty() {
        let what = what.join(", ");
        findings.push(Finding::new(Code::KernelLoss).found(format!("session {session}: {what}")));
    }
    if dropped > 0 {
        let what = format!("session {session}: {}", events(dropped));
        findings.push(Finding::new(Code::RecorderLoss).found(what));
    }
}

fn events(number: u64) -> String {
    counted(number, "event", "events")
}

/// In a session that ended by itself, the loss records of a CPU add up to what it lost.
fn compare(end: &SessionEnd, recorded: &BTreeMap<(u64, u32), u64>, findings: &mut Findings) {
    let session = (end.session, 0)..=(end.session, u32::MAX);
    let mut counted: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for cpu in &end.counters.cpus {
        counted.entry(cpu.cpu).or_default().0 = cpu.lost_total();
    }
    for ((_, cpu), lost) in recorded.range(session) {
        counted.entry(*cpu).or_default().1 = *lost;
    }
    for (cpu, (counted, recorded)) in counted {
        if counted != recorded {
            findings.push(
                Finding::new(Code::LossUnaccounted)
                    .expected(format!(
                        "session {}, CPU {cpu}: {} lost by its counters",
                        end.session,
                        events(counted)
                    ))
                    .found(format!("{recorded} in loss records")),
            );
        }
    }
}
