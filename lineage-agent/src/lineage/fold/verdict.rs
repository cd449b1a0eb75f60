//! What the kernel side decided about an act, and what came of that.

use std::fmt::Write as _;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use lineage_common::{
    frame::Header,
    policy::{End, Operation, Outcome, Protocol, Ruling, UNIX},
};

use crate::{
    event::Judged,
    evidence::{escape::escape_into, kinds, schema::Record},
};

/// Why something is denied without a rule, the first that is so.
const REASONS: [(u32, &str); 5] = [
    (Outcome::OVER, "over"),
    (Outcome::CUT, "path-cut"),
    (Outcome::NOT_ON_HOST, "not-on-host"),
    (Outcome::NO_ENTRY, "no-entry"),
    (Outcome::BUDGET, "budget"),
];

/// Names what a frame's decision is about: the operations, and behind them the path, if it was looked up by one; as
/// `lineage policy explain` takes it, escaped.
pub(super) fn name(header: &Header, judged: Judged<'_>, bytes: &mut Vec<u8>, out: &mut String) {
    if header.outcome == Outcome::UNGOVERNED {
        return out.clear();
    }
    operations(header, out);
    bytes.clear();
    judged.write_to(bytes);
    if out.is_empty() || bytes.is_empty() {
        return;
    }
    out.push(' ');
    if of_unix_socket(header) {
        out.push_str(UNIX);
    }
    escape_into(bytes, out);
}

/// Names the operations that were judged.
fn operations(header: &Header, out: &mut String) {
    out.clear();
    for (operation, name, _) in Operation::ALL {
        if header.outcome.judges(*operation) {
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(name);
        }
    }
}

fn of_unix_socket(header: &Header) -> bool {
    header.outcome.0 & Outcome::UNIX_SOCKET != 0
}

/// Names the end of a connection that a decision is about, behind what it is about; nothing where it is not about one.
pub(super) fn name_end(header: &Header, end: &End, out: &mut String) {
    operations(header, out);
    if out.is_empty() || header.judged_len != 0 || of_unix_socket(header) {
        out.clear();
        return;
    }
    if end.port == 0 && header.outcome.0 & Outcome::BUDGET != 0 {
        // It is about bytes, whatever the end.
        return;
    }
    let address = Ipv6Addr::from(end.address).to_canonical();
    let address = SocketAddr::new(address, end.port);
    let name = Protocol::ALL
        .iter()
        .find(|(known, _)| *known == end.protocol);
    let name = name.map_or("other", |(_, name)| name);
    let _ = write!(out, " {address}/{name}");
}

/// Fills in the decision that a frame carries; `rules` are the names of rules by generation, from 1.
pub(super) fn complete<'a>(
    header: &Header,
    rules: &'a [Arc<[String]>],
    judged: &'a str,
    record: &mut Record<'a>,
) {
    let outcome = Outcome(header.outcome.0 & Outcome::KIND);
    if outcome == Outcome::UNGOVERNED {
        return;
    }
    let Ruling {
        allowed,
        level,
        rule,
    } = header.ruling;
    record.verdict = Some(if allowed == 1 { "allow" } else { "deny" });
    record.effect = Some(match outcome {
        Outcome::ALLOWED => "allowed",
        Outcome::DENIED => "would-deny",
        Outcome::PREVENTED => "prevented",
        Outcome::KILLED if record.kind == Some(kinds::PROCESS_EXEC) => "killed-before-run",
        Outcome::KILLED => "killed-after-effect",
        _ => "not-prevented",
    });
    let generation = header.generation.checked_sub(1);
    let rules = generation.and_then(|generation| rules.get(generation as usize));
    record.rule = rules
        .and_then(|rules| rules.get(usize::from(rule)))
        .map(String::as_str);
    record.grant_level = Some(i64::from(level));
    record.judged = Some(judged);
    record.reason = REASONS
        .iter()
        .find(|(bit, _)| header.outcome.0 & bit != 0)
        .map(|(_, reason)| *reason);
    record.table_generation = Some(i64::from(header.generation));
}
