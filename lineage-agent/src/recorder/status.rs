//! What a recorder tells of itself while it records: a directory of its own below `/run/lineage`, which
//! `lineage status` reads.
//!
//! It is no evidence: nothing of it is signed, and it goes away with the recorder. The recorder keeps its
//! directory locked, so one that died is told from one that lives whatever became of its process id.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decisions::Decisions;
use crate::evidence::{
    error::Error as EvidenceError,
    escape::{escape, unescape},
    files::Dir,
};

use super::{control::SOCKET, digests::Digests, missing::Missing};

/// Where file systems keep what is about the time since boot (file-hierarchy(7)).
const RUN: &str = "/run";
const DIRECTORY: &str = "lineage";
const FILE: &str = "status.json";
/// The same while it is being written.
const STAGED: &str = "status.json.tmp";
/// How often a recorder makes its directory before it does without.
const OWN_TRIES: u32 = 10;
/// Largest file that is read.
const BYTES_MAX: u64 = 64 << 10;

/// How far a recording has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Process id of the recorder.
    pub pid: u32,
    /// When it began, in seconds since 1970 UTC.
    pub since: i64,
    /// The directory of the evidence, absolute, escaped as in the evidence.
    pub evidence: String,
    /// The directory of its keys, likewise.
    #[serde(default)]
    pub keys: String,
    /// Records so far, those of earlier sessions of the log included.
    pub records: u64,
    /// Events lost so far in this session.
    pub lost: u64,
    /// What else is not recorded.
    #[serde(default)]
    pub missing: Missing,
    /// What was decided so far in this session.
    #[serde(default)]
    pub decisions: Decisions,
    /// Processes that are recorded now.
    pub processes: u64,
    /// What is read for its digest; none when nothing waits to be read.
    pub reading: Option<Reading>,
}

/// Files that are read for their digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Files that are not read yet, the one below included.
    pub files: u64,
    /// Name of the largest that is being read, escaped.
    pub name: String,
    /// Bytes read of it.
    pub bytes: u64,
    /// Bytes it has.
    pub size: u64,
}

impl Reading {
    /// What the threads are at.
    pub(super) fn of(digests: &Digests) -> Option<Self> {
        let files = digests.waiting();
        let left = digests.left(files)?;
        Some(Self {
            files: files as u64,
            name: left.name,
            bytes: left.bytes,
            size: left.size,
        })
    }
}

impl Status {
    /// The directory of the evidence.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        path(&self.evidence)
    }

    /// The directory of its keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        path(&self.keys)
    }
}

fn path(escaped: &str) -> PathBuf {
    let bytes = unescape(escaped).unwrap_or_default();
    PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))
}

/// A path as it is told: absolute, escaped.
fn told_path(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    Some(escape(path.as_os_str().as_bytes()))
}

/// The place where a recorder tells its status, from begin to end.
#[derive(Debug)]
pub(super) struct Published {
    all: Dir,
    name: String,
    own: Dir,
    told: Status,
}

impl Published {
    /// Begins to tell; none where that is not possible, which recording does not depend on.
    pub(super) fn begin(evidence: &Path, keys: &Path) -> Option<Self> {
        let pid = std::process::id();
        let name = pid.to_string();
        let all = Dir::open(Path::new(RUN))
            .ok()?
            .make(DIRECTORY, 0o755)
            .ok()?;
        let own = Self::own(&all, &name)?;
        let told = Status {
            pid,
            since: Timestamp::now().as_second(),
            evidence: told_path(evidence)?,
            keys: told_path(keys)?,
            records: 0,
            lost: 0,
            missing: Missing::default(),
            decisions: Decisions::default(),
            processes: 0,
            reading: None,
        };
        let published = Self {
            all,
            name,
            own,
            told,
        };
        published.write();
        Some(published)
    }

    /// This recorder's directory, for it alone. Whoever asks has it for a moment, and may have taken one for
    /// what a dead recorder of the same process id left.
    fn own(all: &Dir, name: &str) -> Option<Dir> {
        for _ in 0..OWN_TRIES {
            // Others find the socket in it, if they know its name.
            let own = all.make(name, 0o711).ok()?;
            own.lock_waiting().ok()?;
            if all.child(name).ok()?.is_some_and(|there| there.is(&own)) {
                // A dead recorder of the same process id left it.
                let _ = own.remove(SOCKET);
                return Some(own);
            }
        }
        None
    }

    /// What was told last.
    pub(super) fn told(&self) -> &Status {
        &self.told
    }

    /// Tells how far it has come.
    pub(super) fn tell(&mut self, status: Status) {
        if status != self.told {
            self.told = status;
            self.write();
        }
    }

    /// Not made durable: nobody asks after the next boot. What cannot be written is told the next time.
    fn write(&self) {
        let (own, text) = (self.own.path(), serde_json::to_vec(&self.told));
        let Ok(text) = text else { return };
        let written = self
            .own
            .remove(STAGED)
            .and_then(|_| self.own.create(STAGED, 0o640))
            .is_ok_and(|mut file| file.write_all(&text).is_ok());
        if written {
            let _ = fs::rename(own.join(STAGED), own.join(FILE));
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // Whoever asks takes a directory that could not be removed for what a dead recorder left.
        let _ = self.own.remove(FILE);
        let _ = self.own.remove(STAGED);
        let _ = self.own.remove(SOCKET);
        let _ = self.all.remove_dir(&self.name);
    }
}

/// The directory of the recorder of this process id.
pub(super) fn directory_of(pid: u32) -> PathBuf {
    Path::new(RUN).join(DIRECTORY).join(pid.to_string())
}

/// What became of a recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it said last.
    pub status: Status,
    /// Whether it still runs. If not, it was killed, and what it left is not sealed.
    pub runs: bool,
}

/// What all recorders of this host tell, by process id. What a dead one left is removed once its evidence is
/// sealed, or gone.
///
/// # Errors
///
/// [`EvidenceError::Io`], also when that is not permitted.
pub fn told() -> Result<Vec<Told>, EvidenceError> {
    let Some(all) = Dir::open(Path::new(RUN))?.child(DIRECTORY)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for name in all.names()? {
        let own = match all.child(&name) {
            Ok(Some(own)) => own,
            Err(EvidenceError::Io { source, .. }) if is_denied(&source) => {
                return Err(EvidenceError::io("open", all.path().join(name))(source));
            }
            // What is no directory is nobody's.
            Ok(None) | Err(_) => continue,
        };
        let runs = own.lock_shared().is_err();
        let bytes = own.read(FILE, BYTES_MAX).ok().flatten();
        let bytes = bytes.unwrap_or_default();
        let status: Option<Status> = serde_json::from_slice(&bytes).ok();
        match status {
            Some(status) if runs || is_unsealed(&status.directory()) => {
                found.push(Told { status, runs });
            }
            // It has not told anything yet, and may be about to.
            None => {}
            Some(_) => {
                let _ = own.remove(FILE);
                let _ = own.remove(STAGED);
                let _ = own.remove(SOCKET);
                let _ = all.remove_dir(&name);
            }
        }
    }
    // Whoever goes on with a log completes it: nobody is to seal it meanwhile.
    let continued: Vec<String> = found
        .iter()
        .filter(|told| told.runs)
        .map(|told| told.status.evidence.clone())
        .collect();
    found.retain(|told| told.runs || !continued.contains(&told.status.evidence));
    found.sort_by_key(|told| told.status.pid);
    Ok(found)
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Whether evidence has records that are not sealed.
fn is_unsealed(evidence: &Path) -> bool {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    entries(evidence)
        .flat_map(|host| entries(&host.path().join("spool")))
        .any(|file| Path::new(&file.file_name()).extension() == Some("spool".as_ref()))
}
