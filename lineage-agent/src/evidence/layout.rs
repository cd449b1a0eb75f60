//! Where things are in an evidence directory.

use std::path::Path;

use super::error::{Error, Result};
use super::files::Dir;
use super::origin::HostId;
use super::text::hex;
use super::tree::Hash;

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
        let root = Dir::open(evidence)?.make(&host.directory(), MODE)?;
        root.lock()?;
        let path = root.path().to_owned();
        let dir = Self::make(root).inspect_err(|_| remove_empty(&path))?;
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
    /// [`Error::Absent`], [`Error::OtherHost`], [`Error::Busy`], [`Error::Io`]
    pub fn open(evidence: &Path, host: HostId) -> Result<Self> {
        let top = Dir::open(evidence)?;
        let Some(root) = top.child(&host.directory())? else {
            return Err(no_such_host(&top, host));
        };
        root.lock()?;
        Self::make(root)
    }

    /// Removes the directory of a host, which no log has begun in. It must be one that
    /// [`HostDir::create`] gave, so that nobody else has written to it; what cannot be removed stays.
    pub fn remove(&self) {
        let _ = std::fs::remove_dir_all(self.root.path());
    }

    fn make(root: Dir) -> Result<Self> {
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

/// Removes what there is of a host's directory, as far as it is empty.
fn remove_empty(root: &Path) {
    let parts = [
        "log/checkpoints",
        "log",
        "events",
        "manifests",
        "blocks",
        "epochs",
        "artifacts",
        "spool",
        "",
    ];
    for part in parts {
        let _ = std::fs::remove_dir(root.join(part));
    }
}

/// Why a host has no directory in this one: there is no evidence at all, or only that of others.
fn no_such_host(evidence: &Dir, host: HostId) -> Error {
    let path = evidence.path().to_owned();
    let names = evidence.names().unwrap_or_default();
    match names.iter().find_map(|name| host_of(name)) {
        Some(other) => Error::OtherHost {
            path,
            host: other.to_string(),
        },
        None => Error::Absent {
            path,
            host: host.to_string(),
        },
    }
}

/// The host whose directory has this name.
#[must_use]
pub fn host_of(name: &str) -> Option<HostId> {
    name.strip_prefix("host=")?.parse().ok()
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

/// The newest checkpoint.
pub const CHECKPOINT: &str = "log/checkpoint";

/// The promise of the epoch keys.
pub const ENROLMENT: &str = "epochs/enrolment";

/// An epoch's key.
#[must_use]
pub fn epoch_path(epoch: u32) -> String {
    format!("epochs/{}", epoch_name(epoch))
}

/// A segment's manifest.
#[must_use]
pub fn manifest_path(segment: u64) -> String {
    format!("manifests/{segment:010}")
}

/// The checkpoint of a tree size.
#[must_use]
pub fn checkpoint_path(size: u64) -> String {
    format!("log/checkpoints/{size}")
}

/// What witnesses signed of a tree size.
#[must_use]
pub fn cosignatures_path(size: u64) -> String {
    format!("log/cosignatures/{size}")
}

/// A document by its digest.
#[must_use]
pub fn artifact_path(digest: &Hash) -> String {
    format!("artifacts/{}", hex(digest))
}
