//! What the real Cedar engine says. Slow, and the measure of the tables.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use lineage_common::policy::Protocol;

use super::profile::Target;
use super::source::{Schema, Source, action};

/// What an operation is done to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Object {
    /// A program, a file, or a Unix socket, as the target says; of what is known by a name, that.
    Path(String),
    /// An end of a connection.
    Endpoint {
        /// The address; an IPv4-mapped one is taken for IPv4.
        address: IpAddr,
        /// The port.
        port: u16,
        /// The protocol.
        protocol: Protocol,
    },
}

/// What is decided, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Every grant allows it.
    pub allowed: bool,
    /// The grant that decided, as in [`lineage_common::policy::Ruling`].
    pub level: u8,
    /// The names of the rules, sorted, by which it did: those that forbid, or those that permit, or none.
    pub rules: Vec<String>,
    /// What could not be evaluated; then it is denied.
    pub errors: Vec<String>,
}

/// The policies of a chain of grants.
#[derive(Debug)]
pub struct Engine {
    schema: Arc<Schema>,
    levels: Vec<PolicySet>,
    authorizer: Authorizer,
    /// Entities that no question has of its own.
    common: Entities,
    workload: EntityUid,
}

impl Engine {
    /// An engine for the policies of each grant. A rule's name that occurs twice in a grant is an error, in words.
    ///
    /// # Errors
    ///
    /// Why the policies cannot be put together.
    pub fn new(levels: &[Vec<Source>], schema: Arc<Schema>) -> Result<Self, String> {
        let mut sets = Vec::new();
        for sources in levels {
            let policies = sources
                .iter()
                .flat_map(|source| source.set.policies().cloned());
            sets.push(PolicySet::from_policies(policies).map_err(|error| error.to_string())?);
        }
        let workload = entity("Workload", "lineage");
        let common = schema
            .actions
            .clone()
            .add_entities([Entity::with_uid(workload.clone())], Some(&schema.cedar));
        let common = common.map_err(|error| error.to_string())?;
        Ok(Self {
            schema,
            levels: sets,
            authorizer: Authorizer::new(),
            common,
            workload,
        })
    }

    /// Whether every grant allows it. What cannot be evaluated is denied, although in Cedar a rule with an error
    /// only does not count: a rule that forbids must not vanish by that.
    #[must_use]
    pub fn decide(&self, target: Target, object: &Object) -> Answer {
        let (request, entities) = match self.request(target, object) {
            Ok(request) => request,
            Err(error) => return Answer::failed(0, error),
        };
        let mut last = Answer::failed(0, "no policies".to_owned());
        for (level, policies) in self.levels.iter().enumerate() {
            let response = self.authorizer.is_authorized(&request, policies, &entities);
            let diagnostics = response.diagnostics();
            let mut rules: Vec<String> = diagnostics.reason().map(ToString::to_string).collect();
            rules.sort_unstable();
            let errors: Vec<String> = diagnostics.errors().map(ToString::to_string).collect();
            let allowed = response.decision() == Decision::Allow && errors.is_empty();
            last = Answer {
                allowed,
                level: level as u8,
                rules,
                errors,
            };
            if !allowed {
                break;
            }
        }
        last
    }

    fn request(&self, target: Target, object: &Object) -> Result<(Request, Entities), String> {
        let attributes = match object {
            Object::Path(path) => {
                let text = target.resource.text().unwrap_or_default();
                let path = RestrictedExpression::new_string(path.clone());
                HashMap::from([(text.to_owned(), path)])
            }
            Object::Endpoint {
                address,
                port,
                protocol,
            } => {
                let address = address.to_canonical().to_string();
                let name = Protocol::ALL.iter().find(|(known, _)| known == protocol);
                let name = name.map_or("other", |(_, name)| name);
                HashMap::from([
                    ("address".to_owned(), RestrictedExpression::new_ip(address)),
                    (
                        "port".to_owned(),
                        RestrictedExpression::new_long((*port).into()),
                    ),
                    (
                        "protocol".to_owned(),
                        RestrictedExpression::new_string(name.to_owned()),
                    ),
                ])
            }
        };
        let resource = entity(target.resource.name(), "it");
        let entity = Entity::new(resource.clone(), attributes, HashSet::new());
        let entity = entity.map_err(|error| error.to_string())?;
        let entities = self
            .common
            .clone()
            .add_entities([entity], Some(&self.schema.cedar));
        let request = Request::new(
            self.workload.clone(),
            action(target.operation.name().unwrap_or_default()),
            resource,
            Context::empty(),
            Some(&self.schema.cedar),
        );
        match (request, entities) {
            (Ok(request), Ok(entities)) => Ok((request, entities)),
            (Err(error), _) => Err(error.to_string()),
            (_, Err(error)) => Err(error.to_string()),
        }
    }
}

impl Answer {
    fn failed(level: u8, error: String) -> Self {
        Self {
            allowed: false,
            level,
            rules: Vec::new(),
            errors: vec![error],
        }
    }
}

fn entity(kind: &str, id: &str) -> EntityUid {
    let kind = kind.parse().expect("a type of the schema");
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}
