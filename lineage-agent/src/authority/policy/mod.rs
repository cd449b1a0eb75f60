//! Policies: what they say, in Cedar; what of it the kernel can enforce; and its tables.
//!
//! One text has two readers, which must agree: the real Cedar engine ([`engine`]), and the tables that the
//! kernel looks things up in ([`table`]), made by way of [`profile`].

mod circuit;
pub mod condition;
pub mod engine;
pub mod learn;
mod nesting;
pub mod profile;
pub mod source;
pub mod table;
mod warning;

pub use warning::Warning;

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::pst;

use self::condition::Condition;
use self::profile::{Target, Unenforceable};
use self::source::{Effect, Schema, Source};
use self::table::{Rule, Table, TooLarge};
use super::chain::Chain;
use super::grant::Grant;
use super::statement::{Digest, Statement};

/// A rule of a policy, by the name that records have for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The grant whose policies it is of; 0 is the first.
    pub level: u8,
    /// The policy's name, a colon, and the rule's own name in it.
    pub name: String,
    /// What it does.
    pub effect: Effect,
    /// The names of the actions that it can apply to.
    pub actions: Vec<&'static str>,
    /// The same, each with what it is done to.
    pub targets: Vec<Target>,
}

/// The policies of a whole chain of grants, compiled.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The rules, in the order by which the table numbers them.
    pub rules: Vec<Named>,
    /// What they say together.
    pub table: Table,
    /// What looks like a mistake in them.
    pub warnings: Vec<Warning>,
}

/// Why policies cannot be enforced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Constructs that have no table, all of them.
    #[error("{}", list(.0))]
    Unenforceable(Vec<Unenforceable>),
    /// Two policies of one grant have the same name: records could not tell them apart.
    #[error("two policies are called {0:?}: give one of the files another name")]
    SameName(String),
    /// More than fits.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

fn list(errors: &[Unenforceable]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// Compiles the policies of a chain: of each grant those that it names.
///
/// # Errors
///
/// [`CompileError`]
pub fn compile(levels: &[Vec<Source>], schema: &Schema) -> Result<Compiled, CompileError> {
    let mut named = Vec::new();
    let mut rules = Vec::new();
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    for (level, sources) in levels.iter().enumerate() {
        let mut names = BTreeSet::new();
        if let Some(twice) = sources.iter().find(|source| !names.insert(&source.name)) {
            return Err(CompileError::SameName(twice.name.clone()));
        }
        warnings.extend(sources.iter().flat_map(|source| source.warnings.clone()));
        for rule in sources.iter().flat_map(|source| &source.rules) {
            let conditions = conditions(&rule.syntax, schema, &mut errors);
            warning::look(&rule.name, &conditions, &mut warnings);
            if conditions.is_empty() {
                warnings.push(Warning::never(&rule.name));
            }
            let level = level as u8;
            let mut actions: Vec<_> = conditions
                .keys()
                .filter_map(|at| at.operation.name())
                .collect();
            actions.dedup();
            let targets = conditions.keys().copied().collect();
            rules.push(Rule {
                level,
                permits: rule.effect == Effect::Permit,
                conditions,
            });
            named.push(Named {
                level,
                name: rule.name.clone(),
                effect: rule.effect,
                actions,
                targets,
            });
        }
    }
    if !errors.is_empty() {
        errors.dedup();
        return Err(CompileError::Unenforceable(errors));
    }
    let table = Table::compile(&rules, levels.len())?;
    Ok(Compiled {
        rules: named,
        table,
        warnings,
    })
}

/// The policies of each grant of a chain, out of those there are.
///
/// # Errors
///
/// [`Missing`]
pub fn levels(chain: &Chain, sources: &[Source]) -> Result<Vec<Vec<Source>>, Missing> {
    let of = |statement: &Statement<Grant>| {
        let found = statement.subjects.iter().map(|subject| {
            let source = sources.iter().find(|source| subject.has(&source.bytes));
            source.cloned().ok_or_else(|| Missing {
                name: subject.name.clone(),
                digest: subject.digest(),
            })
        });
        found.collect()
    };
    chain.links().iter().map(of).collect()
}

/// A policy that a grant names, and nobody has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the grant names the policy {name:?} with the digest {digest}, which is none of them")]
pub struct Missing {
    /// What the grant calls it.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
}

/// When a rule applies to each target.
fn conditions(
    rule: &pst::Template,
    schema: &Schema,
    errors: &mut Vec<Unenforceable>,
) -> BTreeMap<Target, Condition> {
    let mut conditions = BTreeMap::new();
    for target in Target::all() {
        match profile::condition(rule, target, schema) {
            Ok(Condition::Constant(false)) => {}
            Ok(condition) => {
                conditions.insert(target, condition);
            }
            Err(error) => errors.push(error),
        }
    }
    conditions
}

#[cfg(test)]
mod tests;
