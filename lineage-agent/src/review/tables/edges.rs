//! The table of edges: what moved from where to where, as `why` and `impact` follow it.

use std::io::{self, Write};
use std::ops::ControlFlow;

use crate::evidence::error::Result;
use crate::evidence::table::ColumnKind::{Flag, Number, Text};
use crate::evidence::table::{Cell, Column, TableWriter, column};
use crate::review::flow::Flow;
use crate::review::walk::Flows;

/// The columns. A node is named by its kind and the `seq` of the first record that tells of it.
const COLUMNS: [Column; 9] = [
    column("to_kind", Text),
    column("to_seq", Number),
    column("from_kind", Text),
    column("from_seq", Number),
    column("first", Number),
    column("last", Number),
    column("record", Number),
    column("rule", Text),
    column("known", Flag),
];

/// Writes the table, in the order of where edges lead, then of when they begin.
pub(super) fn write<W: Write + Send>(
    flows: &dyn Flows,
    out: W,
    about: &[(&str, String)],
) -> Result<io::Result<W>> {
    let mut table = match TableWriter::new(out, &COLUMNS) {
        Ok(table) => table,
        Err(error) => return Ok(Err(error)),
    };
    let mut written = Ok(());
    flows.each(&mut |flow| match table.row(&cells(flow)) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            written = Err(error);
            ControlFlow::Break(())
        }
    })?;
    Ok(written.and_then(|()| table.finish(about)))
}

fn cells(flow: &Flow) -> [Cell<'static>; 9] {
    let last = Some(flow.last).filter(|last| *last != u64::MAX);
    [
        Cell::Text(flow.to.kind().name()),
        Cell::number(Some(flow.to.seq())),
        Cell::Text(flow.from.kind().name()),
        Cell::number(Some(flow.from.seq())),
        Cell::number(Some(flow.first)),
        Cell::number(last),
        Cell::number(Some(flow.record)),
        Cell::Text(flow.rule.name()),
        Cell::Flag(flow.rule.is_known()),
    ]
}
