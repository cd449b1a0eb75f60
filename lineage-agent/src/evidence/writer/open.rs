//! The open segment: encode, hash, buffer, commit.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::checkpoint::{Commit, Seal};
use super::super::counters::Counters;
use super::super::error::{Error, Result};
use super::super::keys::EpochSigner;
use super::super::layout::{HostDir, spool_name};
use super::super::manifest::{Head, Reason};
use super::super::schema::Record;
use super::super::seal::{SealJob, Sum};
use super::super::spool::{push_commit, push_header, push_record, set_check};
use super::super::tally::Tally;
use super::super::tree::{BATCH, Hash, RecordTree, record_leaves};
use super::Limits;

/// Bytes collected before they go to the file.
const BUFFER_BYTES: usize = 256 * 1024;

/// A segment being written.
pub(in super::super) struct Segment {
    head: Head,
    header: Hash,
    file: Arc<File>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Bytes in file and buffer together.
    bytes: u64,
    /// Bytes in the file: whole frames.
    flushed: u64,
    /// Where in the buffer the records are that are not in the tree yet.
    pending: Vec<Range<usize>>,
    tree: RecordTree,
    tally: Tally,
    sum: Sum,
    committed: u64,
    /// When it was closed, once its last commit is written.
    closed: Option<i64>,
}

impl Segment {
    /// Opens the spool of a new segment: it appears with its header whole.
    pub(super) fn begin(dir: &HostDir, head: Head) -> Result<Self> {
        let mut segment = Self::stage(dir, head)?;
        segment.flush()?;
        segment.publish(dir)?;
        Ok(segment)
    }

    /// Prepares the spool of a new segment under a temporary name.
    pub(in super::super) fn stage(dir: &HostDir, head: Head) -> Result<Self> {
        let name = spool_name(head.segment);
        let text = head.text();
        let mut buffer = Vec::with_capacity(BUFFER_BYTES + BUFFER_BYTES / 4);
        push_header(&text, &mut buffer);
        let staged = staged(&name);
        dir.spool.remove(&staged)?;
        let file = dir.spool.create(&staged, 0o640)?;
        Ok(Self {
            header: *blake3::hash(text.as_bytes()).as_bytes(),
            head,
            file: Arc::new(file),
            path: dir.spool.path().join(name),
            bytes: buffer.len() as u64,
            buffer,
            pending: Vec::with_capacity(BATCH),
            tree: RecordTree::default(),
            tally: Tally::default(),
            sum: Sum::default(),
            committed: 0,
            flushed: 0,
            closed: None,
        })
    }

    /// Makes what was written durable, waiting for it.
    pub(in super::super) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(Error::io("sync", &self.path))
    }

    /// Gives a prepared spool its name.
    pub(in super::super) fn publish(&self, dir: &HostDir) -> Result<()> {
        let name = spool_name(self.head.segment);
        dir.spool.publish(&staged(&name), &dir.spool, &name)
    }

    pub(super) fn number(&self) -> u64 {
        self.head.segment
    }

    pub(super) fn offset(&self) -> i64 {
        self.head.offset
    }

    pub(super) fn opened(&self) -> i64 {
        self.head.opened
    }

    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    #[inline]
    pub(super) fn next_seq(&self) -> u64 {
        self.head.first + self.records()
    }

    #[inline]
    fn records(&self) -> u64 {
        self.tree.size() + self.pending.len() as u64
    }

    pub(super) fn has_records(&self) -> bool {
        self.records() > 0
    }

    pub(super) fn has_uncommitted(&self) -> bool {
        self.records() > self.committed
    }

    #[inline]
    pub(super) fn is_full_for(&self, record: &Record<'_>) -> bool {
        self.tally.is_full_for(record)
    }

    /// Why it should be sealed now, if it should.
    pub(super) fn is_due(&self, limits: &Limits, time: i64) -> Option<Reason> {
        let age = self.tally.times().map_or(0, |(first, _)| {
            time.saturating_sub(first.max(self.head.opened))
        });
        if self.records() >= limits.records_max {
            Some(Reason::Rows)
        } else if self.bytes >= limits.bytes_max {
            Some(Reason::Bytes)
        } else if age >= limits.age_ns_max {
            Some(Reason::Time)
        } else {
            None
        }
    }

    #[inline]
    pub(in super::super) fn append(&mut self, record: &Record<'_>) -> Result<()> {
        self.tally.push(record)?;
        let before = self.buffer.len();
        let payload = push_record(record, &mut self.buffer)?;
        self.sum.add(&self.buffer[payload.clone()]);
        self.pending.push(payload);
        self.bytes += (self.buffer.len() - before) as u64;
        if self.pending.len() == BATCH {
            self.hash_pending();
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Signs what is there and hands it to the operating system.
    pub(super) fn commit(
        &mut self,
        signer: &EpochSigner,
        counters: &Counters,
        time: i64,
        seal: Option<Seal>,
    ) -> Result<Commit> {
        self.hash_pending();
        let commit = Commit {
            origin: self.head.origin,
            segment: self.head.segment,
            header: self.header,
            count: self.tree.size(),
            root: self.tree.root(),
            time,
            counters: counters.clone(),
            seal,
        };
        let text = commit.text();
        let before = self.buffer.len();
        push_commit(&signer.sign_commit(&text), &text, &mut self.buffer);
        self.bytes += (self.buffer.len() - before) as u64;
        self.flush()?;
        self.committed = commit.count;
        Ok(commit)
    }

    /// Writes the last commit; what is left to do is sealing.
    pub(in super::super) fn finish(
        &mut self,
        signer: &EpochSigner,
        counters: &Counters,
        seal: Seal,
    ) -> Result<SealJob> {
        let commit = self.commit(signer, counters, seal.closed, Some(seal))?;
        self.closed = Some(seal.closed);
        Ok(SealJob {
            head: self.head.clone(),
            commit,
            seal,
            blocks: self.tree.clone().into_blocks(),
            tally: self.tally.clone(),
            sum: Some(self.sum.clone()),
            discarded: 0,
        })
    }

    /// Hashes the records appended since it was last done: ends their frames, and puts them into the
    /// tree.
    fn hash_pending(&mut self) {
        let count = self.pending.len();
        let mut leaves = [[0; 32]; BATCH];
        let leaves = &mut leaves[..count];
        let mut records: [&[u8]; BATCH] = [&[]; BATCH];
        for (record, range) in records.iter_mut().zip(&self.pending) {
            *record = &self.buffer[range.clone()];
        }
        record_leaves(&records[..count], leaves);
        for (range, leaf) in self.pending.iter().zip(&*leaves) {
            set_check(&mut self.buffer, range.end, leaf);
        }
        self.tree.push_all(leaves);
        self.pending.clear();
    }

    #[cold]
    pub(super) fn flush(&mut self) -> Result<()> {
        self.hash_pending();
        (&*self.file)
            .write_all(&self.buffer)
            .map_err(Error::io("write", &self.path))?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// When it was closed, if it was.
    pub(super) fn closed(&self) -> Option<i64> {
        self.closed
    }

    /// Drops what a failed write left behind the last whole frame; the buffer has it still.
    pub(super) fn drop_partial_write(&mut self) -> Result<()> {
        let mut file = &*self.file;
        file.set_len(self.flushed)
            .and_then(|()| file.seek(SeekFrom::Start(self.flushed)))
            .map(|_| ())
            .map_err(Error::io("truncate", &self.path))
    }
}

fn staged(name: &str) -> String {
    format!("{name}.tmp")
}
