//! The processes: who created them, what they ran, how they ended, how much they did.

use std::collections::HashMap;

use serde::Serialize;

use super::super::filter::failed;
use super::super::text;
use super::strings::Strings;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Most processes; what further ones did is in no table but that of the records.
const PROCESSES_MAX: usize = 100_000;

/// Columns of processes, each after the one that created it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Processes {
    lineage: Vec<Option<u32>>,
    parent: Vec<Option<u32>>,
    pid: Vec<Option<i64>>,
    /// Name of its last thread that acted.
    name: Vec<u32>,
    /// Arguments of its last program, as one would type them.
    command: Vec<u32>,
    exe: Vec<u32>,
    /// Microseconds since 1970 UTC.
    started: Vec<Option<i64>>,
    ended: Vec<Option<i64>>,
    /// Status or signal, in words.
    ending: Vec<u32>,
    /// Whether that was anything but status 0.
    ended_badly: Vec<u8>,
    events: Vec<u32>,
    failed: Vec<u32>,
    denied: Vec<u32>,
    /// First record.
    row: Vec<Option<u32>>,
    /// Processes beyond the limit.
    left_out: u64,
    /// By `process_uid`, or by host and process id where there is none.
    #[serde(skip)]
    ids: HashMap<Box<str>, u32>,
}

impl Processes {
    /// Takes a record, and gives the process that acts in it.
    pub(super) fn add(
        &mut self,
        record: &Record<'_>,
        host: u32,
        lineage: Option<u32>,
        row: Option<u32>,
        strings: &mut Strings,
    ) -> Option<u32> {
        let acting = self.acting(record, host, lineage, row)?;
        let at = acting as usize;
        self.events[at] = self.events[at].saturating_add(1);
        self.failed[at] = self.failed[at].saturating_add(u32::from(failed(record)));
        let denied = record.verdict == Some("deny");
        self.denied[at] = self.denied[at].saturating_add(u32::from(denied));
        if let Some(comm) = record.comm {
            self.name[at] = strings.id(comm);
        }
        match record.kind.unwrap_or_default() {
            kinds::PROCESS_FORK => self.fork(record, acting, lineage, row),
            kinds::PROCESS_SNAPSHOT | kinds::PROCESS_EXEC if !failed(record) => {
                self.program(record, at, strings);
            }
            _ => {}
        }
        Some(acting)
    }

    /// Takes the end of a process, in these words.
    pub(super) fn ended(&mut self, record: &Record<'_>, process: Option<u32>, text: u32) {
        let Some(at) = process.map(|process| process as usize) else {
            return;
        };
        self.ended[at] = record.time;
        self.ending[at] = text;
        let signal = record.exit_signal.is_some_and(|signal| signal != 0);
        let well = !signal && record.exit_code.is_none_or(|code| code == 0);
        self.ended_badly[at] = u8::from(!well);
    }

    fn acting(
        &mut self,
        record: &Record<'_>,
        host: u32,
        lineage: Option<u32>,
        row: Option<u32>,
    ) -> Option<u32> {
        let named;
        let uid = match (record.process_uid, record.pid) {
            (Some(uid), _) => uid,
            // A process that ended before it could be looked at has no identity but its id.
            (None, pid) => {
                named = format!("{host} {}", pid?);
                &named
            }
        };
        if let Some(known) = self.ids.get(uid) {
            return Some(*known);
        }
        let parent = record.parent_uid.and_then(|uid| self.ids.get(uid)).copied();
        self.new_process(uid, record.pid, parent, lineage, row)
    }

    fn fork(&mut self, record: &Record<'_>, parent: u32, lineage: Option<u32>, row: Option<u32>) {
        let Some(uid) = record.child_uid.filter(|uid| !self.ids.contains_key(*uid)) else {
            return;
        };
        let child = self.new_process(uid, record.child_pid, Some(parent), lineage, row);
        if let Some(child) = child.map(|child| child as usize) {
            let parent = parent as usize;
            self.started[child] = record.time;
            self.name[child] = self.name[parent];
            self.exe[child] = self.exe[parent];
        }
    }

    fn new_process(
        &mut self,
        uid: &str,
        pid: Option<i64>,
        parent: Option<u32>,
        lineage: Option<u32>,
        row: Option<u32>,
    ) -> Option<u32> {
        let id = u32::try_from(self.pid.len()).ok()?;
        if self.pid.len() == PROCESSES_MAX {
            self.left_out += 1;
            return None;
        }
        self.ids.insert(uid.into(), id);
        self.lineage.push(lineage);
        self.parent.push(parent);
        self.pid.push(pid);
        self.started.push(None);
        self.ended.push(None);
        self.row.push(row);
        self.ended_badly.push(0);
        let texts = [
            &mut self.name,
            &mut self.command,
            &mut self.exe,
            &mut self.ending,
        ];
        let counts = [&mut self.events, &mut self.failed, &mut self.denied];
        for column in texts.into_iter().chain(counts) {
            column.push(0);
        }
        Some(id)
    }

    fn program(&mut self, record: &Record<'_>, at: usize, strings: &mut Strings) {
        if self.started[at].is_none() && record.kind == Some(kinds::PROCESS_EXEC) {
            self.started[at] = record.time;
        }
        let arguments = record.argv.map(text::arguments).unwrap_or_default();
        let quoted: Vec<_> = arguments.iter().map(|it| text::quoted(it)).collect();
        self.command[at] = strings.id(&quoted.join(" "));
        self.exe[at] = strings.optional(record.exe);
    }
}
