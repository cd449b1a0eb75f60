//! The text of a policy, read and checked against the schema.

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::{
    Entities, EntityUid, PolicyId, PolicySet, Schema as CedarSchema, ValidationMode, Validator, pst,
};
use miette::Diagnostic;

use super::nesting;
use super::warning::Warning;

/// Largest policy, bytes.
pub const POLICY_BYTES_MAX: usize = 4 << 20;

/// Most errors, and most warnings, that are told of one policy.
const TOLD_MAX: usize = 100;

/// The schema that every policy is checked against: its text.
pub const SCHEMA: &str = include_str!("lineage.cedarschema");

/// The schema, ready to be used.
#[derive(Debug)]
pub struct Schema {
    pub(super) cedar: CedarSchema,
    /// The actions with their groups.
    pub(super) actions: Entities,
}

impl Schema {
    /// The one that comes with the program.
    ///
    /// # Panics
    ///
    /// Never: a test reads it.
    #[must_use]
    pub fn new() -> Self {
        let (cedar, _) = CedarSchema::from_cedarschema_str(SCHEMA).expect("our own schema");
        let actions = cedar.action_entities().expect("our own actions");
        Self { cedar, actions }
    }

    /// Whether an action has this name, or is in the group of this name.
    pub(super) fn is_within(&self, name: &str, group: &str) -> bool {
        name == group || self.actions.is_ancestor_of(&action(group), &action(name))
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self::new()
    }
}

/// An action, as Cedar names it.
pub(super) fn action(name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(
        "Action".parse().expect("a type's name"),
        cedar_policy::EntityId::new(name),
    )
}

/// What a rule does when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Allows, unless another one forbids.
    Permit,
    /// Denies.
    Forbid,
}

/// A rule of a policy.
#[derive(Debug, Clone)]
pub struct SourceRule {
    /// The policy's name, a colon, and its own: the annotation `@id`, else `policy` and its place from 0.
    pub name: String,
    /// What it does.
    pub effect: Effect,
    /// Its text.
    pub text: String,
    pub(super) syntax: pst::Template,
}

/// A policy that has been read and makes sense.
#[derive(Debug, Clone)]
pub struct Source {
    /// What people call it: for a file its name.
    pub name: String,
    /// Its text.
    pub bytes: Vec<u8>,
    /// Its rules, in their order.
    pub rules: Vec<SourceRule>,
    /// What Cedar finds odd about it.
    pub warnings: Vec<Warning>,
    /// The same for the engine, each rule under its name.
    pub(super) set: PolicySet,
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// More than is read.
    #[error("{0} bytes, more than the {POLICY_BYTES_MAX} that are read")]
    TooLarge(usize),
    /// Not text.
    #[error("not UTF-8 from byte {0} on")]
    Encoding(usize),
    /// Not Cedar, or not by the schema: each thing that is wrong, with its place.
    #[error("{}", .0.join("; "))]
    Wrong(Vec<String>),
}

impl Source {
    /// Reads a policy and checks it strictly against the schema.
    ///
    /// # Errors
    ///
    /// [`SourceError`]
    pub fn parse(name: &str, bytes: &[u8], schema: &Schema) -> Result<Self, SourceError> {
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(SourceError::TooLarge(bytes.len()));
        }
        let text =
            str::from_utf8(bytes).map_err(|error| SourceError::Encoding(error.valid_up_to()))?;
        if let Some(problem) = nesting::problem(text) {
            return Err(SourceError::Wrong(vec![problem]));
        }
        let set = PolicySet::from_str(text).map_err(|errors| {
            let told = errors.iter().take(TOLD_MAX);
            SourceError::Wrong(told.map(|error| placed(text, error)).collect())
        })?;
        if set.num_of_templates() > 0 {
            let what = "templates (?principal, ?resource) are not used here".to_owned();
            return Err(SourceError::Wrong(vec![what]));
        }
        let (rules, set) = rules(name, &set).map_err(|what| SourceError::Wrong(vec![what]))?;
        let checked = Validator::new(schema.cedar.clone()).validate(&set, ValidationMode::Strict);
        let wrong: Vec<String> = checked
            .validation_errors()
            .take(TOLD_MAX)
            .map(|error| placed(text, error))
            .collect();
        if !wrong.is_empty() {
            return Err(SourceError::Wrong(wrong));
        }
        let warnings = checked.validation_warnings().take(TOLD_MAX);
        let warnings = warnings.map(|warning| Warning {
            rule: name.to_owned(),
            what: placed(text, warning),
        });
        let warnings = warnings.collect();
        Ok(Self {
            name: name.to_owned(),
            bytes: bytes.to_vec(),
            rules,
            warnings,
            set,
        })
    }
}

/// The rules in the order of the text, each under its name.
fn rules(name: &str, set: &PolicySet) -> Result<(Vec<SourceRule>, PolicySet), String> {
    let mut policies: Vec<_> = set.policies().collect();
    // Cedar calls them policy0, policy1, … in their order.
    policies.sort_by_key(|policy| {
        let id: &str = policy.id().as_ref();
        id.trim_start_matches("policy")
            .parse::<usize>()
            .unwrap_or(usize::MAX)
    });
    let mut rules = Vec::new();
    let mut named = PolicySet::new();
    let mut seen = BTreeSet::new();
    for policy in policies {
        let own = policy.annotation("id").unwrap_or(policy.id().as_ref());
        let name = format!("{name}:{own}");
        if !seen.insert(name.clone()) {
            return Err(format!("two rules are called {own:?}"));
        }
        let policy = policy.new_id(PolicyId::new(&name));
        let syntax = policy.to_pst().map_err(|error| format!("{own}: {error}"))?;
        rules.push(SourceRule {
            effect: match policy.effect() {
                cedar_policy::Effect::Permit => Effect::Permit,
                cedar_policy::Effect::Forbid => Effect::Forbid,
            },
            text: policy.to_cedar().unwrap_or_default(),
            syntax: syntax.body().clone(),
            name,
        });
        named.add(policy).map_err(|error| error.to_string())?;
    }
    Ok((rules, named))
}

/// An error with the line and column it is at.
fn placed(text: &str, error: &(impl Diagnostic + ?Sized)) -> String {
    let offset = error
        .labels()
        .and_then(|mut labels| labels.next())
        .map(|label| label.offset());
    let mut said = match offset.and_then(|offset| text.get(..offset)) {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("line {line} column {column}: {error}")
        }
        None => error.to_string(),
    };
    if let Some(help) = error.help() {
        said += &format!(" ({help})");
    }
    said
}
