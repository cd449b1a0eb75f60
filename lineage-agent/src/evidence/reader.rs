//! Reading evidence: files of a host by what they are, and records in order.
//!
//! Everything read is foreign: sizes are bounded, links are not followed, nothing is believed. What
//! is proven is for `verify` to say; this only finds and parses.

mod records;

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

use super::checkpoint::Checkpoint;
use super::digest;
use super::error::{Error, Result};
use super::files::Dir;
use super::layout::{
    artifact_path, checkpoint_path, epoch_name, host_of, numbered, spool_name, spool_segment,
};
use super::log::tile_path;
use super::manifest::{MANIFEST_BYTES_MAX, Manifest, ParquetFile};
use super::note::{NOTE_BYTES_MAX, Note};
use super::origin::HostId;
use super::schema::Record;
use super::segment::{PARQUET_BYTES_MAX, segment_name};
use super::spool::FrameReader;
use super::text::{TextError, hex};
use super::tree::{BLOCK_RECORDS, Hash};

/// What to say of a directory without any host.
pub const NO_HOST: &str = "no directory host=… here: is it the directory above or below?";

/// Most hosts in one evidence directory.
pub const HOSTS_MAX: usize = 65_536;

/// Largest artifact read.
pub const ARTIFACT_BYTES_MAX: u64 = 16 << 20;

/// Largest spool read: a full one, and the records that arrive until it is sealed.
pub const SPOOL_BYTES_MAX: u64 = 1 << 30;

/// An evidence directory: hosts side by side.
#[derive(Debug)]
pub struct Evidence {
    hosts: Vec<Host>,
}

impl Evidence {
    /// Finds the hosts in a directory, in order of their ids. None is not an error.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it cannot be listed.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = Dir::open(path)?;
        let mut hosts = Vec::new();
        for name in dir.names()? {
            if let Some(id) = host_of(&name) {
                if hosts.len() == HOSTS_MAX {
                    return Err(Error::TooLarge {
                        path: path.to_owned(),
                        bytes: HOSTS_MAX as u64 + 1,
                        bytes_max: HOSTS_MAX as u64,
                    });
                }
                if let Some(dir) = dir.child(&name)? {
                    hosts.push(Host { id, dir });
                }
            }
        }
        Ok(Self { hosts })
    }

    /// The hosts.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The hosts, each to be read by its own thread.
    #[must_use]
    pub fn into_hosts(self) -> Vec<Host> {
        self.hosts
    }

    /// Calls `visit` with every record, host by host, in order of `seq`: what is sealed, then what
    /// is in spools. Evidence that contradicts itself gives what can be read up to there.
    ///
    /// # Errors
    ///
    /// [`Error`] of the first file that cannot be read; records before it have been visited.
    pub fn records<B>(
        &self,
        mut visit: impl FnMut(HostId, &Record<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        for host in &self.hosts {
            if let Some(value) = host.records(|record| visit(host.id, record))? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

/// The evidence of one host.
#[derive(Debug)]
pub struct Host {
    id: HostId,
    dir: Dir,
}

impl Host {
    /// The host's id, as its directory has it.
    #[must_use]
    pub fn id(&self) -> HostId {
        self.id
    }

    /// The host's directory, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The newest checkpoint's note.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::TooLarge`], as all of these; absence is `None`.
    pub fn checkpoint(&self) -> Result<Option<Vec<u8>>> {
        self.read(&["log"], "checkpoint", NOTE_BYTES_MAX as u64)
    }

    /// How many segments the log has by its newest checkpoint, and its root; nothing of this is proven.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`]; [`Error::Malformed`] when it is no checkpoint.
    pub fn log_head(&self) -> Result<Option<(u64, Hash)>> {
        let note = self.checkpoint()?;
        note.map(|note| self.head("log/checkpoint", &note))
            .transpose()
    }

    /// The root of the log when it had so many segments, by the checkpoint of then.
    ///
    /// # Errors
    ///
    /// As [`Host::log_head`].
    pub fn log_root_of(&self, size: u64) -> Result<Option<Hash>> {
        let note = self.checkpoint_of(size)?;
        let head = note
            .map(|note| self.head(&checkpoint_path(size), &note))
            .transpose()?;
        Ok(head.filter(|head| head.0 == size).map(|head| head.1))
    }

    fn head(&self, path: &str, note: &[u8]) -> Result<(u64, Hash)> {
        let malformed = |source| Error::Malformed {
            path: self.path().join(path),
            source,
        };
        let no_note = TextError {
            line: 1,
            reason: "not a signed note",
        };
        let note = Note::parse(note).map_err(|_| malformed(no_note))?;
        let checkpoint = Checkpoint::parse(note.text).map_err(malformed)?;
        Ok((checkpoint.size, checkpoint.root))
    }

    /// The checkpoint's note of a tree size.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`].
    pub fn checkpoint_of(&self, size: u64) -> Result<Option<Vec<u8>>> {
        let name = size.to_string();
        self.read(&["log", "checkpoints"], &name, NOTE_BYTES_MAX as u64)
    }

    /// Witnesses' signature lines over the checkpoint of a tree size.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`].
    pub fn cosignatures_of(&self, size: u64) -> Result<Option<Vec<u8>>> {
        let name = size.to_string();
        self.read(&["log", "cosignatures"], &name, NOTE_BYTES_MAX as u64)
    }

    /// A tile of the log.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`].
    pub fn tile(&self, level: usize, index: u64, width: u64) -> Result<Option<Vec<u8>>> {
        let (mut path, name) = tile_path(level, index, width);
        path.insert(0, "log".to_owned());
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.read(&path, &name, 8192)
    }

    /// The note of the enrolment.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`].
    pub fn enrolment(&self) -> Result<Option<Vec<u8>>> {
        self.read(&["epochs"], "enrolment", NOTE_BYTES_MAX as u64)
    }

    /// The file of an epoch.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`].
    pub fn epoch(&self, epoch: u32) -> Result<Option<Vec<u8>>> {
        let name = epoch_name(epoch);
        self.read(&["epochs"], &name, NOTE_BYTES_MAX as u64)
    }

    /// The bytes of a manifest.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`].
    pub fn manifest_bytes(&self, segment: u64) -> Result<Option<Vec<u8>>> {
        let name = segment_name(segment);
        self.read(&["manifests"], &name, MANIFEST_BYTES_MAX as u64)
    }

    /// A manifest.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`], and [`Error::Malformed`].
    pub fn manifest(&self, segment: u64) -> Result<Option<Manifest>> {
        let Some(bytes) = self.manifest_bytes(segment)? else {
            return Ok(None);
        };
        Manifest::parse(&bytes)
            .map(Some)
            .map_err(|source| Error::Malformed {
                path: self.path().join("manifests").join(segment_name(segment)),
                source,
            })
    }

    /// Segments that have a manifest, ascending.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn manifests(&self) -> Result<Vec<u64>> {
        let names = self.names(&["manifests"])?;
        Ok(names.iter().filter_map(|name| numbered(name, 10)).collect())
    }

    /// The block roots of a segment of this many records.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`].
    pub fn blocks(&self, segment: u64, records: u64) -> Result<Option<Vec<u8>>> {
        let bytes_max = records.div_ceil(BLOCK_RECORDS).saturating_mul(32);
        self.read(&["blocks"], &segment_name(segment), bytes_max)
    }

    /// An artifact.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`]; [`Error::Altered`] when it is not what its name says.
    pub fn artifact(&self, digest: &Hash) -> Result<Option<Vec<u8>>> {
        let bytes = self.read(&["artifacts"], &hex(digest), ARTIFACT_BYTES_MAX)?;
        match bytes {
            Some(bytes) if digest::of(&bytes) != *digest => {
                Err(Error::Altered(self.path().join(artifact_path(digest))))
            }
            bytes => Ok(bytes),
        }
    }

    /// An artifact that a record or another artifact names, which must be there.
    ///
    /// # Errors
    ///
    /// As [`Host::artifact`]; [`Error::Incomplete`] when it is not there.
    pub fn named_artifact(&self, digest: &Hash) -> Result<Vec<u8>> {
        self.artifact(digest)?.ok_or_else(|| Error::Incomplete {
            path: self.path().to_owned(),
            missing: artifact_path(digest),
        })
    }

    /// The Parquet file a manifest names.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`]; a path that leads out of `events/` is [`Error::Conflict`].
    pub fn parquet(&self, file: &ParquetFile) -> Result<Option<File>> {
        let parts: Vec<&str> = file.path.split('/').collect();
        let [events @ "events", date, name] = parts[..] else {
            return Err(Error::Conflict(self.path().join(&file.path)));
        };
        match self.directory(&[events, date])? {
            Some(dir) => dir.open_file(name, PARQUET_BYTES_MAX),
            None => Ok(None),
        }
    }

    /// Segments that have a spool, ascending.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn spools(&self) -> Result<Vec<u64>> {
        let names = self.names(&["spool"])?;
        Ok(names
            .iter()
            .filter_map(|name| spool_segment(name))
            .collect())
    }

    /// A spool's frames, each checked.
    ///
    /// # Errors
    ///
    /// As [`Host::checkpoint`].
    pub fn spool(&self, segment: u64) -> Result<Option<FrameReader<File>>> {
        match self.directory(&["spool"])? {
            Some(dir) => Ok(dir
                .open_file(&spool_name(segment), SPOOL_BYTES_MAX)?
                .map(FrameReader::new)),
            None => Ok(None),
        }
    }

    /// Names in a directory below the host's; none when it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn names(&self, path: &[&str]) -> Result<Vec<String>> {
        match self.directory(path)? {
            Some(dir) => dir.names(),
            None => Ok(Vec::new()),
        }
    }

    /// A file by its path below the host's directory.
    pub(in crate::evidence) fn file(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>> {
        let mut parts: Vec<&str> = path.split('/').collect();
        let name = parts.pop().unwrap_or_default();
        self.read(&parts, name, bytes_max)
    }

    fn directory(&self, path: &[&str]) -> Result<Option<Dir>> {
        let mut dir = self.dir.again()?;
        for name in path {
            match dir.child(name)? {
                Some(child) => dir = child,
                None => return Ok(None),
            }
        }
        Ok(Some(dir))
    }

    fn read(&self, path: &[&str], name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>> {
        match self.directory(path)? {
            Some(dir) => dir.read(name, bytes_max),
            None => Ok(None),
        }
    }
}
