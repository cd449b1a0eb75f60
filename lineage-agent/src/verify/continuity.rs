//! Whether a lineage was governed without a break, from its first record to its last.
//!
//! What is said here follows from records and contexts whose bytes are proven elsewhere. Nothing stronger is said than what the
//! recorder's signature vouches for: that the kernel decided so, by these policies, under these grants.

use std::sync::Arc;

use serde::Serialize;

use super::access::HostDir;
use super::authority::{Authorities, Authority, Document};
use super::facts::{Decided, Facts, Moment, What};
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::stories::{Step, Story, stories};
use super::trust::Trust;
use crate::authority::chain::Chain;
use crate::authority::statement::Digest;
use crate::decisions::Decisions;

/// How far the times in records and the clock by which a grant ends may differ: a clock is corrected while it runs, and
/// the recorder looks at it every second.
const TOLERANCE_NS: i64 = 2_000_000_000;

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// How a lineage was governed for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// By policies that a grant names, in force, and what they deny was prevented or ended.
    Governed,
    /// As that, but what they deny was only recorded.
    Audited,
    /// By policies that nobody answers for with a grant.
    Unsigned,
    /// By a grant that was over: everything was denied.
    Lapsed,
    /// By nothing: what it did was only recorded.
    Ungoverned,
    /// The evidence does not tell.
    Unknown,
}

/// A time in which one state held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// The record it begins with.
    pub seq: u64,
    /// When, RFC 3339 UTC.
    pub from: String,
    /// How.
    pub state: State,
    /// The narrowest grant, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Who issued the widest grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What was decided meanwhile.
    pub decisions: Decisions,
}

/// Something after which a lineage is not simply governed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The record that tells of it; none when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// In words.
    pub why: String,
}

/// How one lineage was governed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Continuity {
    /// The lineage.
    pub lineage: String,
    /// Whether it was governed from its first record to its last without a break, by a grant of an issuer that is trusted.
    pub unbroken: bool,
    /// How, in order.
    pub intervals: Vec<Interval>,
    /// What breaks it, in order.
    pub breaks: Vec<Break>,
}

/// How the lineages of a host were governed, by their first records.
pub(super) fn judge(
    dir: &HostDir,
    trust: &Trust,
    mut facts: Facts,
    findings: &mut Findings,
) -> Vec<Continuity> {
    let stories = stories(&mut facts);
    facts.gaps.sort_unstable();
    let mut judge = Judge {
        trust,
        facts: &facts,
        authorities: Authorities::new(dir),
        findings,
    };
    stories.iter().map(|story| judge.tell(story)).collect()
}

struct Judge<'a> {
    trust: &'a Trust,
    facts: &'a Facts,
    authorities: Authorities<'a>,
    findings: &'a mut Findings,
}

/// A context, and what governed by it, if that can be told.
struct Before<'a> {
    context: &'a str,
    authority: Option<Arc<Authority>>,
}

impl Judge<'_> {
    fn tell(&mut self, story: &Story) -> Continuity {
        let mut told = Continuity {
            lineage: story.lineage.clone(),
            unbroken: false,
            intervals: Vec::new(),
            breaks: Vec::new(),
        };
        let mut before: Option<Before<'_>> = None;
        let mut over = None;
        let steps = story.steps.iter();
        for step in steps.filter(|step| step.moment.what != What::End) {
            let moment = &step.moment;
            self.authorities.make_room();
            let authority = match self.authorities.of(&moment.context) {
                Ok(authority) => Some(authority),
                Err(finding) => {
                    self.findings.push(finding.rows(moment.seq..=moment.seq));
                    None
                }
            };
            let document = authority.as_deref().map(|authority| &authority.document);
            self.check_path(step, document, before.as_ref().map(|before| before.context));
            if moment.what == What::Named && before.is_some() {
                told.breaks
                    .push(at(moment, "when its context began is not recorded here"));
            }
            if let Some(authority) = &authority {
                let lapsed = authority.document.lapsed.is_some();
                told.breaks.extend(over.take_if(|_| !lapsed).map(untold));
                let known = before.and_then(|before| before.authority);
                breaks(moment, authority, known.as_deref(), &mut told.breaks);
                self.interval(moment, authority, &mut told);
                let decided = self.facts.decided.get(&moment.context);
                over = decided.and_then(|decided| decided.over.filter(|_| !lapsed));
            } else {
                told.breaks
                    .push(at(moment, "what governed from here on cannot be told"));
                told.intervals.push(unknown(moment));
            }
            before = Some(Before {
                context: &moment.context,
                authority,
            });
        }
        told.breaks.extend(over.map(untold));
        self.ends(story, &mut told);
        told.unbroken = told.breaks.is_empty()
            && !told.intervals.is_empty()
            && told
                .intervals
                .iter()
                .all(|one| one.state == State::Governed);
        told
    }

    /// Contexts of a lineage are a path: it starts once, each context begins with the record that says so, and its document
    /// names the one before. What is not here is not held against it.
    fn check_path(&mut self, step: &Step, document: Option<&Document>, before: Option<&str>) {
        let moment = &step.moment;
        let follows = |before: Option<&str>| {
            document.is_none_or(|document| document.previous.as_deref() == before)
        };
        let good = match moment.what {
            What::Start { .. } => before.is_none() && follows(None),
            What::Change => step.after_gap || before.is_some() && follows(before),
            What::Named => step.after_gap,
            What::End => true,
        };
        let own = document.is_none_or(|document| document.lineage == moment.lineage);
        if !good || !own {
            let previous = document.and_then(|document| document.previous.as_deref());
            let finding = Finding::new(Code::ContextPath)
                .rows(moment.seq..=moment.seq)
                .expected(match moment.what {
                    What::Named => "the context that a record of the lineage began".to_owned(),
                    _ => format!("one after {}", before.unwrap_or("none")),
                })
                .found(match own {
                    true => format!("{}, after {}", moment.context, previous.unwrap_or("none")),
                    false => format!("{}, of another lineage", moment.context),
                });
            self.findings.push(finding);
        }
        if let Some(document) = document
            && let Err(finding) = check_parent(&mut self.authorities, document)
        {
            self.findings.push(finding.rows(moment.seq..=moment.seq));
        }
    }

    /// The time from this moment on, up to the next.
    fn interval(&self, moment: &Moment, authority: &Authority, told: &mut Continuity) {
        let decided = self.facts.decided.get(&moment.context);
        let decided = decided.copied().unwrap_or_default();
        let why = inconsistent(authority, &decided);
        told.breaks
            .extend(why.into_iter().map(|why| at(moment, &why)));
        let chain = authority.chain.as_deref();
        if let (Some(chain), Some((first, last))) = (chain, decided.allowed)
            && !(authorises(chain, first) && authorises(chain, last))
        {
            let why = "something was allowed at a time, by the records, at which the grant did not authorise";
            told.breaks.push(at(moment, why));
        }
        let last = chain.map(Chain::last);
        let interval = Interval {
            seq: moment.seq,
            from: time(moment.time_ns),
            state: state(authority),
            grant: last.map(|grant| grant.id.to_string()),
            purpose: last.map(|grant| grant.predicate.purpose.text.clone()),
            issuer: chain
                .and_then(|chain| Some(chain.links().first()?.predicate.issuer.to_string())),
            decisions: decided.decisions,
        };
        if let Some(chain) = chain
            && told
                .intervals
                .last()
                .is_none_or(|before| before.issuer != interval.issuer)
        {
            told.breaks.extend(self.issuer(moment, chain));
        }
        // Another environment alone is another context, and no other state.
        match told.intervals.last_mut() {
            Some(before) if same(before, &interval) => before.decisions.add(&interval.decisions),
            _ => told.intervals.push(interval),
        }
    }

    fn issuer(&self, moment: &Moment, chain: &Chain) -> Option<Break> {
        let issuer = chain.links().first()?.predicate.issuer;
        if self.trust.issuers().contains(&issuer) {
            return None;
        }
        Some(at(
            moment,
            &match self.trust.issuers() {
                [] => format!("who may issue grants was not said (--trust {issuer}, if it is so)"),
                _ => format!("{issuer}, who issued the grant, is not trusted to issue any"),
            },
        ))
    }

    fn ends(&self, story: &Story, told: &mut Continuity) {
        let mut moments = story.steps.iter().map(|step| &step.moment);
        let (Some(first), Some(last)) = (moments.next(), story.steps.last()) else {
            return;
        };
        if !matches!(first.what, What::Start { .. }) {
            told.breaks
                .insert(0, at(first, "the records of its beginning are not here"));
        }
        let end = (last.moment.what == What::End).then_some(last.moment.seq);
        if end.is_none() {
            told.breaks.push(Break {
                seq: None,
                why: "its end is not recorded".to_owned(),
            });
        }
        let proven = &self.facts.proven;
        let known = end.or(proven.last()).unwrap_or_default();
        if let Some((from, to)) = proven.missing(first.seq, known) {
            told.breaks.push(Break {
                seq: Some(from),
                why: format!("its records between {from} and {to} are not proven"),
            });
        }
        let until = end.unwrap_or(u64::MAX);
        let gaps = self.facts.gaps.iter();
        let mut gaps = gaps.filter(|seq| (first.seq..=until).contains(seq));
        if let Some(seq) = gaps.next() {
            let count = 1 + gaps.count();
            told.breaks.push(Break {
                seq: Some(*seq),
                why: format!("events are missing ({count} records tell of that)"),
            });
        }
        if self.facts.cut {
            told.breaks.push(Break {
                seq: None,
                why: "there were more changes than are looked at".to_owned(),
            });
        }
    }
}

/// What breaks with a context.
fn breaks(
    moment: &Moment,
    authority: &Authority,
    before: Option<&Authority>,
    out: &mut Vec<Break>,
) {
    let document = &authority.document;
    if let What::Start { attached: true } = moment.what {
        let why = match authority.chain {
            Some(_) => "attached while it ran: what it did before is not known",
            None => "attached while it ran, without a grant: what it did before is not known",
        };
        out.push(at(moment, why));
    }
    let lapsed_before = before.is_some_and(|before| before.document.lapsed.is_some());
    if let (Some(why), false) = (&document.lapsed, lapsed_before) {
        out.push(at(moment, &format!("{}: {why}", document.reason)));
    }
    let Some(before) = before else {
        return;
    };
    if document.policy != before.document.policy && authority.chain.is_none() {
        out.push(at(moment, "the policy was changed, and no grant names it"));
    }
    if document.grants != before.document.grants && authority.chain.is_some() {
        let same = authority.chain.as_deref().map(root) == before.chain.as_deref().map(root);
        if !same {
            out.push(at(moment, "another grant took the place of the one before"));
        }
    }
    if document.enforcement != before.document.enforcement {
        out.push(at(
            moment,
            &format!(
                "what becomes of denials is another: {}",
                document.enforcement
            ),
        ));
    }
    if let Some(names) = document.reason.strip_prefix("environment: ") {
        out.push(at(moment, &format!("the environment changed: {names}")));
    }
}

/// What was decided in a context that does not go together with it.
fn inconsistent(authority: &Authority, decided: &Decided) -> Vec<String> {
    let Decisions {
        not_prevented,
        would_deny,
        ..
    } = decided.decisions;
    let enforced = authority.document.enforcement == "enforce";
    let by_past = if authority.document.lapsed.is_some() {
        "were allowed before, and recorded when the authority was over"
    } else {
        "were decided by what governs the lineage that this one was made from"
    };
    [
        (not_prevented, "denials could not be enforced"),
        (
            if enforced { would_deny } else { 0 },
            "denials were only recorded, where they are to be enforced",
        ),
        (decided.by_past, by_past),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect()
}

/// Where the grants of the lineage end that this one was made from, its own go on.
pub(super) fn check_parent(
    authorities: &mut Authorities<'_>,
    document: &Document,
) -> Result<(), Finding> {
    let Some(parent) = &document.parent else {
        return Ok(());
    };
    let above = authorities.of(parent)?;
    if is_below(&document.grants, &above.document.grants) {
        return Ok(());
    }
    Err(Finding::new(Code::GrantBad)
        .expected("a grant that narrows the one of the lineage it was made from")
        .found("another one"))
}

/// Whether a chain goes on where another ends.
fn is_below(grants: &[Digest], above: &[Digest]) -> bool {
    !above.is_empty() && grants.len() > above.len() && grants.starts_with(above)
}

fn root(chain: &Chain) -> Option<String> {
    Some(chain.links().first()?.id.to_string())
}

/// How what governs by a context does so.
pub(super) fn state(authority: &Authority) -> State {
    match (&authority.deciding, &authority.chain) {
        (None, _) => State::Ungoverned,
        _ if authority.document.lapsed.is_some() => State::Lapsed,
        (Some(_), None) => State::Unsigned,
        (Some(_), Some(_)) if authority.document.enforcement == "enforce" => State::Governed,
        (Some(_), Some(_)) => State::Audited,
    }
}

fn same(one: &Interval, other: &Interval) -> bool {
    one.state == other.state && one.grant == other.grant
}

/// Whether every grant of a chain authorises at a time, as records have it.
pub(super) fn authorises(chain: &Chain, time_ns: i64) -> bool {
    let (from, until) = window(chain);
    (from.saturating_sub(TOLERANCE_NS)..=until.saturating_add(TOLERANCE_NS)).contains(&time_ns)
}

/// When every grant of a chain authorises, nanoseconds since 1970 UTC.
fn window(chain: &Chain) -> (i64, i64) {
    let grants = || chain.links().iter().map(|link| &link.predicate);
    let from = grants().map(|grant| grant.not_before.seconds()).max();
    let until = grants().map(|grant| grant.not_after.seconds()).min();
    let ns = |seconds: i64| seconds.saturating_mul(SECOND);
    (ns(from.unwrap_or(0)), ns(until.unwrap_or(i64::MAX)))
}

/// What was denied because the authority was over, and no change after it tells why.
fn untold(seq: u64) -> Break {
    Break {
        seq: Some(seq),
        why: "from here on nothing was authorised any more, and why is not recorded".to_owned(),
    }
}

fn unknown(moment: &Moment) -> Interval {
    Interval {
        seq: moment.seq,
        from: time(moment.time_ns),
        state: State::Unknown,
        grant: None,
        purpose: None,
        issuer: None,
        decisions: Decisions::default(),
    }
}

fn at(moment: &Moment, why: &str) -> Break {
    Break {
        seq: Some(moment.seq),
        why: format!("{} at {}", why, time(moment.time_ns)),
    }
}

/// A moment, RFC 3339 UTC.
pub(super) fn time(ns: i64) -> String {
    match jiff::Timestamp::from_nanosecond(ns.into()) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{ns} ns"),
    }
}
