//! What checking a proof gave, for people.

use std::fmt::Write as _;

use super::super::epochs::Pin;
use super::super::report::{Requirement, Verdict};
use super::super::text::{UNSEEN, pin, reach, text, words, write_finding};
use super::{Governed, ProofReport, Proven, Signed};
use crate::counted::{counted, grouped};
use crate::evidence::escape::{escape, unescape};

/// Records of a proof, each group in lines that end.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// The event.
    pub event: String,
    /// Its causes.
    pub chain: String,
    /// The records of its data.
    pub data: String,
}

impl ProofReport {
    /// The report as text: what is proven, with the records as `lines` shows them, what was found, the verdict, and how
    /// far it can be trusted; all but the records as `fit` makes it fit. Everything in it is printable, as far as `lines`
    /// are.
    #[must_use]
    pub fn text(&self, lines: &Lines, fit: impl Fn(&str) -> String) -> String {
        let mut shown = String::new();
        if let Some(proven) = &self.proven {
            let mut out = String::new();
            write_proven(&mut out, proven);
            shown += &lines.event;
            shown += &fit(&out);
            let parts = [
                ("What made its process what it was:", &lines.chain),
                (
                    "What tells of its data, and what made those processes what they were:",
                    &lines.data,
                ),
            ];
            for (title, lines) in parts.iter().filter(|(_, lines)| !lines.is_empty()) {
                let _ = writeln!(shown, "{title}\n{lines}");
            }
        }
        let mut out = String::new();
        for finding in &self.findings {
            write_finding(&mut out, finding);
        }
        if !self.findings.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "{}: {}", self.verdict, meaning(self.verdict));
        for requirement in &self.unmet {
            let _ = writeln!(out, "Required, but not so: {}", demand(*requirement));
        }
        if let Some(proven) = &self.proven {
            write_limits(&mut out, proven);
        }
        shown + &fit(&out)
    }
}

fn write_proven(out: &mut String, proven: &Proven) {
    let start = proven.chain.last().copied().unwrap_or_default();
    let causes = proven.chain.len().saturating_sub(1) as u64;
    let _ = match &proven.lineage {
        _ if causes == 0 => writeln!(out, "  chain    none: it begins with this record"),
        Some(lineage) => writeln!(
            out,
            "  chain    {} from record {} to the start, record {start}, of lineage {}",
            counted(causes, "cause", "causes"),
            proven.event,
            text(lineage)
        ),
        None => writeln!(
            out,
            "  chain    {} to record {start}",
            counted(causes, "cause", "causes")
        ),
    };
    if !proven.data.is_empty() {
        let data = counted(
            proven.data.len() as u64,
            "further record",
            "further records",
        );
        let _ = writeln!(
            out,
            "  data     {data}, each signed and with its own causes"
        );
    }
    write_governed(out, &proven.governed);
    write_signed(out, proven);
    out.push('\n');
}

fn write_governed(out: &mut String, governed: &Governed) {
    let Governed {
        state,
        grant,
        purpose,
        issuer,
        verdict,
        rule,
        effect,
        ..
    } = governed;
    let _ = writeln!(out, "  governed {}", words(*state));
    if let (Some(grant), Some(purpose), Some(issuer)) = (grant, purpose, issuer) {
        let _ = writeln!(out, "           grant {grant}");
        let _ = writeln!(out, "           purpose \"{}\"", text(purpose));
        let trusted = if governed.issuer_trusted {
            "trusted"
        } else {
            "not said to be trusted (--trust)"
        };
        let _ = writeln!(out, "           issued by {}, {trusted}", text(issuer));
        if !governed.in_time {
            let _ = writeln!(
                out,
                "           which did not authorise at the time of the record"
            );
        }
    }
    if let (Some(verdict), Some(effect)) = (verdict, effect) {
        let _ = write!(out, "  decided  {}, {}", text(verdict), text(effect));
        let _ = match rule {
            Some(rule) => writeln!(
                out,
                ", by rule {}: the policies give this decision",
                text(rule)
            ),
            None => writeln!(out, ": the policies give this decision"),
        };
    }
}

fn write_signed(out: &mut String, proven: &Proven) {
    let Signed {
        segment,
        segment_period: [opened, closed],
        hostname,
        epoch,
        epoch_period,
        log_size,
        ..
    } = &proven.signed;
    let _ = writeln!(
        out,
        "  signed   in segment {segment}, open from {opened} to {closed}"
    );
    let _ = writeln!(
        out,
        "           on host {} (\"{}\"), log {}",
        proven.host,
        shown(hostname),
        proven.log
    );
    let _ = write!(
        out,
        "           by the host key and the key of epoch {epoch}"
    );
    let _ = match epoch_period {
        Some([from, until]) => writeln!(out, ", {from} to {until}"),
        None => writeln!(out),
    };
    let segments = counted(*log_size, "segment", "segments");
    let _ = writeln!(
        out,
        "           below the newest checkpoint known to whoever made this, of {segments}"
    );
    let _ = writeln!(out, "  pinned   {}", pin(proven.pin));
    let witnessed = match proven.cosignatures {
        0 => "by no witness you trust".to_owned(),
        count => format!("by {} of the witnesses you trust", grouped(count)),
    };
    let _ = writeln!(out, "  witness  {witnessed}");
}

/// A text that is escaped in the evidence.
fn shown(escaped: &str) -> String {
    unescape(escaped).map_or_else(|| text(escaped), |bytes| escape(&bytes))
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Verified => {
            "this event was signed as it is shown, and so was every cause of it, down to the start."
        }
        Verdict::VerifiedWithLoss => {
            "this event was signed as it is shown, and so was every cause of it that is known; what came before these was lost, and the evidence says so."
        }
        Verdict::Tampered => "this is no proof of what was signed. Do not rely on it.",
        Verdict::Incomplete => "something that a proof needs is not there.",
        Verdict::Unverifiable => "something cannot be judged with what is at hand.",
        Verdict::NothingVerified => "nothing is proven.",
    }
}

fn demand(requirement: Requirement) -> &'static str {
    match requirement {
        Requirement::Pinned => "an epoch root pinned for this host",
        Requirement::Witnessed => "a trusted witness's cosignature on the newest checkpoint",
        Requirement::Governed => "the event governed by a grant of a trusted issuer",
        Requirement::Sealed | Requirement::NoLoss | Requirement::Original => {
            "what a proof does not tell"
        }
    }
}

/// What this could not have noticed.
fn write_limits(out: &mut String, proven: &Proven) {
    out.push_str("How far this goes:\n");
    out.push_str(
        "  Only this event and its causes are proven. What else happened, before, after or\n  \
         beside it, is not in here, and nothing here says that it did not.\n",
    );
    if !proven.data.is_empty() {
        out.push_str(
            "  That the further records tell of all data that led to the event, or of any,\n  \
             whoever made the proof says. `lineage why` finds it, and needs the whole\n  \
             evidence.\n",
        );
    }
    reach(out, proven.pin == Pin::EpochRoot, proven.cosignatures > 0);
    out.push_str(UNSEEN);
}
