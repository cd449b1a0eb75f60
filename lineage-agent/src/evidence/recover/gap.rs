//! What a crash left unsaid, said by the next session.

use super::super::error::Result;
use super::super::manifest::{Manifest, Reason};
use super::super::schema::Record;
use super::super::writer::Segment;

/// What a crash left unsaid: told by the first record of the segment after it.
pub(in super::super) struct Gap {
    segment: u64,
    discarded: u64,
    seq: u64,
    time_ns: i64,
}

impl Gap {
    /// The gap after the newest manifest, unless the recorder stopped by itself there.
    pub(in super::super) fn after(last: &Manifest) -> Option<Self> {
        (!matches!(last.reason, Reason::Stop | Reason::Shutdown)).then(|| Self {
            segment: last.head.segment,
            discarded: last.discarded,
            seq: last.head.first + last.count,
            // Records can be newer than the last commitment, from which the manifest has its time.
            time_ns: last
                .times
                .map_or(last.closed, |times| last.closed.max(times.1)),
        })
    }

    pub(in super::super) fn append_to(&self, segment: &mut Segment) -> Result<()> {
        let detail = format!(
            r#"{{"what":"the recorder ended without closing","segment":{},"discarded_bytes":{}}}"#,
            self.segment, self.discarded
        );
        segment.append(&Record {
            seq: Some(self.seq),
            time: Some(self.time_ns.div_euclid(1000)),
            time_ns: Some(self.time_ns),
            kind: Some("evidence.loss"),
            origin: Some("agent"),
            detail: Some(&detail),
            ..Record::default()
        })
    }
}
