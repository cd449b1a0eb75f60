//! Rules in Cedar.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lineage_common::policy::Resource;

use super::ends::{Block, Port, Talk};
use super::paths::{Operations, Together};
use super::{ProposedRule, names, protocol_name, word};

/// Most entries of a list in one rule, for people to read.
const LIST_MAX: usize = 500;

/// Most conditions of one rule that are not in a list: they count as operators, of which a rule has a limit.
const CONDITIONS_MAX: usize = 64;

/// Rules that are being written, with how often each name was wanted.
#[derive(Default)]
pub(super) struct Rules {
    rules: Vec<ProposedRule>,
    ids: BTreeMap<String, usize>,
}

impl Rules {
    /// Rules about paths.
    pub(super) fn add_paths(
        &mut self,
        resource: Resource,
        operations: Operations,
        together: &Together,
    ) {
        let id = names(operations).join("-") + word(resource);
        let what = format!("resource.{}", resource.text().unwrap_or("path"));
        for below in together.below.chunks(CONDITIONS_MAX) {
            let each = below
                .iter()
                .map(|directory| format!("resource.path like {}", pattern(directory)));
            let condition = any(&each.collect::<Vec<_>>());
            self.add(&id, operations, resource, &condition);
        }
        for paths in together.paths.chunks(LIST_MAX) {
            let each = paths.iter().map(|path| literal(path));
            let condition = one_of(&what, each.collect());
            self.add(&id, operations, resource, &condition);
        }
    }

    /// Rules about ends of connections.
    pub(super) fn add_talk(&mut self, talk: &Talk) {
        let protocol = protocol_name(talk.protocol);
        let id = format!("{}-{protocol}", names(talk.operations).join("-"));
        let mut exact = Vec::new();
        let mut around = Vec::new();
        for block in &talk.blocks {
            match block {
                Block::Exactly(address) => exact.push(format!("ip(\"{address}\")")),
                Block::Around(first) => {
                    let bits = if first.is_ipv4() { 24 } else { 64 };
                    around.push(format!(
                        "resource.address.isInRange(ip(\"{first}/{bits}\"))"
                    ));
                }
            }
        }
        let lists = exact.chunks(LIST_MAX);
        let lists = lists.map(|list| one_of("resource.address", list.to_vec()));
        let blocks = around.chunks(CONDITIONS_MAX);
        let blocks = blocks.map(any);
        let ports = ports(talk);
        for addresses in lists.chain(blocks) {
            let condition =
                format!("resource.protocol == \"{protocol}\" &&\n  {ports}({addresses})");
            self.add(&id, talk.operations, Resource::Endpoint, &condition);
        }
    }

    fn add(&mut self, id: &str, operations: Operations, resource: Resource, condition: &str) {
        let count = self.ids.entry(id.to_owned()).or_default();
        *count += 1;
        let id = match count {
            1 => id.to_owned(),
            count => format!("{id}-{count}"),
        };
        let actions: Vec<String> = names(operations)
            .iter()
            .map(|name| format!("Action::\"{name}\""))
            .collect();
        let action = match &*actions {
            [one] => format!("action == {one}"),
            several => format!("action in [{}]", several.join(", ")),
        };
        let text = format!(
            "@id(\"{id}\")\npermit (principal, {action}, resource is {})\nwhen {{\n  {condition}\n}};\n",
            resource.name()
        );
        self.rules.push(ProposedRule { id, text });
    }

    pub(super) fn finish(self) -> Vec<ProposedRule> {
        self.rules
    }
}

/// What a rule asks of the port, and `&&`; nothing when it is any.
fn ports(talk: &Talk) -> String {
    let mut exact = Vec::new();
    let mut conditions = Vec::new();
    for port in &talk.ports {
        match port {
            Port::Exactly(port) => exact.push(port.to_string()),
            Port::From(0) => return String::new(),
            Port::From(least) => conditions.push(format!("resource.port >= {least}")),
        }
    }
    if !exact.is_empty() {
        conditions.insert(0, one_of("resource.port", exact));
    }
    format!("({}) &&\n  ", any(&conditions))
}

/// Whether something is one of these; a list, which has no limit.
fn one_of(what: &str, mut values: Vec<String>) -> String {
    if values.len() == 1 {
        return format!("{what} == {}", values.remove(0));
    }
    let mut out = "[\n".to_owned();
    for (at, value) in values.iter().enumerate() {
        let comma = if at + 1 < values.len() { "," } else { "" };
        let _ = writeln!(out, "    {value}{comma}");
    }
    out + &format!("  ].contains({what})")
}

fn any(conditions: &[String]) -> String {
    conditions.join(" ||\n  ")
}

/// A text in Cedar. It has no control characters.
fn literal(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// A pattern in Cedar for all that is in a directory.
fn pattern(directory: &str) -> String {
    format!("\"{}/*\"", escaped(directory).replace('*', "\\*"))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
