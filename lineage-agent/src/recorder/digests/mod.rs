//! Which files are read for their digest, each version once, and what of that is recorded.
//!
//! Between the fold, which tells of every file executed or opened, and the threads that read them.
//! Everything kept is bounded. What finds no room is recorded as that.

mod known;
mod patterns;
#[cfg(test)]
mod tests;
mod watched;
mod words;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rustix::fs::FileType;

use super::RecordError;
use crate::clock::{Clock as _, SystemClock};
use crate::evidence::escape::unescape;
use crate::evidence::text::hex;
use crate::host::digest::{
    FILE_BYTES_MAX, Found, Held, Identity, Outcome, Pool, Reason, Wanted, tick_ns,
};
use crate::lineage::files::{FileSeen, Purpose};
use crate::lineage::fold::Digest;
use known::{Asked, Known};
use patterns::Patterns;

pub(super) use watched::Watched;

/// Most files that wait to be read.
const WAITING_MAX: usize = 1 << 14;

/// Most bytes of their paths.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// What to read, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Further patterns of names or paths.
    pub patterns: Vec<String>,
    /// How long the end of a recording waits.
    pub wait: Duration,
}

/// How far the reading has come that the end of a recording waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Files there were to read when the waiting began.
    pub files: usize,
    /// Of these, the one that is being read, from 1.
    pub file: usize,
    /// Its name, escaped.
    pub name: String,
    /// Bytes read of it.
    pub bytes: u64,
    /// Bytes it has.
    pub size: u64,
}

/// The digests of one recording.
#[derive(Debug)]
pub(super) struct Digests {
    patterns: Patterns,
    pool: Option<Pool>,
    known: Known,
    waiting: HashMap<u64, Waiting>,
    /// Bytes of the paths of those.
    text_bytes: usize,
    decided: VecDeque<Decided>,
    next_ticket: u64,
    tick_ns: i64,
}

/// A file that is going to be read.
#[derive(Debug)]
struct Waiting {
    identity: Identity,
    path: Box<str>,
    recent: bool,
    /// The records that asked for it, each of another lineage, with it.
    askers: Vec<Asker>,
    /// Whether it is not known that it is wanted.
    perhaps: bool,
}

#[derive(Debug, Clone, Copy)]
struct Asker {
    lineage: u32,
    seq: u64,
}

/// Something to record.
#[derive(Debug)]
pub(super) struct Decided {
    asker: Asker,
    identity: Identity,
    path: Box<str>,
    time_ns: u64,
    content: Option<String>,
    detail: Option<String>,
}

impl Decided {
    /// For the fold.
    pub(super) fn as_digest(&self) -> Digest<'_> {
        Digest {
            lineage: self.asker.lineage,
            cause: self.asker.seq,
            time_ns: self.time_ns,
            path: &self.path,
            dev: self.identity.dev,
            ino: self.identity.ino,
            version: self.identity.version,
            content: self.content.as_deref(),
            detail: self.detail.as_deref(),
        }
    }
}

impl Digests {
    /// Starts the threads.
    pub(super) fn start(request: &Request) -> Result<Self, RecordError> {
        let pool = Pool::start().map_err(|source| RecordError::System {
            what: "start a thread",
            source,
        })?;
        Ok(Self {
            patterns: Patterns::new(&request.patterns),
            pool: Some(pool),
            known: Known::default(),
            waiting: HashMap::new(),
            text_bytes: 0,
            decided: VecDeque::new(),
            next_ticket: 0,
            tick_ns: tick_ns(),
        })
    }

    /// A file was executed, opened or mapped.
    pub(super) fn seen(&mut self, file: &FileSeen<'_>) {
        let held = match file.purpose {
            Purpose::Program => Held::Program,
            Purpose::Script { fd } => Held::Descriptor(fd),
            Purpose::Open { fd, flags } => {
                if !flags.reads() {
                    return;
                }
                if !self.is_wanted(file) {
                    self.look_at(file, Held::Descriptor(fd));
                    return;
                }
                Held::Descriptor(fd)
            }
            Purpose::Mapped { at, runs } => {
                if !runs && !self.is_wanted(file) {
                    return;
                }
                Held::Mapping(at)
            }
        };
        // A directory has no content to name, and many are called like a script.
        let file_type = FileType::from_raw_mode(file.mode);
        if file_type == FileType::Directory {
            return;
        }
        let (identity, asker) = asked_by(file);
        let recent = self.is_recent(file);
        match self.known.ask(&identity, file.lineage, self.has_room()) {
            Asked::Told => {}
            Asked::Waits(ticket) => {
                if let Some(waiting) = self.waiting.get_mut(&ticket) {
                    waiting.askers.push(asker);
                }
            }
            Asked::Is(found, before) => {
                let path = file.shown.into();
                let recent = recent || before;
                self.decide(asker, identity, path, recent, &Ok(found), now_ns());
            }
            Asked::New => match self.refused(file, file_type) {
                None => {
                    let ticket = self.want(file, held, (identity, recent), asker, None);
                    if let Some(ticket) = ticket {
                        self.known.waits(identity, file.lineage, ticket);
                    }
                }
                Some(reason) => {
                    self.known.failed(identity, file.lineage, reason.word());
                    let path = file.shown.into();
                    self.decide(asker, identity, path, recent, &Err(reason), now_ns());
                }
            },
        }
    }

    /// Has a file read if it is the script its process was given: if the script's name leads to it.
    fn look_at(&mut self, file: &FileSeen<'_>, held: Held) {
        let file_type = FileType::from_raw_mode(file.mode);
        let Some(name) = file.perhaps.and_then(unescape) else {
            return;
        };
        // Most of these are not read: they do not take the room of those that will be.
        if self.refused(file, file_type).is_some() || self.waiting.len() >= WAITING_MAX / 2 {
            return;
        }
        let (identity, asker) = asked_by(file);
        if self.known.is_told(&identity, file.lineage) {
            return;
        }
        let recent = self.is_recent(file);
        self.want(file, held, (identity, recent), asker, Some(name.into()));
    }

    /// Whether a file is wanted for its name, or for what it was recognised as.
    fn is_wanted(&self, file: &FileSeen<'_>) -> bool {
        file.asked || self.patterns.matches(file.shown)
    }

    /// Why a file is not even looked for.
    fn refused(&self, file: &FileSeen<'_>, file_type: FileType) -> Option<Reason> {
        if file_type != FileType::RegularFile {
            Some(Reason::NotRegular)
        } else if words::is_made_up(file.fs_magic) {
            Some(Reason::MadeUp)
        } else if file.version.size > FILE_BYTES_MAX {
            Some(Reason::TooLarge)
        } else if self.pool.is_none() {
            Some(Reason::Stuck)
        } else if !self.has_room() {
            Some(Reason::QueueFull)
        } else {
            None
        }
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX && self.text_bytes < TEXT_BYTES_MAX
    }

    /// Whether the file's last change is so near that another one in the same tick would not show.
    fn is_recent(&self, file: &FileSeen<'_>) -> bool {
        let age = file.time_ns.saturating_sub(file.version.ctime_ns);
        age < self.tick_ns.saturating_mul(2)
    }

    /// Hands a file over, to be read only if this name leads to it when one is given.
    fn want(
        &mut self,
        file: &FileSeen<'_>,
        held: Held,
        (identity, recent): (Identity, bool),
        asker: Asker,
        named: Option<Box<[u8]>>,
    ) -> Option<u64> {
        let pool = self.pool.as_mut()?;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let mut path = Vec::new();
        file.path.write_to(&mut path);
        let host_path = unescape(file.host_shown).filter(|path| !path.is_empty());
        let host_path = host_path.unwrap_or_else(|| path.clone());
        self.text_bytes += file.shown.len();
        self.waiting.insert(
            ticket,
            Waiting {
                identity,
                path: file.shown.into(),
                recent,
                askers: vec![asker],
                perhaps: named.is_some(),
            },
        );
        pool.push(Wanted {
            ticket,
            identity,
            pid: file.pid,
            parent: file.parent,
            held,
            named,
            path: path.into(),
            host_path: host_path.into(),
        });
        Some(ticket)
    }

    /// Hands files to the threads and takes what they have found.
    pub(super) fn tend(&mut self) {
        let Some(pool) = &mut self.pool else {
            return;
        };
        pool.tend();
        let mut outcomes = Vec::new();
        while let Some(outcome) = pool.outcome() {
            outcomes.push(outcome);
        }
        for outcome in &outcomes {
            self.came(outcome);
        }
    }

    /// Looks for threads that do not come forward; to be called now and then.
    pub(super) fn look_after(&mut self) {
        self.tend();
        let Some(pool) = &mut self.pool else {
            return;
        };
        let stuck = pool.stuck();
        let alive = pool.is_alive();
        for outcome in &stuck {
            self.came(outcome);
        }
        if !alive {
            self.give_up(&Reason::Stuck);
        }
    }

    /// Something to record.
    pub(super) fn decided(&mut self) -> Option<Decided> {
        self.decided.pop_front()
    }

    /// Waits a little for the next file; false when none is waited for.
    pub(super) fn wait(&mut self, longest: Duration) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        self.tend();
        let outcome = self.pool.as_mut().and_then(|pool| pool.wait(longest));
        if let Some(outcome) = outcome {
            self.came(&outcome);
        }
        true
    }

    /// How many files are waited for.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How far it has come, when `files` were waited for at first.
    pub(super) fn left(&self, files: usize) -> Option<Left> {
        let progress = self.pool.as_ref()?.progress();
        let reading = progress
            .iter()
            .filter_map(|progress| Some((progress, self.waiting.get(&progress.ticket)?)));
        let (progress, waiting) =
            reading.max_by_key(|(_, waiting)| waiting.identity.version.size)?;
        let name = waiting
            .path
            .rsplit_once('/')
            .map_or(&*waiting.path, |(_, name)| name);
        Some(Left {
            files,
            file: files.saturating_sub(self.waiting.len()) + 1,
            name: name.to_owned(),
            bytes: progress.bytes,
            size: waiting.identity.version.size.unsigned_abs(),
        })
    }

    /// Nothing more is read: what was not is recorded as that.
    pub(super) fn end(&mut self) {
        self.tend();
        self.give_up(&Reason::NotWaited);
    }

    fn give_up(&mut self, reason: &Reason) {
        self.pool = None;
        let mut tickets: Vec<u64> = self.waiting.keys().copied().collect();
        tickets.sort_unstable();
        for ticket in tickets {
            self.came(&Outcome {
                ticket,
                time_ns: now_ns(),
                result: Err(reason.clone()),
            });
        }
    }

    fn came(&mut self, outcome: &Outcome) {
        let Some(waiting) = self.waiting.remove(&outcome.ticket) else {
            return;
        };
        self.text_bytes -= waiting.path.len();
        let identity = waiting.identity;
        if waiting.perhaps && !self.is_news(outcome, &waiting) {
            return;
        }
        match &outcome.result {
            Ok(found) => self.known.found(identity, *found, waiting.recent),
            Err(reason) => self.known.missed(identity, reason.word()),
        }
        for asker in waiting.askers {
            let path = waiting.path.clone();
            let (recent, time_ns) = (waiting.recent, outcome.time_ns);
            self.decide(asker, identity, path, recent, &outcome.result, time_ns);
        }
    }

    /// Whether a file of which it was not known whether it is wanted was read, and not told already.
    fn is_news(&mut self, outcome: &Outcome, waiting: &Waiting) -> bool {
        let identity = waiting.identity;
        let asker = waiting.askers.first();
        let Some(lineage) = asker
            .map(|asker| asker.lineage)
            .filter(|_| outcome.result.is_ok())
        else {
            return false;
        };
        match self.known.ask(&identity, lineage, true) {
            // Whoever waits is told what comes of that.
            Asked::Told => return false,
            Asked::Waits(ticket) => {
                if let Some(other) = self.waiting.get_mut(&ticket) {
                    other.askers.extend(&waiting.askers);
                }
                return false;
            }
            Asked::Is(..) => {}
            Asked::New => self.known.waits(identity, lineage, outcome.ticket),
        }
        true
    }

    fn decide(
        &mut self,
        asker: Asker,
        identity: Identity,
        path: Box<str>,
        recent: bool,
        result: &Result<Found, Reason>,
        time_ns: u64,
    ) {
        self.decided.push_back(Decided {
            asker,
            identity,
            path,
            time_ns,
            content: result.as_ref().ok().map(|found| hex(&found.digest)),
            detail: words::detail(result, recent),
        });
    }
}

fn now_ns() -> u64 {
    u64::try_from(SystemClock.now().boot_ns).unwrap_or(0)
}

/// What a file is known by, and the record that asks for its digest.
fn asked_by(file: &FileSeen<'_>) -> (Identity, Asker) {
    let identity = Identity {
        dev: file.dev,
        ino: file.ino,
        version: file.version,
    };
    let asker = Asker {
        lineage: file.lineage,
        seq: file.seq,
    };
    (identity, asker)
}
