//! Whether a lineage was governed without a break, from its first record to its last.
//!
//! What is said here follows from records and contexts whose bytes are proven elsewhere. Nothing stronger is said than what the
//! recorder's signature vouches for: that the kernel decided so, by these policies, under these grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::access::HostDir;
use super::authority::{Authorities, Authority};
use super::facts::{Facts, Moment, What};
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::trust::Trust;
use crate::authority::chain::Chain;
use crate::authority::statement::Digest;
use crate::evidence::decisions::Decisions;

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
    facts.moments.sort_by_key(|moment| moment.seq);
    let mut stories: Vec<Story> = Vec::new();
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for moment in &facts.moments {
        let at = *by_name.entry(moment.lineage.clone()).or_insert_with(|| {
            stories.push(Story::default());
            stories.len() - 1
        });
        stories[at].moments.push(moment.clone());
    }
    let mut judge = Judge {
        trust,
        facts: &facts,
        authorities: Authorities::new(dir),
        findings,
    };
    stories.iter().map(|story| judge.tell(story)).collect()
}

/// The moments of one lineage.
#[derive(Default)]
struct Story {
    moments: Vec<Moment>,
}

struct Judge<'a> {
    trust: &'a Trust,
    facts: &'a Facts,
    authorities: Authorities<'a>,
    findings: &'a mut Findings,
}

impl Judge<'_> {
    fn tell(&mut self, story: &Story) -> Continuity {
        let lineage = story.moments.first().map(|moment| moment.lineage.clone());
        let mut told = Continuity {
            lineage: lineage.unwrap_or_default(),
            unbroken: false,
            intervals: Vec::new(),
            breaks: Vec::new(),
        };
        let mut before: Option<(String, Arc<Authority>)> = None;
        let mut over = None;
        for moment in &story.moments {
            if moment.what == What::End {
                continue;
            }
            let authority = match self.authorities.of(&moment.context) {
                Ok(authority) => authority,
                Err(finding) => {
                    told.breaks
                        .push(at(moment, "what governed from here on cannot be told"));
                    told.intervals.push(unknown(moment));
                    self.findings.push(finding.rows(moment.seq..=moment.seq));
                    before = None;
                    continue;
                }
            };
            self.check_path(moment, &authority, before.as_ref());
            let lapsed = authority.document.lapsed.is_some();
            told.breaks.extend(over.take_if(|_| !lapsed).map(untold));
            breaks(
                moment,
                &authority,
                before.as_ref().map(|(_, one)| &**one),
                &mut told.breaks,
            );
            self.interval(moment, &authority, &mut told);
            let decided = self.facts.decided.get(&moment.context);
            over = decided.and_then(|decided| decided.over.filter(|_| !lapsed));
            before = Some((moment.context.clone(), authority));
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

    /// Contexts of a lineage are a path.
    fn check_path(
        &mut self,
        moment: &Moment,
        authority: &Authority,
        before: Option<&(String, Arc<Authority>)>,
    ) {
        let document = &authority.document;
        let expected = before.map(|(context, _)| context);
        let is_first = matches!(moment.what, What::Start { .. });
        if document.lineage != moment.lineage
            || (!is_first && expected != document.previous.as_ref())
        {
            let finding = Finding::new(Code::ContextPath)
                .rows(moment.seq..=moment.seq)
                .expected(expected.map_or("a first context", String::as_str))
                .found(document.previous.as_deref().unwrap_or("none"));
            self.findings.push(finding);
        }
        if let Some(parent) = &document.parent {
            let grants = self.authorities.of(parent);
            let above = grants.map(|above| above.document.grants.clone());
            if !above.is_ok_and(|above| is_below(&document.grants, &above)) {
                let finding = Finding::new(Code::GrantBad)
                    .rows(moment.seq..=moment.seq)
                    .expected("a grant that narrows the one of the lineage it was made from")
                    .found("another one");
                self.findings.push(finding);
            }
        }
    }

    /// The time from this moment on, up to the next.
    fn interval(&self, moment: &Moment, authority: &Authority, told: &mut Continuity) {
        let decided = self.facts.decided.get(&moment.context);
        let decided = decided.copied().unwrap_or_default();
        if decided.decisions.not_prevented > 0 {
            let count = decided.decisions.not_prevented;
            told.breaks.push(at(
                moment,
                &format!("{count} denials could not be enforced"),
            ));
        }
        let chain = authority.chain.as_deref();
        if let (Some(chain), Some((first, last))) = (chain, decided.allowed) {
            let (from, until) = window(chain);
            if first < from - TOLERANCE_NS || last > until + TOLERANCE_NS {
                let why = "something was allowed at a time, by the records, at which the grant did not authorise";
                told.breaks.push(at(moment, why));
            }
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
        let (Some(first), Some(last)) = (story.moments.first(), story.moments.last()) else {
            return;
        };
        if !matches!(first.what, What::Start { .. }) {
            told.breaks
                .insert(0, at(first, "the records of its beginning are not here"));
        }
        let ended = last.what == What::End;
        if !ended {
            told.breaks.push(Break {
                seq: None,
                why: "its end is not recorded".to_owned(),
            });
        }
        let until = if ended { last.seq } else { u64::MAX };
        let gaps = self.facts.gaps.iter();
        let gaps = gaps.filter(|(seq, _)| (first.seq..=until).contains(seq));
        let count = gaps.clone().count();
        if let (Some((seq, _)), 1..) = (gaps.clone().next(), count) {
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

/// Whether a chain goes on where another ends.
fn is_below(grants: &[Digest], above: &[Digest]) -> bool {
    !above.is_empty() && grants.len() > above.len() && grants.starts_with(above)
}

fn root(chain: &Chain) -> Option<String> {
    Some(chain.links().first()?.id.to_string())
}

fn state(authority: &Authority) -> State {
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

fn time(ns: i64) -> String {
    match jiff::Timestamp::from_nanosecond(ns.into()) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{ns} ns"),
    }
}
