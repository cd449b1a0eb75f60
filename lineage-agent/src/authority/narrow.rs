//! A grant below another one may only take away. Nothing is cut to fit: what widens is refused, and
//! named.

use std::fmt;

use super::grant::Grant;
use super::statement::Statement;

/// What a grant has that the one above it has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widening {
    /// The member of the grant, as it is written there.
    pub field: &'static str,
    /// What is wider about it.
    pub why: String,
}

impl fmt::Display for Widening {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.field, self.why)
    }
}

/// Everything by which `child` is not a narrowed `parent`; nothing when it is one.
#[must_use]
pub fn widenings(child: &Statement<Grant>, parent: &Statement<Grant>) -> Vec<Widening> {
    let mut found = Vec::new();
    let mut add = |field, why| found.push(Widening { field, why });
    lineage(child, parent, &mut add);
    time(&child.predicate, &parent.predicate, &mut add);
    let (selector, above) = (&child.predicate.selector, &parent.predicate.selector);
    for (field, why) in selector.beyond(above) {
        add(field, why.to_owned());
    }
    depth(&child.predicate, &parent.predicate, &mut add);
    budgets(&child.predicate, &parent.predicate, &mut add);
    for subject in &child.subjects {
        if !parent.subjects.iter().any(|one| one.is(subject)) {
            let why = format!(
                "the policy {:?} ({}) is none of the grant above",
                subject.name,
                subject.digest()
            );
            add("subject", why);
        }
    }
    found
}

fn lineage(
    child: &Statement<Grant>,
    parent: &Statement<Grant>,
    add: &mut impl FnMut(&'static str, String),
) {
    if child.predicate.parent != Some(parent.id) {
        let named = child.predicate.parent.map(|digest| digest.to_string());
        let named = named.as_deref().unwrap_or("none");
        add(
            "parent",
            format!("it narrows {named}, and the grant above is {}", parent.id),
        );
    }
    let issuer = child.predicate.issuer;
    if !parent.predicate.narrowed_by.contains(&issuer) {
        add(
            "issuer",
            format!("{issuer} is none of those who may narrow the grant above"),
        );
    }
}

fn time(child: &Grant, parent: &Grant, add: &mut impl FnMut(&'static str, String)) {
    if child.not_before < parent.not_before {
        let (one, other) = (child.not_before, parent.not_before);
        add("notBefore", format!("{one}, and above it is {other}"));
    }
    if child.not_after > parent.not_after {
        let (one, other) = (child.not_after, parent.not_after);
        add("notAfter", format!("{one}, and above it is {other}"));
    }
}

fn depth(child: &Grant, parent: &Grant, add: &mut impl FnMut(&'static str, String)) {
    if child.max_depth >= parent.max_depth {
        let (one, other) = (child.max_depth, parent.max_depth);
        let why = match other.checked_sub(1) {
            Some(most) => format!("{one}, and below a grant with {other} it is at most {most}"),
            None => "no grant can follow the one above".to_owned(),
        };
        add("maxDepth", why);
    }
    for key in &child.narrowed_by {
        if !parent.narrowed_by.contains(key) {
            add(
                "narrowedBy",
                format!("{key} is none of those who may narrow the grant above"),
            );
        }
    }
}

fn budgets(child: &Grant, parent: &Grant, add: &mut impl FnMut(&'static str, String)) {
    let (child, parent) = (&child.budgets, &parent.budgets);
    let members = [
        ("budgets.execs", child.execs, parent.execs),
        ("budgets.connections", child.connections, parent.connections),
        ("budgets.bytesSent", child.bytes_sent, parent.bytes_sent),
    ];
    for (field, one, other) in members {
        let Some(most) = other else { continue };
        match one {
            None => add(field, format!("no limit, and above it is {most}")),
            Some(one) if one > most => add(field, format!("{one}, and above it is {most}")),
            Some(_) => {}
        }
    }
}
