//! Sealing: from a complete spool to segment, manifest, log and checkpoint, step by step.
//!
//! Every byte written follows from the spool and the keys, and nothing is replaced, so any step can
//! be repeated after a crash and never gives a second version of anything.

mod parquet;
mod readback;

pub use readback::Sum;

use std::sync::Arc;

use super::checkpoint::{Checkpoint, Commit, Seal};
use super::counters::{Counters, INLINE_BYTES_MAX};
use super::error::{Error, Result};
use super::keys::LogKeys;
use super::layout::{HostDir, spool_name};
use super::log::{LogWriter, remove_partials};
use super::manifest::{Cpus, Head, MANIFEST_BYTES_MAX, Manifest, ParquetFile, Reason};
use super::segment::segment_name;
use super::tally::Tally;
use super::text::hex;
use super::tree::{Hash, Hashing as _, Log};

/// The points between which a crash can leave a seal; see `docs/evidence-format.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The spool with its last commit is durable.
    Spool,
    /// The Parquet file is durable under its temporary name.
    Parquet,
    /// The block roots are in place.
    Blocks,
    /// The manifest is in place: the intent.
    Manifest,
    /// The Parquet file has its name.
    Publish,
    /// The tiles are in place.
    Tiles,
    /// The checkpoint of this size is in place.
    Checkpoint,
    /// The newest checkpoint is this one.
    Newest,
    /// The epoch's key is erased, if the epoch ended.
    Keys,
    /// The spool is gone.
    Done,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Spool,
        Self::Parquet,
        Self::Blocks,
        Self::Manifest,
        Self::Publish,
        Self::Tiles,
        Self::Checkpoint,
        Self::Newest,
        Self::Keys,
        Self::Done,
    ];
}

/// Is told of every step as it is completed: how tests crash between any two.
pub trait Steps: Send + Sync {
    /// `step` of sealing `segment` is complete.
    fn reached(&self, segment: u64, step: Step);
}

/// Nobody to tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSteps;

impl Steps for NoSteps {
    fn reached(&self, _segment: u64, _step: Step) {}
}

/// A segment to seal.
#[derive(Debug, Clone)]
pub struct SealJob {
    /// The head, as in the spool.
    pub head: Head,
    /// The last commit of the spool, over all its records.
    pub commit: Commit,
    /// How the segment ends.
    pub seal: Seal,
    /// Roots of its blocks.
    pub blocks: Vec<Hash>,
    /// What the manifest says about its records.
    pub tally: Tally,
    /// The sum of its records, if they were written by this process.
    pub sum: Option<Sum>,
    /// Bytes of the spool that are not used.
    pub discarded: u64,
}

/// Seals segments of one log in their order.
pub struct Sealer {
    dir: Arc<HostDir>,
    keys: Arc<LogKeys>,
    log: LogWriter,
    previous: Hash,
    steps: Arc<dyn Steps>,
}

impl Sealer {
    /// Seals for a log that has the manifests its newest checkpoint covers.
    #[must_use]
    pub fn new(
        dir: Arc<HostDir>,
        keys: Arc<LogKeys>,
        log: LogWriter,
        previous: Hash,
        steps: Arc<dyn Steps>,
    ) -> Self {
        Self {
            dir,
            keys,
            log,
            previous,
            steps,
        }
    }

    /// Segments sealed.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.log.size()
    }

    /// Root of the log.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.log.root()
    }

    /// Seals the next segment.
    ///
    /// # Errors
    ///
    /// [`Error`]; the spool is then still there and the seal can be repeated.
    pub fn seal(&mut self, job: &SealJob) -> Result<Manifest> {
        let result = self.seal_steps(job);
        if result.is_err() {
            // Half a Parquet file is only in the way, not least of a full disk.
            let name = segment_name(job.head.segment);
            if !self.dir.manifests.has(&name).unwrap_or(true) {
                let _ = self.dir.spool.remove(&parquet::temporary(job.head.segment));
            }
        }
        result
    }

    fn seal_steps(&mut self, job: &SealJob) -> Result<Manifest> {
        let segment = job.head.segment;
        self.sync_spools(segment)?;
        self.reached(segment, Step::Spool);
        let manifest = self.intent(job)?;
        let text = manifest.text();
        if let Some(file) = &manifest.parquet {
            self.publish(job, file)?;
        }
        self.reached(segment, Step::Publish);
        let leaf = Log::leaf(text.as_bytes());
        let full = self.log.append(leaf, &self.dir.log, &self.dir.spool)?;
        self.reached(segment, Step::Tiles);
        self.checkpoint(&manifest)?;
        for (level, index) in full {
            remove_partials(&self.dir.log, level, index)?;
        }
        self.previous = *blake3::hash(text.as_bytes()).as_bytes();
        match manifest.reason {
            Reason::EpochEnd => self.keys.finish_epoch(manifest.head.epoch)?,
            Reason::Shutdown => self.keys.finish_log()?,
            _ => {}
        }
        self.reached(segment, Step::Keys);
        self.dir.spool.remove(&spool_name(segment))?;
        self.dir.spool.sync()?;
        self.reached(segment, Step::Done);
        Ok(manifest)
    }

    /// Makes durable what the next steps rely on: this spool, and the header of the next.
    fn sync_spools(&self, segment: u64) -> Result<()> {
        for name in [spool_name(segment), spool_name(segment + 1)] {
            if let Some(file) = self.dir.spool.open_file(&name, u64::MAX)? {
                file.sync_data()
                    .map_err(Error::io("sync", self.dir.spool.path().join(name)))?;
            }
        }
        self.dir.spool.sync()
    }

    /// The manifest: the one an interrupted seal left, or a new one with its Parquet file.
    fn intent(&self, job: &SealJob) -> Result<Manifest> {
        let name = segment_name(job.head.segment);
        let present = self.dir.manifests.read(&name, MANIFEST_BYTES_MAX as u64)?;
        if let Some(bytes) = present {
            let path = self.dir.manifests.path().join(&name);
            let manifest = Manifest::parse(&bytes).map_err(|source| Error::Malformed {
                path: path.clone(),
                source,
            })?;
            let mut head = job.head.clone();
            head.previous = self.previous;
            if manifest.head != head || manifest.root != job.commit.root {
                return Err(Error::Conflict(path));
            }
            return Ok(manifest);
        }
        let parquet = self.write_parquet(job)?;
        self.reached(job.head.segment, Step::Parquet);
        if job.blocks.len() > 1 {
            self.dir
                .blocks
                .put(&name, &job.blocks.concat(), &self.dir.spool)?;
        }
        self.reached(job.head.segment, Step::Blocks);
        let manifest = self.manifest(job, parquet)?;
        let text = manifest.text();
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(Error::TooLarge {
                path: self.dir.manifests.path().join(&name),
                bytes: text.len() as u64,
                bytes_max: MANIFEST_BYTES_MAX as u64,
            });
        }
        self.dir
            .manifests
            .put(&name, text.as_bytes(), &self.dir.spool)?;
        self.reached(job.head.segment, Step::Manifest);
        Ok(manifest)
    }

    fn manifest(&self, job: &SealJob, parquet: Option<ParquetFile>) -> Result<Manifest> {
        let tally = &job.tally;
        let mut head = job.head.clone();
        head.previous = self.previous;
        Ok(Manifest {
            head,
            closed: job.seal.closed,
            wall_offset: job.seal.wall_offset,
            count: job.commit.count,
            root: job.commit.root,
            times: tally.times(),
            lineages: tally.lineages(),
            contexts: tally.contexts(),
            dropped: job.commit.counters.dropped,
            cpus: self.cpus(&job.commit.counters)?,
            discarded: job.discarded,
            reason: job.seal.reason,
            parquet,
        })
    }

    fn cpus(&self, counters: &Counters) -> Result<Cpus> {
        let lines = counters.lines();
        if lines.len() <= INLINE_BYTES_MAX {
            return Ok(Cpus::Inline(counters.cpus.clone()));
        }
        put_artifact(&self.dir, lines.as_bytes()).map(Cpus::Artifact)
    }

    fn checkpoint(&self, manifest: &Manifest) -> Result<()> {
        let origin = self.keys.origin().to_string();
        let size = self.log.size();
        let name = size.to_string();
        let text = Checkpoint {
            origin: &origin,
            size,
            root: self.log.root(),
        }
        .text();
        // The epoch's key may be erased already when this seal was interrupted late.
        let present = self.dir.checkpoints.read(&name, 65_536)?;
        let note = match present {
            Some(note) => {
                if !note.starts_with(text.as_bytes()) {
                    return Err(Error::Conflict(self.dir.checkpoints.path().join(name)));
                }
                note
            }
            None => {
                let signer = self.keys.signer(manifest.head.epoch)?;
                let note = signer.sign_checkpoint(&text).into_bytes();
                self.dir.checkpoints.put(&name, &note, &self.dir.spool)?;
                note
            }
        };
        self.reached(manifest.head.segment, Step::Checkpoint);
        self.dir.log.replace("checkpoint", &note, &self.dir.spool)?;
        self.reached(manifest.head.segment, Step::Newest);
        Ok(())
    }

    fn reached(&self, segment: u64, step: Step) {
        self.steps.reached(segment, step);
    }
}

/// Stores an artifact under its digest.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Conflict`]
pub fn put_artifact(dir: &HostDir, bytes: &[u8]) -> Result<Hash> {
    let digest = *blake3::hash(bytes).as_bytes();
    dir.artifacts.put(&hex(&digest), bytes, &dir.spool)?;
    Ok(digest)
}
