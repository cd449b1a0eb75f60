//! Every decision once more, by the real Cedar engine, from the evidence alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use lineage_common::policy::{Operation, Protocol, Resource, UNIX};

use super::access::HostDir;
use super::authority::{Authorities, Authority, Deciding};
use super::finding::{Code, Finding};
use crate::authority::policy::engine::{Answer, Object};
use crate::authority::policy::profile::Target;
use crate::evidence::escape::unescape;
use crate::evidence::schema::Record;

/// Answers kept; programs do the same again and again.
const ANSWERS_MAX: usize = 1 << 16;

/// How many contexts ago what decided may have begun: another policy takes its place while decisions are on their way.
const CONTEXTS_AGO_MAX: usize = 8;

/// Why something is denied whatever the policy says.
const WITHOUT_POLICY: [&str; 3] = ["over", "path-cut", "not-on-host"];

/// The decisions of one segment.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    authorities: Authorities<'a>,
    /// By generation's policies, and what is done to what.
    answers: BTreeMap<(String, i64, String), Answer>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(dir: &'a HostDir) -> Self {
        Self {
            authorities: Authorities::new(dir),
            answers: BTreeMap::new(),
        }
    }

    /// Whether the decision of a record is the one that its policies give.
    pub(super) fn check(&mut self, record: &Record<'_>) -> Result<(), Finding> {
        let (Some(verdict), Some(context)) = (record.verdict, record.context) else {
            return Ok(());
        };
        let authority = self.authorities.of(context)?;
        let said = (verdict, record.grant_level, record.rule);
        if let Some(reason) = record.reason
            && WITHOUT_POLICY.contains(&reason)
        {
            return agree(said == ("deny", Some(0), None), reason, said);
        }
        if record.reason == Some("budget") {
            let level = usize::try_from(record.grant_level.unwrap_or(-1)).ok();
            let chain = authority.chain.as_deref();
            let grant = level.and_then(|level| chain?.links().get(level));
            let limited = grant.is_some_and(|grant| !grant.predicate.budgets.are_none());
            return agree(
                limited && verdict == "deny" && record.rule.is_none(),
                "a budget",
                said,
            );
        }
        if let (Some(lapsed), "allow") = (&authority.document.lapsed, verdict) {
            return agree(false, &format!("deny: {lapsed}"), said);
        }
        let generation = record.table_generation.unwrap_or_default();
        let deciding = self.deciding(authority, generation)?;
        let judged = record.judged.unwrap_or_default();
        let key = (context.to_owned(), generation, judged.to_owned());
        let answer = match self.answers.get(&key) {
            Some(answer) => answer,
            None => {
                let answer = answer(&deciding, judged)?;
                if self.answers.len() >= ANSWERS_MAX {
                    self.answers.clear();
                }
                self.answers.entry(key).or_insert(answer)
            }
        };
        let expected = (
            if answer.allowed { "allow" } else { "deny" },
            Some(i64::from(answer.level)),
        );
        let by = match record.rule {
            Some(rule) => answer.rules.iter().any(|name| name == rule),
            None => answer.rules.is_empty(),
        };
        let expected_text = format!("{} by {:?}", expected.0, answer.rules);
        agree((said.0, said.1) == expected && by, &expected_text, said)
    }

    /// The policies that this generation was: those of the context, or of one before it.
    fn deciding(
        &mut self,
        mut authority: Arc<Authority>,
        generation: i64,
    ) -> Result<Arc<Deciding>, Finding> {
        for _ in 0..CONTEXTS_AGO_MAX {
            if let Some(deciding) = &authority.deciding
                && deciding.generation == generation
            {
                return Ok(deciding.clone());
            }
            let Some(previous) = &authority.document.previous else {
                break;
            };
            authority = self.authorities.of(previous)?;
        }
        Err(Finding::new(Code::DecisionWrong)
            .expected("a decision by what governed")
            .found(format!("one by generation {generation}")))
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

fn agree(
    good: bool,
    expected: &str,
    said: (&str, Option<i64>, Option<&str>),
) -> Result<(), Finding> {
    if good {
        return Ok(());
    }
    let (verdict, _, rule) = said;
    Err(Finding::new(Code::DecisionWrong)
        .expected(expected)
        .found(format!("{verdict} by {rule:?}")))
}
