//! The Trace Event Format: JSON that ui.perfetto.dev and chrome://tracing open.
//!
//! A process is a process there, with the programs it ran as slices on its first thread. What it did stands on the
//! thread that did it: forks and connections as slices of no length, between which the flows go, and the rest as
//! instants. Times are microseconds since the first record, as the format's numbers are too short for nanoseconds
//! since 1970; `otherData` says when that was.

mod pids;

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use serde_json::{Map, Number, Value as Json, json};

use self::pids::Pids;
use super::fields::Fields;
use super::program::{Began, Program, Programs};
use super::{Exporter, Place, Result};
use crate::evidence::kinds::{self, Group};
use crate::evidence::schema::Record;
use crate::review::filter::endpoint;
use crate::review::ndjson::push_value;

/// Threads of a process that are named.
const THREADS_MAX: usize = 1024;

/// Bits of a flow's number that are the record's, of 64.
const HOST_SHIFT: u32 = 47;

/// Writes trace events.
pub(super) struct Perfetto<W> {
    out: W,
    line: Vec<u8>,
    /// When the first record was made, nanoseconds UTC.
    begin_ns: i64,
    /// The latest time of a record of this host: slices begin and end by it, so that they nest also where a clock was set.
    now_ns: i64,
    begun: bool,
    /// The host that records are from, and how many came before.
    host: String,
    hosts: u64,
    programs: Programs<()>,
    /// The processes that there are.
    tracks: HashMap<Arc<str>, Track>,
    pids: Pids,
}

/// A process in the trace.
#[derive(Debug, Default)]
struct Track {
    pid: i64,
    /// Its first thread.
    main: i64,
    /// Its name is written.
    named: bool,
    /// A slice is open on its first thread.
    open: bool,
    /// Names of its threads as written.
    threads: BTreeMap<i64, Box<str>>,
}

impl<W: Write> Perfetto<W> {
    /// Writes to `out` a trace that begins at this time.
    pub(super) fn new(out: W, begin_ns: i64) -> Self {
        Self {
            out,
            line: Vec::with_capacity(1024),
            begin_ns,
            now_ns: begin_ns,
            begun: false,
            host: String::new(),
            hosts: 0,
            programs: Programs::new(),
            tracks: HashMap::new(),
            pids: Pids::new(),
        }
    }

    fn write(&mut self, event: &Json) -> Result<()> {
        self.line.clear();
        let start = if self.begun {
            ",\n"
        } else {
            "{\"traceEvents\":[\n"
        };
        self.begun = true;
        self.line.extend_from_slice(start.as_bytes());
        push_value(&mut self.line, event);
        Ok(self.out.write_all(&self.line)?)
    }

    /// Microseconds since the beginning, with three digits behind the point.
    fn stamp(&self, time_ns: i64) -> Json {
        let ns = time_ns.saturating_sub(self.begin_ns);
        let sign = if ns < 0 { "-" } else { "" };
        let ns = ns.unsigned_abs();
        let text = format!("{sign}{}.{:03}", ns / 1000, ns % 1000);
        text.parse::<Number>().map_or(Json::from(0), Json::Number)
    }

    /// Writes the name of a process before the first event on it.
    fn name_process(&mut self, uid: &Arc<str>) -> Result<()> {
        let Some(program) = self.programs.get(uid) else {
            return Ok(());
        };
        let real = program.pid;
        let (name, lineage) = (program.name().to_owned(), program.lineage.clone());
        let Some(track) = self.tracks.get_mut(uid) else {
            return Ok(());
        };
        if std::mem::replace(&mut track.named, true) {
            return Ok(());
        }
        let pid = track.pid;
        let label = match real {
            Some(real) if real != pid => format!("{lineage}, pid {real}"),
            _ => lineage.to_string(),
        };
        self.write(&metadata(
            "process_name",
            pid,
            None,
            &json!({ "name": name }),
        ))?;
        self.write(&metadata(
            "process_labels",
            pid,
            None,
            &json!({ "labels": label }),
        ))
    }

    /// Begins the slice of a program, to which a flow leads from the fork with this number.
    fn begin(
        &mut self,
        uid: &Arc<str>,
        record: &Record<'_>,
        from: Option<u64>,
        wanted: bool,
    ) -> Result<()> {
        let time = self.stamp(self.now_ns);
        let Some(program) = self.programs.get(uid) else {
            return Ok(());
        };
        let real = program.pid;
        let mut event = json!({
            "name": program.name(),
            "cat": "program",
            "ph": "B",
            "args": about(program, record),
        });
        if let Some(seq) = from {
            event["bind_id"] = flow(self.hosts, seq).into();
            event["flow_in"] = true.into();
        }
        let pids = &mut self.pids;
        let track = self.tracks.entry(uid.clone()).or_insert_with(|| {
            let pid = pids.take(real);
            Track {
                pid,
                main: pid,
                ..Track::default()
            }
        });
        if !wanted {
            return Ok(());
        }
        track.open = true;
        // The latest program gives the process its name.
        track.named = false;
        event["args"]["host"] = self.host.as_str().into();
        event["ts"] = time;
        event["pid"] = track.pid.into();
        event["tid"] = track.main.into();
        self.name_process(uid)?;
        self.write(&event)
    }

    fn end(&mut self, program: &Program<()>, gone: bool) -> Result<()> {
        let time = self.stamp(self.now_ns);
        let uid = &program.id.uid;
        if let Some(track) = self.tracks.get_mut(uid)
            && std::mem::replace(&mut track.open, false)
        {
            let event = json!({ "ph": "E", "ts": time, "pid": track.pid, "tid": track.main });
            self.write(&event)?;
        }
        if gone {
            self.tracks.remove(uid);
        }
        Ok(())
    }

    /// What a process did, on the thread that did it.
    fn act(&mut self, record: &Record<'_>) -> Result<()> {
        let (Some(uid), Some(kind)) = (record.process_uid, record.kind) else {
            return self.recorder(record);
        };
        let uid: Arc<str> = uid.into();
        self.name_process(&uid)?;
        let Some(track) = self.tracks.get_mut(&uid) else {
            return Ok(());
        };
        // A process that is not known by its real id has one thread for what its first one did.
        let main = record.tid.is_none_or(|tid| Some(tid) == record.pid);
        let (pid, tid) = match record.tid {
            Some(tid) if !main => (track.pid, tid),
            _ => (track.pid, track.main),
        };
        let comm = record.comm.unwrap_or_default();
        let known = track.threads.get(&tid).is_some_and(|name| **name == *comm);
        if !known && (track.threads.len() < THREADS_MAX || track.threads.contains_key(&tid)) {
            track.threads.insert(tid, comm.into());
            self.write(&metadata(
                "thread_name",
                pid,
                Some(tid),
                &json!({ "name": comm }),
            ))?;
        }
        let mut event = instant(record, kind, self.hosts);
        event["ts"] = self.stamp(record.time_ns.unwrap_or_default());
        event["pid"] = pid.into();
        event["tid"] = tid.into();
        self.write(&event)
    }

    /// What the recorder says of itself: a loss concerns everything.
    fn recorder(&mut self, record: &Record<'_>) -> Result<()> {
        let Some(kind) = record.kind else {
            return Ok(());
        };
        let event = json!({
            "name": kind,
            "cat": "recorder",
            "ph": "i",
            "s": "g",
            "ts": self.stamp(record.time_ns.unwrap_or_default()),
            "pid": 0,
            "tid": 0,
            "args": arguments(record),
        });
        self.write(&event)
    }
}

impl<W: Write> Exporter for Perfetto<W> {
    fn host(&mut self, at: &Place<'_>) -> Result<()> {
        for program in self.programs.end_all() {
            self.end(&program, true)?;
        }
        self.tracks.clear();
        self.now_ns = self.begin_ns;
        self.hosts += 1;
        self.host.clone_from(&at.host);
        Ok(())
    }

    fn record(&mut self, _: &Place<'_>, record: &Record<'_>, wanted: bool) -> Result<()> {
        self.now_ns = record
            .time_ns
            .map_or(self.now_ns, |time| time.max(self.now_ns));
        let exit = record.kind == Some(kinds::PROCESS_EXIT);
        if exit && wanted {
            self.act(record)?;
        }
        let step = self.programs.step(record)?;
        let mut from = None;
        if let Some(program) = &step.ended {
            self.end(program, exit)?;
            from = (program.began == Began::Fork).then_some(program.seq);
        }
        let (acting, created): (Vec<_>, Vec<_>) = step
            .began
            .iter()
            .partition(|uid| record.process_uid == Some(&***uid));
        let begins = is_begin(record) && !acting.is_empty();
        for uid in acting {
            self.begin(uid, record, from, wanted)?;
        }
        // A fork is there before what it flows to.
        if wanted && !exit && !begins {
            self.act(record)?;
        }
        for uid in created {
            self.begin(uid, record, record.seq, wanted)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        for program in self.programs.end_all() {
            self.end(&program, true)?;
        }
        if !self.begun {
            self.out.write_all(b"{\"traceEvents\":[")?;
        }
        let said = json!({ "begin_ns": self.begin_ns.to_string(), "writer": "lineage" });
        write!(
            self.out,
            "\n],\"displayTimeUnit\":\"ns\",\"otherData\":{said}}}\n"
        )?;
        Ok(self.out.flush()?)
    }
}

/// Whether it is the beginning of a program that shows as its slice.
fn is_begin(record: &Record<'_>) -> bool {
    match record.kind {
        Some(kinds::PROCESS_EXEC) => !crate::review::filter::failed(record),
        Some(kinds::PROCESS_SNAPSHOT) => true,
        _ => false,
    }
}

/// A number for what leads away from a record: numbers of records are those of their host.
fn flow(host: u64, seq: u64) -> String {
    format!("0x{:x}", (host << HOST_SHIFT) ^ seq)
}

fn metadata(name: &str, pid: i64, tid: Option<i64>, args: &Json) -> Json {
    let mut event = json!({ "name": name, "ph": "M", "pid": pid, "args": args });
    event["tid"] = tid.unwrap_or(pid).into();
    event
}

/// What happened: with a length of nothing where a flow begins or ends, else as an instant.
fn instant(record: &Record<'_>, kind: &str, host: u64) -> Json {
    let denied = record.verdict == Some("deny");
    let group = kinds::find(kind).map(|kind| kind.group);
    let category = match group {
        _ if denied => "denied",
        Some(Group::File) => "file",
        Some(Group::Net) => "net",
        Some(Group::Process) => "process",
        Some(Group::Recorder) | None => "recorder",
    };
    let mut event = json!({ "name": title(record, kind), "cat": category });
    let flows = kind == kinds::PROCESS_FORK || group == Some(Group::Net);
    if flows {
        event["ph"] = "X".into();
        event["dur"] = 0.into();
        let later = matches!(kind, kinds::NET_ACCEPT | kinds::NET_PAIR);
        if let (true, Some(other)) = (later, record.other_end) {
            event["bind_id"] = flow(host, other).into();
            event["flow_in"] = true.into();
        } else if let Some(seq) = record.seq {
            event["bind_id"] = flow(host, seq).into();
            event["flow_out"] = true.into();
        }
    } else {
        event["ph"] = "i".into();
        event["s"] = "t".into();
    }
    event["args"] = Json::Object(arguments(record));
    event
}

/// A few words that tell slices apart.
fn title(record: &Record<'_>, kind: &str) -> String {
    let peer = record
        .peer_addr
        .map(|addr| endpoint(addr, record.peer_port));
    let what = record.path.map(str::to_owned).or(peer);
    what.map_or_else(|| kind.to_owned(), |what| format!("{kind} {what}"))
}

/// What a record says that neither the place of its event says nor the slice of the program that acts.
fn arguments(record: &Record<'_>) -> Map<String, Json> {
    let mut fields = Fields::new(record);
    fields.placed(&["time", "kind", "pid", "tid", "comm", "process_uid"]);
    fields.placed(&["lineage", "lineage_seq", "context", "exec", "exe"]);
    fields.placed(&["parent_uid", "ppid"]);
    fields.rest()
}

fn about(program: &Program<()>, record: &Record<'_>) -> Map<String, Json> {
    if program.began == Began::Fork {
        let mut about = Map::new();
        about.insert("process_uid".to_owned(), (&*program.id.uid).into());
        about.insert("forked_by".to_owned(), record.pid.into());
        return about;
    }
    let mut fields = Fields::new(record);
    fields.placed(&["time", "kind", "tid"]);
    fields.rest()
}

#[cfg(test)]
mod tests;
