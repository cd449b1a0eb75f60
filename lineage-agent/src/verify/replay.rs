//! Every decision once more, by the real Cedar engine, from the evidence alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use lineage_common::policy::{Operation, Protocol, Resource};
use serde::Deserialize;

use super::access::HostDir;
use super::artifacts;
use super::finding::{Code, Finding};
use crate::authority::policy::engine::{Answer, Engine, Object};
use crate::authority::policy::profile::Target;
use crate::authority::policy::source::{SCHEMA, Schema, Source};
use crate::authority::statement::Digest;
use crate::evidence::escape::unescape;
use crate::evidence::schema::Record;
use crate::evidence::text::parse_hex;

/// Answers kept; programs do the same again and again.
const ANSWERS_MAX: usize = 1 << 16;

/// The decisions of one segment.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    dir: &'a HostDir,
    /// By the digest of the context; none where nothing governs, or what governs is not to be had.
    contexts: BTreeMap<String, Option<Arc<Engine>>>,
    engines: BTreeMap<String, Option<Arc<Engine>>>,
    /// By context, what is done, and path.
    answers: BTreeMap<(String, String, String), Answer>,
}

#[derive(Deserialize)]
struct Context {
    policy: Option<String>,
}

/// How policies govern; see `recorder/policy.rs`.
#[derive(Deserialize)]
struct Governance {
    levels: Vec<Vec<Named>>,
    schema: Digest,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    blake3: Digest,
}

impl<'a> Replay<'a> {
    pub(super) fn new(dir: &'a HostDir) -> Self {
        Self {
            dir,
            contexts: BTreeMap::new(),
            engines: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Whether the decision of a record is the one that its policies give.
    pub(super) fn check(&mut self, record: &Record<'_>) -> Result<(), Finding> {
        let (Some(verdict), Some(context)) = (record.verdict, record.context) else {
            return Ok(());
        };
        let Some(engine) = self.engine(context) else {
            return Err(Finding::new(Code::PolicyMissing).found(context));
        };
        // Denied whatever the policy says: its path is not known whole, or the host has none.
        let notes = record.notes.unwrap_or_default();
        let cut = record
            .truncated
            .is_some_and(|names| names.split(',').any(|name| name == "path" || name == "exe"));
        let said = (verdict, record.grant_level, record.rule);
        if cut || notes.split(',').any(|note| note == "not-on-host") {
            return agree(
                said == ("deny", Some(0), None),
                "deny: the path is not known",
                said,
            );
        }
        let answer = self.answer(context, &engine, record)?;
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

    /// What Cedar says to everything a record was judged for: the first denial, or the last permission.
    fn answer(
        &mut self,
        context: &str,
        engine: &Engine,
        record: &Record<'_>,
    ) -> Result<Answer, Finding> {
        let judged = record.judged.unwrap_or_default();
        let own = record.path.or(record.exe).unwrap_or_default();
        let path = record.host_path.unwrap_or(own);
        let key = (context.to_owned(), judged.to_owned(), path.to_owned());
        if let Some(answer) = self.answers.get(&key) {
            return Ok(answer.clone());
        }
        let unknown =
            || Finding::new(Code::RecordRule).found(format!("a decision about {judged:?}"));
        let (actions, object) = match judged.split_once(' ') {
            Some((action, end)) => (action, endpoint(end).ok_or_else(unknown)?),
            None => {
                let bytes = unescape(path).ok_or_else(unknown)?;
                let path = String::from_utf8_lossy(&bytes).into_owned();
                (judged, Object::Path(path))
            }
        };
        let mut answer = None;
        for name in actions.split(',') {
            let known = Operation::ALL.iter().find(|(_, known, _)| *known == name);
            let (operation, _, resources) = known.ok_or_else(unknown)?;
            let resource = match (&object, resources) {
                (Object::Path(_), [resource]) => *resource,
                (Object::Endpoint { .. }, [Resource::Endpoint, _]) => Resource::Endpoint,
                _ => return Err(unknown()),
            };
            let target = Target {
                operation: *operation,
                resource,
            };
            let said = engine.decide(target, &object);
            let denied = !said.allowed;
            answer = Some(said);
            if denied {
                break;
            }
        }
        let answer = answer.ok_or_else(unknown)?;
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.clear();
        }
        self.answers.insert(key, answer.clone());
        Ok(answer)
    }

    /// The engine for a context.
    fn engine(&mut self, context: &str) -> Option<Arc<Engine>> {
        if let Some(known) = self.contexts.get(context) {
            return known.clone();
        }
        let engine = self.load(context);
        self.contexts.insert(context.to_owned(), engine.clone());
        engine
    }

    fn load(&mut self, context: &str) -> Option<Arc<Engine>> {
        let document: Context = self.document(context)?;
        let policy = document.policy?;
        if let Some(known) = self.engines.get(&policy) {
            return known.clone();
        }
        let engine = self.build(&policy).map(Arc::new);
        self.engines.insert(policy, engine.clone());
        engine
    }

    fn build(&self, policy: &str) -> Option<Engine> {
        let governance: Governance = self.document(policy)?;
        if governance.schema != Digest::of(SCHEMA.as_bytes()) {
            return None;
        }
        let schema = Arc::new(Schema::new());
        let source = |named: &Named| {
            let bytes = artifacts::read(self.dir, &named.blake3.0).ok()?;
            Source::parse(&named.name, &bytes, &schema).ok()
        };
        let level = |level: &Vec<Named>| level.iter().map(source).collect::<Option<Vec<_>>>();
        let levels = governance
            .levels
            .iter()
            .map(level)
            .collect::<Option<Vec<_>>>()?;
        Engine::new(&levels, schema).ok()
    }

    fn document<T: for<'de> Deserialize<'de>>(&self, digest: &str) -> Option<T> {
        let bytes = artifacts::read(self.dir, &parse_hex(digest)?).ok()?;
        serde_json::from_slice(&bytes).ok()
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
