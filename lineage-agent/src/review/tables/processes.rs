//! The table of processes: one row for each, with all it descends from.

use std::collections::HashMap;
use std::io::{self, Write};

use super::texts::{Id, Texts};
use crate::evidence::kinds;
use crate::evidence::schema::Record;
use crate::evidence::table::ColumnKind::{Number, Text, Texts as List, Time};
use crate::evidence::table::{Cell, Column, TableWriter, column};
use crate::review::filter::failed;

/// Most processes of a host.
const PROCESSES_MAX: usize = 1 << 23;

/// Most ancestors named of a process: the nearest. Nested sets have them all.
const ANCESTORS_MAX: usize = 256;

/// The columns. `set_left` and `set_right` number the tree of a host's processes as nested sets: whatever descends from
/// a process has both numbers between those of the process (Celko, "Trees and Hierarchies in SQL for Smarties", 2004).
pub(super) const COLUMNS: [Column; 23] = [
    column("lineage", Text),
    column("seq", Number),
    column("last_seq", Number),
    column("process_uid", Text),
    column("parent_uid", Text),
    column("pid", Number),
    column("ppid", Number),
    column("exe", Text),
    column("programs", List),
    column("argv", Text),
    column("uid", Number),
    column("gid", Number),
    column("euid", Number),
    column("egid", Number),
    column("started", Time),
    column("ended", Time),
    column("exit_code", Number),
    column("exit_signal", Number),
    column("records", Number),
    column("depth", Number),
    column("ancestors", List),
    column("set_left", Number),
    column("set_right", Number),
];

/// The processes of a host.
#[derive(Debug, Default)]
pub(super) struct Processes {
    /// In the order of their first records.
    list: Vec<Process>,
    ids: HashMap<Box<str>, u32>,
    pub(super) left_out: u64,
}

#[derive(Debug, Default)]
struct Process {
    uid: Box<str>,
    parent: Id,
    lineage: Id,
    first: u64,
    last: u64,
    pid: [Option<i64>; 2],
    exe: Id,
    programs: Vec<Id>,
    argv: Id,
    /// uid, gid, euid, egid.
    who: [Option<i64>; 4],
    started: Option<i64>,
    ended: Option<i64>,
    exit: [Option<i64>; 2],
    records: u64,
}

impl Processes {
    /// Takes a record.
    pub(super) fn add(&mut self, record: &Record<'_>, texts: &mut Texts) {
        let (Some(seq), Some(uid)) = (record.seq, record.process_uid) else {
            return;
        };
        let Some(process) = self.process(uid, seq) else {
            return;
        };
        process.records += 1;
        process.last = seq;
        process.lineage = process.lineage.or_else(|| texts.id(record.lineage));
        process.parent = process.parent.or_else(|| texts.id(record.parent_uid));
        for (known, pid) in process.pid.iter_mut().zip([record.pid, record.ppid]) {
            *known = known.or(pid);
        }
        process.exe = texts.id(record.exe).or(process.exe);
        let who = [record.uid, record.gid, record.euid, record.egid];
        for (known, id) in process.who.iter_mut().zip(who) {
            *known = id.or(*known);
        }
        match record.kind.unwrap_or_default() {
            kinds::PROCESS_SNAPSHOT | kinds::PROCESS_EXEC if !failed(record) => {
                let exe = texts.id(record.exe);
                process.programs.push(exe);
                process.argv = texts.id(record.argv).or(process.argv);
            }
            kinds::PROCESS_EXIT => {
                process.ended = process.ended.max(record.time);
                let exit = [record.exit_code, record.exit_signal];
                for (known, exit) in process.exit.iter_mut().zip(exit) {
                    *known = (*known).max(exit);
                }
            }
            kinds::PROCESS_FORK => self.fork(record, seq, texts),
            _ => {}
        }
    }

    fn fork(&mut self, record: &Record<'_>, seq: u64, texts: &mut Texts) {
        let Some(child) = record.child_uid.and_then(|uid| self.process(uid, seq)) else {
            return;
        };
        child.last = child.last.max(seq);
        child.lineage = child.lineage.or_else(|| texts.id(record.lineage));
        child.parent = child.parent.or_else(|| texts.id(record.process_uid));
        let pids = [record.child_pid, record.pid];
        for (known, pid) in child.pid.iter_mut().zip(pids) {
            *known = known.or(pid);
        }
        child.started = child.started.or(record.time);
    }

    fn process(&mut self, uid: &str, seq: u64) -> Option<&mut Process> {
        let at = match self.ids.get(uid) {
            Some(at) => *at as usize,
            None if self.list.len() < PROCESSES_MAX => {
                let at = self.list.len();
                self.ids.insert(uid.into(), u32::try_from(at).ok()?);
                self.list.push(Process {
                    uid: uid.into(),
                    first: seq,
                    last: seq,
                    ..Process::default()
                });
                at
            }
            None => {
                self.left_out += 1;
                return None;
            }
        };
        self.list.get_mut(at)
    }

    /// Writes the table, in the order of first records.
    pub(super) fn write<W: Write + Send>(
        &self,
        out: W,
        texts: &Texts,
        about: &[(&str, String)],
    ) -> io::Result<W> {
        let tree = Tree::new(self, texts);
        let mut table = TableWriter::new(out, &COLUMNS)?;
        let mut ancestors = Vec::new();
        for (at, process) in self.list.iter().enumerate() {
            ancestors.clear();
            let mut next = tree.parent[at];
            while let Some(parent) = next.filter(|_| ancestors.len() < ANCESTORS_MAX) {
                ancestors.push(&*self.list[parent as usize].uid);
                next = tree.parent[parent as usize];
            }
            let programs: Vec<&str> = process
                .programs
                .iter()
                .filter_map(|id| texts.get(*id))
                .collect();
            let [uid, gid, euid, egid] = process.who.map(Cell::number);
            let text = |id| Cell::text(texts.get(id));
            table.row(&[
                text(process.lineage),
                Cell::number(Some(process.first)),
                Cell::number(Some(process.last)),
                Cell::Text(&process.uid),
                text(process.parent),
                Cell::number(process.pid[0]),
                Cell::number(process.pid[1]),
                text(process.exe),
                Cell::Texts(&programs),
                text(process.argv),
                uid,
                gid,
                euid,
                egid,
                Cell::number(process.started),
                Cell::number(process.ended),
                Cell::number(process.exit[0]),
                Cell::number(process.exit[1]),
                Cell::number(Some(process.records)),
                Cell::number(Some(tree.depth[at])),
                Cell::Texts(&ancestors),
                Cell::number(Some(tree.sets[at][0])),
                Cell::number(Some(tree.sets[at][1])),
            ])?;
        }
        table.finish(about)
    }
}

/// Who descends from whom.
struct Tree {
    /// By place in the list.
    parent: Vec<Option<u32>>,
    depth: Vec<u32>,
    /// Both numbers of each nested set, counted from 1.
    sets: Vec<[u64; 2]>,
}

impl Tree {
    fn new(processes: &Processes, texts: &Texts) -> Self {
        let list = &processes.list;
        // A parent is known before its children, so that nothing goes round in a circle.
        let parent: Vec<Option<u32>> = (list.iter().enumerate())
            .map(|(at, process)| {
                let parent = *processes.ids.get(texts.get(process.parent)?)?;
                Some(parent).filter(|parent| (*parent as usize) < at)
            })
            .collect();
        let mut depth = vec![0_u32; list.len()];
        // Numbers of a process and of all that descends from it.
        let mut size = vec![2_u64; list.len()];
        for at in 0..list.len() {
            if let Some(parent) = parent[at] {
                depth[at] = depth[parent as usize] + 1;
            }
        }
        for at in (0..list.len()).rev() {
            if let Some(parent) = parent[at] {
                size[parent as usize] += size[at];
            }
        }
        let (mut sets, mut free) = (vec![[0; 2]; list.len()], vec![0; list.len()]);
        let mut next = 1;
        for at in 0..list.len() {
            let left = match parent[at] {
                Some(parent) => &mut free[parent as usize],
                None => &mut next,
            };
            let begin = *left;
            *left += size[at];
            sets[at] = [begin, begin + size[at] - 1];
            free[at] = begin + 1;
        }
        Self {
            parent,
            depth,
            sets,
        }
    }
}
