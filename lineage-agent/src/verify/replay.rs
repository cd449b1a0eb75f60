//! Every decision once more, by the real Cedar engine, from the evidence alone.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use lineage_common::policy::{Operation, Protocol, Resource, UNIX};

use super::access::HostDir;
use super::authority::{Authorities, Authority, Deciding};
use super::finding::{Code, Finding};
use crate::authority::grant::LEVELS_MAX;
use crate::authority::policy::engine::{Answer, Object};
use crate::authority::policy::profile::Target;
use crate::authority::statement::Digest;
use crate::evidence::escape::unescape;
use crate::evidence::schema::Record;
use crate::evidence::text::parse_hex;
use crate::evidence::tree::Hash;

/// Answers kept; programs do the same again and again.
const ANSWERS_MAX: usize = 1 << 16;

/// How many contexts ago what decided may have begun: a decision waits for the end of its call to be recorded, and another
/// policy, or the end of the authority, may come first. An hour of an environment that changes all the time.
const CONTEXTS_AGO_MAX: usize = 1024;

/// Why something is denied whatever the policy says.
const WITHOUT_POLICY: [&str; 3] = ["over", "path-cut", "not-on-host"];

/// The reason for denying what the budget of a grant has no more left for.
const BUDGET: &str = "budget";

/// The verdict, and the effect of it, of what is allowed.
const ALLOW: (&str, &str) = ("allow", "allowed");

/// What decided, as seen from the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// What governed the lineage then, or was replaced while the call lasted.
    Present,
    /// An authority that was over by then, or that of the lineage this one was made from.
    Past,
}

/// The decision that a record tells of.
#[derive(Debug, Clone, Copy)]
struct Decision<'a> {
    verdict: &'a str,
    level: Option<i64>,
    rule: Option<&'a str>,
    /// Whether the rule is named as the policies do that decided.
    is_named: bool,
    reason: Option<&'a str>,
    generation: i64,
    judged: &'a str,
}

impl<'a> Decision<'a> {
    /// That of a record, if it has any. What was decided has an effect, and what is allowed has another than what is denied.
    fn of(record: &Record<'a>) -> Result<Option<Self>, Finding> {
        let (verdict, effect) = (record.verdict, record.effect);
        let fits = |verdict, effect| (verdict == ALLOW.0) == (effect == ALLOW.1);
        match (verdict, effect) {
            (None, None) => Ok(None),
            (Some(verdict), Some(effect)) if fits(verdict, effect) => Ok(Some(Self {
                verdict,
                level: record.grant_level,
                rule: record.rule,
                is_named: true,
                reason: record.reason,
                generation: record.table_generation.unwrap_or_default(),
                judged: record.judged.unwrap_or_default(),
            })),
            _ => Err(Finding::new(Code::DecisionWrong)
                .expected("a verdict and the effect of it")
                .found(format!("{verdict:?} and {effect:?}"))),
        }
    }

    fn agrees(&self, good: bool, expected: impl Display) -> Result<(), Finding> {
        if good {
            return Ok(());
        }
        Err(Finding::new(Code::DecisionWrong)
            .expected(expected)
            .found(format!("{} by {:?}", self.verdict, self.rule)))
    }

    fn fits(&self, answer: &Answer) -> Result<(), Finding> {
        let verdict = if answer.allowed { ALLOW.0 } else { "deny" };
        let by = match self.rule {
            Some(rule) => answer.rules.iter().any(|name| name == rule),
            None => answer.rules.is_empty(),
        } || !self.is_named;
        let level = Some(i64::from(answer.level));
        self.agrees(
            (self.verdict, self.level) == (verdict, level) && by,
            format_args!("{verdict} by {:?}", answer.rules),
        )
    }

    /// Whether it is a denial without a rule, by a grant of which this holds.
    fn is_denial(&self, level: impl FnOnce(usize) -> bool) -> bool {
        let at = self.level.and_then(|level| usize::try_from(level).ok());
        self.verdict == "deny" && self.rule.is_none() && at.is_some_and(level)
    }
}

/// The decisions of one segment.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    authorities: Authorities<'a>,
    /// The contexts that there are, if a manifest says so: whoever changed the records must not choose what is looked up.
    contexts: Option<&'a [Hash]>,
    /// By the document of policies, and what is done to what.
    answers: BTreeMap<Digest, BTreeMap<String, Answer>>,
    /// How many they are.
    answered: usize,
}

impl<'a> Replay<'a> {
    pub(super) fn new(dir: &'a HostDir, contexts: Option<&'a [Hash]>) -> Self {
        Self {
            authorities: Authorities::new(dir),
            contexts,
            answers: BTreeMap::new(),
            answered: 0,
        }
    }

    /// Whether the decision of a record, if it has one, is what its policies give, and whose they are.
    pub(super) fn check(&mut self, record: &Record<'_>) -> Result<By, Finding> {
        let Some(decision) = Decision::of(record)? else {
            return Ok(By::Present);
        };
        let context = record.context.unwrap_or_default();
        if !self.authorities.knows(context) && !self.is_named(context) {
            return Err(Finding::new(Code::RecordRule)
                .expected("a context that the manifest names")
                .found(context));
        }
        let authority = self.authorities.of(context)?;
        if record.lineage != Some(&authority.document.lineage) {
            return Err(Finding::new(Code::ContextPath)
                .expected("a context of the lineage")
                .found(format!("{context}, of another one")));
        }
        if let Some(reason) = decision.reason
            && WITHOUT_POLICY.contains(&reason)
        {
            decision.agrees(decision.is_denial(|level| level == 0), reason)?;
            return Ok(By::Present);
        }
        match self.judge(&authority, &decision) {
            Err(finding) if finding.code == Code::DecisionWrong => {
                self.judge_above(authority, &decision, finding)
            }
            known => known,
        }
    }

    fn is_named(&self, context: &str) -> bool {
        self.contexts.is_none_or(|contexts| {
            parse_hex(context).is_some_and(|digest| contexts.contains(&digest))
        })
    }

    /// Who is given a lineage of its own may be in a call that began in the other one. The record is of the new one, which
    /// need not have a name for the rule.
    fn judge_above(
        &mut self,
        mut authority: Arc<Authority>,
        decision: &Decision<'_>,
        wrong: Finding,
    ) -> Result<By, Finding> {
        let decision = Decision {
            is_named: false,
            ..*decision
        };
        for _ in 0..LEVELS_MAX {
            let Some(parent) = &authority.document.parent else {
                break;
            };
            authority = self.authorities.of(parent)?;
            match self.judge(&authority, &decision) {
                Ok(_) => return Ok(By::Past),
                Err(finding) if finding.code == Code::DecisionWrong => {}
                Err(finding) => return Err(finding),
            }
        }
        Err(wrong)
    }

    /// Whether it is what governed at this context, or before it, that gives this decision.
    fn judge(
        &mut self,
        authority: &Arc<Authority>,
        decision: &Decision<'_>,
    ) -> Result<By, Finding> {
        let (in_force, by) = match &authority.document.lapsed {
            Some(lapsed) if decision.verdict == ALLOW.0 => {
                let known = self.before(authority, |one| one.document.lapsed.is_none())?;
                decision.agrees(known.is_some(), format_args!("deny: {lapsed}"))?;
                (known.unwrap_or_else(|| authority.clone()), By::Past)
            }
            _ => (authority.clone(), By::Present),
        };
        let generation = decision.generation;
        let deciding = self.before(&in_force, |one| one.generation() == Some(generation))?;
        let Some(deciding) = deciding else {
            return Err(Finding::new(Code::DecisionWrong)
                .expected("a decision by what governed")
                .found(format!("one by generation {generation}")));
        };
        match decision.reason {
            Some(BUDGET) => {
                let chain = deciding.chain.as_deref();
                let grant = |level: usize| chain?.links().get(level);
                let limited =
                    |level| grant(level).is_some_and(|it| !it.predicate.budgets.are_none());
                decision.agrees(decision.is_denial(limited), "a budget")?;
            }
            _ => self.ask(&deciding, decision)?,
        }
        Ok(by)
    }

    /// The latest context of the lineage, up to this one, of which something holds.
    fn before(
        &mut self,
        authority: &Arc<Authority>,
        holds: impl Fn(&Authority) -> bool,
    ) -> Result<Option<Arc<Authority>>, Finding> {
        let mut authority = authority.clone();
        for _ in 0..CONTEXTS_AGO_MAX {
            if holds(&authority) {
                return Ok(Some(authority));
            }
            let Some(previous) = &authority.document.previous else {
                break;
            };
            authority = self.authorities.of(previous)?;
        }
        Ok(None)
    }

    /// Whether Cedar, by these policies, decides so.
    fn ask(&mut self, authority: &Authority, decision: &Decision<'_>) -> Result<(), Finding> {
        let (Some(policy), Some(deciding)) = (authority.document.policy, &authority.deciding)
        else {
            return decision.agrees(false, "no decision: nothing governed");
        };
        let known = self.answers.get(&policy);
        if let Some(answer) = known.and_then(|answers| answers.get(decision.judged)) {
            return decision.fits(answer);
        }
        let answer = answer(deciding, decision.judged)?;
        let fits = decision.fits(&answer);
        if self.answered >= ANSWERS_MAX {
            self.answers.clear();
            self.answered = 0;
        }
        self.answered += 1;
        let answers = self.answers.entry(policy).or_default();
        answers.insert(decision.judged.to_owned(), answer);
        fits
    }
}

/// What Cedar says to everything that was judged: the first denial, or the last permission.
fn answer(deciding: &Deciding, judged: &str) -> Result<Answer, Finding> {
    let unknown = || Finding::new(Code::RecordRule).found(format!("a decision about {judged:?}"));
    let (actions, object) = judged.split_once(' ').ok_or_else(unknown)?;
    let (object, of) = object_named(object).ok_or_else(unknown)?;
    let mut answer = None;
    for name in actions.split(',') {
        let known = Operation::ALL.iter().find(|(_, known, _)| *known == name);
        let (operation, _, resources) = known.ok_or_else(unknown)?;
        let mut fitting = resources.iter().filter(|resource| of.contains(resource));
        let target = Target {
            operation: *operation,
            resource: *fitting.next().ok_or_else(unknown)?,
        };
        let said = deciding.engine.decide(target, &object);
        let denied = !said.allowed;
        answer = Some(said);
        if denied {
            break;
        }
    }
    answer.ok_or_else(unknown)
}

/// What a record names, and which resources have such a name.
fn object_named(text: &str) -> Option<(Object, &'static [Resource])> {
    let path = |escaped| {
        let bytes = unescape(escaped)?;
        Some(Object::Path(String::from_utf8_lossy(&bytes).into_owned()))
    };
    if text.starts_with('/') {
        return Some((path(text)?, &[Resource::Program, Resource::File]));
    }
    for resource in [&[Resource::Facility], &[Resource::Process]] {
        if resource[0].has(text) {
            return Some((Object::Path(text.to_owned()), resource));
        }
    }
    match text.strip_prefix(UNIX) {
        Some(socket) => Some((path(socket)?, &[Resource::UnixSocket])),
        None => Some((endpoint(text)?, &[Resource::Endpoint])),
    }
}

/// `10.0.0.1:443/tcp`
fn endpoint(text: &str) -> Option<Object> {
    let (address, protocol) = text.split_once('/')?;
    let address: SocketAddr = address.parse().ok()?;
    let known = Protocol::ALL
        .into_iter()
        .find(|(_, name)| *name == protocol);
    Some(Object::Endpoint {
        address: address.ip(),
        port: address.port(),
        protocol: known?.0,
    })
}
