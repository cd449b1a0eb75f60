//! What is kept of one process.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::super::digests::FileId;
use super::super::notable::Class;
use super::super::text;
use super::acts::Acts;
use super::denials::Denials;
use super::usage::{FileUse, Files, Sockets};
use crate::evidence::schema::Record;
use crate::names;

/// Programs kept of one process; further ones are counted.
const PROGRAMS_MAX: usize = 16;

/// Labels kept of one process.
const LABELS_MAX: usize = 64;

/// Bytes kept of a program's arguments.
const COMMAND_BYTES_MAX: usize = 2000;

/// Beginnings of the names of programs whose first argument is a script.
const INTERPRETERS: &[&str] = &[
    "sh", "bash", "dash", "zsh", "python", "perl", "ruby", "node",
];

/// Flags of clone(2) that make namespaces, and what `/proc/PID/ns` calls these.
const NAMESPACES: &[(&str, &str)] = &[
    ("CLONE_NEWNS", "mnt"),
    ("CLONE_NEWPID", "pid"),
    ("CLONE_NEWNET", "net"),
    ("CLONE_NEWUSER", "user"),
    ("CLONE_NEWUTS", "uts"),
    ("CLONE_NEWIPC", "ipc"),
    ("CLONE_NEWCGROUP", "cgroup"),
    ("CLONE_NEWTIME", "time"),
];

/// One process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) uid: Arc<str>,
    pub(super) parent: Option<usize>,
    pub(super) lineage: usize,
    /// The lineage that it entered, if it was born in another one.
    pub(super) entered: Option<usize>,
    pub(super) pid: Option<i64>,
    pub(super) comm: Box<str>,
    /// `comm` of its parent when it was forked.
    pub(super) forked_as: Box<str>,
    /// In microseconds.
    pub(super) started: Option<i64>,
    pub(super) ended: Option<i64>,
    pub(super) ending: Option<Ending>,
    /// It was there before recording began.
    pub(super) found_running: bool,
    /// Namespaces that were made for it.
    pub(super) namespaces: Vec<&'static str>,
    pub(super) programs: Vec<Program>,
    pub(super) more_programs: u64,
    /// What recognisers call the programs, in the order of the alphabet.
    pub(super) recognised: BTreeSet<Box<str>>,
    pub(super) children: Vec<usize>,
    pub(super) files: Files,
    pub(super) sockets: Sockets,
    pub(super) acts: Acts,
    pub(super) denials: Denials,
    pub(super) opens: u64,
    pub(super) failures: u64,
    pub(super) failed_execs: u64,
    pub(super) threads: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Status(i64),
    Signal(i64),
}

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) exe: Option<Box<str>>,
    /// As recorded, up to [`COMMAND_BYTES_MAX`] together; `…` stands for what is left out.
    pub(super) argv: Vec<Box<str>>,
    /// Which version of its executable.
    pub(super) file: Option<FileId>,
}

impl Process {
    /// A process of which nothing is known yet.
    pub(super) fn new(uid: &str, pid: Option<i64>, parent: Option<usize>, lineage: usize) -> Self {
        Self {
            uid: uid.into(),
            parent,
            lineage,
            entered: None,
            pid,
            comm: "".into(),
            forked_as: "".into(),
            started: None,
            ended: None,
            ending: None,
            found_running: false,
            namespaces: Vec::new(),
            programs: Vec::new(),
            more_programs: 0,
            recognised: BTreeSet::new(),
            children: Vec::new(),
            files: Files::default(),
            sockets: Sockets::default(),
            acts: Acts::default(),
            denials: Denials::default(),
            opens: 0,
            failures: 0,
            failed_execs: 0,
            threads: 0,
        }
    }

    pub(super) fn name(&mut self, comm: &str) {
        if *self.comm != *comm {
            self.comm = comm.into();
        }
    }

    /// Counts calls that failed.
    pub(super) fn fails(&mut self, calls: u64) {
        self.failures = self.failures.saturating_add(calls);
    }

    /// Notes what was made for it when it was created, as the detail of that tells.
    pub(super) fn created(&mut self, detail: &str) {
        let detail: Value = serde_json::from_str(detail).unwrap_or_default();
        let is_set = |flag| {
            let flags = detail["flags"].as_array();
            flags.is_some_and(|flags| flags.iter().any(|set| set == flag))
        };
        let made = NAMESPACES.iter().filter(|(flag, _)| is_set(*flag));
        self.namespaces = made.map(|(_, name)| *name).collect();
    }

    /// The first programs and the last one are kept.
    pub(super) fn become_program(&mut self, program: Program) {
        if self.programs.len() == PROGRAMS_MAX {
            self.programs.pop();
            self.more_programs += 1;
        }
        self.programs.push(program);
    }

    /// Notes what its program is recognised as.
    pub(super) fn recognise(&mut self, labels: &str) {
        for label in labels.split(',') {
            if self.recognised.len() < LABELS_MAX {
                self.recognised.insert(label.into());
            }
        }
    }

    /// How long it lived, in nanoseconds; absent when its beginning or its end was not seen.
    pub(super) fn lasted_ns(&self) -> Option<i64> {
        Some(
            self.ended?
                .saturating_sub(self.started?)
                .saturating_mul(1000),
        )
    }

    /// Whether all it did was to create another process.
    pub(super) fn only_forks(&self) -> bool {
        self.programs.is_empty()
            && self.namespaces.is_empty()
            && self.sockets.named.is_empty()
            && self.files.named.is_empty()
            && self.acts.named.is_empty()
            && self.denials.named.is_empty()
            && self.opens == 0
            && self.failures == 0
    }

    /// Whether the file is the script an interpreter was started with: the command line says so.
    pub(super) fn is_own_script(&self, file: &FileUse) -> bool {
        let is_script = |program: &Program| {
            let script = program.argv.get(1).filter(|_| program.is_interpreter());
            script.is_some_and(|script| {
                let rest = file.path.strip_suffix(script.trim_start_matches("./"));
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
            })
        };
        !file.writes && file.class < Class::Sensitive && self.programs.iter().any(is_script)
    }

    /// Whether there is nothing to say of it but its name and its end.
    pub(super) fn is_plain(&self) -> bool {
        self.children.is_empty()
            && self.programs.len() <= 1
            && self.sockets.named.is_empty()
            && self.files.named.is_empty()
            && self.acts.named.is_empty()
            && self.denials.named.is_empty()
    }
}

impl Ending {
    pub(super) fn of(record: &Record<'_>) -> Self {
        match record.exit_signal {
            Some(signal) if signal != 0 => Self::Signal(signal),
            _ => Self::Status(record.exit_code.unwrap_or_default()),
        }
    }

    pub(super) fn shown(self) -> String {
        match self {
            Self::Status(code) => format!("exit {code}"),
            Self::Signal(number) => {
                names::signal(number).map_or_else(|| format!("signal {number}"), str::to_owned)
            }
        }
    }
}

impl Program {
    pub(super) fn new(exe: Option<&str>, argv: &[String]) -> Self {
        let mut room = COMMAND_BYTES_MAX;
        let mut kept: Vec<Box<str>> = Vec::new();
        for argument in argv {
            let end = argument.floor_char_boundary(room);
            room -= end;
            if end == argument.len() {
                kept.push(argument.as_str().into());
            } else {
                kept.push(format!("{}…", &argument[..end]).into());
                break;
            }
        }
        Self {
            exe: exe.map(Into::into),
            argv: kept,
            file: None,
        }
    }

    /// Name of the executable, without its directory.
    pub(super) fn name(&self) -> &str {
        let name = self.exe.as_deref().map_or(self.own_name(), base_name);
        if name.is_empty() { "?" } else { name }
    }

    /// What the process was told it is called, when that is another name.
    pub(super) fn called(&self) -> Option<&str> {
        let called = self.own_name();
        (!called.is_empty() && called != self.name()).then_some(called)
    }

    fn own_name(&self) -> &str {
        self.argv.first().map_or("", |name| base_name(name))
    }

    /// Its name, with the script it runs if any.
    pub(super) fn brief(&self) -> String {
        let script = self
            .argv
            .get(1)
            .filter(|script| self.is_interpreter() && script.contains('/'));
        match script {
            Some(script) => format!("{} {}", self.name(), base_name(script)),
            None => self.name().to_owned(),
        }
    }

    fn is_interpreter(&self) -> bool {
        INTERPRETERS
            .iter()
            .any(|name| self.name().starts_with(name))
    }

    /// Its arguments as one would type them.
    pub(super) fn arguments(&self) -> String {
        let arguments = self.argv.iter().skip(1);
        let quoted: Vec<_> = arguments.map(|argument| text::quoted(argument)).collect();
        quoted.join(" ")
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
