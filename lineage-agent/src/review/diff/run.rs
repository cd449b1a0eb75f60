//! What one run did, by name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::super::digests::{Digests, FileId};
use super::super::filter::{Filter, endpoint, failed};
use super::super::happening::{self, Happening, What};
use super::super::notable::Class;
use super::super::text;
use super::Topic;
use super::rules::Rules;
use crate::evidence::kinds;
use crate::evidence::schema::Record;
use crate::names;

/// Names kept of one topic; what has others is counted.
const ENTRIES_MAX: usize = 50_000;

/// Processes of which it is known what they run.
const PROCESSES_MAX: usize = 100_000;

/// Versions of a file, and ways to end, that are kept of one name.
const VERSIONS_MAX: usize = 8;

/// Characters kept of a command line.
const COMMAND_CHARS_MAX: usize = 1_000;

/// What one run did.
#[derive(Debug)]
pub struct Run {
    filter: Filter,
    pub(super) rules: Rules,
    pub(super) topics: BTreeMap<Topic, BTreeMap<Arc<str>, Entry>>,
    digests: Digests,
    /// What live processes run: the name under [`Topic::Commands`], by `process_uid`.
    running: HashMap<Box<str>, Arc<str>>,
    host: Box<str>,
    /// Records that were compared.
    pub(super) records: u64,
    /// Whether the filter left any out.
    left_out: bool,
    /// Frames that the kernel lost.
    pub(super) lost: u64,
    /// Whether anything else is missing.
    pub(super) gaps: bool,
    /// What has names beyond the limits.
    pub(super) uncompared: u64,
}

/// What a run did with one thing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The host and `seq` of the first record that tells of it.
    pub(super) host: Box<str>,
    pub(super) seq: u64,
    pub(super) times: u64,
    pub(super) read: u64,
    pub(super) written: u64,
    /// Versions of the file.
    files: BTreeSet<FileId>,
    /// Digests of these, when all is read.
    pub(super) digests: BTreeSet<Box<str>>,
    /// How its processes ended.
    pub(super) ends: BTreeSet<Box<str>>,
    /// Only part of the system, or a command without arguments, which its program says already.
    pub(super) ordinary: bool,
}

impl Run {
    /// A run that has done nothing yet. With `exact` names are compared as they are; of records that the filter does not
    /// let through nothing is compared.
    #[must_use]
    pub fn new(exact: bool, filter: Filter) -> Self {
        Self {
            filter,
            rules: Rules::new(exact),
            topics: Topic::ALL.map(|topic| (topic, BTreeMap::new())).into(),
            digests: Digests::default(),
            running: HashMap::new(),
            host: "".into(),
            records: 0,
            left_out: false,
            lost: 0,
            gaps: false,
            uncompared: 0,
        }
    }

    /// Says from which host the following records are.
    pub fn host(&mut self, id: &str) {
        self.host = id.into();
        self.running.clear();
    }

    /// Takes one record, in the order of the evidence.
    pub fn record(&mut self, record: &Record<'_>) {
        let wanted = self.filter.matches(record);
        self.records += u64::from(wanted);
        self.left_out |= !wanted;
        if let Some(directory) = record.cwd {
            self.rules.begin_in(directory);
        }
        match record.kind.unwrap_or_default() {
            kinds::FILE_DIGEST => self.digests.add(record),
            kinds::EVIDENCE_LOSS => {
                self.lost = self
                    .lost
                    .saturating_add(record.lost_count.unwrap_or_default());
                self.gaps = true;
            }
            kinds::PROCESS_EXEC if wanted && !failed(record) => self.command(record),
            kinds::PROCESS_EXIT => self.ended(record),
            kinds::FILE_CLOSE | kinds::NET_CLOSE => self.moved(record),
            _ => {}
        }
        if !wanted {
            return;
        }
        let mut found = Vec::new();
        happening::each(record, |it| found.push(it));
        for it in found {
            self.happened(&it, record);
        }
    }

    /// Whether the filter let no record through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether there is something to compare in what the filter let through, or it let everything through.
    #[must_use]
    pub fn is_comparable(&self) -> bool {
        !self.left_out || self.topics.values().any(|entries| !entries.is_empty())
    }

    /// Finds the digests of what was used, which may be recorded later.
    pub fn finish(&mut self) {
        for entry in self.topics.values_mut().flat_map(BTreeMap::values_mut) {
            let digests = entry
                .files
                .iter()
                .filter_map(|file| self.digests.of(Some(*file)));
            entry.digests = digests.map(Into::into).collect();
        }
    }

    fn happened(&mut self, it: &Happening<'_>, record: &Record<'_>) {
        let topic = match it.what {
            What::Program => Topic::Programs,
            What::To | What::From | What::On => Topic::Hosts,
            What::Writes => Topic::Written,
            What::Removes => Topic::Removed,
            What::Reads => Topic::Read,
            What::Denied | What::Audited | What::Refused => Topic::Denials,
            What::Loss => return,
        };
        if topic == Topic::Written && it.class == Class::Ordinary {
            return;
        }
        let name = self.rules.alike(&it.name, record);
        let name = match it.what {
            What::To => format!("→ {name}").into(),
            What::From => format!("← {name}").into(),
            What::On => format!("on {name}").into(),
            _ => name,
        };
        let file = FileId::of(record).filter(|_| matches!(it.what, What::Program | What::Reads));
        let ordinary = it.class == Class::Ordinary;
        let name: Arc<str> = text::shown(&name).into();
        let Some(entry) = self.entry(topic, &name, record) else {
            return;
        };
        entry.times += 1;
        entry.ordinary = ordinary && (entry.times == 1 || entry.ordinary);
        if let Some(file) = file.filter(|_| entry.files.len() < VERSIONS_MAX) {
            entry.files.insert(file);
        }
    }

    /// The command line that a process became.
    fn command(&mut self, record: &Record<'_>) {
        let exe = record.exe.unwrap_or("?");
        let mut line = exe
            .rsplit_once('/')
            .map_or(exe, |(_, name)| name)
            .to_owned();
        let arguments = record.argv.map(text::arguments).unwrap_or_default();
        for argument in arguments.iter().skip(1) {
            line.push(' ');
            line += &text::quoted(&self.rules.alike(argument, record));
            if line.len() > COMMAND_CHARS_MAX * 4 {
                break;
            }
        }
        let line: String = line.chars().take(COMMAND_CHARS_MAX).collect();
        let line: Arc<str> = text::shown(&line).into();
        let Some(entry) = self.entry(Topic::Commands, &line, record) else {
            return;
        };
        entry.times += 1;
        entry.ordinary = arguments.len() < 2;
        let Some(uid) = record.process_uid else {
            return;
        };
        if self.running.len() < PROCESSES_MAX || self.running.contains_key(uid) {
            self.running.insert(uid.into(), line);
        }
    }

    fn ended(&mut self, record: &Record<'_>) {
        let Some(line) = record.process_uid.and_then(|uid| self.running.remove(uid)) else {
            return;
        };
        let end = match record.exit_signal {
            Some(signal) if signal != 0 => {
                names::signal(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
            }
            _ => format!("exit {}", record.exit_code.unwrap_or_default()),
        };
        let commands = self.topics.entry(Topic::Commands).or_default();
        if let Some(entry) = commands
            .get_mut(&line)
            .filter(|entry| entry.ends.len() < VERSIONS_MAX)
        {
            entry.ends.insert(end.into());
        }
    }

    /// Adds the bytes that went through a descriptor to what it led to.
    fn moved(&mut self, record: &Record<'_>) {
        let (read, written) = (
            record.bytes_read.unwrap_or_default(),
            record.bytes_written.unwrap_or_default(),
        );
        if read == 0 && written == 0 {
            return;
        }
        let mut add = |topic: Topic, name: &str, read: u64, written: u64| {
            let entry = self
                .topics
                .get_mut(&topic)
                .and_then(|entries| entries.get_mut(name));
            if let Some(entry) = entry {
                entry.read = entry.read.saturating_add(read);
                entry.written = entry.written.saturating_add(written);
            }
        };
        if let Some(path) = record.path {
            let name = self.rules.alike(path, record);
            let name = text::shown(&name);
            add(Topic::Read, &name, read, 0);
            add(Topic::Written, &name, 0, written);
        } else if let Some(peer) = record.peer_addr {
            let transport = record.transport.unwrap_or_default();
            let to = format!("→ {} {transport}", endpoint(peer, record.peer_port));
            let from = format!("← {peer} {transport}");
            add(
                Topic::Hosts,
                &text::shown(&self.rules.alike(&to, record)),
                read,
                written,
            );
            add(
                Topic::Hosts,
                &text::shown(&self.rules.alike(&from, record)),
                read,
                written,
            );
        }
    }

    fn entry(&mut self, topic: Topic, name: &Arc<str>, record: &Record<'_>) -> Option<&mut Entry> {
        let entries = self.topics.entry(topic).or_default();
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(name) {
            self.uncompared += 1;
            return None;
        }
        let host = &self.host;
        let entry = entries.entry(Arc::clone(name)).or_insert_with(|| Entry {
            host: host.clone(),
            seq: record.seq.unwrap_or_default(),
            ..Entry::default()
        });
        Some(entry)
    }
}
