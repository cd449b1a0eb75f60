//! What is allowed in policies and is probably not what was meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::condition::{Atom, Condition};
use super::profile::Target;

/// Something to look at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The rule's name.
    pub rule: String,
    /// What about it, in words.
    pub what: String,
}

impl Warning {
    /// About a rule that never applies.
    pub(super) fn never(rule: &str) -> Self {
        let what = "it never applies: a group of actions is compared with `in`, one address is never equal to a \
                    block, IPv4-mapped addresses are IPv4, and a port is at most 65535";
        Self {
            rule: rule.to_owned(),
            what: what.to_owned(),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.rule, self.what)
    }
}

/// Looks at all paths in a rule.
pub(super) fn look(
    rule: &str,
    conditions: &BTreeMap<Target, Condition>,
    warnings: &mut Vec<Warning>,
) {
    let mut found = BTreeSet::new();
    let paths = conditions
        .iter()
        .filter(|(target, _)| target.resource.text() == Some("path"));
    for (_, condition) in paths {
        condition.atoms(&mut |atom| found.extend(about(atom)));
    }
    let rule = rule.to_owned();
    warnings.extend(found.into_iter().map(|what| Warning {
        rule: rule.clone(),
        what,
    }));
}

fn about(atom: &Atom) -> Option<String> {
    match atom {
        Atom::Below(text) if !text.ends_with('/') && text.starts_with('/') => Some(format!(
            "`like \"{text}*\"` also takes in {text}-other: end it with /* for what is in the directory"
        )),
        Atom::Path(text) if text.len() > 1 && text.ends_with('/') => {
            Some(format!("no path ends with a slash, as \"{text}\" does"))
        }
        Atom::Path(text) | Atom::Below(text) if has_odd_name(text) => Some(format!(
            "no path of the kernel has `//`, `/./` or `/../` in it, as \"{text}\" does"
        )),
        Atom::Path(text) | Atom::Below(text) if !text.starts_with(['/', '@']) => Some(format!(
            "\"{text}\" is not absolute: only what has no place in the file system is named so"
        )),
        _ => None,
    }
}

fn has_odd_name(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut names = path.split('/').skip(1);
    path.starts_with('/') && path.len() > 1 && names.any(|name| matches!(name, "" | "." | ".."))
}
