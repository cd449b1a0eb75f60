//! Causes as lines for people.
//!
//! The event, then the programs that led to it, the nearest first, each with what it had taken in; below
//! that who had written it, and what that program had taken in. Every line begins with the `seq` of the record
//! that tells it.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use super::super::flow::{Flow, Node, NodeKind, Rule};
use super::super::line::{Fit, Line, Screen, Style};
use super::super::ls::Ls;
use super::super::reach::{Step, is_descent};
use super::super::{text, told};
use super::{Causes, Why};
use crate::counted::counted;
use crate::evidence::kinds;

/// Levels below a program that are drawn; what is deeper is said to be there.
const LEVELS_MAX: usize = 24;

/// Steps back that are looked at to know whether something is of the system alone.
const DULL_DEPTH_MAX: usize = 64;

impl Why<'_> {
    /// Writes the causes for people.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        let event = self.reach.event.get();
        Ls::new(&mut *out, screen).record(&event)?;
        let mut drawing = Drawing {
            why: self,
            out,
            screen,
            line: Line::default(),
            width: event.seq.unwrap_or_default().to_string().len().max(3),
            drawn: HashSet::new(),
            dull: HashMap::new(),
            idle: HashMap::new(),
        };
        for program in &self.spine {
            drawing.link(*program)?;
        }
        drawing.end()
    }
}

struct Drawing<'w, 'o, W> {
    why: &'w Why<'w>,
    out: &'o mut W,
    screen: Screen,
    line: Line,
    /// Columns of the first column.
    width: usize,
    drawn: HashSet<Node>,
    /// Whether a node has nothing but the system in it.
    dull: HashMap<Node, bool>,
    /// Whether a program took nothing in.
    idle: HashMap<Node, bool>,
}

impl<W: Write> Drawing<'_, '_, W> {
    /// One program of the chain.
    fn link(&mut self, program: Node) -> io::Result<()> {
        self.drawn.insert(program);
        let inputs = self.own_inputs(program);
        let record = self.why.reach.record(program.seq());
        let is_copy = record.is_some_and(|it| it.get().kind == Some(kinds::PROCESS_FORK));
        let only_data = self.why.options.causes == Causes::Data;
        // A copy that only went on to become another program says nothing.
        let passing = is_copy && self.why.spine.first() != Some(&program);
        if inputs.own.is_empty() && (passing || only_data) {
            return Ok(());
        }
        self.begin(program.seq(), 0);
        told::program(&mut self.line, &self.why.reach, program);
        self.with_system(&inputs)?;
        self.inputs(&inputs, 1)
    }

    /// A program beside the chain that put something where it was taken from.
    fn writer(&mut self, flow: &Flow, level: usize) -> io::Result<()> {
        let program = flow.from;
        let word = match flow.rule {
            Rule::MapShared => "mapped to be written by",
            Rule::Write => "written by",
            Rule::Name => "named so by",
            rule if is_descent(rule) => "started by",
            _ => "by",
        };
        self.begin(flow.record, level);
        self.line.push(Style::Dim, Fit::Keep, word);
        told::program(&mut self.line, &self.why.reach, program);
        let place = if self.drawn.contains(&program) {
            Some("(above)")
        } else if self.why.spine.contains(&program) {
            Some("(below)")
        } else {
            None
        };
        if let Some(place) = place {
            self.line.push(Style::Notable, Fit::Keep, place);
            told::until(&mut self.line, flow);
            return self.write();
        }
        told::until(&mut self.line, flow);
        self.drawn.insert(program);
        let inputs = self.own_inputs(program);
        self.with_system(&inputs)?;
        if level >= LEVELS_MAX {
            self.begin(program.seq(), level + 1);
            self.line.push(Style::Dim, Fit::Keep, "… and further back");
            return self.write();
        }
        self.inputs(&inputs, level + 1)?;
        match self.came_from(program) {
            Some(origin) => self.writer(&origin, level + 1),
            None => Ok(()),
        }
    }

    /// The program that another one came from; copies between them that took nothing in are passed over.
    fn came_from(&mut self, program: Node) -> Option<Flow> {
        let reach = &self.why.reach;
        let mut flow = reach.origin(program)?;
        while !self.why.spine.contains(&flow.from)
            && self.took_nothing(flow.from)
            && let Some(before) = reach.origin(flow.from)
            && before.from.seq() < flow.from.seq()
        {
            flow = before;
        }
        reach.has(flow.from).then_some(flow)
    }

    fn took_nothing(&mut self, program: Node) -> bool {
        if let Some(known) = self.idle.get(&program) {
            return *known;
        }
        let inputs = self.why.reach.inputs(program);
        let idle = inputs.iter().all(|step| self.is_passing(step));
        self.idle.insert(program, idle);
        idle
    }

    /// What a program took in, without what is a part of the system or made of that alone.
    fn own_inputs(&mut self, program: Node) -> Inputs {
        let mut inputs = Inputs::default();
        for step in self.why.reach.inputs(program) {
            if self.is_passing(&step) {
                continue;
            }
            if !self.why.options.all && self.is_dull(&step.flow, 0) {
                inputs.system += 1;
            } else {
                inputs.own.push(step);
            }
        }
        inputs
    }

    /// Whether it is the memory that a copy has in common with its creator until it becomes another program.
    fn is_passing(&self, step: &Step) -> bool {
        let Flow { from, to, rule, .. } = step.flow;
        let created = |copy, creator| {
            let origin = self.why.reach.origin(copy);
            origin.is_some_and(|origin| origin.from == creator)
        };
        rule == Rule::SharedMemory && (created(from, to) || created(to, from))
    }

    /// Whether what a flow brought is a part of the system, or made of that alone.
    fn is_dull(&mut self, flow: &Flow, depth: usize) -> bool {
        let node = flow.from;
        if let Some(known) = self.dull.get(&node) {
            return *known;
        }
        if depth == DULL_DEPTH_MAX {
            return false;
        }
        // What leads back to itself adds nothing.
        self.dull.insert(node, true);
        let mut before: Vec<_> = (self.why.reach.inputs(node).iter())
            .map(|step| step.flow)
            .collect();
        let spine = &self.why.spine;
        let kept = |flow: &Flow| spine.contains(&flow.from) && !is_descent(flow.rule);
        let dull = match node.kind() {
            NodeKind::Program if spine.contains(&node) => true,
            NodeKind::Program => {
                before.extend(self.came_from(node));
                before.iter().all(|flow| self.is_dull(flow, depth + 1))
            }
            // Which program it is stands before.
            _ if before.is_empty() => flow.rule == Rule::Image || self.why.reach.is_ordinary(flow),
            // What a program of the chain has put somewhere is worth naming, and what was written to a file.
            _ if before.iter().any(kept) || !self.is_pipe(flow) => false,
            _ => before.iter().all(|flow| self.is_dull(flow, depth + 1)),
        };
        self.dull.insert(node, dull);
        dull
    }

    /// Whether something went through a pipe or socket, where it is not kept.
    fn is_pipe(&self, flow: &Flow) -> bool {
        let record = self.why.reach.record(flow.record);
        let path = record.as_ref().and_then(|record| record.get().path);
        flow.from.kind() == NodeKind::Received
            || path.is_some_and(|path| path.starts_with("pipe:["))
    }

    fn inputs(&mut self, inputs: &Inputs, level: usize) -> io::Result<()> {
        let most = self.why.options.most;
        for step in inputs.own.iter().take(most) {
            self.input(step, level)?;
        }
        let (_, rest) = inputs.own.split_at(most.min(inputs.own.len()));
        self.more(rest, level, ["input", "inputs"])
    }

    /// One thing that a program took in, and whoever put it there.
    fn input(&mut self, step: &Step, level: usize) -> io::Result<()> {
        let Step { flow, times } = *step;
        self.begin(flow.record, level);
        let word = match flow.rule {
            Rule::Read if flow.from.kind() == NodeKind::Received => "received",
            Rule::Read => "read",
            Rule::Image => "is the program",
            Rule::Map | Rule::MapShared => "mapped",
            Rule::SharedMemory => "had its memory in common with",
            Rule::Signal => "got a signal of",
            Rule::Trace => "was controlled by",
            Rule::Memory => "exchanged memory with",
            _ => flow.rule.name(),
        };
        self.line.push(Style::Plain, Fit::Keep, word);
        if flow.from.kind() == NodeKind::Program {
            told::program(&mut self.line, &self.why.reach, flow.from);
            return self.write();
        }
        told::thing(&mut self.line, &self.why.reach, step, flow.from);
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
            self.line.push(Style::Notable, Fit::Keep, note);
        }
        self.write()?;
        let most = self.why.options.most;
        for writer in writers.iter().take(most) {
            self.writer(writer, level + 1)?;
        }
        let (_, rest) = writers.split_at(most.min(writers.len()));
        let steps: Vec<_> = rest
            .iter()
            .map(|flow| Step {
                flow: *flow,
                times: 1,
            })
            .collect();
        self.more(&steps, level + 1, ["writer", "writers"])
    }

    /// How many there were before those that are shown.
    fn more(&mut self, rest: &[Step], level: usize, [one, many]: [&str; 2]) -> io::Result<()> {
        let Some(first) = rest.first() else {
            return Ok(());
        };
        self.begin(first.flow.record, level);
        let more = counted(rest.len(), one, many);
        self.line.push(
            Style::Dim,
            Fit::Keep,
            format!("… and before that {more} (--most)"),
        );
        self.write()
    }

    /// The programs that put something there, each by its latest flow, the latest first.
    fn writers(&self, thing: Node) -> Vec<Flow> {
        let mut latest: HashMap<Node, Flow> = HashMap::new();
        let (mut pending, mut seen) = (vec![thing], HashSet::new());
        while let Some(thing) = pending.pop() {
            if !seen.insert(thing) {
                continue;
            }
            for Step { flow, .. } in self.why.reach.inputs(thing) {
                if flow.from.kind() == NodeKind::Program {
                    let known = latest.entry(flow.from).or_insert(flow);
                    *known = (*known).max_by_record(flow);
                } else {
                    pending.push(flow.from);
                }
            }
        }
        let mut writers: Vec<_> = latest.into_values().collect();
        writers.sort_by_key(|flow| Reverse(flow.record));
        writers
    }

    fn with_system(&mut self, inputs: &Inputs) -> io::Result<()> {
        if inputs.system > 0 {
            let system = format!("+{} of the system", inputs.system);
            self.line.push(Style::Dim, Fit::Drop, system);
        }
        self.write()
    }

    fn begin(&mut self, seq: u64, level: usize) {
        told::begin(&mut self.line, seq, self.width, level);
    }

    fn write(&mut self) -> io::Result<()> {
        self.line.write(self.out, self.screen)
    }

    /// What there is to say at the end.
    fn end(&mut self) -> io::Result<()> {
        if let Some(purpose) = &self.why.purpose {
            self.line.push(Style::Plain, Fit::Keep, "granted for");
            self.line
                .push(Style::Bold, Fit::Shorten, text::quoted(purpose));
            self.write()?;
        }
        if let Some(until) = self.why.reach.goes_on_until() {
            let said =
                format!("more went the same way until {until}, whose causes can be others, too");
            self.line.push(Style::Notable, Fit::Keep, said);
            self.write()?;
        }
        if self.why.reach.is_full() {
            told::full(&mut self.line);
            self.write()?;
        }
        if self.why.reach.walk.cut {
            let said = "there are further causes beyond --depth";
            self.line.push(Style::Notable, Fit::Keep, said);
            self.write()?;
        }
        Ok(())
    }
}

/// What a program took in: what is told one by one, and how much more is of the system.
#[derive(Debug, Default)]
struct Inputs {
    own: Vec<Step>,
    system: usize,
}
