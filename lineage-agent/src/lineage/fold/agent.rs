//! Records the recorder itself makes: a lineage starts, a process is taken over, the context changes,
//! a lineage ends.

use std::{collections::BTreeMap, sync::Arc};

use lineage_common::frame::Flags;

use super::{Fold, Lineage, Sink, utc};
use crate::{
    evidence::{kinds, schema::Record},
    lineage::{
        identity::{Birth, process_uid},
        process::{Process, ProcessState, Snapshot},
        text::{Scratch, replace, some},
    },
};

/// What registers a lineage.
#[derive(Debug, Clone, Copy)]
pub struct LineageStart<'a> {
    /// Its identity; see [`crate::lineage::identity::lineage_uid`].
    pub uid: &'a str,
    /// Digest of its first context.
    pub context: &'a str,
    /// Boot time in nanoseconds.
    pub time_ns: u64,
    /// How it came about, as JSON.
    pub detail: &'a str,
    /// The names of the rules that govern it, if any do.
    pub rules: Option<&'a Arc<[String]>>,
    /// The process of another lineage that it is made from, by its id and its start in nanoseconds of boot time.
    pub from: Option<(u32, u64)>,
}

/// What makes another context the one that governs a lineage.
#[derive(Debug, Clone, Copy)]
pub struct ContextChange<'a> {
    /// Digest of the context.
    pub context: &'a str,
    /// Boot time in nanoseconds from which on it governs.
    pub time_ns: u64,
    /// What changed, as JSON.
    pub detail: &'a str,
    /// The names of the rules of the next generation, if it is about that.
    pub rules: Option<&'a Arc<[String]>>,
}

impl Fold {
    /// Registers a lineage. Lineages are numbered from 0 in the order of these calls; frames name
    /// them by that number.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn start_lineage<S: Sink>(
        &mut self,
        start: &LineageStart<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let start_seq = sink.next_seq();
        let lineage = Lineage {
            uid: start.uid.to_owned(),
            context: start.context.to_owned(),
            context_seq: start_seq,
            start_seq,
            records: 0,
            rules: start.rules.cloned().into_iter().collect(),
        };
        self.lineages.push(lineage);
        let number = self.lineages.len() - 1;
        let from = start
            .from
            .and_then(|(pid, start)| self.processes.get(pid, start));
        let cause = from.map(|process| process.cause);
        self.agent_record(
            kinds::LINEAGE_START,
            number,
            cause,
            start.time_ns,
            start.detail,
            sink,
        )
    }

    /// Gives a lineage another context, which its records name from here on.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn change_context<S: Sink>(
        &mut self,
        lineage: u32,
        change: &ContextChange<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let number = lineage as usize;
        let Some(changed) = self.lineages.get_mut(number) else {
            return Ok(());
        };
        change.context.clone_into(&mut changed.context);
        changed.rules.extend(change.rules.cloned());
        let cause = std::mem::replace(&mut changed.context_seq, sink.next_seq());
        self.agent_record(
            kinds::CONTEXT_CHANGE,
            number,
            Some(cause),
            change.time_ns,
            change.detail,
            sink,
        )
    }

    /// Ends a lineage: nothing more of it will be recorded, for the reason given as JSON.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn end_lineage<S: Sink>(
        &mut self,
        lineage: u32,
        time_ns: u64,
        detail: &str,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let number = lineage as usize;
        let Some(cause) = self.lineages.get(number).map(|lineage| lineage.start_seq) else {
            return Ok(());
        };
        self.agent_record(
            kinds::LINEAGE_END,
            number,
            Some(cause),
            time_ns,
            detail,
            sink,
        )
    }

    fn agent_record<S: Sink>(
        &mut self,
        kind: &str,
        number: usize,
        cause: Option<u64>,
        boot_ns: u64,
        detail: &str,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let lineage = &mut self.lineages[number];
        let lineage_seq = lineage.records;
        lineage.records += 1;
        let time_ns = utc(boot_ns, self.utc_offset_ns);
        sink.append(&Record {
            seq: Some(sink.next_seq()),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some(kind),
            origin: Some("agent"),
            lineage: Some(&lineage.uid),
            lineage_seq: Some(lineage_seq),
            cause,
            context: Some(&lineage.context),
            detail: Some(detail),
            ..Record::default()
        })
    }

    /// Records a process as procfs showed it when it was launched or attached, and knows it from
    /// then on. Its cause is the record of its parent, or the start of the lineage.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn snapshot<S: Sink>(
        &mut self,
        lineage: u32,
        snapshot: &Snapshot,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let number = lineage as usize;
        if number >= self.lineages.len() {
            return Ok(());
        }
        let process = self.process_of(lineage, snapshot);
        let Lineage {
            uid,
            context,
            records,
            ..
        } = &mut self.lineages[number];
        let lineage_seq = *records;
        *records += 1;
        let seq = sink.next_seq();
        let time_ns = utc(snapshot.time_ns, self.utc_offset_ns);
        let mut record = Record {
            seq: Some(seq),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some(kinds::PROCESS_SNAPSHOT),
            origin: Some("snapshot"),
            lineage: Some(uid),
            lineage_seq: Some(lineage_seq),
            cause: Some(process.cause),
            context: Some(context),
            process_uid: process.uid.as_deref(),
            exec: Some(u64::from(snapshot.exec)),
            parent_uid: process.parent_uid.as_deref(),
            pid: Some(i64::from(snapshot.pid)),
            ppid: process.parent_pid.map(i64::from),
            exe: process.exe.as_deref(),
            ns_pid: snapshot.namespace.map(|(_, pid)| i64::from(pid)),
            pid_ns: snapshot.namespace.map(|(inum, _)| i64::from(inum)),
            ..Record::default()
        };
        match &snapshot.state {
            Some(state) => fill_state(&mut self.scratch, state, &mut record),
            None => record.notes = Some("gone"),
        }
        self.recognisers.complete(&mut record, &mut self.found);
        sink.append(&record)?;
        self.scripts
            .expect(snapshot.pid, &self.scratch.cwd, self.found.script());
        self.processes.insert(
            snapshot.pid,
            Process {
                cause: seq,
                ..process
            },
        );
        Ok(())
    }

    /// The table's entry for a process in a snapshot; its cause is still its creator's.
    fn process_of(&mut self, lineage: u32, snapshot: &Snapshot) -> Process {
        let uid = snapshot.namespace.map(|(pid_ns, ns_pid)| {
            process_uid(
                self.boot,
                Birth {
                    start_ns: snapshot.start_ns,
                    pid_ns,
                    ns_pid,
                },
            )
            .into()
        });
        let parent = snapshot
            .parent
            .and_then(|parent| self.processes.by_pid(parent.pid))
            // One that has got the id since is not who created it.
            .filter(|parent| parent.start_ns <= snapshot.start_ns);
        let parent_uid: Option<Arc<str>> =
            parent.and_then(|parent| parent.uid.clone()).or_else(|| {
                let birth = snapshot.parent?.birth?;
                Some(process_uid(self.boot, birth).into())
            });
        let cause = parent
            .filter(|parent| parent.lineage == lineage)
            .map_or(self.lineages[lineage as usize].start_seq, |parent| {
                parent.cause
            });
        let exe = snapshot
            .state
            .as_ref()
            .and_then(|state| state.exe.as_ref())
            .map(|exe| {
                replace(&mut self.scratch.path, &exe.path);
                self.scratch.path.as_str().into()
            });
        Process {
            start_ns: snapshot.start_ns,
            lineage,
            uid,
            parent_uid,
            parent_pid: snapshot.parent.map(|parent| parent.pid),
            exe,
            cause,
            open: BTreeMap::new(),
            devices: BTreeMap::new(),
        }
    }
}

/// Fills what a living process shows.
fn fill_state<'a>(scratch: &'a mut Scratch, state: &'a ProcessState, record: &mut Record<'a>) {
    let exe = state.exe.as_ref();
    let mut flags = Flags::default();
    for (holds, flag) in [
        (state.argv_cut, Flags::ARGV_CUT),
        (exe.is_some_and(|exe| exe.unlinked), Flags::UNLINKED),
        (exe.is_some_and(|exe| exe.unreachable), Flags::UNREACHABLE),
    ] {
        flags = if holds { flags.with(flag) } else { flags };
    }
    scratch.set_flags(flags, "exe");
    scratch.set_comm(&state.comm);
    scratch.set_argv(&state.argv);
    replace(&mut scratch.cwd, state.cwd.as_deref().unwrap_or_default());
    let text: &Scratch = scratch;
    if let Some((dev, ino, mode)) = exe.and_then(|exe| exe.inode) {
        record.dev = Some(dev.cast_signed());
        record.ino = Some(ino.cast_signed());
        record.mode = Some(i64::from(mode));
    }
    let [uid, gid, euid, egid] = state.credentials.map(i64::from);
    let [mnt_ns, net_ns, user_ns] = state.namespaces.map(|inum| inum.map(i64::from));
    record.comm = some(&text.comm);
    record.argv = Some(&text.argv);
    record.argc = i64::try_from(state.argv.iter().filter(|byte| **byte == 0).count()).ok();
    record.cwd = some(&text.cwd);
    record.uid = Some(uid);
    record.gid = Some(gid);
    record.euid = Some(euid);
    record.egid = Some(egid);
    record.mnt_ns = mnt_ns;
    record.net_ns = net_ns;
    record.user_ns = user_ns;
    record.cgroup = state.cgroup.map(u64::cast_signed);
    [record.caps_effective, record.caps_permitted] =
        state.capabilities.map(|set| set.map(u64::cast_signed));
    record.detail = state.detail.as_deref();
    record.truncated = some(&text.truncated);
    record.notes = some(&text.notes);
}
