//! Records of sockets.

use lineage_common::frame::Header;

use super::{Fold, Sink};
use crate::{
    event::SocketEvent,
    evidence::schema::Record,
    lineage::{
        process::{Ends, What},
        text::{ends, some},
    },
};

/// `EINPROGRESS`, negated: a connect that goes on in the background.
const IN_PROGRESS: i64 = -115;

impl Fold {
    pub(super) fn socket<S: Sink>(
        &mut self,
        kind: &'static str,
        header: &Header,
        event: &SocketEvent<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let socket = event.socket;
        let ends = ends(event);
        self.scratch.set_flags(header.flags, "peer_addr");
        let seq = self.emit(header, kind, sink, |text, record| {
            record.fd = (socket.fd >= 0).then_some(i64::from(socket.fd));
            record.ino = (socket.ino != 0).then_some(socket.ino.cast_signed());
            record.truncated = some(&text.truncated);
            record.notes = some(&text.notes);
            set_ends(record, &ends);
        })?;
        if header.result >= 0 || header.result == IN_PROGRESS {
            self.remember(header, socket.fd, seq, What::Socket(Box::new(ends)));
        }
        Ok(())
    }
}

/// Fills the fields of both ends.
pub(super) fn set_ends<'a>(record: &mut Record<'a>, ends: &'a Ends) {
    record.transport = Some(&ends.transport);
    record.local_addr = ends.local.addr.as_deref();
    record.local_port = ends.local.port.map(i64::from);
    record.peer_addr = ends.peer.addr.as_deref();
    record.peer_port = ends.peer.port.map(i64::from);
}
