//! Records of bytes read and written through descriptors that are no sockets.

use lineage_common::frame::{Header, Use, Version};

use super::{
    Fold, Sink,
    file::{describe, set_version},
};
use crate::lineage::text::stat_dev;

impl Fold {
    pub(super) fn transfer<S: Sink>(
        &mut self,
        kind: &'static str,
        header: &Header,
        used: &Use,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let frame = (used.opened_cpu, used.opened_number);
        let opened = self
            .processes
            .opened_by(header.pid, header.start, used.fd, frame)
            .map(|opened| (opened.seq, opened.what.clone()));
        self.emit(header, kind, sink, |_, record| {
            record.fd = Some(i64::from(used.fd));
            record.dev = Some(stat_dev(used.dev));
            record.ino = Some(used.ino.cast_signed());
            if used.version != Version::default() {
                set_version(record, &used.version);
            }
            if let Some((seq, what)) = &opened {
                record.opened = Some(*seq);
                describe(record, what);
            }
        })
        .map(drop)
    }
}
