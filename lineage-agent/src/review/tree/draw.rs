//! The tree as lines.

use std::io::{self, Write};

use super::super::line::{Fit, Line, Screen, Style};
use super::super::ls::{date, time_of_day};
use super::super::text;
use super::process::{Ending, Process, Program};
use super::{Lineage, Tree};
use crate::counted::counted;

/// Writes all lineages, one after the other.
pub(super) fn write(tree: &Tree, out: &mut impl Write, screen: Screen) -> io::Result<()> {
    let mut drawing = Drawing {
        tree,
        out,
        screen,
        line: Line::default(),
    };
    let mut separated = false;
    for lineage in &tree.lineages {
        let roots = tree.roots(lineage);
        if roots.is_empty() {
            continue;
        }
        if std::mem::replace(&mut separated, true) {
            writeln!(drawing.out)?;
        }
        drawing.lineage(lineage, &roots)?;
    }
    if tree.lost > 0 {
        let lost = counted(
            tree.lost,
            "event was lost and is",
            "events were lost and are",
        );
        let lost = format!("{lost} not in this tree");
        drawing.line.push(Style::Bad, Fit::Keep, lost);
        drawing.end()?;
    }
    for (what, times) in &tree.missing {
        let said = format!("something is missing: {}", text::times(what, *times));
        drawing.line.push(Style::Bad, Fit::Shorten, said);
        drawing.end()?;
    }
    Ok(())
}

/// How many lines back a like sibling may be to share its line.
const ALIKE_WITHIN: usize = 8;

pub(super) struct Drawing<'t, 'o, W> {
    pub(super) tree: &'t Tree,
    out: &'o mut W,
    screen: Screen,
    pub(super) line: Line,
}

/// A part of the tree still to be drawn.
struct Pending<'t> {
    /// Lines of the levels above, such as `│  │  `.
    above: String,
    depth: usize,
    last: bool,
    what: What<'t>,
}

enum What<'t> {
    /// One process, or several that are alike and have nothing below them.
    Processes(Group<'t>),
    /// So many further processes.
    More(usize),
}

/// Siblings that stand in one line.
struct Group<'t> {
    alike: Vec<&'t Process>,
    /// Forks between them and their parent that did nothing but fork again.
    via: usize,
}

impl<'t, W: Write> Drawing<'t, '_, W> {
    /// Ends the line begun in `line`.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.line.write(self.out, self.screen)
    }

    fn lineage(&mut self, lineage: &Lineage, roots: &[usize]) -> io::Result<()> {
        self.line.push(Style::Dim, Fit::Keep, "lineage");
        self.line.push(Style::Bold, Fit::Keep, &lineage.id);
        if let Some((first, last)) = lineage.span {
            let day = date(first.div_euclid(super::DAY_US));
            let span = text::duration(last.saturating_sub(first).saturating_mul(1000));
            let when = format!(" {day} {} UTC, {span}", time_of_day(first));
            self.line.push(Style::Dim, Fit::Drop, when);
        }
        self.end()?;
        let counts = list(&[
            (lineage.processes, "process", "processes"),
            (lineage.opens, "open", "opens"),
            (lineage.connections, "connection", "connections"),
            (lineage.failures, "failed call", "failed calls"),
            (lineage.denied, "denial", "denials"),
            (
                lineage.context_changes,
                "change of context",
                "changes of context",
            ),
            (lineage.records, "record", "records"),
        ]);
        self.line.push(Style::Dim, Fit::Shorten, counts);
        self.end()?;
        if let Some(base) = &lineage.base {
            self.line.push(Style::Dim, Fit::Keep, "./ is");
            self.line.push(Style::Dim, Fit::Shorten, base);
            self.end()?;
        }
        for root in roots {
            self.root(&self.tree.processes[*root])?;
        }
        if lineage.skipped > 0 {
            let skipped = counted(lineage.skipped, "record", "records");
            let text = format!("… {skipped} of further processes");
            self.line.push(Style::Notable, Fit::Keep, text);
            self.end()?;
        }
        Ok(())
    }

    /// Draws a process and all below it. What is still to be drawn waits in a list, not on the
    /// stack: nothing bounds how deep processes nest.
    fn root(&mut self, root: &'t Process) -> io::Result<()> {
        let mut pending = vec![Pending {
            above: String::new(),
            depth: 0,
            last: true,
            what: What::Processes(Group {
                alike: vec![root],
                via: 0,
            }),
        }];
        while let Some(next) = pending.pop() {
            self.node(next, &mut pending)?;
        }
        Ok(())
    }

    fn node(&mut self, node: Pending<'t>, pending: &mut Vec<Pending<'t>>) -> io::Result<()> {
        let (branch, bar) = match (node.depth, node.last) {
            (0, _) => ("", ""),
            (_, false) => ("├─ ", "│  "),
            (_, true) => ("└─ ", "   "),
        };
        self.line
            .push(Style::Dim, Fit::Keep, format!("{}{branch}", node.above));
        let group = match node.what {
            What::Processes(group) => group,
            What::More(count) => {
                self.line
                    .join(Style::Dim, Fit::Keep, format!("… {count} more"));
                return self.end();
            }
        };
        let process = group.alike[0];
        self.head(&group);
        self.end()?;
        let mut children = self.children(process, node.depth);
        let below = format!("{}{bar}", node.above);
        let above_details = if children.is_empty() { "  " } else { "│ " };
        self.details(process, &format!("{below}{above_details}"))?;
        let mut last = true;
        while let Some(what) = children.pop() {
            pending.push(Pending {
                above: below.clone(),
                depth: node.depth + 1,
                last,
                what,
            });
            last = false;
        }
        Ok(())
    }

    /// The children of a process to draw: like ones together, and no more than wanted.
    fn children(&self, process: &'t Process, depth: usize) -> Vec<What<'t>> {
        let options = &self.tree.options;
        if depth >= options.depth_max {
            let count = self.descendants(process);
            return if count == 0 {
                vec![]
            } else {
                vec![What::More(count)]
            };
        }
        let mut groups: Vec<Group<'_>> = Vec::new();
        for child in &process.children {
            let (child, via) = self.first_that_does_something(*child);
            // A loop runs the same few programs in turn: one line each.
            let near = groups.iter_mut().rev().take(ALIKE_WITHIN);
            let known = near
                .into_iter()
                .find(|group| !options.all && group.via == via && alike(group.alike[0], child));
            match known {
                Some(group) => group.alike.push(child),
                None => groups.push(Group {
                    alike: vec![child],
                    via,
                }),
            }
        }
        let hidden = groups.split_off(groups.len().min(options.children_max));
        let mut shown: Vec<_> = groups.into_iter().map(What::Processes).collect();
        if !hidden.is_empty() {
            let with_theirs = |group: &Group<'t>| {
                let below = group.alike.iter().map(|process| self.descendants(process));
                below.sum::<usize>() + group.alike.len() * (1 + group.via)
            };
            shown.push(What::More(hidden.iter().map(with_theirs).sum()));
        }
        shown
    }

    /// Shells fork and fork again before they run what was asked for. Passes over such forks: the
    /// process with something to say, and how many were passed.
    fn first_that_does_something(&self, index: usize) -> (&'t Process, usize) {
        let mut process = &self.tree.processes[index];
        let mut via = 0;
        while let ([child], false) = (&process.children[..], self.tree.options.all) {
            let child = &self.tree.processes[*child];
            let ended_well = process.ending == Some(Ending::Status(0));
            if !process.only_forks() || !(ended_well || process.ending == child.ending) {
                break;
            }
            process = child;
            via += 1;
        }
        (process, via)
    }

    fn descendants(&self, process: &'t Process) -> usize {
        let mut count = 0;
        let mut pending = vec![process];
        while let Some(process) = pending.pop() {
            count += process.children.len();
            pending.extend(
                process
                    .children
                    .iter()
                    .map(|child| &self.tree.processes[*child]),
            );
        }
        count
    }

    /// Program, id, time and end of a process, or of several that are alike.
    fn head(&mut self, group: &Group<'_>) {
        let process = group.alike[0];
        if group.via > 0 {
            let forks = format!("({}) ", process.forked_as).repeat(group.via.min(3));
            self.line.join(Style::Dim, Fit::Drop, format!("{forks}› "));
        }
        match process.programs.last() {
            Some(program) => self.program(program),
            None => self
                .line
                .join(Style::Plain, Fit::Keep, format!("({})", process.comm)),
        }
        if !process.recognised.is_empty() {
            let labels: Vec<&str> = process.recognised.iter().map(|label| &**label).collect();
            let labels = format!("<{}>", labels.join(","));
            self.line.push(Style::Notable, Fit::Keep, labels);
        }
        if let [first, .., last] = &group.alike[..] {
            self.line
                .push(Style::Notable, Fit::Keep, format!("×{}", group.alike.len()));
            if let (Some(first), Some(last)) = (first.pid, last.pid) {
                self.line
                    .push(Style::Dim, Fit::Keep, format!("{first}…{last}"));
            }
            let together = group
                .alike
                .iter()
                .filter_map(|process| process.lasted_ns())
                .sum();
            let together = format!("{} together", text::duration(together));
            self.line.push(Style::Dim, Fit::Keep, together);
        } else {
            if let Some(pid) = process.pid {
                self.line.push(Style::Dim, Fit::Keep, pid.to_string());
            }
            if let Some(lasted) = process.lasted_ns() {
                self.line
                    .push(Style::Dim, Fit::Keep, text::duration(lasted));
            }
        }
        match process.ending {
            Some(ending @ Ending::Status(0)) => {
                self.line.push(Style::Dim, Fit::Keep, ending.shown());
            }
            Some(ending) => self.line.push(Style::Bad, Fit::Keep, ending.shown()),
            None => self.line.push(Style::Notable, Fit::Keep, "running"),
        }
        if let Some(program) = process.programs.last() {
            self.digest(program.file);
        }
        if !process.namespaces.is_empty() {
            let names = format!("(new namespaces: {})", process.namespaces.join(", "));
            self.line.push(Style::Notable, Fit::Drop, names);
        }
        if process.found_running {
            self.line.push(Style::Notable, Fit::Drop, "(there before)");
        }
        let counts = list(&[
            (process.opens, "open", "opens"),
            (process.failures, "failed", "failed"),
            (process.failed_execs, "failed exec", "failed execs"),
            (process.threads, "thread", "threads"),
        ]);
        if !counts.is_empty() {
            self.line.push(Style::Dim, Fit::Drop, format!(" {counts}"));
        }
    }

    /// A program as one would type it.
    pub(super) fn program(&mut self, program: &Program) {
        self.line
            .join(Style::Good, Fit::Keep, text::quoted(program.name()));
        if let Some(called) = program.called() {
            self.line.push(Style::Dim, Fit::Drop, format!("({called})"));
        }
        let arguments = program.arguments();
        if !arguments.is_empty() {
            self.line.push(Style::Plain, Fit::Shorten, arguments);
        }
    }
}

/// Whether two siblings can stand in one line.
fn alike(one: &Process, other: &Process) -> bool {
    one.is_plain()
        && other.is_plain()
        && one.programs == other.programs
        && one.recognised == other.recognised
        && one.namespaces == other.namespaces
        && one.ending == other.ending
        && one.comm == other.comm
}

/// `3 opens, 1 thread`: what is not 0.
fn list(counts: &[(u64, &str, &str)]) -> String {
    let some = counts.iter().filter(|(count, ..)| *count > 0);
    let words = some.map(|(count, one, many)| counted(*count, one, many));
    words.collect::<Vec<_>>().join(", ")
}
