//! Records of what a process had open and mapped when recording reached it.
//!
//! The probes have no entry for a descriptor before it is used, so what happens to those that were
//! found is put together here, where all frames come by in their order. That is exact because each was
//! there at a known moment: a frame with a later time is about it, unless another frame in between
//! was. An exec is such a frame: which of them it has closed nobody tells, so they are forgotten, and
//! those still there are inherited ones when the new program uses them.

use std::collections::{BTreeMap, BTreeSet};

use lineage_common::frame::{Close, Flags, FoundMap, Header, Kind, NO_CPU};

use super::{
    Fold, Sink,
    call::set_other,
    file::{closed_by, describe, set_version},
};
use crate::{
    event::{FileEvent, Found, HostFile, ReversedPath},
    evidence::{kinds, schema::Record},
    lineage::{
        files::{Opening, Purpose},
        process::{self, Opened, What},
        text::{protection, some, stat_dev},
    },
    names::OpenFlags,
};

/// `-EBADF`: nothing was closed.
const BAD_DESCRIPTOR: i64 = -9;

/// `VM_EXEC`, `VM_MAYSHARE` (`include/linux/mm.h`).
pub(super) const EXECUTABLE: u64 = 0x4;
const SHARED: u64 = 0x80;

/// Most files of which it is kept that a mapping was recorded, and most mappings kept until the end of
/// their process shows that there is no better one. Beyond, more mappings are recorded.
const MAPPED_MAX: usize = 4096;

/// Where the looking is: at which process, and what of it was seen.
#[derive(Debug, Default)]
pub(super) struct Looking {
    process: (u32, u64),
    tid: u32,
    /// Whether it is at mappings, which come after all descriptors.
    mappings: bool,
    /// Tables of descriptors, or address spaces, that came by. Threads of a process whose first thread
    /// has ended come one by one, each with the same.
    tables: Vec<u64>,
    /// Whether this thread's came by already.
    again: bool,
    /// Files of which a mapping is recorded.
    mapped: BTreeSet<(u32, u64)>,
    /// The first mapping of each other file: of what is mapped only to be read.
    unmapped: BTreeMap<(u32, u64), Kept>,
    /// Of the pipe that comes by next.
    other_end: Option<OtherEnd>,
}

/// The processes at the other end of a pipe, as procfs showed them.
#[derive(Debug, Default)]
pub struct OtherEnd {
    /// Process ids of the first [`Self::NAMED_MAX`], ascending, each with its `start_boottime` when it is one
    /// of those recorded.
    pub processes: Vec<(u32, Option<u64>)>,
    /// How many there are.
    pub total: usize,
    /// Whether all descriptors of the host were looked at.
    pub all: bool,
}

impl OtherEnd {
    /// Most processes named.
    pub const NAMED_MAX: usize = 16;

    /// What the first one's id does not say, as JSON.
    fn detail(&self) -> Option<String> {
        let mut detail = serde_json::Map::new();
        if self.total > 1 {
            let pids: Vec<u32> = self.processes.iter().map(|(pid, _)| *pid).collect();
            detail.insert("holders".to_owned(), pids.into());
        }
        if self.total > self.processes.len() {
            detail.insert("holders_total".to_owned(), self.total.into());
        }
        if !self.all {
            detail.insert("holders_cut".to_owned(), true.into());
        }
        (!detail.is_empty()).then(|| serde_json::Value::Object(detail).to_string())
    }
}

/// A mapping that is kept.
#[derive(Debug)]
struct Kept {
    header: Header,
    map: FoundMap,
    path: Vec<u8>,
    host: (u16, Vec<u8>),
}

impl Kept {
    fn new(header: &Header, event: &FileEvent<'_>, map: &FoundMap) -> Self {
        Self {
            header: *header,
            map: *map,
            path: event.path.to_vec(),
            host: (event.host.view, event.host.path.0.to_vec()),
        }
    }
}

impl Looking {
    /// Whether this one comes by for the first time.
    fn is_new(&mut self, header: &Header) -> bool {
        let process = (header.pid, header.start);
        let mappings = header.kind == Kind::MAP_SNAPSHOT;
        if (self.process, self.mappings) != (process, mappings) {
            self.tables.clear();
        } else if self.tid == header.tid {
            return !self.again;
        }
        (self.process, self.tid, self.mappings) = (process, header.tid, mappings);
        self.again = self.tables.contains(&header.number);
        if !self.again {
            self.tables.push(header.number);
        }
        !self.again
    }

    /// Whether it is of the table that the process is known by.
    fn is_main(&self) -> bool {
        self.tables.len() == 1
    }
}

impl Fold {
    /// When the process that has this id now has started, if it is known: its `start_boottime`.
    #[must_use]
    pub fn start_of(&self, pid: u32) -> Option<u64> {
        self.processes.by_pid(pid).map(|process| process.start_ns)
    }

    /// Sets who is at the other end of the pipe that is found next.
    pub fn set_other_end(&mut self, end: OtherEnd) {
        self.looking.other_end = Some(end);
    }

    /// Records something a process has. What a process unknown so far has is left out: it was created
    /// when its creator was tracked already, and its use of it is seen.
    pub(super) fn found<S: Sink>(
        &mut self,
        header: &Header,
        found: &Found<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let other_end = self.looking.other_end.take();
        if self.looking.process != (header.pid, header.start) {
            self.mapped_to_be_read(sink)?;
        }
        if self.processes.get(header.pid, header.start).is_none() || !self.looking.is_new(header) {
            return Ok(());
        }
        match found {
            Found::File(file, position) => {
                self.found_file(header, file, *position, other_end.as_ref(), sink)
            }
            Found::Socket(socket) => self.socket(kinds::NET_SNAPSHOT, header, socket, sink),
            Found::Map(file, map) => self.found_map(header, file, map, sink),
        }
    }

    /// Records what is left when everything came by, and of how much of it there is no record.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn found_all<S: Sink>(
        &mut self,
        unrecorded: u64,
        time_ns: u64,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        self.mapped_to_be_read(sink)?;
        self.looking = Looking::default();
        if unrecorded == 0 {
            return Ok(());
        }
        let detail = format!(
            r#"{{"what":"more was found open and mapped than is recorded","count":{unrecorded}}}"#
        );
        self.missing(time_ns, &detail, sink)
    }

    fn found_file<S: Sink>(
        &mut self,
        header: &Header,
        event: &FileEvent<'_>,
        position: i64,
        other_end: Option<&OtherEnd>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let fd = event.file.fd;
        let target = self.behind(event);
        let peer = other_end.and_then(|end| end.processes.first());
        let peer_uid =
            peer.and_then(|(pid, start)| self.processes.get(*pid, (*start)?)?.uid.clone());
        let detail = other_end.and_then(OtherEnd::detail);
        let seq = self.found_at(kinds::FILE_SNAPSHOT, header, event, sink, |record| {
            set_other(record, &target);
            record.peer_pid = peer.map(|(pid, _)| i64::from(*pid));
            record.peer_uid = peer_uid.as_deref();
            record.detail = detail.as_deref();
            record.fd = Some(i64::from(fd));
            record.offset = Some(position);
        })?;
        let what = What::File(self.scratch.path.as_str().into());
        self.remember_found(header, fd, seq, what, (event.file.dev, event.file.ino));
        self.tell_opened(header, event, seq, sink);
        Ok(())
    }

    fn found_map<S: Sink>(
        &mut self,
        header: &Header,
        event: &FileEvent<'_>,
        map: &FoundMap,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let file = (event.file.dev, event.file.ino);
        let looking = &mut self.looking;
        if map.flags & (EXECUTABLE | SHARED) != 0 {
            looking.unmapped.remove(&file);
            if looking.mapped.len() < MAPPED_MAX {
                looking.mapped.insert(file);
            }
        } else if looking.mapped.contains(&file) || looking.unmapped.contains_key(&file) {
            return Ok(());
        } else if looking.unmapped.len() < MAPPED_MAX {
            looking.unmapped.insert(file, Kept::new(header, event, map));
            return Ok(());
        }
        self.map_record(header, event, map, sink)
    }

    fn map_record<S: Sink>(
        &mut self,
        header: &Header,
        event: &FileEvent<'_>,
        map: &FoundMap,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let detail = format!(r#"{{"start":"{:#x}","end":"{:#x}"}}"#, map.start, map.end);
        self.found_at(kinds::FILE_MAP, header, event, sink, |record| {
            record.protection = Some(protection(map.flags));
            record.offset = i64::try_from(map.offset).ok();
            record.detail = Some(&detail);
        })
        .map(|seq| {
            let purpose = Purpose::Mapped {
                at: (map.start, map.end),
                runs: map.flags & EXECUTABLE != 0,
            };
            self.tell(header, event, purpose, (seq, Opening::Other), sink);
        })
    }

    /// Records the files of the last process that are mapped only to be read.
    fn mapped_to_be_read<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        self.looking.mapped.clear();
        for kept in std::mem::take(&mut self.looking.unmapped).into_values() {
            let event = FileEvent {
                file: &kept.map.file,
                path: &kept.path,
                host: HostFile {
                    view: kept.host.0,
                    path: ReversedPath(&kept.host.1),
                },
                other: None,
            };
            self.map_record(&kept.header, &event, &kept.map, sink)?;
        }
        Ok(())
    }

    /// The record of a file that was found.
    fn found_at<'a, S: Sink>(
        &'a mut self,
        kind: &'static str,
        header: &Header,
        event: &FileEvent<'_>,
        sink: &mut S,
        fill: impl FnOnce(&mut Record<'a>),
    ) -> Result<u64, S::Error> {
        let file = event.file;
        self.scratch.set_file_flags(header.flags, file.fs_magic);
        self.scratch.set_file(event, header.flags);
        self.set_host_path(header.time, file.dev, &event.host);
        self.emit(header, kind, sink, |text, record| {
            snapshot(header, record);
            record.path = Some(&text.path);
            record.host_path = some(&text.host_path);
            record.flags = Some(OpenFlags::of_host(file.flags).0);
            record.mode = Some(i64::from(file.mode));
            record.dev = Some(stat_dev(file.dev));
            record.ino = Some(file.ino.cast_signed());
            record.truncated = some(&text.truncated);
            record.notes = some(&text.notes);
            set_version(record, &file.version);
            fill(record);
        })
    }

    /// Notes a descriptor that was found. The own ones of a thread are only recorded: the probes know
    /// the descriptors of a process, not whose they are.
    pub(super) fn remember_found(
        &mut self,
        header: &Header,
        fd: i32,
        seq: u64,
        what: What,
        (dev, ino): (u32, u64),
    ) {
        if !self.looking.is_main() {
            return;
        }
        let found = process::Found {
            time_ns: header.time,
            dev,
            ino,
            socket: matches!(what, What::Socket(_)),
        };
        let opened = Opened {
            cpu: NO_CPU,
            number: 0,
            seq,
            what,
            found: Some(found),
        };
        self.processes.found(header.pid, header.start, fd, opened);
    }

    /// Whether the first use of a descriptor is of one that was found as this device and inode: then
    /// there is a record of it already.
    pub(super) fn was_found(&mut self, header: &Header, fd: i32, file: (u32, u64)) -> bool {
        let process = (header.pid, header.start);
        let frame = (header.cpu, header.number);
        self.processes.used(process, fd, header.time, file, frame)
    }

    /// Records the close of unused descriptors that were found. Whether the frame is dealt with: one
    /// that is not a call of `close` tells nothing else.
    pub(super) fn closed_found<S: Sink>(
        &mut self,
        header: &Header,
        close: &Close,
        sink: &mut S,
    ) -> Result<bool, S::Error> {
        let flags = Flags::BY_RANGE.0 | Flags::BY_REPLACE.0;
        let mut done = header.flags.0 & flags != 0;
        if header.result == BAD_DESCRIPTOR {
            return Ok(done);
        }
        let mut first = close.fd;
        while let Some((fd, opened)) =
            self.processes
                .closed_found(header.pid, header.start, first..=close.last, header.time)
        {
            self.close_found(header, fd, &opened, sink)?;
            done = true;
            match fd.checked_add(1) {
                Some(next) => first = next,
                None => break,
            }
        }
        Ok(done)
    }

    fn close_found<S: Sink>(
        &mut self,
        header: &Header,
        fd: i32,
        opened: &Opened,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let Some(found) = opened.found else {
            return Ok(());
        };
        self.connections.closed(opened.seq);
        let kind = if found.socket {
            kinds::NET_CLOSE
        } else {
            kinds::FILE_CLOSE
        };
        self.emit(header, kind, sink, |_, record| {
            record.fd = Some(i64::from(fd));
            record.closed_by = Some(closed_by(header.flags));
            record.opened = Some(opened.seq);
            record.dev = (!found.socket).then(|| stat_dev(found.dev));
            record.ino = Some(found.ino.cast_signed());
            // Unused: the first use would have been seen.
            record.bytes_read = Some(0);
            record.bytes_written = Some(0);
            describe(record, &opened.what);
        })
        .map(drop)
    }
}

/// Sets what all records of something found have in common.
pub(super) fn snapshot(header: &Header, record: &mut Record<'_>) {
    record.origin = Some("snapshot");
    record.result = None;
    record.tid = (header.tid != header.pid).then_some(i64::from(header.tid));
}
