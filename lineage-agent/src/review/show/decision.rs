//! What was decided about a record, in words.

use serde_json::Value;

use super::super::denial::Outcome;
use super::Row;
use super::context::Context;
use crate::evidence::schema::Record;

/// What the policy said, what came of it, and what said so; nothing where nothing governs.
pub(super) fn rows(record: &Record<'_>, context: Option<&Context>) -> Vec<Row> {
    let Some(verdict) = record.verdict else {
        return Vec::new();
    };
    let mut rows = vec![Row::told(
        "decision",
        outcome(verdict, record.effect.unwrap_or_default()),
    )];
    if let Some(judged) = record.judged {
        rows.push(Row::told("asked", judged));
    }
    let by = Outcome::of(record)
        .map(|outcome| outcome.by)
        .or(record.rule);
    if let Some(by) = by {
        rows.push(Row::told("by rule", by));
    }
    let grants = context.map_or(0, Context::grants);
    if let Some(level) = record.grant_level.filter(|_| grants > 0) {
        let told = format!(
            "{} of {grants}, the widest being 1",
            level.saturating_add(1)
        );
        rows.push(Row::told("by grant", told));
    }
    let policy = record.rule.and_then(|rule| rule.rsplit_once(':'));
    if let (Some((policy, _)), Some(context)) = (policy, context) {
        let digest = context.policy_digest(record.grant_level, policy);
        let digest = digest.map_or_else(String::new, |digest| format!("  blake3 {digest}"));
        rows.push(Row::told("by policy", format!("{policy}{digest}")));
    }
    if let Some(generation) = record.table_generation {
        let governs = context.and_then(|context| context.policy["generation"].as_u64());
        let note = match governs {
            Some(governs) if u64::try_from(generation) != Ok(governs) => {
                format!(", where its context has {governs}")
            }
            _ => String::new(),
        };
        rows.push(Row::told("generation", format!("{generation}{note}")));
    }
    rows
}

fn outcome(verdict: &str, effect: &str) -> String {
    let told = match (verdict, effect) {
        ("allow", "allowed") => "allowed",
        (_, "prevented") => "denied, and prevented: it did not happen",
        (_, "killed-before-run") => "denied: the program was ended before its first instruction",
        (_, "killed-after-effect") => "denied: it happened, and the process was ended",
        (_, "would-deny") => "it would be denied, but the policy is only audited: it happened",
        (_, "not-prevented") => "denied, but it happened, and the process could not be ended",
        _ => return format!("{verdict}, {effect}"),
    };
    told.to_owned()
}

/// The digest of the policy of this name among those of a level, or of any.
pub(super) fn digest_of<'a>(
    levels: &'a [Value],
    level: Option<usize>,
    name: &str,
) -> Option<&'a str> {
    let wanted = levels.iter().enumerate();
    let wanted = wanted.filter(|(index, _)| level.is_none_or(|level| level == *index));
    let policies = wanted.filter_map(|(_, policies)| policies.as_array());
    policies
        .flatten()
        .find(|policy| policy["name"] == name)
        .and_then(|policy| policy["blake3"].as_str())
}
