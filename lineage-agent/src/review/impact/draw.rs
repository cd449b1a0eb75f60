//! Effects as lines for people.
//!
//! The event, then what went where since, in the order it happened; below each thing who read it, and what that
//! program put where in turn. Every line begins with the `seq` of the record that tells it. At the end the sum.

use std::collections::HashSet;
use std::io::{self, Write};

use super::super::flow::{Flow, Node, NodeKind, Rule};
use super::super::line::{Fit, Line, Screen, Style};
use super::super::ls::Ls;
use super::super::reach::{Step, is_descent};
use super::super::told;
use super::Impact;
use crate::counted::counted;

/// Levels that are drawn; what is deeper is said to be there.
const LEVELS_MAX: usize = 24;

impl Impact<'_> {
    /// Writes the effects for people.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        let event = self.reach.event.get();
        Ls::new(&mut *out, screen).record(&event)?;
        let last = self.reach.walk.looked_at().iter().map(|flow| flow.record);
        let widest = last.max().max(event.seq).unwrap_or_default();
        let mut drawing = Drawing {
            impact: self,
            out,
            screen,
            line: Line::default(),
            width: widest.to_string().len().max(3),
            drawn: HashSet::new(),
        };
        let walk = &self.reach.walk;
        let starts = walk.reached().iter();
        let starts = starts.filter(|reached| walk.via(reached).is_none());
        let mut starts: Vec<Node> = starts.map(|reached| reached.node).collect();
        starts.sort_unstable();
        for node in starts {
            match node.kind() {
                NodeKind::Program => {
                    drawing.begin(node.seq(), 0);
                    told::program(&mut drawing.line, &self.reach, node);
                    drawing.write()?;
                    drawing.program(node, 1)?;
                }
                _ => drawing.readers(node, 1)?,
            }
        }
        drawing.end()
    }

    /// How many files were written, programs started and peers sent to.
    fn sums(&self) -> [usize; 3] {
        let mut sums = [0; 3];
        let walk = &self.reach.walk;
        for reached in walk.reached() {
            let node = reached.node;
            match node.kind() {
                NodeKind::Content => sums[0] += 1,
                NodeKind::Program if walk.via(reached).is_some() => {
                    sums[1] += usize::from(!self.is_passing(node));
                }
                NodeKind::Sent => sums[2] += usize::from(self.is_outside(node)),
                _ => {}
            }
        }
        sums
    }

    /// Whether it is a copy of which nothing came but another program, or nothing at all.
    fn is_passing(&self, program: Node) -> bool {
        let outputs = self.reach.beyond(program).iter();
        let mut own = outputs.filter(|flow| flow.rule != Rule::SharedMemory);
        own.all(|flow| flow.rule == Rule::Exec) && self.reach.is_copy(program)
    }

    /// Whether what is sent there is received by nobody who is recorded.
    fn is_outside(&self, sent: Node) -> bool {
        self.reach.beyond(sent).is_empty()
    }
}

struct Drawing<'w, 'o, W> {
    impact: &'w Impact<'w>,
    out: &'o mut W,
    screen: Screen,
    line: Line,
    /// Columns of the first column.
    width: usize,
    drawn: HashSet<Node>,
}

impl<W: Write> Drawing<'_, '_, W> {
    /// What a program put where, and what it started.
    fn program(&mut self, program: Node, level: usize) -> io::Result<()> {
        if !self.drawn.insert(program) {
            return Ok(());
        }
        if level > LEVELS_MAX {
            self.begin(program.seq(), level);
            self.line.push(Style::Dim, Fit::Keep, "… and further on");
            return self.write();
        }
        let mut steps = self.impact.reach.outputs(program);
        // The memory that a copy has in common with its creator is that of the copy.
        steps.retain(|step| step.flow.rule != Rule::SharedMemory);
        let most = self.impact.options.most;
        for step in steps.iter().take(most) {
            self.output(step, level)?;
        }
        let (_, rest) = steps.split_at(most.min(steps.len()));
        if let Some(first) = rest.first() {
            self.begin(first.flow.record, level);
            let more = counted(rest.len(), "output", "outputs");
            let more = format!("… and after that {more} (--most)");
            self.line.push(Style::Dim, Fit::Keep, more);
            self.write()?;
        }
        Ok(())
    }

    fn output(&mut self, step: &Step, level: usize) -> io::Result<()> {
        let Step { flow, times } = *step;
        // A copy that goes on to become another program is told of by what it becomes.
        if is_descent(flow.rule)
            && let Some(next) = self.becomes(flow.to)
        {
            self.begin(next.record, level);
            self.line.push(Style::Plain, Fit::Keep, "started");
            return self.reader(&next, level);
        }
        self.begin(flow.record, level);
        let word = match flow.rule {
            Rule::Write if flow.to.kind() == NodeKind::Sent => "sent",
            Rule::Write => "wrote",
            Rule::Name => "gave the name",
            Rule::MapShared => "mapped to write",
            Rule::Signal => "sent a signal to",
            Rule::Trace => "controlled",
            Rule::Memory => "exchanged memory with",
            Rule::Exec => "became",
            Rule::Fork | Rule::Start => "started",
            rule => rule.name(),
        };
        self.line.push(Style::Plain, Fit::Keep, word);
        if flow.to.kind() == NodeKind::Program {
            return self.reader(&flow, level);
        }
        told::thing(&mut self.line, &self.impact.reach, step, flow.to);
        if times > 1 {
            self.line.push(Style::Dim, Fit::Drop, format!("×{times}"));
        }
        if flow.to.kind() == NodeKind::Sent && self.impact.is_outside(flow.to) {
            self.line.push(Style::Notable, Fit::Keep, "to outside");
        }
        self.write()?;
        if self.drawn.insert(flow.to) {
            self.readers(flow.to, level + 1)?;
        }
        Ok(())
    }

    /// The exec by which a copy becomes another program, if it did nothing before.
    fn becomes(&self, copy: Node) -> Option<Flow> {
        let outputs = self.impact.reach.outputs(copy);
        let mut own = outputs
            .iter()
            .filter(|step| step.flow.rule != Rule::SharedMemory);
        match (own.next(), own.next()) {
            (Some(step), None) if step.flow.rule == Rule::Exec => Some(step.flow),
            _ => None,
        }
    }

    /// Who took something from there.
    fn readers(&mut self, thing: Node, level: usize) -> io::Result<()> {
        let most = self.impact.options.most;
        let steps = self.impact.reach.outputs(thing);
        for Step { flow, .. } in steps.iter().take(most) {
            if flow.to.kind() != NodeKind::Program {
                self.readers(flow.to, level)?;
                continue;
            }
            self.begin(flow.record, level);
            let word = match flow.rule {
                Rule::Read if thing.kind() == NodeKind::Received => "received by",
                Rule::Read => "read by",
                Rule::Image => "run by",
                _ => "mapped by",
            };
            self.line.push(Style::Dim, Fit::Keep, word);
            self.reader(flow, level)?;
        }
        let (_, rest) = steps.split_at(most.min(steps.len()));
        if let Some(first) = rest.first() {
            self.begin(first.flow.record, level);
            let more = counted(rest.len(), "reader", "readers");
            let more = format!("… and after that {more} (--most)");
            self.line.push(Style::Dim, Fit::Keep, more);
            self.write()?;
        }
        Ok(())
    }

    /// Ends the line with the program that a flow leads to, and goes on with what that did.
    fn reader(&mut self, flow: &Flow, level: usize) -> io::Result<()> {
        told::program(&mut self.line, &self.impact.reach, flow.to);
        if self.drawn.contains(&flow.to) {
            self.line.push(Style::Notable, Fit::Keep, "(above)");
            return self.write();
        }
        self.write()?;
        self.program(flow.to, level + 1)
    }

    fn begin(&mut self, seq: u64, level: usize) {
        told::begin(&mut self.line, seq, self.width, level);
    }

    fn write(&mut self) -> io::Result<()> {
        self.line.write(self.out, self.screen)
    }

    /// The sum, and what else there is to say at the end.
    fn end(&mut self) -> io::Result<()> {
        let [files, programs, peers] = self.impact.sums();
        let sum = format!(
            "{} written, {} reached, {} sent to outside",
            counted(files, "file or pipe", "files and pipes"),
            counted(programs, "program", "programs"),
            counted(peers, "connection", "connections")
        );
        self.line.push(Style::Bold, Fit::Keep, sum);
        self.write()?;
        if self.impact.reach.walk.reached().is_empty() {
            let said = "no data moved by this event, nor through a descriptor that it is about";
            self.line.push(Style::Dim, Fit::Keep, said);
            self.write()?;
        }
        if self.impact.reach.is_full() {
            told::full(&mut self.line);
            self.write()?;
        }
        if self.impact.reach.walk.cut {
            let said = "there are further effects beyond --depth";
            self.line.push(Style::Notable, Fit::Keep, said);
            self.write()?;
        }
        Ok(())
    }
}
