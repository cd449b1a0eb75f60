//! Records of files and of descriptors being closed.

use lineage_common::frame::{Close, Flags, Header, Kind, NO_CPU, Version};

use super::{Fold, Sink, call::set_other, net::set_ends, utc};
use crate::{
    event::{FileEvent, ReversedPath},
    evidence::{kinds, schema::Record},
    lineage::{
        files::{FileSeen, Opening, Purpose},
        process::{Opened, What},
        text::{some, stat_dev},
    },
    names::OpenFlags,
};

impl Fold {
    pub(super) fn file<S: Sink>(
        &mut self,
        kind: &'static str,
        header: &Header,
        event: &FileEvent<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let file = event.file;
        if header.kind == Kind::FILE_INHERIT
            && self.was_found(header, file.fd, (file.dev, file.ino))
        {
            return Ok(());
        }
        self.scratch.set_file_flags(header.flags, file.fs_magic);
        self.scratch.set_file(event, header.flags);
        self.set_host_path(header.time, file.dev, &event.host);
        let target = self.behind(event);
        let opened = header.result >= 0;
        // Another thread can have closed it before the probe could look.
        let known = opened && !header.flags.has(Flags::CLAIMED);
        let seq = self.emit(header, kind, sink, |text, record| {
            record.path = Some(&text.path);
            record.host_path = some(&text.host_path);
            record.dir = some(&text.dir);
            record.flags = Some(OpenFlags::of_host(file.flags).0);
            record.truncated = some(&text.truncated);
            record.notes = some(&text.notes);
            if opened && file.fd >= 0 {
                record.fd = Some(i64::from(file.fd));
            }
            if known {
                record.mode = Some(i64::from(file.mode));
                record.dev = Some(stat_dev(file.dev));
                record.ino = Some(file.ino.cast_signed());
                set_version(record, &file.version);
                set_other(record, &target);
            }
        })?;
        if known {
            let what = What::File(self.scratch.path.as_str().into());
            self.remember(header, file.fd, seq, what);
            self.tell_opened(header, event, seq, sink);
        }
        Ok(())
    }

    /// Tells of a file that a process has open, which this record tells first.
    pub(super) fn tell_opened<S: Sink>(
        &mut self,
        header: &Header,
        event: &FileEvent<'_>,
        seq: u64,
        sink: &mut S,
    ) {
        let file = event.file;
        let flags = OpenFlags::of_host(file.flags);
        let fd = file.fd;
        let opening = if flags.writes() {
            Opening::Other
        } else {
            self.scripts.opened(header.pid, &self.scratch.path)
        };
        let purpose = match opening {
            Opening::Script => Purpose::Script { fd },
            Opening::Perhaps | Opening::Other => Purpose::Open { fd, flags },
        };
        self.tell(header, event, purpose, (seq, opening), sink);
    }

    /// Tells of the file that the record `seq` is about, and what it is to its opener.
    pub(super) fn tell<S: Sink>(
        &self,
        header: &Header,
        event: &FileEvent<'_>,
        purpose: Purpose,
        (seq, opening): (u64, Opening),
        sink: &mut S,
    ) {
        let file = event.file;
        let perhaps = (opening == Opening::Perhaps).then(|| self.scripts.name(header.pid));
        let Some(process) = self.processes.get(header.pid, header.start) else {
            return;
        };
        sink.file(&FileSeen {
            seq,
            lineage: process.lineage,
            pid: header.pid,
            parent: process.parent_pid,
            time_ns: utc(header.time, self.utc_offset_ns),
            purpose,
            perhaps: perhaps.flatten(),
            asked: self.recognisers.want_digest(&self.found),
            path: ReversedPath(event.path),
            shown: &self.scratch.path,
            host_shown: &self.scratch.host_path,
            dev: stat_dev(file.dev),
            ino: file.ino,
            mode: file.mode,
            fs_magic: file.fs_magic,
            version: file.version,
        });
    }

    /// Notes which record opened a descriptor, for the record of its close.
    pub(super) fn remember(&mut self, header: &Header, fd: i32, seq: u64, what: What) {
        let opened = Opened {
            cpu: header.cpu,
            number: header.number,
            seq,
            what,
            found: None,
        };
        self.processes.opened(header.pid, header.start, fd, opened);
    }

    pub(super) fn close<S: Sink>(
        &mut self,
        kind: &'static str,
        header: &Header,
        close: &Close,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let known = close.opened_cpu != NO_CPU;
        if !known && self.closed_found(header, close, sink)? {
            return Ok(());
        }
        let frame = (close.opened_cpu, close.opened_number);
        let opened = self
            .processes
            .closed(header.pid, header.start, close.fd, frame);
        if let Some(opened) = &opened {
            self.connections.closed(opened.seq);
        }
        // Threads that give a number to one thing after the other can be quicker than the table of descriptors.
        let kind = match opened.as_ref().map(|opened| &opened.what) {
            Some(What::File(_)) => kinds::FILE_CLOSE,
            Some(What::Socket(_)) => kinds::NET_CLOSE,
            Some(What::Unkept) | None => kind,
        };
        self.emit(header, kind, sink, |_, record| {
            record.fd = Some(i64::from(close.fd));
            record.closed_by = Some(closed_by(header.flags));
            record.opened = opened.as_ref().map(|opened| opened.seq);
            if known {
                record.dev = (kind == kinds::FILE_CLOSE).then(|| stat_dev(close.dev));
                record.ino = Some(close.ino.cast_signed());
                record.bytes_read = Some(close.bytes_read);
                record.bytes_written = Some(close.bytes_written);
            }
            if let Some(opened) = &opened {
                describe(record, &opened.what);
            }
        })
        .map(drop)
    }
}

/// Sets which version of the file it was.
pub(super) fn set_version(record: &mut Record<'_>, version: &Version) {
    record.generation = Some(i64::from(version.generation));
    record.size = Some(version.size);
    record.mtime_ns = Some(version.mtime_ns);
    record.ctime_ns = Some(version.ctime_ns);
}

pub(super) fn describe<'a>(record: &mut Record<'a>, what: &'a What) {
    match what {
        What::File(path) => record.path = Some(path),
        What::Socket(ends) => set_ends(record, ends),
        What::Unkept => {}
    }
}

pub(super) fn closed_by(flags: Flags) -> &'static str {
    [
        (Flags::BY_EXEC, "exec"),
        (Flags::BY_EXIT, "exit"),
        (Flags::BY_REPLACE, "replace"),
        (Flags::BY_RANGE, "close_range"),
    ]
    .into_iter()
    .find_map(|(flag, name)| flags.has(flag).then_some(name))
    .unwrap_or("close")
}
