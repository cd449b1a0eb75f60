//! Where things are in an evidence directory.

use std::path::Path;

use super::error::{Error, Result};
use super::files::Dir;
use super::origin::HostId;

/// Permission bits of evidence directories. Evidence names files, arguments and addresses: it is
/// the operator's to open it to others.
const MODE: u32 = 0o750;

/// The directory of one host, open for writing.
#[derive(Debug)]
pub struct HostDir {
    /// `host=<host id>`
    pub root: Dir,
    /// `events`
    pub events: Dir,
    /// `manifests`
    pub manifests: Dir,
    /// `blocks`
    pub blocks: Dir,
    /// `log`
    pub log: Dir,
    /// `log/checkpoints`
    pub checkpoints: Dir,
    /// `epochs`
    pub epochs: Dir,
    /// `artifacts`
    pub artifacts: Dir,
    /// `spool`; also where files are prepared.
    pub spool: Dir,
}

impl HostDir {
    /// Makes the directory of a host, which must not have one, and locks it.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], [`Error::Busy`], [`Error::Io`]
    pub fn create(evidence: &Path, host: HostId) -> Result<Self> {
        std::fs::create_dir_all(evidence).map_err(Error::io("create", evidence))?;
        let dir = Self::make(&Dir::open(evidence)?, host)?;
        dir.root.lock()?;
        // An interrupted creation may have left directories and keys' public files, no more.
        let used = [&dir.manifests, &dir.checkpoints]
            .into_iter()
            .try_fold(false, |used, part| {
                Ok::<_, Error>(used || !part.names()?.is_empty())
            })?;
        let spooled = dir
            .spool
            .names()?
            .iter()
            .any(|name| name.ends_with(".spool"));
        if used || spooled {
            return Err(Error::Exists(dir.root.path().to_owned()));
        }
        Ok(dir)
    }

    /// Opens the directory of a host for going on with its log, and locks it.
    ///
    /// # Errors
    ///
    /// [`Error::Absent`], [`Error::Busy`], [`Error::Io`]
    pub fn open(evidence: &Path, host: HostId) -> Result<Self> {
        let top = Dir::open(evidence)?;
        if top.child(&host.directory())?.is_none() {
            return Err(Error::Absent {
                path: evidence.to_owned(),
                host: host.to_string(),
            });
        }
        let dir = Self::make(&top, host)?;
        dir.root.lock()?;
        Ok(dir)
    }

    fn make(evidence: &Dir, host: HostId) -> Result<Self> {
        let root = evidence.make(&host.directory(), MODE)?;
        let log = root.make("log", MODE)?;
        Ok(Self {
            events: root.make("events", MODE)?,
            manifests: root.make("manifests", MODE)?,
            blocks: root.make("blocks", MODE)?,
            checkpoints: log.make("checkpoints", MODE)?,
            epochs: root.make("epochs", MODE)?,
            artifacts: root.make("artifacts", MODE)?,
            spool: root.make("spool", MODE)?,
            log,
            root,
        })
    }
}

/// Name of a segment's spool.
#[must_use]
pub fn spool_name(segment: u64) -> String {
    format!("{segment:010}.spool")
}

/// The segment a spool's name stands for.
#[must_use]
pub fn spool_segment(name: &str) -> Option<u64> {
    numbered(name.strip_suffix(".spool")?, 10)
}

/// Name of an epoch's file.
#[must_use]
pub fn epoch_name(epoch: u32) -> String {
    format!("{epoch:06}")
}

/// A number written with leading zeros to at least `digits` digits.
#[must_use]
pub fn numbered(name: &str, digits: usize) -> Option<u64> {
    let plain = name.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = (plain && name.len() >= digits).then(|| name.parse().ok())??;
    (format!("{number:0digits$}") == name).then_some(number)
}
