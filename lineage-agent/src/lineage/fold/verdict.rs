//! What the kernel side decided about an act, and what came of that.

use std::fmt::Write as _;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use lineage_common::{
    frame::Header,
    policy::{End, Operation, Outcome, Protocol, Ruling},
};

use crate::evidence::{kinds, schema::Record};

/// Names what a frame's decision is about.
pub(super) fn name_operations(header: &Header, out: &mut String) {
    out.clear();
    let operations = header.outcome.0 >> Outcome::OPERATIONS_SHIFT;
    for (operation, name, _) in Operation::ALL {
        if operations >> operation.0 & 1 == 1 {
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(name);
        }
    }
}

/// Names the end of a connection that a decision is about, behind what it is about; as `lineage policy explain` takes it.
pub(super) fn name_end(header: &Header, end: &End, out: &mut String) {
    name_operations(header, out);
    if out.is_empty() {
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
    record.table_generation = Some(i64::from(header.generation));
}
