//! Records of descriptors that went with messages from one process to another.

use lineage_common::{
    calls,
    frame::{Flags, Header, Pass, Socket},
};
use serde_json::{Map, Value, json};
use zerocopy::FromZeros as _;

use super::{
    Fold, Sink,
    call::{Target, set_other},
    file::set_version,
    net::set_ends,
};
use crate::{
    event::{PassEvent, Passed, SocketEvent},
    evidence::{kinds, schema::Record},
    lineage::{
        address::{ends, family},
        connections::End,
        process::{Ends, What},
        text::{some, stat_dev},
    },
    names::OpenFlags,
};

/// `MSG_PEEK`, `MSG_CTRUNC` (`include/linux/socket.h`).
const PEEK: u32 = 2;
const CONTROL_CUT: u32 = 8;

impl Fold {
    pub(super) fn pass<S: Sink>(
        &mut self,
        header: &Header,
        event: &PassEvent<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let pass = &event.pass;
        let kind = if pass.sends == 0 {
            kinds::DESCRIPTOR_RECEIVE
        } else {
            kinds::DESCRIPTOR_PASS
        };
        let other = self.other_end(&carrier(pass));
        let detail = detail(pass).to_string();
        let ends = self.describe_passed(header, event);
        let target = match &event.to {
            Passed::File(file) => self.behind(file),
            Passed::Socket(_) => Target::default(),
        };
        let seq = self.emit(header, kind, sink, |text, record| {
            record.call = calls::named(pass.number).map(|call| call.name);
            record.truncated = some(&text.truncated);
            record.notes = some(&text.notes);
            record.detail = Some(&detail);
            record.socket_ino = Some(pass.socket_ino.cast_signed());
            other.set(record);
            match &event.to {
                Passed::File(file) => {
                    record.fd = Some(i64::from(file.file.fd));
                    if file.file.ino != 0 {
                        record.path = Some(&text.path);
                        record.host_path = some(&text.host_path);
                        record.flags = Some(OpenFlags::of_host(file.file.flags).0);
                        record.mode = Some(i64::from(file.file.mode));
                        record.dev = Some(stat_dev(file.file.dev));
                        record.ino = Some(file.file.ino.cast_signed());
                        set_version(record, &file.file.version);
                        set_other(record, &target);
                    }
                }
                Passed::Socket(socket) => set_socket(record, socket, ends.as_ref()),
            }
        })?;
        if pass.sends == 0 {
            self.received(header, event, (seq, ends), sink);
        }
        Ok(())
    }

    /// Fills the scratch with what the descriptor leads to; of a socket gives its ends.
    fn describe_passed(&mut self, header: &Header, event: &PassEvent<'_>) -> Option<Ends> {
        match &event.to {
            Passed::File(file) => {
                self.scratch
                    .set_file_flags(header.flags, file.file.fs_magic);
                // What is claimed of a descriptor that was sent is which, and not its path.
                self.scratch.set_file(file, Flags(0));
                self.set_host_path(header.time, file.file.dev, &file.host);
                None
            }
            Passed::Socket(socket) => {
                self.scratch.set_flags(header.flags, "peer_addr");
                Some(ends(socket, false))
            }
        }
    }

    /// The process has the descriptor from now on, as if it had opened it.
    fn received<S: Sink>(
        &mut self,
        header: &Header,
        event: &PassEvent<'_>,
        (seq, ends): (u64, Option<Ends>),
        sink: &mut S,
    ) {
        match (&event.to, ends) {
            (Passed::Socket(event), Some(ends)) => {
                let process = self.processes.get(header.pid, header.start);
                let uid = process.and_then(|process| process.uid.clone());
                let pid = header.pid;
                let socket = event.socket;
                self.connections.opened(socket, End { seq, pid, uid });
                self.remember(header, socket.fd, seq, What::Socket(Box::new(ends)));
            }
            (Passed::File(file), _) if file.file.ino != 0 => {
                let what = What::File(self.scratch.path.as_str().into());
                self.remember(header, file.file.fd, seq, what);
                self.tell_opened(header, file, seq, sink);
            }
            _ => {}
        }
    }
}

/// A socket that was passed.
fn set_socket<'a>(record: &mut Record<'a>, event: &SocketEvent<'_>, ends: Option<&'a Ends>) {
    let socket = event.socket;
    record.fd = Some(i64::from(socket.fd));
    record.ino = Some(socket.ino.cast_signed());
    record.cookie = (socket.cookie != 0).then_some(socket.cookie);
    record.net_ns = (socket.net_ns != 0).then_some(i64::from(socket.net_ns));
    if let Some(ends) = ends {
        set_ends(record, ends);
    }
}

/// The socket it went through, as far as it tells which is the other end.
fn carrier(pass: &Pass) -> Socket {
    Socket {
        ino: pass.socket_ino,
        peer_ino: pass.peer_ino,
        peer_start: pass.peer_start,
        peer_pid: pass.peer_pid,
        family: family::UNIX,
        ..Socket::new_zeroed()
    }
}

/// What has no field of its own.
fn detail(pass: &Pass) -> Value {
    let mut detail = Map::new();
    detail.insert("socket".to_owned(), json!(pass.socket_fd));
    detail.insert("index".to_owned(), json!(pass.index));
    let remarks = [
        ("close_on_exec", pass.closes_on_exec != 0),
        ("peek", pass.sends == 0 && pass.asked & PEEK != 0),
        (
            "control_cut",
            pass.sends == 0 && pass.told & CONTROL_CUT != 0,
        ),
    ];
    for (name, _) in remarks.into_iter().filter(|(_, holds)| *holds) {
        detail.insert(name.to_owned(), json!(true));
    }
    Value::Object(detail)
}
