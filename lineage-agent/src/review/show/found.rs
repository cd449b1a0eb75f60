//! What belongs to a record: those it refers to, the digest of its file, its context.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::super::digests::FileId;
use super::context::{Context, Granted};
use crate::evidence::error::Error;
use crate::evidence::kinds;
use crate::evidence::reader::Host;
use crate::evidence::record::Owned;
use crate::evidence::schema::Record;

/// A record, and what belongs to it.
#[derive(Debug)]
pub struct Show {
    pub(super) record: Owned,
    /// Records it refers to, by `seq`.
    pub(super) related: BTreeMap<u64, Owned>,
    /// When its lineage began, nanoseconds since 1970 UTC.
    pub(super) began_ns: Option<i64>,
    /// The `file.digest` of the file as it was then.
    pub(super) digest: Option<Owned>,
    pub(super) context: Option<Context>,
    pub(super) missing: Option<Error>,
}

impl Show {
    /// Finds what belongs to a record of this host. `read_grant` tells what the envelope of a grant says, or why it
    /// is none. What is missing of the evidence is told with what could be found.
    ///
    /// # Errors
    ///
    /// [`Error`] when the records it refers to, or what governed it, cannot be read.
    pub fn new(
        host: &Host,
        event: Owned,
        read_grant: impl Fn(&[u8]) -> Result<Granted, String>,
    ) -> Result<Self, Error> {
        let record = event.get();
        let mut seqs: Vec<u64> = references(&record).map(|(_, seq)| seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        let mut related = BTreeMap::new();
        host.pick(&seqs, |record| {
            if let (Some(seq), Ok(owned)) = (record.seq, Owned::of(record)) {
                related.insert(seq, owned);
            }
        })?;
        let opened = record.opened.and_then(|seq| related.get(&seq));
        let file = FileId::of(&record).or_else(|| FileId::of(&opened?.get()));
        let mut search = Search::new(&record, file);
        let mut missing = host.records(|record| search.look_at(record)).err();
        let context = (record.context)
            .and_then(|digest| Context::read(host, digest, read_grant, &mut missing));
        Ok(Self {
            context,
            began_ns: search.began_ns,
            digest: search.digest,
            related,
            missing,
            record: event,
        })
    }

    /// What of the evidence is missing.
    pub fn take_missing(&mut self) -> Option<Error> {
        self.missing.take()
    }
}

/// The fields of a record that name other records, with their values.
pub(super) fn references(record: &Record<'_>) -> impl Iterator<Item = (&'static str, u64)> {
    let named = [
        ("cause", record.cause),
        ("opened", record.opened),
        ("other_end", record.other_end),
    ];
    named
        .into_iter()
        .filter_map(|(name, seq)| Some((name, seq?)))
}

/// What only a look at all records finds.
struct Search {
    lineage: Option<String>,
    file: Option<FileId>,
    began_ns: Option<i64>,
    digest: Option<Owned>,
    /// The digest is one that the record's own lineage asked for.
    own: bool,
}

impl Search {
    fn new(record: &Record<'_>, file: Option<FileId>) -> Self {
        Self {
            lineage: record.lineage.map(str::to_owned),
            // It says itself what the digest is.
            file: file.filter(|_| record.kind != Some(kinds::FILE_DIGEST)),
            began_ns: None,
            digest: None,
            own: false,
        }
    }

    fn look_at(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        let own = record.lineage == self.lineage.as_deref();
        match record.kind {
            Some(kinds::LINEAGE_START) if own => self.began_ns = record.time_ns,
            Some(kinds::FILE_DIGEST)
                if (own || self.digest.is_none())
                    && self.file.is_some()
                    && FileId::of(record) == self.file =>
            {
                self.digest = Owned::of(record).ok();
                self.own = own;
            }
            _ => {}
        }
        if self.began_ns.is_some() && (self.own || self.file.is_none()) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
