//! The engine's end: the last frames, the files that are still read, the end of the lineages.

use std::time::{Duration, Instant};

use super::{COMMIT_EVERY, Finish, Finished, Missing, RecordError, Recording, Work, poll_error};

/// Longest the last frames are waited for without one: a probe run takes microseconds.
const LAST_FRAMES: Duration = Duration::from_secs(10);
/// How often it is looked for them.
const SETTLE_EVERY: Duration = Duration::from_millis(1);
/// Longest a look at the files that are still being read may wait for one.
const DIGEST_EVERY: Duration = Duration::from_millis(20);

impl Work {
    /// Counts what is not going to be recorded.
    fn give_up(&mut self) {
        let waiting = self.order.arrived.entries().len() as u64;
        if let Some(recording) = &mut self.recording {
            recording.unrecorded += self.reader.unread() + waiting;
        }
    }

    /// Records what is left, seals and closes.
    pub(super) fn finish(&mut self, finish: &Finish) -> Result<Finished, RecordError> {
        let mut reached = (None, Instant::now());
        loop {
            let (complete, more) = self.step()?;
            if complete.is_some_and(|time| time > finish.time_ns) {
                break;
            }
            if complete > reached.0 {
                reached = (complete, Instant::now());
            }
            if reached.1.elapsed() >= LAST_FRAMES {
                self.give_up();
                break;
            }
            if !more {
                self.reader.wait(SETTLE_EVERY).map_err(poll_error)?;
            }
        }
        self.finish_digests(finish)?;
        let counters = self.reader.counters();
        let cpus = (0..counters.cpus()).map(|cpu| counters.read(cpu));
        let mut missing = Missing::of(cpus, self.reader.malformed() + finish.misses);
        if let Some(recording) = &mut self.recording {
            missing.dropped += recording.unrecorded;
            recording.missing(&missing, true)?;
            recording.change_until(u64::MAX)?;
            let time_ns = recording.changes.not_before(finish.time_ns);
            for lineage in 0..recording.lineages {
                let Recording { fold, sink, .. } = recording;
                fold.end_lineage(lineage, time_ns, &finish.detail, sink)?;
            }
        }
        self.commit(finish.misses)?;
        let recording = self.recording.take().ok_or(RecordError::Engine)?;
        let decisions = recording.sink.decisions;
        let summary = recording.sink.writer.close(finish.reason)?;
        Ok(Finished {
            summary,
            missing,
            decisions,
        })
    }

    /// Waits for the files that are being read, up to a limit; the rest is recorded as not read.
    fn finish_digests(&mut self, finish: &Finish) -> Result<(), RecordError> {
        let started = Instant::now();
        let mut files = None;
        loop {
            let Some(recording) = &mut self.recording else {
                return Ok(());
            };
            recording.tend()?;
            let Some(digests) = &mut recording.sink.digests else {
                return Ok(());
            };
            let files = *files.get_or_insert(digests.waiting());
            if self.watched.is_hurried()
                || started.elapsed() >= finish.wait
                || !digests.wait(DIGEST_EVERY)
            {
                digests.end();
                self.watched.set(None);
                return Ok(recording.digests()?);
            }
            self.watched.set(digests.left(files));
            if self.committed.elapsed() >= COMMIT_EVERY {
                self.commit(finish.misses)?;
            }
        }
    }
}
