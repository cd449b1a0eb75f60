//! GraphML, which NetworkX, Gephi, yEd and igraph read.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::graph::{Graph, plain};

/// Writes the graph as a document.
pub(super) fn write<W: Write>(graph: &Graph, out: &mut W) -> io::Result<()> {
    out.write_all(
        b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
          <graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n",
    )?;
    keys(graph, out)?;
    out.write_all(b"<graph id=\"lineage\" edgedefault=\"directed\">\n")?;
    for node in &graph.nodes {
        write!(out, "<node id=\"{}\">", node.id)?;
        data(out, "n-kind", node.kind.word())?;
        data(out, "n-label", &node.label)?;
        data(out, "n-began_ns", &node.began_ns.to_string())?;
        if let Some(ended) = node.ended_ns {
            data(out, "n-ended_ns", &ended.to_string())?;
        }
        for (name, text) in &node.texts {
            data(out, &format!("n-{name}"), text)?;
        }
        for (name, number) in &node.numbers {
            data(out, &format!("n-{name}"), &number.to_string())?;
        }
        out.write_all(b"</node>\n")?;
    }
    for (number, ((from, to, kind), edge)) in graph.edges.iter().enumerate() {
        let (from, to) = (&graph.nodes[*from].id, &graph.nodes[*to].id);
        write!(
            out,
            "<edge id=\"e{number}\" source=\"{from}\" target=\"{to}\">"
        )?;
        data(out, "e-kind", kind.word())?;
        data(out, "e-seq", &edge.seq.to_string())?;
        data(out, "e-time_ns", &edge.time_ns.to_string())?;
        data(out, "e-count", &edge.count.to_string())?;
        out.write_all(b"</edge>\n")?;
    }
    out.write_all(b"</graph>\n</graphml>\n")
}

/// Which attributes there are, and of what type.
fn keys<W: Write>(graph: &Graph, out: &mut W) -> io::Result<()> {
    let mut of_nodes = BTreeMap::from([
        ("kind", "string"),
        ("label", "string"),
        ("began_ns", "long"),
        ("ended_ns", "long"),
    ]);
    for node in &graph.nodes {
        of_nodes.extend(node.texts.iter().map(|(name, _)| (*name, "string")));
        of_nodes.extend(node.numbers.iter().map(|(name, _)| (*name, "long")));
    }
    for (name, kind) in of_nodes {
        key(out, "node", "n", name, kind)?;
    }
    for (name, kind) in [
        ("kind", "string"),
        ("seq", "long"),
        ("time_ns", "long"),
        ("count", "long"),
    ] {
        key(out, "edge", "e", name, kind)?;
    }
    Ok(())
}

fn key<W: Write>(out: &mut W, of: &str, start: &str, name: &str, kind: &str) -> io::Result<()> {
    writeln!(
        out,
        "<key id=\"{start}-{name}\" for=\"{of}\" attr.name=\"{name}\" attr.type=\"{kind}\"/>"
    )
}

fn data<W: Write>(out: &mut W, key: &str, text: &str) -> io::Result<()> {
    write!(out, "<data key=\"{key}\">")?;
    for character in plain(text).chars() {
        match character {
            '&' => out.write_all(b"&amp;")?,
            '<' => out.write_all(b"&lt;")?,
            '>' => out.write_all(b"&gt;")?,
            it => out.write_all(it.encode_utf8(&mut [0; 4]).as_bytes())?,
        }
    }
    out.write_all(b"</data>")
}
