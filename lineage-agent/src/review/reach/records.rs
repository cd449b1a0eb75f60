//! Records by their `seq`, read when they are asked for.
//!
//! What is told of an event's causes is little of all that they are; but which records that takes is known only as it
//! is told. One record costs about as much to read as some hundreds beside it, and what belongs together is near.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use crate::evidence::error::Error;
use crate::evidence::reader::Host;
use crate::evidence::record::Owned;
use crate::evidence::schema::Record;

/// Records that are read at once from what is sealed.
const CHUNK_RECORDS: u64 = 512;

/// Most bytes of records that are kept.
const BYTES_MAX: usize = 64 << 20;

/// Records of a host, those that were read.
#[derive(Debug)]
pub(super) struct Records<'a> {
    host: &'a Host,
    read: RefCell<BTreeMap<u64, Rc<Owned>>>,
    /// The first `seq` that is in no sealed segment. What comes from there on is read all at once, because finding one
    /// record in a spool is reading all of it.
    unsealed: OnceCell<u64>,
    /// The first `seq`s of what was read of the rest.
    chunks: RefCell<HashSet<u64>>,
    bytes: Cell<usize>,
    /// The first error of reading.
    failed: RefCell<Option<Error>>,
}

impl<'a> Records<'a> {
    pub(super) fn new(host: &'a Host) -> Self {
        Self {
            host,
            read: RefCell::default(),
            unsealed: OnceCell::new(),
            chunks: RefCell::default(),
            bytes: Cell::default(),
            failed: RefCell::default(),
        }
    }

    /// The record with this `seq`; none when it is not there, cannot be read, or too much was read before.
    pub(super) fn get(&self, seq: u64) -> Option<Rc<Owned>> {
        let unsealed = *self.unsealed.get_or_init(|| self.read_unsealed());
        let first = seq - seq % CHUNK_RECORDS;
        if seq < unsealed && !self.is_full() && self.chunks.borrow_mut().insert(first) {
            let end = first.saturating_add(CHUNK_RECORDS).min(unsealed);
            let seqs: Vec<u64> = (first..end).collect();
            let read = self.host.pick(&seqs, |record| self.keep(record));
            read.unwrap_or_else(|error| self.fail(error));
        }
        let found = self.read.borrow().get(&seq).map(Rc::clone);
        if found.is_none() && !self.is_full() {
            let missing = format!("record {seq}, which others name");
            self.fail(self.missing(missing));
        }
        found
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

    /// That something is not there which other records name.
    pub(super) fn missing(&self, missing: String) -> Error {
        Error::Incomplete {
            path: self.host.path().to_owned(),
            missing,
        }
    }

    /// Reads what is not sealed; gives where that begins.
    fn read_unsealed(&self) -> u64 {
        let read = self.host.unsealed(|record| self.keep(record));
        read.unwrap_or_else(|error| {
            self.fail(error);
            u64::MAX
        })
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
}
