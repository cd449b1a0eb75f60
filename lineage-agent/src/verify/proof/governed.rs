//! What governed an event, and whether the contexts along its chain go together.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::authority::Authorities;
use super::super::continuity::{State, authorises, check_parent, state};
use super::super::finding::{Code, Finding};
use super::super::findings::Findings;
use super::super::trust::Trust;
use super::BySeq;
use crate::authority::chain::Chain;
use crate::evidence::schema::Record;

/// What governed an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Governed {
    /// How.
    pub state: State,
    /// The narrowest grant, by its id.
    pub grant: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// Who issued the widest grant.
    pub issuer: Option<String>,
    /// Whether the user trusts this issuer.
    pub issuer_trusted: bool,
    /// Whether the time in the record is one at which all grants authorise.
    pub in_time: bool,
    /// What was decided, and the rule that did.
    pub verdict: Option<String>,
    /// See `verdict`.
    pub rule: Option<String>,
    /// What came of it.
    pub effect: Option<String>,
}

impl Governed {
    /// Of a record whose context is checked. Not known where it names none.
    pub(super) fn of(
        record: &Record<'_>,
        authorities: &mut Authorities<'_>,
        trust: &Trust,
    ) -> Self {
        let authority = record
            .context
            .and_then(|context| authorities.of(context).ok());
        let chain = authority
            .as_ref()
            .and_then(|authority| authority.chain.as_deref());
        let last = chain.map(Chain::last);
        let issuer = chain.and_then(|chain| Some(chain.links().first()?.predicate.issuer));
        let time_ns = record.time_ns.unwrap_or_default();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            state: authority.as_deref().map_or(State::Unknown, state),
            grant: last.map(|grant| grant.id.to_string()),
            purpose: last.map(|grant| grant.predicate.purpose.text.clone()),
            issuer: issuer.map(|issuer| issuer.to_string()),
            issuer_trusted: issuer.is_some_and(|issuer| trust.issuers().contains(&issuer)),
            in_time: chain.is_some_and(|chain| authorises(chain, time_ns)),
            verdict: owned(record.verdict),
            rule: owned(record.rule),
            effect: owned(record.effect),
        }
    }

    /// Whether it was governed by a grant whose issuer is trusted, and what is denied would have been prevented.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.state == State::Governed && self.issuer_trusted && self.in_time
    }
}

/// The contexts are of the lineages of the records that name them, their grants hold, and along the chain each follows
/// from the one before.
pub(super) fn check(
    authorities: &mut Authorities<'_>,
    records: &BySeq<'_>,
    chain: &[u64],
    findings: &mut Findings,
) {
    let mut known = BTreeSet::new();
    for (seq, (_, record)) in records {
        let Some(context) = record
            .context
            .filter(|context| known.insert((*context, record.lineage)))
        else {
            continue;
        };
        authorities.make_room();
        let checked = authorities.of(context).and_then(|authority| {
            if record.lineage != Some(&authority.document.lineage) {
                return Err(Finding::new(Code::ContextPath)
                    .expected("a context of the lineage")
                    .found(format!("{context}, of another one")));
            }
            check_parent(authorities, &authority.document)
        });
        findings.extend(checked.err().map(|finding| finding.rows(*seq..=*seq)));
    }
    let chain = chain.iter().filter_map(|seq| records.get(seq));
    let mut later: Option<&Record<'_>> = None;
    for (_, earlier) in chain {
        if let Some(later) = later.filter(|later| later.lineage == earlier.lineage) {
            findings.extend(check_path(authorities, earlier, later).err());
        }
        later = Some(earlier);
    }
}

/// The context of the later record leads back to that of the earlier one.
fn check_path(
    authorities: &mut Authorities<'_>,
    earlier: &Record<'_>,
    later: &Record<'_>,
) -> Result<(), Finding> {
    let (Some(wanted), Some(context)) = (earlier.context, later.context) else {
        return Ok(());
    };
    let mut context = context.to_owned();
    // Documents name each other by digest, so there is an end to it.
    while context != wanted {
        authorities.make_room();
        let Ok(authority) = authorities.of(&context) else {
            // Reported by what names it, or not there, which is.
            return Ok(());
        };
        let Some(previous) = &authority.document.previous else {
            let seq = later.seq.unwrap_or_default();
            return Err(Finding::new(Code::ContextPath)
                .rows(seq..=seq)
                .expected(format!("one after {wanted}"))
                .found(later.context.unwrap_or_default()));
        };
        context.clone_from(previous);
    }
    Ok(())
}
