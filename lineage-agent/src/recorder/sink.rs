//! Where records go.

use crate::{
    decisions::Decisions,
    evidence::{error::Error as EvidenceError, schema::Record, writer::Writer},
    lineage::{files::FileSeen, fold::Sink},
};

use super::digests::Digests;

/// The writer as the fold sees it, and who else wants to know.
pub(super) struct Numbered {
    pub(super) writer: Writer,
    pub(super) digests: Option<Digests>,
    pub(super) decisions: Decisions,
}

impl Sink for Numbered {
    type Error = EvidenceError;

    fn next_seq(&self) -> u64 {
        self.writer.next_seq()
    }

    fn append(&mut self, record: &Record<'_>) -> Result<(), EvidenceError> {
        if let Some(effect) = record.effect {
            self.decisions.count(effect);
        }
        self.writer.append(record)
    }

    fn file(&mut self, file: &FileSeen<'_>) {
        if let Some(digests) = &mut self.digests {
            digests.seen(file);
        }
    }
}
