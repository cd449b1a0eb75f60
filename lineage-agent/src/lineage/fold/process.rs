//! Records of processes and threads: who was created, what it runs, how it ended.

use std::{collections::BTreeMap, sync::Arc};

use lineage_common::frame::{Clone3, Exit, Flags, Fork, Header};
use serde_json::{Map, Value};

use super::{
    Fold, Sink,
    call::{set_namespaces, tell_namespaces},
    file::set_version,
    utc,
};
use crate::{
    event::ExecEvent,
    evidence::{kinds, schema::Record},
    lineage::{
        arguments,
        files::{FileSeen, Purpose},
        identity::{Birth, process_uid},
        process::Process,
        text::{replace, some, stat_dev},
        variables::Shown,
    },
};

impl Fold {
    pub(super) fn fork<S: Sink>(
        &mut self,
        header: &Header,
        fork: &Fork,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        if header.result < 0 {
            return self
                .emit(header, kinds::PROCESS_FORK, sink, |_, _| ())
                .map(drop);
        }
        let birth = Birth {
            start_ns: fork.child_start,
            pid_ns: fork.child_pid_ns,
            ns_pid: fork.child_ns_tid,
        };
        let child_uid: Arc<str> = process_uid(self.boot, birth).into();
        let detail = self.creation(fork, Clone3(0));
        let seq = self.emit(header, kinds::PROCESS_FORK, sink, |_, record| {
            set_creation(record, fork, detail.as_deref());
            record.child_uid = Some(&child_uid);
            record.child_pid = Some(i64::from(fork.child_pid));
            record.child_tid = Some(i64::from(fork.child_tid));
            record.ns_pid = Some(i64::from(fork.child_ns_tid));
            record.pid_ns = Some(i64::from(fork.child_pid_ns));
        })?;
        let Some(parent) = self.processes.get(header.pid, header.start) else {
            return Ok(());
        };
        let child = Process {
            start_ns: fork.child_start,
            lineage: parent.lineage,
            uid: Some(child_uid),
            parent_uid: parent.uid.clone(),
            parent_pid: Some(header.pid),
            exe: parent.exe.clone(),
            cause: seq,
            open: BTreeMap::new(),
            devices: BTreeMap::new(),
        };
        self.processes.insert(fork.child_pid, child);
        Ok(())
    }

    pub(super) fn thread_start<S: Sink>(
        &mut self,
        header: &Header,
        fork: &Fork,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let detail = self.creation(fork, Clone3::USUAL_THREAD);
        self.emit(header, kinds::THREAD_START, sink, |_, record| {
            set_creation(record, fork, detail.as_deref());
            record.child_tid = Some(i64::from(fork.child_tid));
        })
        .map(drop)
    }

    pub(super) fn exec<S: Sink>(
        &mut self,
        header: &Header,
        event: &ExecEvent<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let succeeded = header.result >= 0;
        let exec = event.exec;
        self.scratch
            .set_flags(header.flags, if succeeded { "exe" } else { "filename" });
        self.scratch.set_argv(event.argv);
        replace(&mut self.scratch.filename, event.filename);
        replace(&mut self.scratch.interpreter, event.interpreter);
        if !succeeded {
            return self.exec_failed(header, event, sink);
        }
        self.scratch.set_path(event.exe);
        self.scratch.set_cwd(event.cwd);
        self.set_host_path(header.time, exec.dev, &event.host);
        self.set_container_of(exec.cgroup);
        let shown = self.environment != Shown::Nothing;
        self.scratch
            .set_trace(if shown { event.hints } else { &[] });
        let exe: Arc<str> = self.scratch.path.as_str().into();
        let boot = self.boot;
        if let Some(process) = self.processes.get_mut(header.pid, header.start) {
            process.exe = Some(exe);
            process.uid.get_or_insert_with(|| {
                let birth = Birth {
                    start_ns: header.start,
                    pid_ns: exec.pid_ns,
                    ns_pid: exec.ns_pid,
                };
                process_uid(boot, birth).into()
            });
        }
        let seq = self.emit(header, kinds::PROCESS_EXEC, sink, |text, record| {
            record.detail = some(&text.container);
            record.host_path = some(&text.host_path);
            record.mode = Some(i64::from(exec.mode));
            record.dev = Some(stat_dev(exec.dev));
            record.ino = Some(exec.ino.cast_signed());
            set_version(record, &exec.version);
            record.argv = Some(&text.argv);
            record.argc = Some(i64::from(exec.argc));
            record.cwd = Some(&text.cwd);
            record.filename = some(&text.filename);
            record.interpreter = some(&text.interpreter);
            record.uid = Some(i64::from(exec.uid));
            record.gid = Some(i64::from(exec.gid));
            record.euid = Some(i64::from(exec.euid));
            record.egid = Some(i64::from(exec.egid));
            record.ns_pid = Some(i64::from(exec.ns_pid));
            record.pid_ns = Some(i64::from(exec.pid_ns));
            record.mnt_ns = Some(i64::from(exec.mnt_ns));
            record.net_ns = Some(i64::from(exec.net_ns));
            record.user_ns = Some(i64::from(exec.user_ns));
            record.cgroup = Some(exec.cgroup.cast_signed());
            record.traceparent = text.trace.traceparent.as_deref();
            record.tracestate = text.trace.tracestate.as_deref();
            record.baggage = text.trace.baggage.as_deref();
            record.truncated = some(&text.truncated);
            record.notes = some(&text.notes);
        })?;
        self.processes
            .executed((header.pid, header.start), header.time, seq);
        self.became(header, event, seq, sink);
        Ok(())
    }

    /// Of an exec that failed there is what was asked for, which is in the scratch already.
    fn exec_failed<S: Sink>(
        &mut self,
        header: &Header,
        event: &ExecEvent<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        self.scratch.set_dir(event.cwd);
        self.emit(header, kinds::PROCESS_EXEC, sink, |text, record| {
            record.filename = some(&text.filename);
            record.path = some(&text.filename);
            record.dir = some(&text.dir);
            record.argv = Some(&text.argv);
            record.truncated = some(&text.truncated);
        })
        .map(drop)
    }

    /// What the process does is caused by its program from now on. Tells of the program, and knows the
    /// script when it is going to be read: the one that was executed, or that the program was given.
    fn became<S: Sink>(&mut self, header: &Header, event: &ExecEvent<'_>, seq: u64, sink: &mut S) {
        let exec = event.exec;
        let text = &self.scratch;
        let script = if event.interpreter.is_empty() {
            self.found.script()
        } else {
            Some(&*text.filename)
        };
        self.scripts.expect(header.pid, &text.cwd, script);
        let Some(process) = self.processes.get_mut(header.pid, header.start) else {
            return;
        };
        process.cause = seq;
        sink.file(&FileSeen {
            seq,
            lineage: process.lineage,
            pid: header.pid,
            parent: process.parent_pid,
            time_ns: utc(header.time, self.utc_offset_ns),
            purpose: Purpose::Program,
            perhaps: None,
            asked: false,
            path: event.exe,
            shown: &self.scratch.path,
            host_shown: &self.scratch.host_path,
            dev: stat_dev(exec.dev),
            ino: exec.ino,
            mode: exec.mode,
            fs_magic: 0,
            version: exec.version,
        });
    }

    pub(super) fn exit<S: Sink>(
        &mut self,
        header: &Header,
        exit: &Exit,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        self.end(kinds::PROCESS_EXIT, header, exit, sink)?;
        self.scripts.ended(header.pid);
        self.processes.remove(header.pid, header.start);
        Ok(())
    }

    pub(super) fn thread_exit<S: Sink>(
        &mut self,
        header: &Header,
        exit: &Exit,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        self.end(kinds::THREAD_EXIT, header, exit, sink)
    }

    /// What is said of how a task was created, as JSON; nothing of the usual way.
    fn creation(&self, fork: &Fork, usual: Clone3) -> Option<String> {
        if fork.how == usual {
            return None;
        }
        let mut told = Map::new();
        told.insert("flags".to_owned(), arguments::clone3(fork.how));
        if fork.how.has_any(Clone3::NAMESPACES) {
            tell_namespaces(&mut told, &fork.namespaces);
        }
        if fork.how.has_any(Clone3::INTO_CGROUP)
            && let Some(container) = self.container_of(fork.cgroup)
        {
            told.insert("container".to_owned(), container.into());
        }
        Some(Value::Object(told).to_string())
    }

    fn end<S: Sink>(
        &mut self,
        kind: &'static str,
        header: &Header,
        exit: &Exit,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        self.scratch.set_flags(header.flags, "");
        let killed = exit.signal != 0 || header.flags.has(Flags::CORE_DUMP);
        self.emit(header, kind, sink, |text, record| {
            record.result = None;
            record.exit_code = (!killed).then_some(i64::from(exit.code));
            record.exit_signal = killed.then_some(i64::from(exit.signal));
            record.notes = some(&text.notes);
        })
        .map(drop)
    }
}

/// Where a new task is that its creator is not.
fn set_creation<'a>(record: &mut Record<'a>, fork: &Fork, detail: Option<&'a str>) {
    record.detail = detail;
    if fork.how.has_any(Clone3::NAMESPACES) {
        set_namespaces(record, &fork.namespaces);
    }
    if fork.how.has_any(Clone3::INTO_CGROUP) {
        record.cgroup = Some(fork.cgroup.cast_signed());
    }
}
