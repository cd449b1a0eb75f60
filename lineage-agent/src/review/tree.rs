//! `lineage tree`: the processes of the evidence as a tree, with what each of them did.
//!
//! Records are taken one by one and folded into one `Process` each for the first
//! `PROCESSES_MAX` processes; what is kept of a process is bounded too, and what is left out is
//! counted and said. So the size of the evidence does not matter.

mod acts;
mod denials;
mod details;
mod draw;
mod files;
mod handles;
mod json;
mod process;
#[cfg(test)]
mod tests;
mod usage;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::Arc;

use self::handles::Handles;
use self::process::{Ending, Process, Program};
use self::usage::{Files, Handle, Sockets};
use super::digests::{Digests, FileId};
use super::filter::failed;
use super::line::Screen;
use super::text;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Processes kept; records of further ones are only counted.
const PROCESSES_MAX: usize = 100_000;

/// Kinds of what is missing that are told.
const MISSING_MAX: usize = 16;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// How much to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeOptions {
    /// Files shown of each process.
    pub files_max: usize,
    /// Connections shown of each process.
    pub sockets_max: usize,
    /// Children shown of each process, alike ones counting as one.
    pub children_max: usize,
    /// Levels shown below a root.
    pub depth_max: usize,
    /// Show like siblings one by one, and files of the system too.
    pub all: bool,
    /// Draw only processes with these ids and what is below them; all when empty.
    pub pids: Vec<i64>,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self {
            files_max: 6,
            sockets_max: 6,
            children_max: 40,
            depth_max: 40,
            all: false,
            pids: Vec::new(),
        }
    }
}

impl TreeOptions {
    /// Shows all that is kept.
    #[must_use]
    pub fn all() -> Self {
        Self {
            files_max: usize::MAX,
            sockets_max: usize::MAX,
            children_max: usize::MAX,
            depth_max: 1000,
            all: true,
            pids: Vec::new(),
        }
    }
}

/// The processes of the records taken so far.
#[derive(Debug)]
pub struct Tree {
    options: TreeOptions,
    processes: Vec<Process>,
    by_uid: HashMap<Arc<str>, usize>,
    lineages: Vec<Lineage>,
    host: Box<str>,
    handles: Handles,
    digests: Digests,
    /// Frames the kernel lost.
    lost: u64,
    /// What else is missing, in words, and how often where that is known.
    missing: BTreeMap<String, u64>,
}

/// What is known of one lineage as a whole.
#[derive(Debug, Default)]
struct Lineage {
    id: Box<str>,
    host: Box<str>,
    roots: Vec<usize>,
    /// Directory of the first program: names below it are shown from there.
    base: Option<Box<str>>,
    /// It began with a command that was launched, not with a running process.
    launched: bool,
    /// First and last time, in microseconds.
    span: Option<(i64, i64)>,
    records: u64,
    processes: u64,
    opens: u64,
    connections: u64,
    failures: u64,
    denied: u64,
    /// How often what governs it changed.
    context_changes: u64,
    /// Records of processes beyond [`PROCESSES_MAX`].
    skipped: u64,
}

impl Tree {
    /// An empty tree.
    #[must_use]
    pub fn new(options: TreeOptions) -> Self {
        Self {
            options,
            processes: Vec::new(),
            by_uid: HashMap::new(),
            lineages: Vec::new(),
            host: "".into(),
            handles: Handles::default(),
            digests: Digests::default(),
            lost: 0,
            missing: BTreeMap::new(),
        }
    }

    /// Says from which host the following records are.
    pub fn host(&mut self, id: &str) {
        // Numbers of records have a meaning only on their own host.
        self.handles.clear();
        self.host = id.into();
    }

    /// Takes one record, in the order of the evidence.
    pub fn record(&mut self, record: &Record<'_>) {
        let kind = record.kind.unwrap_or_default();
        if kind == kinds::EVIDENCE_LOSS {
            self.loss(record);
        }
        let Some(lineage) = self.lineage(record) else {
            return;
        };
        if kind == kinds::LINEAGE_START {
            self.lineages[lineage].launched = is_launch(record);
        }
        self.lineages[lineage].context_changes += u64::from(kind == kinds::CONTEXT_CHANGE);
        if kind == kinds::FILE_DIGEST {
            self.digests.add(record);
        }
        if record.pid.is_none() {
            return;
        }
        let Some(acting) = self.acting(record, lineage) else {
            self.lineages[lineage].skipped += 1;
            return;
        };
        let denied = self.processes[acting].denials.add(record);
        self.lineages[lineage].denied += u64::from(denied);
        match kind {
            kinds::PROCESS_FORK => self.fork(record, acting, lineage),
            kinds::PROCESS_SNAPSHOT | kinds::PROCESS_EXEC => self.program(record, acting),
            kinds::PROCESS_EXIT => {
                let process = &mut self.processes[acting];
                process.ended = record.time;
                process.ending = Some(Ending::of(record));
                self.handles.ended(acting);
            }
            kinds::THREAD_START if !failed(record) => self.processes[acting].threads += 1,
            kinds::FILE_OPEN | kinds::FILE_INHERIT | kinds::FILE_SNAPSHOT => {
                self.file(record, acting);
            }
            kinds::DESCRIPTOR_RECEIVE if record.path.is_some() => self.file(record, acting),
            kinds::DESCRIPTOR_RECEIVE
            | kinds::NET_SOCKET
            | kinds::NET_PAIR
            | kinds::NET_BIND
            | kinds::NET_LISTEN
            | kinds::NET_CONNECT
            | kinds::NET_ACCEPT
            | kinds::NET_INHERIT
            | kinds::NET_SNAPSHOT => {
                self.socket(record, acting);
            }
            kinds::NET_SEND | kinds::NET_RECEIVE => {
                let process = &mut self.processes[acting];
                process.fails(u64::from(failed(record)));
                // Of any other the socket is there already.
                if record.origin == Some("claimed") {
                    process.sockets.add(record);
                }
            }
            kinds::FILE_CLOSE | kinds::NET_CLOSE => self.close(record, acting),
            _ => self.act(record, acting),
        }
    }

    fn loss(&mut self, record: &Record<'_>) {
        let count = record.lost_count.unwrap_or_default();
        self.lost = self.lost.saturating_add(count);
        if let Some((what, times)) = record.detail.and_then(text::what)
            && (self.missing.len() < MISSING_MAX || self.missing.contains_key(&what))
        {
            let all = self.missing.entry(what).or_default();
            *all = all.saturating_add(times);
        }
    }

    /// Whether there is no process to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut lineages = self.lineages.iter();
        lineages.all(|lineage| self.roots(lineage).is_empty())
    }

    /// Writes the tree as one JSON object: lineages, and their processes in a flat list, each after
    /// its parent.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        json::write(self, out)
    }

    /// Draws the tree.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        draw::write(self, out, screen)
    }

    /// The processes of a lineage to begin drawing with.
    fn roots(&self, lineage: &Lineage) -> Vec<usize> {
        let wanted = &self.options.pids;
        if wanted.is_empty() {
            return lineage.roots.clone();
        }
        let is_wanted = |process: &Process| process.pid.is_some_and(|pid| wanted.contains(&pid));
        let mut roots = Vec::new();
        let mut pending: Vec<usize> = lineage.roots.iter().rev().copied().collect();
        while let Some(index) = pending.pop() {
            let process = &self.processes[index];
            if is_wanted(process) {
                roots.push(index);
            } else {
                pending.extend(process.children.iter().rev());
            }
        }
        roots
    }

    /// The lineage the record belongs to, with the record counted.
    fn lineage(&mut self, record: &Record<'_>) -> Option<usize> {
        let id = record.lineage?;
        let known = self.lineages.iter().position(|lineage| *lineage.id == *id);
        let index = known.unwrap_or_else(|| {
            self.lineages.push(Lineage {
                id: id.into(),
                host: self.host.clone(),
                ..Lineage::default()
            });
            self.lineages.len() - 1
        });
        let lineage = &mut self.lineages[index];
        lineage.records += 1;
        if let Some(time) = record.time {
            let (first, last) = lineage.span.unwrap_or((time, time));
            lineage.span = Some((first.min(time), last.max(time)));
        }
        lineage.fails(u64::from(failed(record)));
        match record.kind.unwrap_or_default() {
            kinds::FILE_OPEN => lineage.opens += 1,
            kinds::NET_CONNECT | kinds::NET_ACCEPT => {
                lineage.connections += u64::from(!failed(record));
            }
            _ => {}
        }
        Some(index)
    }

    /// The process that acts.
    fn acting(&mut self, record: &Record<'_>, lineage: usize) -> Option<usize> {
        // A process that ended before it could be looked at has no identity but its id.
        let uid = match (record.process_uid, record.pid) {
            (Some(uid), _) => Cow::Borrowed(uid),
            (None, pid) => Cow::Owned(format!("pid {}", pid?)),
        };
        let known = self.by_uid.get(&*uid).copied();
        let index = known.or_else(|| {
            let parent = record.parent_uid.and_then(|uid| self.by_uid.get(uid));
            let parent = parent.copied();
            self.add(&uid, record.pid, parent, lineage)
        })?;
        let process = &mut self.processes[index];
        if process.lineage != lineage && record.process_uid.is_some() {
            // `lineage exec`: from here on it is what begins a lineage of its own.
            process.lineage = lineage;
            process.entered = Some(lineage);
            self.lineages[lineage].processes += 1;
        }
        if let Some(comm) = record.comm {
            process.name(comm);
        }
        Some(index)
    }

    fn add(
        &mut self,
        uid: &str,
        pid: Option<i64>,
        parent: Option<usize>,
        lineage: usize,
    ) -> Option<usize> {
        self.lineages[lineage].processes += 1;
        let index = self.processes.len();
        if index == PROCESSES_MAX {
            return None;
        }
        let process = Process::new(uid, pid, parent, lineage);
        self.by_uid.insert(process.uid.clone(), index);
        self.processes.push(process);
        match parent {
            Some(parent) => self.processes[parent].children.push(index),
            None => self.lineages[lineage].roots.push(index),
        }
        Some(index)
    }

    fn fork(&mut self, record: &Record<'_>, parent: usize, lineage: usize) {
        let Some(uid) = record.child_uid else {
            self.processes[parent].fails(1);
            return;
        };
        if self.by_uid.contains_key(uid) {
            return;
        }
        let Some(child) = self.add(uid, record.child_pid, Some(parent), lineage) else {
            return;
        };
        let comm = self.processes[parent].comm.clone();
        let child = &mut self.processes[child];
        child.started = record.time;
        child.forked_as = comm.clone();
        child.comm = comm;
        if let Some(detail) = record.detail {
            child.created(detail);
        }
    }

    fn program(&mut self, record: &Record<'_>, acting: usize) {
        let process = &mut self.processes[acting];
        if failed(record) {
            process.failed_execs += 1;
            return;
        }
        if record.kind == Some(kinds::PROCESS_SNAPSHOT) {
            // Before its first exec a launched command is still a copy of the recorder.
            if self.lineages[process.lineage].launched {
                return;
            }
            process.found_running = true;
        } else if process.started.is_none() {
            process.started = record.time;
        }
        let base = &mut self.lineages[process.lineage].base;
        if base.is_none() && !self.options.all {
            *base = record.cwd.filter(|cwd| cwd.len() > 1).map(Into::into);
        }
        let arguments = record.argv.map(text::arguments).unwrap_or_default();
        process.become_program(Program {
            file: FileId::of(record),
            ..Program::new(record.exe, &arguments)
        });
        if let Some(labels) = record.recognised {
            process.recognise(labels);
        }
    }

    fn file(&mut self, record: &Record<'_>, acting: usize) {
        let process = &mut self.processes[acting];
        process.opens += u64::from(record.kind == Some(kinds::FILE_OPEN));
        process.fails(u64::from(failed(record)));
        let file = process.files.add(record, self.options.all);
        self.handles.opened(record, acting, file.map(Handle::File));
    }

    fn socket(&mut self, record: &Record<'_>, acting: usize) {
        let process = &mut self.processes[acting];
        process.fails(u64::from(failed(record)));
        let socket = process.sockets.add(record);
        let handle = socket.map(Handle::Socket);
        self.handles.opened(record, acting, handle);
    }

    fn act(&mut self, record: &Record<'_>, acting: usize) {
        let process = &mut self.processes[acting];
        process.fails(u64::from(failed(record)));
        let unrecorded = process.acts.add(record);
        process.fails(unrecorded);
        self.lineages[process.lineage].fails(unrecorded);
    }

    fn close(&mut self, record: &Record<'_>, acting: usize) {
        let Some(handle) = self.handles.closed(record, acting) else {
            return;
        };
        let process = &mut self.processes[acting];
        let read = record.bytes_read.unwrap_or_default();
        let written = record.bytes_written.unwrap_or_default();
        match handle {
            Handle::File(index) => Files::moved(&mut process.files, index, read, written),
            Handle::Socket(index) => Sockets::moved(&mut process.sockets, index, read, written),
        }
    }
}

impl Lineage {
    /// Counts calls that failed.
    fn fails(&mut self, calls: u64) {
        self.failures = self.failures.saturating_add(calls);
    }
}

/// Whether a `lineage.start` says that a command was launched.
fn is_launch(record: &Record<'_>) -> bool {
    let detail = record.detail.unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(detail).is_ok_and(|detail| detail["how"] == "launch")
}
