//! W3C PROV as PROV-JSON: who or what a result came from, for tools of provenance.
//!
//! Programs are activities, versions of files and connections are entities, lineages and grants are agents, and the
//! policies a plan. What is only possible is said as influence, and `wasDerivedFrom` is not said at all: no record
//! tells that content came from other content.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::graph::{Edge, EdgeKey, EdgeKind, Graph, Node, NodeKind};
use crate::review::ndjson::push_value;

/// Names of everything begin with it.
const PREFIX: &str = "lineage";

/// Writes the graph as a document.
pub(super) fn write<W: Write>(graph: &Graph, out: &mut W) -> io::Result<()> {
    let mut line = Vec::new();
    out.write_all(b"{\"prefix\":{\"lineage\":\"urn:lineage:\"}")?;
    let of = |kind: &[NodeKind]| {
        let nodes = graph.nodes.iter().filter(|node| kind.contains(&node.kind));
        nodes.collect::<Vec<_>>()
    };
    let mut section = Section::new(out, &mut line, "activity");
    for node in of(&[NodeKind::Program]) {
        section.entry(&name(&node.id), &activity(node))?;
    }
    section.end()?;
    let mut section = Section::new(out, &mut line, "entity");
    for node in of(&[NodeKind::File, NodeKind::Connection]) {
        section.entry(&name(&node.id), &entity(node))?;
    }
    let policies = graph.contexts.iter().filter_map(|it| it.policy.as_deref());
    for policy in policies.collect::<BTreeSet<_>>() {
        let plan = json!({ "prov:type": qualified("prov:Plan"), "lineage:blake3": policy });
        section.entry(&name(&format!("policy-{policy}")), &plan)?;
    }
    section.end()?;
    agents(graph, out, &mut line)?;
    for title in RELATIONS {
        let mut section = Section::new(out, &mut line, title);
        for (number, (key, edge)) in graph.edges.iter().enumerate() {
            let relation = Relation::of(graph, key.1, key.2);
            if relation.title == title {
                section.entry(
                    &format!("_:e{number}"),
                    &relation.statement(graph, *key, edge),
                )?;
            }
        }
        section.end()?;
    }
    out.write_all(b"}\n")
}

/// A member of the document that holds one entry for each thing; left out when there are none.
struct Section<'a, W> {
    out: &'a mut W,
    line: &'a mut Vec<u8>,
    title: &'static str,
    entries: usize,
}

impl<'a, W: Write> Section<'a, W> {
    fn new(out: &'a mut W, line: &'a mut Vec<u8>, title: &'static str) -> Self {
        Self {
            out,
            line,
            title,
            entries: 0,
        }
    }

    fn entry(&mut self, name: &str, value: &Json) -> io::Result<()> {
        self.line.clear();
        if self.entries == 0 {
            write!(self.line, ",\n\"{}\":{{\n", self.title)?;
        } else {
            self.line.extend_from_slice(b",\n");
        }
        push_value(self.line, &Json::from(name));
        self.line.push(b':');
        push_value(self.line, value);
        self.entries += 1;
        self.out.write_all(self.line)
    }

    fn end(self) -> io::Result<()> {
        match self.entries {
            0 => Ok(()),
            _ => self.out.write_all(b"\n}"),
        }
    }
}

fn name(id: &str) -> String {
    format!("{PREFIX}:{id}")
}

fn qualified(name: &str) -> Json {
    json!({ "$": name, "type": "prov:QUALIFIED_NAME" })
}

fn number(number: i64) -> Json {
    json!({ "$": number.to_string(), "type": "xsd:long" })
}

/// With microseconds; nothing for what is no time.
fn time(time_ns: i64) -> Option<Json> {
    let time = Timestamp::from_microsecond(time_ns.div_euclid(1000)).ok()?;
    Some(format!("{time:.6}").into())
}

fn facts(node: &Node) -> Map<String, Json> {
    let mut facts = Map::new();
    facts.insert("prov:label".to_owned(), node.label.as_str().into());
    for (key, text) in &node.texts {
        facts.insert(name(key), text.as_str().into());
    }
    for (key, value) in &node.numbers {
        facts.insert(name(key), number(*value));
    }
    facts
}

fn activity(node: &Node) -> Json {
    let mut facts = facts(node);
    facts.insert("prov:type".to_owned(), qualified("lineage:Program"));
    if let Some(time) = time(node.began_ns) {
        facts.insert("prov:startTime".to_owned(), time);
    }
    if let Some(time) = node.ended_ns.and_then(time) {
        facts.insert("prov:endTime".to_owned(), time);
    }
    Json::Object(facts)
}

fn entity(node: &Node) -> Json {
    let mut facts = facts(node);
    let kind = match node.kind {
        NodeKind::Connection => "lineage:Connection",
        NodeKind::File | NodeKind::Program => "lineage:File",
    };
    facts.insert("prov:type".to_owned(), qualified(kind));
    Json::Object(facts)
}

/// Every relation that an edge can be.
const RELATIONS: [&str; 5] = [
    "used",
    "wasGeneratedBy",
    "wasInformedBy",
    "wasInfluencedBy",
    "alternateOf",
];

/// What an edge is called here.
struct Relation {
    title: &'static str,
    /// What its two ends are called.
    ends: [&'static str; 2],
    /// The first of them is where the edge begins.
    forward: bool,
}

impl Relation {
    /// That of an edge of this kind to this node.
    fn of(graph: &Graph, to: usize, kind: EdgeKind) -> Self {
        let into_program = graph.nodes[to].kind == NodeKind::Program;
        let (title, ends, forward) = match kind {
            EdgeKind::Fork | EdgeKind::Exec => {
                ("wasInformedBy", ["prov:informed", "prov:informant"], false)
            }
            EdgeKind::Write | EdgeKind::Connect => {
                ("wasGeneratedBy", ["prov:entity", "prov:activity"], false)
            }
            EdgeKind::Map if !into_program => (
                "wasInfluencedBy",
                ["prov:influencee", "prov:influencer"],
                false,
            ),
            EdgeKind::Version => ("alternateOf", ["prov:alternate1", "prov:alternate2"], false),
            EdgeKind::Send => ("used", ["prov:activity", "prov:entity"], true),
            EdgeKind::Execute
            | EdgeKind::Read
            | EdgeKind::Map
            | EdgeKind::Accept
            | EdgeKind::Receive => ("used", ["prov:activity", "prov:entity"], false),
        };
        Self {
            title,
            ends,
            forward,
        }
    }

    fn statement(&self, graph: &Graph, (from, to, kind): EdgeKey, edge: &Edge) -> Json {
        let ends = if self.forward { [from, to] } else { [to, from] };
        let mut said = Map::new();
        for (title, end) in self.ends.into_iter().zip(ends) {
            said.insert(title.to_owned(), name(&graph.nodes[end].id).into());
        }
        // That two are versions of the same is no event.
        if kind == EdgeKind::Version {
            return Json::Object(said);
        }
        if matches!(self.title, "used" | "wasGeneratedBy")
            && let Some(time) = time(edge.time_ns)
        {
            said.insert("prov:time".to_owned(), time);
        }
        said.insert("lineage:how".to_owned(), kind.word().into());
        said.insert("lineage:seq".to_owned(), number(signed(edge.seq)));
        said.insert("lineage:count".to_owned(), number(signed(edge.count)));
        Json::Object(said)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Lineages, and the grants that they act under: each narrower one for the wider.
fn agents<W: Write>(graph: &Graph, out: &mut W, line: &mut Vec<u8>) -> io::Result<()> {
    let mut lineages = BTreeMap::new();
    let mut grants = BTreeSet::new();
    let mut behalf = BTreeSet::new();
    for context in &graph.contexts {
        let agent = agent_of(&context.lineage);
        if let Some(narrowest) = context.grants.last() {
            behalf.insert((agent.clone(), grant_of(narrowest)));
        }
        lineages.insert(agent, &context.lineage);
        for pair in context.grants.windows(2) {
            behalf.insert((grant_of(&pair[1]), grant_of(&pair[0])));
        }
        grants.extend(context.grants.iter());
    }
    let mut section = Section::new(out, line, "agent");
    for (agent, lineage) in lineages {
        let facts = json!({ "prov:type": qualified("lineage:Lineage"), "prov:label": lineage });
        section.entry(&agent, &facts)?;
    }
    for grant in grants {
        let facts = json!({ "prov:type": qualified("lineage:Grant"), "lineage:blake3": grant });
        section.entry(&grant_of(grant), &facts)?;
    }
    section.end()?;
    let mut section = Section::new(out, line, "actedOnBehalfOf");
    for (number, (delegate, responsible)) in behalf.into_iter().enumerate() {
        let said = json!({ "prov:delegate": delegate, "prov:responsible": responsible });
        section.entry(&format!("_:b{number}"), &said)?;
    }
    section.end()?;
    let mut section = Section::new(out, line, "wasAssociatedWith");
    for (number, (program, context)) in graph.governed.iter().enumerate() {
        let context = &graph.contexts[*context];
        let mut said = json!({
            "prov:activity": name(&graph.nodes[*program].id),
            "prov:agent": agent_of(&context.lineage),
        });
        if let Some(policy) = &context.policy {
            said["prov:plan"] = name(&format!("policy-{policy}")).into();
        }
        section.entry(&format!("_:a{number}"), &said)?;
    }
    section.end()
}

fn agent_of(lineage: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || it == '-';
    let id: String = lineage.chars().filter(|it| plain(*it)).take(64).collect();
    name(&format!("lineage-{id}"))
}

fn grant_of(digest: &str) -> String {
    name(&format!("grant-{digest}"))
}
