//! What a process became and did, below its line of the tree.

use std::io::{self, Write};

use super::super::line::{Fit, Style};
use super::super::text;
use super::draw::Drawing;
use super::notable::Class;
use super::process::{FileUse, Process, SocketUse};
use crate::names;

impl<W: Write> Drawing<'_, '_, W> {
    /// What a process became and did, one line each.
    pub(super) fn details(&mut self, process: &Process, above: &str) -> io::Result<()> {
        for program in process.programs.iter().skip(1) {
            self.line.push(Style::Dim, Fit::Keep, format!("{above}⇒ "));
            self.program(program);
            self.end()?;
        }
        if process.more_programs > 0 {
            self.more(above, process.more_programs, "programs")?;
        }
        let (files_max, sockets_max) = (self.tree.options.files_max, self.tree.options.sockets_max);
        for socket in process.sockets.named.iter().take(sockets_max) {
            self.line.push(Style::Dim, Fit::Keep, above);
            self.socket(socket);
            self.end()?;
        }
        let unnamed = process.sockets.named.len().saturating_sub(sockets_max) as u64;
        if unnamed + process.sockets.more > 0 {
            self.more(above, unnamed + process.sockets.more, "connections")?;
        }
        let mut files: Vec<_> = process.files.named.iter().collect();
        // Stable: within a class they stay in the order of their first use.
        files.sort_by_key(|file| std::cmp::Reverse(file.class));
        for file in files.iter().take(files_max) {
            self.line.push(Style::Dim, Fit::Keep, above);
            self.file(file);
            self.end()?;
        }
        let unnamed = files.len().saturating_sub(files_max) as u64;
        if unnamed + process.files.more > 0 {
            self.more(above, unnamed + process.files.more, "files")?;
        }
        Ok(())
    }

    fn more(&mut self, above: &str, count: u64, what: &str) -> io::Result<()> {
        self.line.push(
            Style::Dim,
            Fit::Keep,
            format!("{above}… {count} more {what}"),
        );
        self.end()
    }

    fn file(&mut self, file: &FileUse) {
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
        self.line.push(style, Fit::Shorten, &file.path);
        self.usage(file.error, file.times, file.bytes_read, file.bytes_written);
    }

    fn socket(&mut self, socket: &SocketUse) {
        self.line
            .join(Style::Net, Fit::Keep, format!("{:<2}", socket.direction));
        self.line.push(Style::Net, Fit::Shorten, &socket.end);
        self.line.push(Style::Dim, Fit::Drop, &socket.transport);
        self.usage(
            socket.error,
            socket.times,
            socket.bytes_read,
            socket.bytes_written,
        );
    }

    fn usage(&mut self, error: Option<i64>, times: u64, read: u64, written: u64) {
        if let Some(result) = error {
            let number = result.saturating_neg();
            let name =
                names::errno(number).map_or_else(|| format!("error {number}"), str::to_owned);
            self.line.push(Style::Bad, Fit::Keep, name);
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
