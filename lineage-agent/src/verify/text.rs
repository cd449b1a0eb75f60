//! The report for people.

use std::fmt::Write as _;

use super::continuity::{Continuity, State};
use super::epochs::Pin;
use super::finding::{Finding, Severity};
use super::report::{HostReport, Report, Requirement, Verdict};
use crate::counted::{counted, grouped};
use crate::evidence::escape::escape;

impl Report {
    /// The report as text: what was counted, what was found, the verdict, and how far it can be
    /// trusted. Everything in it is printable.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for host in &self.hosts {
            write_host(&mut out, host);
        }
        for finding in &self.findings {
            write_finding(&mut out, finding);
        }
        for more in &self.more {
            let _ = writeln!(
                out,
                "{}: {} more on host {}",
                more.code.as_str(),
                more.count,
                more.host
            );
        }
        if !self.findings.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "{}: {}", self.verdict, meaning(self.verdict));
        for requirement in &self.unmet {
            let _ = writeln!(out, "Required, but not so: {}", demand(*requirement));
        }
        if matches!(self.verdict, Verdict::Verified | Verdict::VerifiedWithLoss) {
            write_limits(&mut out, &self.hosts);
        }
        out
    }

    /// Where a line of the text goes on that does not fit: below its value, or further in than it begins.
    #[must_use]
    pub fn hang(line: &str) -> usize {
        let label = [EXPECTED, FOUND]
            .into_iter()
            .find(|label| line.starts_with(label));
        let indent = line.len() - line.trim_start_matches(' ').len();
        label.map_or(indent + HANG, str::len)
    }
}

/// Columns that a line goes further in where it goes on.
const HANG: usize = 4;

/// Before what should have been.
const EXPECTED: &str = "    expected ";

/// Before what was found, below the former.
const FOUND: &str = "    found    ";

fn write_host(out: &mut String, host: &HostReport) {
    let log = host
        .log
        .as_deref()
        .map_or_else(String::new, |log| format!(", log {log}"));
    let _ = writeln!(out, "Host {}{log}: {}", host.host, pin(host.pin));
    let _ = writeln!(
        out,
        "  {}/{} valid, {} of {}",
        grouped(host.segments_valid),
        counted(host.segments, "segment", "segments"),
        counted(host.records, "record", "records"),
        counted(host.lineages, "lineage", "lineages")
    );
    if let Some([from, to]) = &host.period {
        let _ = writeln!(out, "  from {from} to {to}");
    }
    let epochs = match host.epochs {
        Some([first, last]) if first == last => format!("epoch {first}"),
        Some([first, last]) => format!("epochs {first} to {last}"),
        None => "no epoch".to_owned(),
    };
    let _ = writeln!(
        out,
        "  {}/{} valid, {epochs}, {}, {}",
        grouped(host.checkpoints_valid),
        counted(host.segments, "checkpoint", "checkpoints"),
        counted(host.artifacts, "artifact", "artifacts"),
        counted(host.cosignatures, "cosignature", "cosignatures")
    );
    if host.committed + host.uncommitted > 0 {
        let _ = writeln!(
            out,
            "  not sealed yet: {} committed, {} not proven by anything",
            counted(host.committed, "record", "records"),
            grouped(host.uncommitted)
        );
    }
    let all_sealed = host.committed + host.uncommitted == 0;
    write_governance(out, &host.governance, all_sealed);
    out.push('\n');
}

/// The lineages that something governed, one by one; of the others that nothing did.
fn write_governance(out: &mut String, governance: &[Continuity], all_sealed: bool) {
    let governed = |one: &&Continuity| {
        let mut intervals = one.intervals.iter();
        intervals.any(|time| time.state != State::Ungoverned)
    };
    for continuity in governance.iter().filter(governed) {
        write_continuity(out, continuity);
    }
    let observed = governance.iter();
    let observed = observed.filter(|one| !one.intervals.is_empty() && !governed(one));
    let what = match observed.count() {
        0 => return,
        count if count < governance.len() => {
            counted(count as u64, "other lineage", "other lineages")
        }
        _ if all_sealed => "what is recorded".to_owned(),
        _ => "what is sealed".to_owned(),
    };
    let _ = writeln!(out, "  no grant or policy governed {what}");
}

fn write_continuity(out: &mut String, continuity: &Continuity) {
    let lineage = &continuity.lineage;
    let breaks = continuity.breaks.len();
    let verdict = match breaks {
        _ if continuity.unbroken => "governed without a break".to_owned(),
        0 => "not governed all the time".to_owned(),
        _ => counted(breaks as u64, "break", "breaks"),
    };
    let _ = writeln!(out, "  lineage {}: {verdict}", text(lineage));
    for interval in &continuity.intervals {
        let _ = write!(out, "    from {} {}", interval.from, words(interval.state));
        if let Some(grant) = &interval.grant {
            let _ = write!(out, ": grant {}", &grant[..GRANT_DIGITS]);
        }
        if let Some(purpose) = &interval.purpose {
            let _ = write!(out, " \"{}\"", text(purpose));
        }
        out.push('\n');
        if !interval.decisions.is_empty() {
            let _ = writeln!(out, "      {}", interval.decisions);
        }
    }
    for one in &continuity.breaks {
        let at = one
            .seq
            .map_or_else(String::new, |seq| format!(" at record {seq}"));
        let _ = writeln!(out, "    break{at}: {}", text(&one.why));
    }
}

/// Digits of a grant's id that are shown; `--json` has all.
const GRANT_DIGITS: usize = 12;

pub(super) fn words(state: State) -> &'static str {
    match state {
        State::Governed => "governed",
        State::Audited => "audited: what is denied was only recorded",
        State::Unsigned => "held to policies that no grant names",
        State::Lapsed => "nothing was authorised any more",
        State::Ungoverned => "ungoverned: what it did was only recorded",
        State::Unknown => "not known",
    }
}

/// Text of the evidence, printable.
pub(super) fn text(text: &str) -> String {
    escape(text.as_bytes())
}

pub(super) fn write_finding(out: &mut String, finding: &Finding) {
    let grade = match finding.code.severity() {
        Severity::Tampered => "TAMPERED",
        Severity::Incomplete => "MISSING",
        Severity::Unverifiable => "UNKNOWN",
        Severity::Loss => "LOSS",
        Severity::Note => "note",
    };
    let _ = write!(out, "{grade} {}", finding.code.as_str());
    if let Some(file) = &finding.file {
        let _ = write!(out, " {file}");
    } else if let Some(segment) = finding.segment {
        let _ = write!(out, " segment {segment}");
    }
    if let Some([first, last]) = finding.rows {
        let _ = write!(out, " records {first} to {last}");
    }
    let _ = writeln!(out, "\n    {}", finding.code.meaning());
    if let Some(expected) = &finding.expected {
        let _ = writeln!(out, "{EXPECTED}{expected}");
    }
    if let Some(found) = &finding.found {
        let _ = writeln!(out, "{FOUND}{found}");
    }
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Verified => {
            "every record up to the last signature is the one that was signed, and none is missing."
        }
        Verdict::VerifiedWithLoss => {
            "every record up to the last signature is the one that was signed; some events were not recorded, and the evidence says so."
        }
        Verdict::Tampered => "something is not what was signed. Do not rely on it.",
        Verdict::Incomplete => "something that was signed is not there; the rest is as signed.",
        Verdict::Unverifiable => "something cannot be judged with what is at hand.",
        Verdict::NothingVerified => "there was nothing to verify.",
    }
}

pub(super) fn pin(pin: Pin) -> &'static str {
    match pin {
        Pin::None => "not trusted",
        Pin::HostKey => "host key pinned",
        Pin::EpochRoot => "epoch root pinned",
    }
}

fn demand(requirement: Requirement) -> &'static str {
    match requirement {
        Requirement::Sealed => "everything sealed and the log ended by a shutdown",
        Requirement::Pinned => "an epoch root pinned for every host",
        Requirement::Witnessed => "a trusted witness's cosignature on every newest checkpoint",
        Requirement::NoLoss => "nothing lost, and the log sealed and ended by a shutdown",
        Requirement::Governed => {
            "every lineage governed without a break, by grants of trusted issuers"
        }
        Requirement::Original => "every Parquet file the one the recorder wrote",
    }
}

/// What this verification could not have noticed.
fn write_limits(out: &mut String, hosts: &[HostReport]) {
    let all = |is: &dyn Fn(&HostReport) -> bool| hosts.iter().all(is);
    out.push_str("How far this goes:\n");
    reach(
        out,
        all(&|host| host.pin == Pin::EpochRoot),
        all(&|host| host.cosignatures > 0),
    );
    if !all(&|host| host.complete) {
        out.push_str("  The recorder has not ended this log: later records may exist elsewhere.\n");
    }
    out.push_str(UNSEEN);
}

/// What no evidence can tell.
pub(super) const UNSEEN: &str = "  What a compromised kernel hid, and what happened before recording began, is\n  \
                                 not in here.\n";

/// What whoever took the host could have done, by what is pinned, and whether a witness vouches for the end.
pub(super) fn reach(out: &mut String, pinned: bool, witnessed: bool) {
    if pinned {
        out.push_str(
            "  Whoever took the host could not have changed what was sealed in epochs whose\n  \
             keys were erased by then: an epoch's key goes when the next one begins while\n  \
             something is recorded, or with the next recording, seal or\n  \
             `lineage key advance`. Everything later, they could have made up.\n",
        );
    } else {
        out.push_str(
            "  Only a host key is pinned: whoever took the host, however late, could have\n  \
             signed another history. Pin the epoch root (`lineage key root`) to rule that\n  \
             out.\n",
        );
    }
    if !witnessed {
        out.push_str(
            "  No witness vouches for the end: everything after some moment, or a whole\n  \
             machine, could have been set back.\n",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::continuity::Interval;
    use super::*;
    use crate::decisions::Decisions;

    fn continuity(state: State) -> Continuity {
        let interval = Interval {
            seq: 0,
            from: "2026-11-24T08:00:00Z".to_owned(),
            state,
            grant: None,
            purpose: None,
            issuer: None,
            decisions: Decisions::default(),
        };
        Continuity {
            lineage: "a".to_owned(),
            unbroken: false,
            intervals: vec![interval],
            breaks: Vec::new(),
        }
    }

    fn governance(governance: &[Continuity], all_sealed: bool) -> String {
        let mut out = String::new();
        write_governance(&mut out, governance, all_sealed);
        out
    }

    #[test]
    fn what_nothing_governed_is_said() {
        let observed = || continuity(State::Ungoverned);
        let all = governance(&[observed()], true);
        assert_eq!(all, "  no grant or policy governed what is recorded\n");
        // Of what is not sealed that is not known.
        let sealed = governance(&[observed(), observed()], false);
        assert_eq!(sealed, "  no grant or policy governed what is sealed\n");
        let some = governance(&[observed(), continuity(State::Audited)], true);
        let last = some.lines().last();
        assert_eq!(last, Some("  no grant or policy governed 1 other lineage"));
        let audited = governance(&[continuity(State::Audited)], true);
        assert!(!audited.contains("no grant"), "{audited}");
        assert_eq!(governance(&[], false), "");
    }
}
