//! What a process became and did, below its line of the tree.

use std::borrow::Cow;
use std::io::{self, Write};

use super::super::digests::FileId;
use super::super::line::{Fit, Style};
use super::super::notable::Class;
use super::super::text;
use super::acts::{Act, Outcome};
use super::draw::Drawing;
use super::files::{self, FileLine};
use super::process::Process;
use super::usage::{Direction, SocketUse};
use crate::counted::counted;
use crate::names;

impl<W: Write> Drawing<'_, '_, W> {
    /// What a process became and did, one line each.
    pub(super) fn details(&mut self, process: &Process, above: &str) -> io::Result<()> {
        if let Some(lineage) = process.entered {
            let lineage = &self.tree.lineages[lineage];
            self.line.push(Style::Dim, Fit::Keep, above);
            self.line
                .join(Style::Notable, Fit::Keep, "⇒ in a lineage of its own,");
            self.line.push(Style::Bold, Fit::Shorten, &lineage.id);
            let records = counted(lineage.records, "record", "records");
            self.line
                .push(Style::Dim, Fit::Drop, format!("({records})"));
            self.end()?;
        }
        self.earlier_programs(process, above)?;
        let (files_max, sockets_max) = (self.tree.options.files_max, self.tree.options.sockets_max);
        for socket in process.sockets.named.iter().take(sockets_max) {
            self.line.push(Style::Dim, Fit::Keep, above);
            self.socket(socket);
            self.end()?;
        }
        let unnamed = process.sockets.named.len().saturating_sub(sockets_max) as u64;
        if unnamed + process.sockets.more > 0 {
            let count = unnamed + process.sockets.more;
            self.more(above, count, "connection", "connections")?;
        }
        self.denials(process, above)?;
        self.acts(process, above)?;
        let lines = files::lines(process, self.tree.options.all);
        for line in lines.iter().take(files_max) {
            self.line.push(Style::Dim, Fit::Keep, above);
            self.file(line, self.tree.lineages[process.lineage].base.as_deref());
            self.end()?;
        }
        let unnamed = lines.iter().skip(files_max).map(|line| line.files);
        let unnamed = unnamed.sum::<u64>() + process.files.more;
        if unnamed > 0 {
            self.more(above, unnamed, "file", "files")?;
        }
        Ok(())
    }

    /// What it was denied, one line each: that is what somebody looks for.
    fn denials(&mut self, process: &Process, above: &str) -> io::Result<()> {
        for denial in &process.denials.named {
            self.line.push(Style::Dim, Fit::Keep, above);
            let outcome = denial.outcome();
            let verb = format!("✗ {}", outcome.verb());
            self.line.join(Style::Bad, Fit::Keep, verb);
            self.line.push(Style::Bad, Fit::Shorten, &*denial.judged);
            if denial.times > 1 {
                let times = format!("×{}", denial.times);
                self.line.push(Style::Dim, Fit::Keep, times);
            }
            self.line
                .push(Style::Dim, Fit::Shorten, outcome.to_string());
            self.end()?;
        }
        if process.denials.more > 0 {
            self.more(above, process.denials.more, "denial", "denials")?;
        }
        Ok(())
    }

    /// What else the process did, by the last part of the kinds.
    fn acts(&mut self, process: &Process, above: &str) -> io::Result<()> {
        if process.acts.named.is_empty() {
            return Ok(());
        }
        self.line.push(Style::Dim, Fit::Keep, above);
        self.line.join(Style::Dim, Fit::Keep, "! ");
        let base = self.tree.lineages[process.lineage].base.as_deref();
        let told = process.acts.named.iter().map(|it| act(it, base));
        let mut told: Vec<String> = told.collect();
        if process.acts.more > 0 {
            told.push(format!("{} more", process.acts.more));
        }
        let shown = told.join(", ");
        self.line.push(Style::Change, Fit::Shorten, shown);
        self.end()
    }

    /// What the process was before its present program, the latest first: by name, without the
    /// `env` of a script's first line, or with `all` in full.
    fn earlier_programs(&mut self, process: &Process, above: &str) -> io::Result<()> {
        let Some((_, earlier)) = process.programs.split_last() else {
            return Ok(());
        };
        let more = process.more_programs;
        if self.tree.options.all {
            for program in earlier.iter().rev() {
                self.line.push(Style::Dim, Fit::Keep, format!("{above}⇐ "));
                self.program(program);
                self.end()?;
            }
        } else {
            let names = earlier
                .iter()
                .rev()
                .filter(|program| program.name() != "env");
            let names: Vec<_> = names
                .map(|program| format!("⇐ {}", program.brief()))
                .collect();
            if !names.is_empty() {
                self.line.push(Style::Dim, Fit::Keep, above);
                self.line.join(Style::Dim, Fit::Shorten, names.join(" "));
                self.end()?;
            }
        }
        if more > 0 {
            self.more(above, more, "program", "programs")?;
        }
        Ok(())
    }

    fn more(&mut self, above: &str, count: u64, one: &str, many: &str) -> io::Result<()> {
        let what = if count == 1 { one } else { many };
        self.line.push(
            Style::Dim,
            Fit::Keep,
            format!("{above}… {count} more {what}"),
        );
        self.end()
    }

    fn file(&mut self, file: &FileLine<'_>, base: Option<&str>) {
        let how = match (file.error, file.reads, file.writes) {
            (_, true, true) => "rw",
            (_, false, true) => "w ",
            (_, true, false) => "r ",
            (Some(_), false, false) => "✗ ",
            (None, false, false) => "· ",
        };
        let style = match file.class {
            Class::Sensitive => Style::Notable,
            _ if file.writes => Style::Change,
            _ => Style::Plain,
        };
        self.line.join(style, Fit::Keep, how);
        self.line.push(style, Fit::Shorten, below(file.path, base));
        if let Some(labels) = file.recognised {
            self.line
                .push(Style::Notable, Fit::Keep, format!("<{labels}>"));
        }
        self.digest(file.file);
        let mut times = file.times;
        if file.files > 1 {
            let count = format!("({} files)", file.files);
            self.line.push(Style::Dim, Fit::Keep, count);
            times = 1;
        }
        self.usage(file.error, times, file.bytes_read, file.bytes_written);
    }

    /// The beginning of the digest of a file, where there is one and room for it.
    pub(super) fn digest(&mut self, file: Option<FileId>) {
        if let Some(digest) = self.tree.digests.of(file) {
            let digest = format!("#{}", text::short_digest(digest));
            self.line.push(Style::Dim, Fit::Drop, digest);
        }
    }

    fn socket(&mut self, socket: &SocketUse) {
        let sign = match socket.direction {
            Direction::To => "→ ",
            Direction::From => "← ",
            Direction::On => "on",
            Direction::Pair => "↔ ",
            Direction::Open => "· ",
        };
        self.line.join(Style::Net, Fit::Keep, sign);
        if socket.end.is_empty() {
            self.line.push(Style::Net, Fit::Keep, &socket.transport);
        } else {
            self.line.push(Style::Net, Fit::Shorten, &socket.end);
            self.line.push(Style::Dim, Fit::Drop, &socket.transport);
        }
        if socket.listens {
            self.line.push(Style::Dim, Fit::Drop, "listens");
        }
        let quiet = socket.bytes_read == 0 && socket.bytes_written == 0 && !socket.messages;
        // What went through a socket counts for the last end it got, which may be another one.
        let connects = !matches!(socket.direction, Direction::On | Direction::Open);
        if quiet && connects && socket.error.is_none() {
            let what = if socket.unsettled {
                "no answer seen"
            } else {
                "no data"
            };
            self.line.push(Style::Dim, Fit::Drop, what);
        }
        self.usage(
            socket.error,
            socket.times,
            socket.bytes_read,
            socket.bytes_written,
        );
    }

    fn usage(&mut self, error: Option<i64>, times: u64, read: u64, written: u64) {
        if let Some(result) = error {
            self.line.push(Style::Bad, Fit::Keep, error_name(result));
        }
        if times > 1 {
            self.line.push(Style::Dim, Fit::Keep, format!("×{times}"));
        }
        for (bytes, what) in [(read, "read"), (written, "wrote")] {
            if bytes > 0 {
                let moved = format!("{what} {}", text::bytes(bytes));
                self.line.push(Style::Dim, Fit::Drop, moved);
            }
        }
    }
}

/// The error that a result stands for.
fn error_name(result: i64) -> String {
    let number = result.saturating_neg();
    names::errno(number).map_or_else(|| format!("error {number}"), str::to_owned)
}

/// A path as it is told: from the directory that the lineage began in, if it is below that.
fn below<'a>(path: &'a str, base: Option<&str>) -> Cow<'a, str> {
    match base.and_then(|base| path.strip_prefix(base)?.strip_prefix('/')) {
        Some(inside) => Cow::Owned(format!("./{inside}")),
        None => Cow::Borrowed(path),
    }
}

fn act(act: &Act, base: Option<&str>) -> String {
    let mut told = act.kind.rsplit('.').next().unwrap_or_default().to_owned();
    if let Some(name) = &act.name {
        told.push_str(&format!(" {}", text::quoted(&below(&name.path, base))));
        if let Some(target) = &name.target {
            told.push_str(&format!(" to {}", text::quoted(&below(target, base))));
        }
    }
    if let Some(pid) = act.target {
        told.push_str(&format!(" → {pid}"));
    }
    if let Some(pid) = act.by {
        told.push_str(&format!(" by process {pid}"));
    }
    match act.outcome {
        Outcome::Done => {}
        Outcome::Error(result) => told.push_str(&format!(" {}", error_name(result))),
        Outcome::Failed => told.push_str(" failed"),
    }
    match act.times {
        1 => {}
        times if act.others => told.push_str(&format!(" and {} more", times - 1)),
        times => told.push_str(&format!(" ×{times}")),
    }
    told
}
