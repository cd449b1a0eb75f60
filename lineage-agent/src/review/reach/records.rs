//! Records by their `seq`, read when they are asked for.
//!
//! What is told of an event's causes is little of all that they are; but which records that takes is known only as it
//! is told. One record costs about as much to read as some hundreds beside it, and what belongs together is near.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use crate::evidence::error::Error;
use crate::evidence::reader::Host;
use crate::evidence::record::Owned;
use crate::evidence::schema::Record;

/// Records that are read at once.
const CHUNK_RECORDS: u64 = 512;

/// Records that are read at once if they are not sealed: finding one of them is reading all.
const UNSEALED_RECORDS: u64 = 1 << 20;

/// Most bytes of records that are kept.
const BYTES_MAX: usize = 64 << 20;

/// Records of a host, those that were read.
#[derive(Debug)]
pub(super) struct Records<'a> {
    host: &'a Host,
    read: RefCell<BTreeMap<u64, Rc<Owned>>>,
    chunks: RefCell<HashSet<Range<u64>>>,
    bytes: Cell<usize>,
    /// The `seq`s that are in no sealed segment, up to the last one there is.
    unsealed: OnceCell<Range<u64>>,
    /// The first error of reading.
    failed: RefCell<Option<Error>>,
}

impl<'a> Records<'a> {
    pub(super) fn new(host: &'a Host) -> Self {
        Self {
            host,
            read: RefCell::default(),
            chunks: RefCell::default(),
            bytes: Cell::default(),
            unsealed: OnceCell::new(),
            failed: RefCell::default(),
        }
    }

    /// The record with this `seq`; none when there is none, it cannot be read, or too much was read before.
    pub(super) fn get(&self, seq: u64) -> Option<Rc<Owned>> {
        let chunk = self.chunk(seq)?;
        if !self.is_full() && self.chunks.borrow_mut().insert(chunk.clone()) {
            let seqs: Vec<u64> = chunk.collect();
            let read = self.host.pick(&seqs, |record| self.keep(record));
            read.unwrap_or_else(|error| self.fail(error));
        }
        self.read.borrow().get(&seq).map(Rc::clone)
    }

    /// The `seq`s that are read together with this one; none when it is after all of them.
    fn chunk(&self, seq: u64) -> Option<Range<u64>> {
        let unsealed = self.unsealed.get_or_init(|| {
            let found = self.find_unsealed();
            found.unwrap_or_else(|error| {
                self.fail(error);
                u64::MAX..u64::MAX
            })
        });
        let records = match seq < unsealed.start {
            true => CHUNK_RECORDS,
            false => UNSEALED_RECORDS,
        };
        let first = seq - seq % records;
        (seq < unsealed.end).then(|| first..first.saturating_add(records))
    }

    fn find_unsealed(&self) -> Result<Range<u64>, Error> {
        let newest = self.host.manifests()?.pop();
        let newest = newest.map(|newest| self.host.manifest(newest));
        let newest = newest.transpose()?.flatten();
        let sealed = newest.map_or(0, |it| it.head.first.saturating_add(it.count));
        let last = self.host.last_seq()?;
        Ok(sealed..last.map_or(0, |last| last.saturating_add(1)))
    }

    fn keep(&self, record: &Record<'_>) {
        if self.is_full() {
            return;
        }
        if let (Some(seq), Ok(owned)) = (record.seq, Owned::of(record)) {
            self.bytes.set(self.bytes.get() + owned.bytes().len());
            self.read.borrow_mut().insert(seq, Rc::new(owned));
        }
    }

    /// Whether no more are read.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.get() >= BYTES_MAX
    }

    /// Keeps an error, if it is the first, until somebody asks.
    pub(super) fn fail(&self, error: Error) {
        self.failed.borrow_mut().get_or_insert(error);
    }

    /// The first error of reading.
    pub(super) fn failed(&self) -> Option<Error> {
        self.failed.take()
    }
}
