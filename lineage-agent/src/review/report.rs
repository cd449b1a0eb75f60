//! `lineage report`: the whole evidence as one page, for people who would rather look than read.
//!
//! Records are taken one by one into columns, texts into one table, flows as they are; the page draws and
//! computes the rest where it is opened. It needs nothing but itself: no network, no server. Whatever came from the
//! evidence is inert in it: it is data in JSON, never markup, and the page shows it as text only.
//!
//! The same evidence gives the same bytes. Everything is bounded, and what is left out is counted and said.

mod contexts;
mod decisions;
mod events;
mod files;
mod graph;
mod hosts;
mod lineages;
mod page;
mod peers;
mod processes;
mod strings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::Value;

use self::contexts::Contexts;
use self::decisions::Decisions;
use self::events::{About, Events};
use self::files::Files;
use self::graph::{Graph, Graphs};
use self::hosts::Hosts;
use self::lineages::Lineages;
use self::peers::Peers;
use self::processes::Processes;
use self::strings::Strings;
use super::text;
use crate::evidence::error::Error;
use crate::evidence::kinds::{self, Group, KINDS};
use crate::evidence::reader::Host;
use crate::evidence::schema::Record;

/// Kinds of what is missing that are told.
const MISSING_MAX: usize = 16;

/// Everything the page shows, from the records taken so far.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    strings: Strings,
    hosts: Hosts,
    lineages: Lineages,
    contexts: Contexts,
    processes: Processes,
    events: Events,
    files: Files,
    peers: Peers,
    decisions: Decisions,
    graphs: Graphs,
    missing: Missing,
}

/// What the evidence itself says was not recorded, and what of the evidence is not there.
#[derive(Debug, Default, Serialize)]
struct Missing {
    /// Frames the kernel lost.
    lost: u64,
    /// What else, in words, and how often where that is known.
    told: BTreeMap<String, u64>,
    /// Parts of the evidence that could not be read.
    unread: Vec<u32>,
}

/// What the page is made of, beside what is the same in every page.
#[derive(Serialize)]
struct Data<'a> {
    version: u32,
    verification: Option<&'a Value>,
    kinds: Vec<(&'static str, &'static str, u8)>,
    #[serde(flatten)]
    report: &'a Report,
}

impl Report {
    /// Takes everything of one host.
    ///
    /// # Errors
    ///
    /// [`Error`] when something cannot be read: the page then has what could be, and says so.
    pub fn host(&mut self, host: &Host) -> Result<(), Error> {
        self.begin(&host.id().to_string());
        let mut graph = Graph::default();
        let read = host.records(|record| {
            graph.record(record);
            self.record(record);
            ControlFlow::<()>::Continue(())
        });
        self.graphs.add(graph);
        let read = read.map(drop).and(self.documents(host));
        if let Err(error) = &read {
            let what = self.strings.id(&told(error, host));
            self.missing.unread.push(what);
        }
        read
    }

    /// Says from which host the following records are.
    fn begin(&mut self, id: &str) {
        let first = self.events.len();
        let name = self.strings.id(id);
        self.hosts.begin(name, first);
        self.events.begin();
        self.files.begin();
        self.peers.begin();
    }

    fn record(&mut self, record: &Record<'_>) {
        let row = self.events.row();
        let host = self.hosts.current();
        self.hosts.counted();
        if record.kind == Some(kinds::EVIDENCE_LOSS) {
            self.missing.add(record);
        }
        let lineage = self.lineages.add(record, host, row, &mut self.strings);
        if let Some(lineage) = lineage {
            self.contexts.add(record, host, lineage, row);
        }
        let process = self
            .processes
            .add(record, host, lineage, row, &mut self.strings);
        let about = About {
            process,
            file: self
                .files
                .add(record, host, process, row, &mut self.strings),
            peer: self
                .peers
                .add(record, host, process, row, &mut self.strings),
            decision: self.decisions.add(record, process, row, &mut self.strings),
        };
        let notable = about.decision.is_some_and(|it| it.denied)
            || self.files.is_notable(record)
            || is_notable(record);
        let text = self.events.add(record, about, notable, &mut self.strings);
        if record.kind == Some(kinds::PROCESS_EXIT) {
            self.processes.ended(record, process, text);
        }
        if record.kind == Some(kinds::LINEAGE_START) {
            self.lineages.began(lineage, text);
        }
    }

    /// Reads the documents that records of this host name.
    fn documents(&mut self, host: &Host) -> Result<(), Error> {
        let current = self.hosts.current();
        let read = self.contexts.read(host, current, &mut self.strings)?;
        self.hosts.environment(read.as_ref(), &mut self.strings);
        Ok(())
    }

    /// Writes the page; the outcome of a verification, where there was one, as `lineage verify --json` has it.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write(&self, verification: Option<&Value>, out: &mut impl Write) -> io::Result<()> {
        let data = Data {
            version: 1,
            verification,
            kinds: KINDS
                .iter()
                .map(|kind| (kind.name, kind.doc, group(kind.group)))
                .collect(),
            report: self,
        };
        page::write(out, &data)
    }
}

impl Missing {
    fn add(&mut self, record: &Record<'_>) {
        let lost = record.lost_count.unwrap_or_default();
        self.lost = self.lost.saturating_add(lost);
        if let Some((what, times)) = record.detail.and_then(text::what)
            && (self.told.len() < MISSING_MAX || self.told.contains_key(&what))
        {
            let all = self
                .told
                .entry(text::shown(&what).into_owned())
                .or_default();
            *all = all.saturating_add(times);
        }
    }
}

/// An error without the place of the evidence, which is no part of it.
fn told(error: &Error, host: &Host) -> String {
    let place = host.path().display().to_string();
    error.to_string().replace(&place, &host.id().directory())
}

/// Whether somebody who looks for what happened wants to see the record, whatever it is about.
fn is_notable(record: &Record<'_>) -> bool {
    let kind = record.kind.unwrap_or_default();
    let failed = super::filter::failed(record);
    match kind {
        kinds::PROCESS_EXEC | kinds::PROCESS_SNAPSHOT => !failed,
        kinds::PROCESS_EXIT => record.exit_code != Some(0),
        kinds::FILE_DIGEST | kinds::NET_CLOSE => false,
        _ => match kinds::find(kind).map(|kind| kind.group) {
            Some(Group::Net | Group::Recorder) => true,
            _ => record.recognised.is_some(),
        },
    }
}

/// The group of a kind, as the page numbers them.
fn group(group: Group) -> u8 {
    match group {
        Group::Process => 0,
        Group::File => 1,
        Group::Net => 2,
        Group::Recorder => 3,
    }
}
