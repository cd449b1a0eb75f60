//! Sealing the spools a recorder left, one after the other.

use std::sync::Arc;

use super::super::checkpoint::{Commit, Seal};
use super::super::counters::Counters;
use super::super::error::{Error, Result};
use super::super::keys::LogKeys;
use super::super::layout::{HostDir, spool_name};
use super::super::manifest::{Head, Manifest, Reason};
use super::super::scan::{Scan, scan};
use super::super::seal::{SealJob, Sealer};
use super::left::counters;
use super::{Left, Recovered, Taken};

/// Spools being sealed one after the other.
pub(super) struct Spools<'a> {
    pub(super) dir: &'a Arc<HostDir>,
    pub(super) keys: Arc<LogKeys>,
    pub(super) sealer: Sealer,
    pub(super) last: Option<Manifest>,
    pub(super) before: u64,
    /// Bytes of a last spool that was not even whole enough to have a header.
    pub(super) torn: u64,
}

impl Spools<'_> {
    pub(super) fn seal_all(mut self, segments: impl Iterator<Item = u64>) -> Result<Taken> {
        let (mut discarded, mut crashed) = (self.torn, self.torn > 0);
        for segment in segments {
            let next = self.sealer.size();
            if segment != next {
                return Err(self.damage(next, "it is missing, and later ones are there"));
            }
            if self
                .last
                .as_ref()
                .is_some_and(|it| it.reason == Reason::Shutdown)
            {
                return Err(self.damage(segment, "the log ended before it"));
            }
            let found = scan(&self.dir.spool, self.keys.origin(), segment, |epoch| {
                Ok(self.keys.keys().epoch_file(epoch)?.statement.key)
            })?;
            discarded += found.discarded;
            crashed |= !found.is_complete();
            let job = self.job(found)?;
            self.last = Some(self.sealer.seal(&job)?);
        }
        let Some(last) = self.last else {
            return Err(Error::Absent {
                path: self.dir.root.path().to_owned(),
                host: self.keys.origin().host.to_string(),
            });
        };
        if last.reason == Reason::Shutdown {
            return Ok(Taken::Complete(Recovered {
                origin: self.keys.origin(),
                segments: self.sealer.size(),
                records: last.head.first + last.count,
                root: self.sealer.root(),
                sealed: self.sealer.size() - self.before,
                discarded,
                crashed,
            }));
        }
        Ok(Taken::Open(Box::new(Left {
            dir: Arc::clone(self.dir),
            keys: self.keys,
            sealer: self.sealer,
            last,
            before: self.before,
            discarded,
            crashed,
        })))
    }

    /// What to seal: as the recorder said, or as a crash left it.
    fn job(&self, found: Scan) -> Result<SealJob> {
        let Scan {
            head,
            tree,
            tally,
            commit,
            discarded,
        } = found;
        if let Some(seal) = commit.as_ref().and_then(|commit| commit.seal) {
            let commit = commit.expect("a seal is part of a commit");
            return Ok(SealJob {
                head,
                commit,
                seal,
                blocks: tree.into_blocks(),
                tally,
                sum: None,
                discarded,
            });
        }
        let (closed, counters) = match commit {
            Some(commit) => (commit.time, commit.counters),
            None => (head.opened, self.counters_before(&head)?),
        };
        let seal = Seal {
            reason: Reason::Recovery,
            closed,
            wall_offset: head.offset,
        };
        let commit = Commit {
            origin: head.origin,
            segment: head.segment,
            header: *blake3::hash(head.text().as_bytes()).as_bytes(),
            count: tree.size(),
            root: tree.root(),
            time: closed,
            counters,
            seal: Some(seal),
        };
        Ok(SealJob {
            head,
            commit,
            seal,
            blocks: tree.into_blocks(),
            tally,
            sum: None,
            discarded,
        })
    }

    /// Counters never fall within a session.
    fn counters_before(&self, head: &Head) -> Result<Counters> {
        match &self.last {
            Some(last) if last.head.session == head.session => counters(self.dir, last),
            _ => Ok(Counters::default()),
        }
    }

    fn damage(&self, segment: u64, reason: &'static str) -> Error {
        Error::Spool {
            path: self.dir.spool.path().join(spool_name(segment)),
            at: 0,
            reason,
        }
    }
}
