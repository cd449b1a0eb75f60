//! Which programs run: from the exec, fork or snapshot that began one to the exec or exit that ended it.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Error, Result};
use crate::evidence::kinds;
use crate::evidence::schema::Record;
use crate::review::filter;

/// Most programs that run at once.
const RUNNING_MAX: usize = 1 << 18;

/// A program of a process: the process, and how many programs it had executed by then.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ProgramId {
    /// `process_uid`
    pub(super) uid: Arc<str>,
    /// `exec`
    pub(super) exec: u64,
}

/// How a program began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Began {
    /// The process executed it.
    Exec,
    /// The process was forked, and runs what its parent does.
    Fork,
    /// It was running already, or how it began was lost.
    Found,
}

/// A program that runs. `T` is what an exporter keeps of it.
#[derive(Debug)]
pub(super) struct Program<T> {
    /// Its name.
    pub(super) id: ProgramId,
    /// How it began.
    pub(super) began: Began,
    /// When, nanoseconds UTC.
    pub(super) began_ns: i64,
    /// `seq` of the record that says so.
    pub(super) seq: u64,
    /// The program that forked its process, and the lineage that it was in.
    pub(super) parent: Option<(ProgramId, Arc<str>)>,
    /// What the process ran before.
    pub(super) previous: Option<ProgramId>,
    /// Its lineage.
    pub(super) lineage: Arc<str>,
    /// Process id, where it is known.
    pub(super) pid: Option<i64>,
    /// Process id of the creator.
    pub(super) ppid: Option<i64>,
    /// Name of its first thread.
    pub(super) comm: Arc<str>,
    /// Path of the executable.
    pub(super) exe: Arc<str>,
    /// The exporter's.
    pub(super) own: T,
}

impl<T> Program<T> {
    /// A name for people: that of the executable, or of the thread where there is none.
    pub(super) fn name(&self) -> &str {
        let name = self
            .exe
            .rsplit_once('/')
            .map_or(&*self.exe, |(_, name)| name);
        match (name, &*self.comm) {
            ("", "") => "unknown",
            ("", comm) => comm,
            (name, _) => name,
        }
    }
}

/// What a record means for programs.
#[derive(Debug)]
pub(super) struct Step<T> {
    /// The program that the record ended.
    pub(super) ended: Option<Program<T>>,
    /// The processes that it began a program of: the acting one, the one created, or both.
    pub(super) began: Vec<Arc<str>>,
}

/// The programs that run.
#[derive(Debug)]
pub(super) struct Programs<T> {
    running: HashMap<Arc<str>, Program<T>>,
}

impl<T: Default> Programs<T> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            running: HashMap::new(),
        }
    }

    /// The program that a process runs.
    pub(super) fn get(&mut self, uid: &str) -> Option<&mut Program<T>> {
        self.running.get_mut(uid)
    }

    /// Follows a record.
    pub(super) fn step(&mut self, record: &Record<'_>) -> Result<Step<T>> {
        let mut step = Step {
            ended: None,
            began: Vec::new(),
        };
        let Some(uid) = record.process_uid else {
            return Ok(step);
        };
        let done = !filter::failed(record);
        match record.kind {
            Some(kinds::PROCESS_EXEC) if done => {
                step.ended = self.running.remove(uid);
                let program = executed(uid, record, step.ended.as_ref());
                step.began.push(self.begin(program)?);
            }
            Some(kinds::PROCESS_EXIT) => step.ended = self.running.remove(uid),
            Some(kinds::PROCESS_SNAPSHOT) => {
                let program = found(uid, record);
                if let Some(known) = self.running.get_mut(uid)
                    && known.id == program.id
                {
                    // What was recorded in the moments of an attach comes before what was found.
                    known.comm = program.comm;
                    known.exe = program.exe;
                    return Ok(step);
                }
                step.ended = self.running.remove(uid);
                step.began.push(self.begin(program)?);
            }
            kind => {
                if !self.running.contains_key(uid) {
                    step.began.push(self.begin(found(uid, record))?);
                }
                if let (Some(kinds::PROCESS_FORK), Some(child)) = (kind, record.child_uid) {
                    let program = self.running.get(uid).map(|it| forked(child, record, it));
                    if let Some(program) = program {
                        step.began.push(self.begin(program)?);
                    }
                }
            }
        }
        Ok(step)
    }

    /// Ends all of them, in the order they began in.
    pub(super) fn end_all(&mut self) -> Vec<Program<T>> {
        let mut left: Vec<_> = self.running.drain().map(|(_, program)| program).collect();
        left.sort_unstable_by(|a, b| (a.seq, &a.id).cmp(&(b.seq, &b.id)));
        left
    }

    fn begin(&mut self, program: Program<T>) -> Result<Arc<str>> {
        if self.running.len() >= RUNNING_MAX {
            return Err(Error::TooMany {
                what: "processes at once",
                most: RUNNING_MAX,
            });
        }
        let uid = program.id.uid.clone();
        self.running.insert(uid.clone(), program);
        Ok(uid)
    }
}

fn executed<T: Default>(uid: &str, record: &Record<'_>, before: Option<&Program<T>>) -> Program<T> {
    Program {
        began: Began::Exec,
        parent: before.and_then(|it| it.parent.clone()),
        previous: before.map(|it| it.id.clone()),
        ..found(uid, record)
    }
}

fn forked<T: Default>(child: &str, record: &Record<'_>, parent: &Program<T>) -> Program<T> {
    Program {
        id: ProgramId {
            uid: child.into(),
            exec: 0,
        },
        began: Began::Fork,
        parent: Some((parent.id.clone(), parent.lineage.clone())),
        pid: record.child_pid,
        ppid: record.pid,
        comm: parent.comm.clone(),
        exe: parent.exe.clone(),
        ..found(child, record)
    }
}

fn found<T: Default>(uid: &str, record: &Record<'_>) -> Program<T> {
    Program {
        id: ProgramId {
            uid: uid.into(),
            exec: record.exec.unwrap_or_default(),
        },
        began: Began::Found,
        began_ns: record.time_ns.unwrap_or_default(),
        seq: record.seq.unwrap_or_default(),
        parent: None,
        previous: None,
        lineage: record.lineage.unwrap_or_default().into(),
        pid: record.pid,
        ppid: record.ppid,
        comm: record.comm.unwrap_or_default().into(),
        exe: record.exe.unwrap_or_default().into(),
        own: T::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acts(kind: &'static str, uid: &'static str, exec: u64, seq: u64) -> Record<'static> {
        Record {
            kind: Some(kind),
            process_uid: Some(uid),
            exec: Some(exec),
            seq: Some(seq),
            lineage: Some("l"),
            exe: Some("/bin/sh"),
            ..Record::default()
        }
    }

    #[test]
    fn a_child_has_the_program_that_forked_it_as_parent_also_after_its_exec() {
        let mut programs = Programs::<()>::new();
        let step = programs.step(&acts("file.open", "a", 3, 0)).unwrap();
        assert_eq!(step.began, ["a".into()]);
        let fork = Record {
            child_uid: Some("b"),
            child_pid: Some(7),
            ..acts("process.fork", "a", 3, 1)
        };
        let step = programs.step(&fork).unwrap();
        assert_eq!(step.began, ["b".into()]);
        let failed = Record {
            result: Some(-2),
            ..acts("process.exec", "b", 0, 2)
        };
        assert!(programs.step(&failed).unwrap().ended.is_none());
        let step = programs.step(&acts("process.exec", "b", 1, 3)).unwrap();
        assert_eq!(step.ended.unwrap().began, Began::Fork);
        let child = programs.get("b").unwrap();
        assert_eq!(child.began, Began::Exec);
        let (parent, _) = child.parent.clone().unwrap();
        assert_eq!((&*parent.uid, parent.exec), ("a", 3));
        assert_eq!(child.previous.clone().unwrap().exec, 0);
        assert_eq!(
            programs
                .step(&acts("process.exit", "b", 1, 4))
                .unwrap()
                .ended
                .unwrap()
                .name(),
            "sh"
        );
        let left: Vec<_> = programs.end_all().into_iter().map(|it| it.id.uid).collect();
        assert_eq!(left, ["a".into()]);
    }

    #[test]
    fn processes_that_never_end_are_too_many_at_some_time() {
        let mut programs = Programs::<()>::new();
        let mut begin = |number: usize| {
            let uid = number.to_string();
            let record = Record {
                process_uid: Some(&uid),
                ..Record::default()
            };
            programs.step(&record).map(drop)
        };
        assert!((0..RUNNING_MAX).all(|number| begin(number).is_ok()));
        let said = begin(RUNNING_MAX).unwrap_err().to_string();
        assert!(said.contains("262144 processes at once"), "{said}");
    }
}
