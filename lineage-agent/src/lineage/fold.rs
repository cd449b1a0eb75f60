//! Folds events into records: each gets its process, its lineage and the record that caused it.
//!
//! State is the table of live processes and the host's mounts, so memory follows what is running, not
//! what has run. Records go to a [`Sink`] one by one, borrowed; nothing is kept of them.

mod agent;
mod call;
mod cgroup;
mod digest;
mod file;
mod found;
mod host;
mod map;
mod net;
mod pass;
mod process;
mod tally;
mod transfer;
mod verdict;

use std::sync::Arc;

use lineage_common::frame::{Flags, Header};

use super::{
    connections::Connections,
    files::{FileSeen, Scripts},
    identity::BootId,
    order::Loss,
    process::{Process, Processes},
    recognise::{Found, Recognisers},
    text::Scratch,
    variables::Shown,
};
use crate::{
    event::{Body, Event},
    evidence::{kinds, schema::Record},
};

use found::Looking;

pub use agent::{ContextChange, LineageStart};
pub use call::{kind as kind_of_call, kinds as kinds_of_call};
pub use digest::Digest;
pub use found::OtherEnd;

/// Where records go: numbers them and keeps them.
pub trait Sink {
    /// Why a record could not be kept.
    type Error;

    /// `seq` of the next record.
    fn next_seq(&self) -> u64;

    /// Keeps one record, whose `seq` is [`Self::next_seq`].
    ///
    /// # Errors
    ///
    /// When it could not be kept; the fold stops there.
    fn append(&mut self, record: &Record<'_>) -> Result<(), Self::Error>;

    /// Is told of every file that was executed, opened or mapped, after its record.
    fn file(&mut self, file: &FileSeen<'_>) {
        let _ = file;
    }
}

/// The state of the fold.
#[derive(Debug)]
pub struct Fold {
    boot: BootId,
    /// Nanoseconds to add to boot time to get UTC.
    utc_offset_ns: i64,
    lineages: Vec<Lineage>,
    processes: Processes,
    mounts: host::HostMounts,
    /// A control group and the container it belongs to.
    container: Option<(u64, String)>,
    connections: Connections,
    /// `seq` of the latest loss record: the cause of what only a lost frame could explain.
    last_loss: Option<u64>,
    scripts: Scripts,
    /// Where the looking at what processes have is.
    looking: Looking,
    scratch: Scratch,
    recognisers: Recognisers,
    found: Found,
    /// What is recorded of environments.
    environment: Shown,
}

/// What the fold keeps of one lineage.
#[derive(Debug)]
struct Lineage {
    uid: String,
    context: String,
    /// `seq` of the record that made this the context.
    context_seq: u64,
    start_seq: u64,
    /// Records so far: `lineage_seq` of the next.
    records: u64,
    /// The names of the rules that have governed it, by generation from 1.
    rules: Vec<Arc<[String]>>,
}

impl Fold {
    /// An empty fold for this boot.
    #[must_use]
    pub fn new(boot: BootId) -> Self {
        Self {
            boot,
            utc_offset_ns: 0,
            lineages: Vec::new(),
            processes: Processes::default(),
            mounts: host::HostMounts::default(),
            container: None,
            connections: Connections::default(),
            last_loss: None,
            scripts: Scripts::default(),
            looking: Looking::default(),
            scratch: Scratch::default(),
            recognisers: Recognisers::default(),
            found: Found::default(),
            environment: Shown::default(),
        }
    }

    /// Sets what is recorded of environments, from here on; as little as by default at first.
    pub fn show_environment(&mut self, shown: Shown) {
        self.environment = shown;
    }

    /// Sets what records are recognised by, from here on; nothing is at first.
    pub fn recognise_by(&mut self, recognisers: Recognisers) {
        self.recognisers = recognisers;
        self.found = Found::default();
    }

    /// Sets what to add to boot time to get UTC, in nanoseconds, from here on.
    pub fn set_utc_offset(&mut self, offset_ns: i64) {
        self.utc_offset_ns = offset_ns;
    }

    /// Live tracked processes, as far as the records tell.
    #[must_use]
    pub fn live_processes(&self) -> usize {
        self.processes.len()
    }

    /// Turns one event into records.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn event<S: Sink>(&mut self, event: &Event<'_>, sink: &mut S) -> Result<(), S::Error> {
        let header = event.header;
        if self.lineages.get(header.lineage as usize).is_none() {
            // A leftover of an earlier recording that shared the maps: not ours to tell.
            return Ok(());
        }
        if let Body::Found(found) = event.body {
            return self.found(header, &found, sink);
        }
        self.ensure_known(header, sink);
        self.follow(header);
        let text = &mut self.scratch;
        verdict::name(header, event.judged, &mut text.bytes, &mut text.judged);
        match event.body {
            Body::Fork(fork) => self.fork(header, fork, sink),
            Body::ThreadStart(fork) => self.thread_start(header, fork, sink),
            Body::Exec(exec) => self.exec(header, &exec, sink),
            Body::Exit(exit) => self.exit(header, exit, sink),
            Body::ThreadExit(exit) => self.thread_exit(header, exit, sink),
            Body::Open(file) => self.file(kinds::FILE_OPEN, header, &file, sink),
            Body::FileInherit(file) => self.file(kinds::FILE_INHERIT, header, &file, sink),
            Body::FileClose(close) => self.close(kinds::FILE_CLOSE, header, close, sink),
            Body::Read(used) => self.transfer(kinds::FILE_READ, header, used, sink),
            Body::Write(used) => self.transfer(kinds::FILE_WRITE, header, used, sink),
            Body::Connect(socket) => self.socket(kinds::NET_CONNECT, header, &socket, sink),
            Body::Accept(socket) => self.socket(kinds::NET_ACCEPT, header, &socket, sink),
            Body::Bind(socket) => self.socket(kinds::NET_BIND, header, &socket, sink),
            Body::NetInherit(socket) => self.socket(kinds::NET_INHERIT, header, &socket, sink),
            Body::Listen(socket) => self.socket(kinds::NET_LISTEN, header, &socket, sink),
            Body::Socket(socket) => self.socket(kinds::NET_SOCKET, header, &socket, sink),
            Body::Pair(socket) => self.socket(kinds::NET_PAIR, header, &socket, sink),
            Body::Send(socket) => self.socket(kinds::NET_SEND, header, &socket, sink),
            Body::Receive(socket) => self.socket(kinds::NET_RECEIVE, header, &socket, sink),
            Body::Pass(pass) => self.pass(header, &pass, sink),
            Body::Call(call) => self.call(header, &call, sink),
            Body::Cgroup(moved) => self.cgroup(header, &moved, sink),
            Body::Tally(tally) => self.tally(header, &tally, sink),
            Body::NetClose(close) => self.close(kinds::NET_CLOSE, header, close, sink),
            Body::Map(file, map) => self.map(header, &file, map, sink),
            Body::Found(_) => Ok(()),
        }
    }

    /// Records frames that were lost.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn loss<S: Sink>(&mut self, loss: &Loss, sink: &mut S) -> Result<(), S::Error> {
        let seq = sink.next_seq();
        self.last_loss = Some(seq);
        self.connections.clear();
        self.scripts.clear();
        let time_ns = utc(loss.time, self.utc_offset_ns);
        sink.append(&Record {
            seq: Some(seq),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some(kinds::EVIDENCE_LOSS),
            origin: Some("agent"),
            cpu: Some(i64::from(loss.cpu)),
            lost_first: Some(loss.first),
            lost_count: Some(loss.count),
            ..Record::default()
        })
    }

    /// Records that something is missing that has no number; what, as JSON.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn missing<S: Sink>(
        &mut self,
        time_ns: u64,
        detail: &str,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let time_ns = utc(time_ns, self.utc_offset_ns);
        sink.append(&Record {
            seq: Some(sink.next_seq()),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some(kinds::EVIDENCE_LOSS),
            origin: Some("agent"),
            detail: Some(detail),
            ..Record::default()
        })
    }

    /// Makes an entry for a process whose fork frame was lost, so that its records have a cause:
    /// the loss, or the start of the lineage when none was reported yet.
    fn ensure_known<S: Sink>(&mut self, header: &Header, sink: &S) {
        if self.processes.get(header.pid, header.start).is_some() {
            return;
        }
        let start_seq = self.lineages[header.lineage as usize].start_seq;
        debug_assert!(start_seq < sink.next_seq());
        self.processes.insert(
            header.pid,
            Process {
                start_ns: header.start,
                lineage: header.lineage,
                uid: None,
                parent_uid: None,
                parent_pid: None,
                exe: None,
                cause: self.last_loss.unwrap_or(start_seq),
                open: std::collections::BTreeMap::new(),
                devices: std::collections::BTreeMap::new(),
            },
        );
    }

    /// Lets a process that was given to another lineage be one of its processes from here on.
    fn follow(&mut self, header: &Header) {
        let start_seq = self.lineages[header.lineage as usize].start_seq;
        if let Some(process) = self.processes.get_mut(header.pid, header.start)
            && process.lineage != header.lineage
        {
            process.lineage = header.lineage;
            process.cause = start_seq;
        }
    }

    /// Sends one record of the acting process: the fields every record has, then what `fill` adds
    /// from the scratch texts. Gives its `seq`.
    fn emit<'a, S: Sink>(
        &'a mut self,
        header: &Header,
        kind: &'a str,
        sink: &mut S,
        fill: impl FnOnce(&'a Scratch, &mut Record<'a>),
    ) -> Result<u64, S::Error> {
        self.scratch.set_comm(&header.comm);
        let process = self
            .processes
            .get(header.pid, header.start)
            .expect("`event` makes the acting process known first");
        let lineage = &mut self.lineages[process.lineage as usize];
        let lineage_seq = lineage.records;
        lineage.records += 1;
        let time_ns = utc(header.time, self.utc_offset_ns);
        let seq = sink.next_seq();
        let mut record = Record {
            seq: Some(seq),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some(kind),
            origin: Some(if header.flags.has(Flags::CLAIMED) {
                "claimed"
            } else {
                "kernel"
            }),
            lineage: Some(&lineage.uid),
            lineage_seq: Some(lineage_seq),
            cause: Some(process.cause),
            context: Some(&lineage.context),
            process_uid: process.uid.as_deref(),
            exec: Some(u64::from(header.exec)),
            parent_uid: process.parent_uid.as_deref(),
            pid: Some(i64::from(header.pid)),
            tid: Some(i64::from(header.tid)),
            ppid: process.parent_pid.map(i64::from),
            comm: Some(&self.scratch.comm),
            exe: process.exe.as_deref(),
            result: Some(header.result),
            ..Record::default()
        };
        verdict::complete(header, &lineage.rules, &self.scratch.judged, &mut record);
        fill(&self.scratch, &mut record);
        self.recognisers.complete(&mut record, &mut self.found);
        sink.append(&record)?;
        Ok(seq)
    }
}

/// Boot time as UTC, both in nanoseconds; a time beyond 2262 stops there instead of wrapping.
fn utc(boot_ns: u64, offset_ns: i64) -> i64 {
    i64::try_from(boot_ns)
        .unwrap_or(i64::MAX)
        .saturating_add(offset_ns)
}

#[cfg(test)]
mod tests;
