//! Causes as lines for people.
//!
//! The event, then the programs that led to it, the nearest first, each with what it had taken in; below
//! that who had written it, and what that program had taken in. Every line begins with the `seq` of the record
//! that tells it.

use std::collections::HashSet;
use std::io::{self, Write};

use super::super::flow::{Flow, Node, NodeKind, Rule};
use super::super::line::{Fit, Line, Screen, Style};
use super::super::ls::Ls;
use super::super::ls::facts;
use super::super::text;
use super::found::{Input, Why};
use crate::counted::counted;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Levels below a program that are drawn; what is deeper is said to be there.
const LEVELS_MAX: usize = 24;

impl Why {
    /// Writes the causes for people.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        let mut ls = Ls::new(&mut *out, screen);
        ls.record(&self.event.get())?;
        let width = (self.event.get().seq.unwrap_or_default().to_string().len()).max(3);
        let mut drawing = Drawing {
            why: self,
            out,
            screen,
            line: Line::default(),
            width,
            drawn: HashSet::new(),
        };
        for program in &self.spine {
            drawing.program(*program, 0, None)?;
        }
        drawing.end()
    }
}

struct Drawing<'w, 'o, W> {
    why: &'w Why,
    out: &'o mut W,
    screen: Screen,
    line: Line,
    /// Columns of the first column.
    width: usize,
    drawn: HashSet<Node>,
}

impl<W: Write> Drawing<'_, '_, W> {
    /// A program, what it took in, and where that came from.
    fn program(&mut self, program: Node, level: usize, how: Option<&Flow>) -> io::Result<()> {
        let known = !self.drawn.insert(program);
        let on_spine = self.why.spine.contains(&program);
        let inputs = self.why.inputs(program);
        // A copy that only went on to become another program says nothing.
        let record = self.why.record(program.seq());
        let forked = record.is_some_and(|record| record.kind == Some(kinds::PROCESS_FORK));
        if level == 0 && forked && inputs.is_empty() && self.why.spine.first() != Some(&program) {
            return Ok(());
        }
        self.begin(how.map_or(program.seq(), |flow| flow.record), level);
        if let Some(flow) = how {
            let word = match flow.rule {
                Rule::Write => "written by",
                Rule::MapShared => "mapped to be written by",
                Rule::Connection => "sent by",
                _ => "by",
            };
            self.line.push(Style::Dim, Fit::Keep, word);
        }
        self.name(program, record.as_ref());
        let below = level > 0 && on_spine;
        if known || below {
            let word = if known { "(above)" } else { "(below)" };
            if below && !known {
                self.drawn.remove(&program);
            }
            self.line.push(Style::Dim, Fit::Keep, word);
            return self.write();
        }
        self.write()?;
        if level >= LEVELS_MAX {
            self.begin(program.seq(), level + 1);
            self.line.push(Style::Dim, Fit::Keep, "… and further back");
            return self.write();
        }
        self.inputs(&inputs, level + 1)?;
        match self.why.origin(program) {
            Some(flow) if level > 0 && self.why.walk.reached.contains_key(&flow.from) => {
                self.descent(flow, level + 1)
            }
            _ => Ok(()),
        }
    }

    /// The program that one beside the chain came from.
    fn descent(&mut self, flow: Flow, level: usize) -> io::Result<()> {
        let mut flow = flow;
        // Between two programs there is a copy of the first one.
        while self.why.inputs(flow.from).is_empty()
            && !self.why.spine.contains(&flow.from)
            && let Some(before) = self.why.origin(flow.from)
        {
            flow = before;
        }
        self.program(flow.from, level, Some(&flow))
    }

    fn inputs(&mut self, inputs: &[Input], level: usize) -> io::Result<()> {
        let ordinary = |input: &&Input| !self.why.options.all && self.why.is_ordinary(input);
        let (system, own): (Vec<_>, Vec<_>) = inputs.iter().partition(ordinary);
        let most = self.why.options.most;
        for input in own.iter().take(most) {
            self.input(input, level)?;
        }
        if let Some(more) = own.len().checked_sub(most).filter(|more| *more > 0) {
            self.begin(own[most].flow.record, level);
            let more = format!(
                "… {} before that",
                counted(more, "further input", "further inputs")
            );
            self.line.push(Style::Dim, Fit::Keep, more);
            self.write()?;
        }
        if let Some(first) = system.first() {
            self.begin(first.flow.record, level);
            let files = counted(system.len(), "file of the system", "files of the system");
            self.line
                .push(Style::Dim, Fit::Keep, format!("{files}, as found"));
            self.write()?;
        }
        Ok(())
    }

    /// One thing that a program took in, and whoever put it there.
    fn input(&mut self, input: &Input, level: usize) -> io::Result<()> {
        let Input { flow, times } = *input;
        self.begin(flow.record, level);
        let word = match flow.rule {
            Rule::Read if flow.from.kind() == NodeKind::Received => "received",
            Rule::Read => "read",
            Rule::Image => "is",
            Rule::Map | Rule::MapShared => "mapped",
            Rule::SharedMemory => "shared memory with",
            Rule::Signal => "signalled by",
            Rule::Trace => "controlled by",
            Rule::Memory => "shared memory by a call with",
            _ => flow.rule.name(),
        };
        self.line.push(Style::Plain, Fit::Keep, word);
        let record = self.why.record(flow.record);
        if flow.from.kind() == NodeKind::Program {
            let program = self.why.record(flow.from.seq());
            self.name(flow.from, program.as_ref());
            return self.write();
        }
        self.thing(&flow, record.as_ref());
        if times > 1 {
            self.line.push(Style::Dim, Fit::Drop, format!("×{times}"));
        }
        let writers = self.writers(flow.from);
        if writers.is_empty() {
            let note = match flow.from.kind() {
                NodeKind::Content => "as found",
                NodeKind::Received => "from outside",
                _ => "",
            };
            if !note.is_empty() {
                self.line.push(Style::Notable, Fit::Keep, note);
            }
        }
        self.write()?;
        let most = self.why.options.most;
        for writer in writers.iter().take(most) {
            self.program(writer.from, level + 1, Some(writer))?;
        }
        if let Some(more) = writers.len().checked_sub(most).filter(|more| *more > 0) {
            self.begin(writers[most].record, level + 1);
            let more = format!("… and {} before", counted(more, "writer", "writers"));
            self.line.push(Style::Dim, Fit::Keep, more);
            self.write()?;
        }
        Ok(())
    }

    /// The programs that put something there, each by its latest flow, the latest first.
    fn writers(&self, thing: Node) -> Vec<Flow> {
        let mut writers: Vec<Flow> = Vec::new();
        let Some(reached) = self.why.walk.reached.get(&thing) else {
            return writers;
        };
        let mut pending = vec![(thing, reached.time)];
        let mut seen = HashSet::new();
        while let Some((thing, time)) = pending.pop() {
            if !seen.insert(thing) {
                continue;
            }
            for flow in self.why.flows.into_node(thing, time) {
                if flow.from.kind() == NodeKind::Program {
                    match writers.iter_mut().find(|known| known.from == flow.from) {
                        Some(known) if known.record >= flow.record => {}
                        Some(known) => *known = *flow,
                        None => writers.push(*flow),
                    }
                } else {
                    pending.push((flow.from, flow.last.min(time)));
                }
            }
        }
        writers.sort_by_key(|flow| std::cmp::Reverse(flow.record));
        writers
    }

    /// What was taken in, by the record that tells of it.
    fn thing(&mut self, flow: &Flow, record: Option<&Record<'_>>) {
        let Some(record) = record else {
            self.line
                .push(Style::Bad, Fit::Keep, "(the record is missing)");
            return;
        };
        match record.kind {
            Some(kinds::PROCESS_EXEC) => {
                let program = record.exe.unwrap_or("?");
                self.line.push(Style::Plain, Fit::Shorten, program);
            }
            Some(kind) => facts::push(&mut self.line, kind, record),
            None => {}
        }
        if !flow.rule.is_known() {
            self.line
                .push(Style::Dim, Fit::Keep, "(may have been read)");
        }
    }

    /// A program by its name, process id and arguments.
    fn name(&mut self, program: Node, record: Option<&Record<'_>>) {
        let Some(record) = record else {
            let missing = format!("the program of record {}, which is missing", program.seq());
            self.line.push(Style::Bad, Fit::Keep, missing);
            return;
        };
        if record.kind == Some(kinds::LINEAGE_START) {
            facts::push(&mut self.line, kinds::LINEAGE_START, record);
            return;
        }
        let (pid, verb) = match record.kind {
            Some(kinds::PROCESS_FORK) => (record.child_pid, "is a copy of"),
            Some(kinds::PROCESS_SNAPSHOT) => (record.pid, "was found as"),
            _ => (record.pid, "ran"),
        };
        let comm = record.comm.unwrap_or("?");
        let pid = pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
        self.line
            .push(Style::Good, Fit::Keep, format!("{comm}[{pid}]"));
        if record.kind == Some(kinds::PROCESS_FORK) {
            let parent = record.pid.unwrap_or_default();
            self.line
                .push(Style::Dim, Fit::Keep, format!("{verb} {comm}[{parent}]"));
            return;
        }
        self.line.push(Style::Dim, Fit::Keep, verb);
        facts::push(&mut self.line, kinds::PROCESS_EXEC, record);
    }

    fn begin(&mut self, seq: u64, level: usize) {
        let width = self.width;
        self.line
            .push(Style::Dim, Fit::Keep, format!("{seq:>width$}"));
        if level > 0 {
            self.line
                .push(Style::Plain, Fit::Keep, " ".repeat(2 * level - 1));
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.line.write(self.out, self.screen)
    }

    /// What there is to say at the end.
    fn end(&mut self) -> io::Result<()> {
        if let Some(purpose) = &self.why.purpose {
            self.line.push(Style::Plain, Fit::Keep, "granted for:");
            let purpose = text::quoted(purpose);
            self.line.push(Style::Bold, Fit::Shorten, purpose);
            self.write()?;
        }
        if self.why.walk.cut {
            let said = "there are further causes beyond the limits (--depth)";
            self.line.push(Style::Notable, Fit::Keep, said);
            self.write()?;
        }
        Ok(())
    }
}
