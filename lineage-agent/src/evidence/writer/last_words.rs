//! What is said when nothing more can be written: a disk that is full, a failed fsync.
//!
//! Space is kept for it, so that evidence says itself where it ends instead of just ending.

use rustix::fs::{FallocateFlags, fallocate};

use super::super::error::{Error, Result};
use super::super::layout::HostDir;
use super::super::schema::Record;
use super::Writer;

const RESERVE: &str = "reserve";

/// Room for a full buffer, the loss record and a commit.
const RESERVE_BYTES: u64 = 1 << 20;

/// Takes up space on the disk for later.
pub(super) fn make_reserve(dir: &HostDir) -> Result<()> {
    dir.spool.remove(RESERVE)?;
    let file = dir.spool.create(RESERVE, 0o600)?;
    fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES).or_else(|errno| {
        use rustix::io::Errno;
        if !matches!(errno, Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) {
            return Err(Error::io("reserve space in", dir.spool.path())(
                errno.into(),
            ));
        }
        // A file system that cannot reserve: write it.
        let bytes = vec![0; usize::try_from(RESERVE_BYTES).unwrap_or(0)];
        std::io::Write::write_all(&mut &file, &bytes)
            .map_err(Error::io("reserve space in", dir.spool.path()))
    })
}

/// Gives the space back.
pub(in super::super) fn remove_reserve(dir: &HostDir) -> Result<()> {
    dir.spool.remove(RESERVE).map(|_| ())
}

impl Writer {
    /// Ends the evidence because a document of it could not be stored elsewhere (see
    /// [`super::Artifacts`]): says so in it, as after an error of its own. Gives the error back.
    #[must_use]
    pub fn give_up(&mut self, error: Error) -> Error {
        self.failed(error)
    }

    /// Takes note of an error. One that is not about a single record ends the evidence: the last
    /// words are written and nothing else ever is.
    #[cold]
    pub(super) fn failed(&mut self, error: Error) -> Error {
        if matches!(error, Error::Record(_)) || self.given_up {
            return error;
        }
        self.given_up = true;
        self.threads.stop(&error);
        // What fails here has failed before: the caller gets the first error.
        let _ = self.last_words(&error);
        error
    }

    fn last_words(&mut self, error: &Error) -> Result<()> {
        remove_reserve(&self.dir)?;
        let now = self.clock.now();
        let time = self.time(now);
        if let Some(closed) = self.segment.closed() {
            let offset = self.segment.offset();
            self.begin_segment(self.signer.epoch(), closed.max(time), offset)?;
        } else {
            self.segment.drop_partial_write()?;
        }
        let what = if error.is_disk_full() {
            "no space left for evidence"
        } else {
            "evidence could not be written"
        };
        let detail = format!(r#"{{"what":"{what}, recording ended here"}}"#);
        let time = self.time(now);
        self.segment.append(&Record {
            seq: Some(self.segment.next_seq()),
            time: Some(time.div_euclid(1000)),
            time_ns: Some(time),
            kind: Some("evidence.loss"),
            origin: Some("agent"),
            detail: Some(&detail),
            ..Record::default()
        })?;
        // Nobody knows how many events follow that will not be recorded; it is not none.
        let mut counters = self.counters.clone();
        counters.dropped += 1;
        self.segment.commit(&self.signer, &counters, time, None)?;
        self.segment.sync()
    }
}
