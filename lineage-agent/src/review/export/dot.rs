//! The language of Graphviz.

use std::io::{self, Write};

use super::graph::{EdgeKind, Graph, NodeKind, plain};
use crate::review::text::shortened;

/// Most columns of a label.
const LABEL_COLUMNS: usize = 60;

/// Writes the graph as a drawing that is read from left to right.
pub(super) fn write<W: Write>(graph: &Graph, out: &mut W) -> io::Result<()> {
    out.write_all(
        b"digraph lineage {\n\
          \trankdir=LR;\n\
          \tnode [fontname=\"sans-serif\", fontsize=10];\n\
          \tedge [fontname=\"sans-serif\", fontsize=8];\n",
    )?;
    for node in &graph.nodes {
        let shape = match node.kind {
            NodeKind::Program => "box",
            NodeKind::File => "note",
            NodeKind::Connection => "ellipse",
        };
        let command = node.texts.iter().find(|(name, _)| *name == "command");
        let tip = command.map_or(&node.label, |(_, text)| text);
        writeln!(
            out,
            "\t\"{}\" [shape={shape}, label=\"{}\", tooltip=\"{}\"];",
            node.id,
            quoted(&shortened(&plain(&node.label), LABEL_COLUMNS)),
            quoted(&plain(tip)),
        )?;
    }
    for ((from, to, kind), edge) in &graph.edges {
        let (from, to) = (&graph.nodes[*from].id, &graph.nodes[*to].id);
        let style = match kind {
            EdgeKind::Fork | EdgeKind::Exec => "bold",
            EdgeKind::Map | EdgeKind::Version | EdgeKind::Execute => "dashed",
            _ => "solid",
        };
        let times = match edge.count {
            1 => String::new(),
            count => format!(" ×{count}"),
        };
        writeln!(
            out,
            "\t\"{from}\" -> \"{to}\" [label=\"{}{times}\", style={style}, tooltip=\"seq {}\"];",
            kind.word(),
            edge.seq
        )?;
    }
    out.write_all(b"}\n")
}

/// The text within quotes, where Graphviz gives a backslash and an ampersand a meaning.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '&' => out.push_str("&amp;"),
            it => out.push(it),
        }
    }
    out
}
