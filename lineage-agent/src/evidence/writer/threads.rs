//! The two threads behind a writer: one makes commits durable, one seals.
//!
//! The first failure of either stops everything: after a failed fsync nobody knows what the disk
//! holds, so nothing more is promised.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::super::error::{Error, Result};
use super::super::seal::{SealJob, Sealer};
use super::super::tree::Hash;

/// Handles on the threads.
pub(super) struct Threads {
    failure: Arc<Failure>,
    syncs: Option<Sender<Arc<File>>>,
    seals: Option<Sender<SealJob>>,
    syncing: Option<JoinHandle<()>>,
    sealing: Option<JoinHandle<Sealer>>,
}

/// The first failure, if any.
#[derive(Default)]
struct Failure {
    happened: AtomicBool,
    reason: Mutex<Option<Error>>,
}

impl Failure {
    fn set(&self, error: Error) {
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.get_or_insert(error);
        self.happened.store(true, Ordering::Release);
    }

    fn take(&self) -> Error {
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        match reason.take() {
            Some(error) => {
                *reason = Some(Error::Stopped(error.to_string()));
                error
            }
            None => Error::Stopped("a thread of the writer ended".to_owned()),
        }
    }
}

impl Threads {
    pub(super) fn spawn(mut sealer: Sealer) -> Result<Self> {
        let failure = Arc::new(Failure::default());
        let (syncs, sync_jobs) = channel();
        let (seals, seal_jobs) = channel::<SealJob>();
        let spawn = |error| Error::io("start a thread for", "evidence")(error);
        let shared = Arc::clone(&failure);
        let syncing = std::thread::Builder::new()
            .name("evidence-sync".to_owned())
            .spawn(move || sync_all(&sync_jobs, &shared))
            .map_err(spawn)?;
        let shared = Arc::clone(&failure);
        let sealing = std::thread::Builder::new()
            .name("evidence-seal".to_owned())
            .spawn(move || {
                for job in seal_jobs {
                    if let Err(error) = sealer.seal(&job) {
                        shared.set(error);
                        break;
                    }
                }
                sealer
            })
            .map_err(spawn)?;
        Ok(Self {
            failure,
            syncs: Some(syncs),
            seals: Some(seals),
            syncing: Some(syncing),
            sealing: Some(sealing),
        })
    }

    /// Returns the failure of a thread, if one has failed.
    #[inline]
    pub(super) fn check(&self) -> Result<()> {
        if self.failure.happened.load(Ordering::Relaxed) {
            return Err(self.failure.take());
        }
        Ok(())
    }

    /// Makes everything that is still tried fail with this error.
    pub(super) fn stop(&self, error: &Error) {
        self.failure.set(Error::Stopped(error.to_string()));
    }

    /// Starts making a file's contents durable.
    pub(super) fn sync(&self, file: Arc<File>) {
        if let Some(syncs) = &self.syncs {
            // A thread that ended has set the failure.
            let _ = syncs.send(file);
        }
    }

    /// Queues a segment for sealing.
    pub(super) fn seal(&self, job: SealJob) -> Result<()> {
        let sent = self
            .seals
            .as_ref()
            .is_some_and(|seals| seals.send(job).is_ok());
        if sent {
            self.check()
        } else {
            Err(self.failure.take())
        }
    }

    /// Waits for everything queued; returns the size and the root of the log.
    pub(super) fn finish(mut self) -> Result<(u64, Hash)> {
        self.syncs = None;
        self.seals = None;
        let synced = self.syncing.take().map(JoinHandle::join);
        let sealed = self.sealing.take().map(JoinHandle::join);
        self.check()?;
        match (synced, sealed) {
            (Some(Ok(())), Some(Ok(sealer))) => Ok((sealer.size(), sealer.root())),
            _ => Err(self.failure.take()),
        }
    }
}

impl Drop for Threads {
    /// Waits for what is queued: a seal is not to be torn apart by the program's end.
    fn drop(&mut self) {
        self.syncs = None;
        self.seals = None;
        let _ = self.syncing.take().map(JoinHandle::join);
        let _ = self.sealing.take().map(JoinHandle::join);
    }
}

/// Syncs files as they come; of several waiting requests for the same file one is enough.
fn sync_all(jobs: &Receiver<Arc<File>>, failure: &Failure) {
    while let Ok(file) = jobs.recv() {
        let mut files = vec![file];
        for file in jobs.try_iter() {
            if !files.iter().any(|known| Arc::ptr_eq(known, &file)) {
                files.push(file);
            }
        }
        for file in files {
            if let Err(error) = file.sync_data() {
                failure.set(Error::io("sync", "the spool")(error));
                return;
            }
        }
    }
}
