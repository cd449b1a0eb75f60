//! Records of sockets.

use lineage_common::frame::{Header, Kind, Socket};
use serde_json::json;

use super::{Fold, Sink, found::snapshot, verdict};
use crate::{
    event::SocketEvent,
    evidence::schema::Record,
    lineage::{
        address::ends,
        connections::End,
        process::{Ends, What},
        text::some,
    },
};

/// `EINPROGRESS`, negated: a connect that goes on in the background.
const IN_PROGRESS: i64 = -115;

impl Fold {
    /// Records a socket or what was done with it.
    pub(super) fn socket<S: Sink>(
        &mut self,
        kind: &'static str,
        header: &Header,
        event: &SocketEvent<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let socket = event.socket;
        if header.kind == Kind::NET_INHERIT && self.was_found(header, socket.fd, (0, socket.ino)) {
            return Ok(());
        }
        let found = header.kind == Kind::NET_SNAPSHOT;
        let ends = ends(event, header.kind == Kind::NET_BIND);
        let done = header.result >= 0 || header.result == IN_PROGRESS;
        let message = matches!(header.kind, Kind::NET_SEND | Kind::NET_RECEIVE);
        // A message may have the address of a peer of its own, and the end is known.
        let other = if done && !message {
            self.other_end(socket)
        } else {
            Other::default()
        };
        let detail = detail(header.kind, socket);
        self.scratch.set_flags(header.flags, "peer_addr");
        verdict::name_end(header, &socket.judged, &mut self.scratch.judged_end);
        let seq = self.emit(header, kind, sink, |text, record| {
            if !text.judged_end.is_empty() {
                record.judged = Some(&text.judged_end);
            }
            if found {
                snapshot(header, record);
            }
            record.fd = (socket.fd >= 0).then_some(i64::from(socket.fd));
            record.ino = (socket.ino != 0).then_some(socket.ino.cast_signed());
            record.cookie = (socket.cookie != 0).then_some(socket.cookie);
            record.net_ns = (socket.net_ns != 0).then_some(i64::from(socket.net_ns));
            record.truncated = some(&text.truncated);
            record.notes = some(&text.notes);
            record.detail = detail.as_deref();
            set_ends(record, &ends);
            other.set(record);
        })?;
        if done && !message && socket.fd >= 0 {
            let process = self.processes.get(header.pid, header.start);
            let uid = process.and_then(|process| process.uid.clone());
            let pid = header.pid;
            self.connections.opened(socket, End { seq, pid, uid });
            let what = What::Socket(Box::new(ends));
            if found {
                self.remember_found(header, socket.fd, seq, what, (0, socket.ino));
            } else {
                self.remember(header, socket.fd, seq, what);
            }
        }
        Ok(())
    }

    /// What is known of the other end of a socket: of `AF_UNIX` the kernel says who made it, otherwise
    /// its record does.
    pub(super) fn other_end(&self, socket: &Socket) -> Other {
        let end = self.connections.other(socket);
        let mut other = Other {
            ino: (socket.peer_ino != 0).then_some(socket.peer_ino),
            pid: end.map(|end| end.pid),
            uid: end.and_then(|end| end.uid.clone()),
            seq: end.map(|end| end.seq),
        };
        if socket.peer_pid != 0 {
            let process = self.processes.get(socket.peer_pid, socket.peer_start);
            other.pid = Some(socket.peer_pid);
            other.uid = process.and_then(|process| process.uid.clone());
        }
        other
    }
}

/// The other end of a connection. Absent parts are not known.
#[derive(Debug, Default)]
pub(super) struct Other {
    ino: Option<u64>,
    pid: Option<u32>,
    uid: Option<std::sync::Arc<str>>,
    seq: Option<u64>,
}

impl Other {
    /// Fills the fields of the other end.
    pub(super) fn set<'a>(&'a self, record: &mut Record<'a>) {
        record.peer_ino = self.ino.map(u64::cast_signed);
        record.peer_pid = self.pid.map(i64::from);
        record.peer_uid = self.uid.as_deref();
        record.other_end = self.seq;
    }
}

/// What has no field of its own.
fn detail(kind: Kind, socket: &Socket) -> Option<String> {
    let detail = match kind {
        Kind::NET_LISTEN => json!({ "backlog": socket.argument }),
        Kind::NET_SOCKET => json!({
            "family": socket.family, "type": socket.socket_type, "protocol": socket.protocol,
        }),
        _ => return None,
    };
    Some(detail.to_string())
}

/// Fills the fields of both ends.
pub(super) fn set_ends<'a>(record: &mut Record<'a>, ends: &'a Ends) {
    record.transport = Some(&ends.transport);
    record.local_addr = ends.local.addr.as_deref();
    record.local_port = ends.local.port.map(i64::from);
    record.peer_addr = ends.peer.addr.as_deref();
    record.peer_port = ends.peer.port.map(i64::from);
}
