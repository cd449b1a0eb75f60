//! Unsealed records: what the signed commits of a spool prove, and what follows them.

use std::fs::File;
use std::io;

use super::access::HostDir;
use super::epochs::Keys;
use super::finding::{Code, Finding};
use super::layout::{epoch_path, spool_path};
use super::place::{Before, widened_window, window};
use super::rows::Rules;
use crate::evidence::checkpoint::{Commit, Seal};
use crate::evidence::counters::Counters;
use crate::evidence::digest;
use crate::evidence::epoch::Statement;
use crate::evidence::manifest::Head;
use crate::evidence::note::verify;
use crate::evidence::origin::Origin;
use crate::evidence::reader::SPOOL_BYTES_MAX;
use crate::evidence::record;
use crate::evidence::spool::{Frame, FrameKind, FrameReader, split_commit};
use crate::evidence::tree::{Hash, RecordTree};

/// Most bytes searched for a commit after damage. Undamaged spools are read a frame at a time.
const SEARCH_BYTES_MAX: u64 = 256 << 20;

/// What a spool holds.
#[derive(Debug, Default)]
pub(super) struct Spool {
    pub(super) head: Option<Head>,
    /// Records a signed commit covers, and the root it signs.
    pub(super) committed: u64,
    pub(super) root: Hash,
    /// Whole records after it.
    pub(super) uncommitted: u64,
    /// Bytes that are not whole frames.
    pub(super) torn: u64,
    pub(super) counters: Option<Counters>,
    /// Present when the segment is complete and only waits to be sealed.
    pub(super) seal: Option<Seal>,
}

/// Where a spool belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) segment: u64,
    pub(super) origin: Option<Origin>,
    /// The segment before; none for the first, and when it is not complete or not there.
    pub(super) before: Option<&'a Before>,
}

/// Checks a spool, if it is there.
pub(super) fn check(
    dir: &HostDir,
    keys: &Keys,
    place: &Place<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Spool> {
    let path = spool_path(place.segment);
    let about = |finding: Finding| finding.file(&path).segment(place.segment);
    let file = match dir.open(&path, SPOOL_BYTES_MAX) {
        Ok(file) => file,
        Err(finding) if finding.code == Code::FileMissing && finding.found.is_none() => {
            return None;
        }
        Err(finding) => {
            findings.push(finding.segment(place.segment));
            return Some(Spool::default());
        }
    };
    let mut state = State::new(dir, keys, place);
    let walked = walk(FrameReader::new(file), &mut state);
    findings.extend(walked.err().map(about));
    Some(state.spool)
}

fn walk(mut frames: FrameReader<File>, state: &mut State<'_>) -> Result<(), Finding> {
    let unreadable = |error: io::Error| Finding::new(Code::Unreadable).found(error);
    loop {
        let at = frames.offset();
        match frames.next_frame().map_err(unreadable)? {
            Frame::End => return Ok(()),
            Frame::Torn { .. } => break,
            Frame::Whole {
                kind,
                payload,
                hash,
            } => state.frame(kind, payload, hash, at)?,
        }
    }
    let at = frames.offset();
    state.torn(&frames.rest(SEARCH_BYTES_MAX).map_err(unreadable)?, at)
}

/// A spool as far as it is read.
struct State<'a> {
    dir: &'a HostDir,
    keys: &'a Keys,
    place: &'a Place<'a>,
    spool: Spool,
    /// Of the epoch whose key signs the commits.
    statement: Option<Statement>,
    header: Hash,
    tree: RecordTree,
    rules: Rules<'a>,
    /// A record that is none; it counts once a commit covers it.
    malformed: Option<Finding>,
}

fn bad(at: u64, found: impl std::fmt::Display) -> Finding {
    Finding::new(Code::SpoolBad).found(format!("at byte {at}: {found}"))
}

impl<'a> State<'a> {
    fn new(dir: &'a HostDir, keys: &'a Keys, place: &'a Place<'a>) -> Self {
        Self {
            dir,
            keys,
            place,
            spool: Spool::default(),
            statement: None,
            header: [0; 32],
            tree: RecordTree::default(),
            rules: Rules::new(dir, 0, None, None),
            malformed: None,
        }
    }

    fn frame(
        &mut self,
        kind: FrameKind,
        payload: &[u8],
        hash: Hash,
        at: u64,
    ) -> Result<(), Finding> {
        if self.spool.seal.is_some() {
            return Err(bad(at, "a frame after the end of the segment"));
        }
        match (kind, self.spool.head.is_some()) {
            (FrameKind::Header, false) => {
                let head = Head::parse(payload).map_err(|error| bad(at, error))?;
                self.header = digest::of(payload);
                self.begin(head)
            }
            (FrameKind::Header, true) => Err(bad(at, "a second header")),
            (_, false) => Err(bad(at, "no header")),
            (FrameKind::Record, true) => {
                self.record(payload, hash);
                Ok(())
            }
            (FrameKind::Commit, true) => self.commit(payload, at),
        }
    }

    fn begin(&mut self, head: Head) -> Result<(), Finding> {
        let place = self.place;
        if head.segment != place.segment || place.origin.is_some_and(|origin| origin != head.origin)
        {
            return Err(Finding::new(Code::SpoolBad)
                .expected(format!("segment {} of this log", place.segment))
                .found(format!("segment {} of {}", head.segment, head.origin)));
        }
        let mut checks = Vec::new();
        match place.before {
            // The head may have been written before the manifest it follows.
            Some(before) if head.previous == [0; 32] => Before {
                digest: None,
                ..*before
            }
            .check(&head, &mut checks),
            Some(before) => before.check(&head, &mut checks),
            None if place.segment == 0 && (head.first, head.session) != (0, 0) => checks.push(
                Finding::new(Code::SequenceGap)
                    .expected("first 0 of session 0")
                    .found(format!("first {} of session {}", head.first, head.session)),
            ),
            None => {}
        }
        if let Some(finding) = checks.into_iter().next() {
            return Err(finding);
        }
        let Some(statement) = self.keys.epochs.get(&head.epoch) else {
            return Err(Finding::new(Code::FileMissing)
                .expected(format!("{}, proven", epoch_path(head.epoch))));
        };
        let (start, end) = window(statement);
        if !(start..=end).contains(&head.opened) {
            return Err(Finding::new(Code::ClockRule)
                .expected(format!("opened within {start} to {end}"))
                .found(head.opened));
        }
        self.statement = Some(*statement);
        self.rules = Rules::new(self.dir, head.first, Some(widened_window(statement)), None);
        self.spool.head = Some(head);
        Ok(())
    }

    fn record(&mut self, payload: &[u8], hash: Hash) {
        self.tree.push(hash);
        self.spool.uncommitted += 1;
        match record::decode(payload) {
            Ok(record) => self.rules.push(&record),
            Err(error) => {
                self.malformed
                    .get_or_insert_with(|| Finding::new(Code::RecordRule).found(error));
            }
        }
    }

    fn commit(&mut self, payload: &[u8], at: u64) -> Result<(), Finding> {
        let statement = self.statement.as_ref();
        if !statement.is_some_and(|statement| is_signed(payload, statement)) {
            return Err(bad(at, "a commit whose signature does not verify"));
        }
        let (_, text) =
            split_commit(payload).ok_or_else(|| bad(at, "a commit without signature"))?;
        let commit = Commit::parse(text).map_err(|error| bad(at, error))?;
        let head = self
            .spool
            .head
            .as_ref()
            .map(|head| (head.origin, head.segment));
        if Some((commit.origin, commit.segment)) != head || commit.header != self.header {
            return Err(bad(at, "a commit of another header"));
        }
        if (commit.count, commit.root) != (self.tree.size(), self.tree.root()) {
            return Err(bad(
                at,
                format!(
                    "a commit over other records than the {} before it",
                    self.tree.size()
                ),
            ));
        }
        if let Some(finding) = self
            .malformed
            .take()
            .or_else(|| self.rules.broken().cloned())
        {
            return Err(finding);
        }
        if self
            .spool
            .counters
            .as_ref()
            .is_some_and(|before| !commit.counters.continues(before))
        {
            return Err(Finding::new(Code::CountersFell));
        }
        self.spool.committed = commit.count;
        self.spool.root = commit.root;
        self.spool.uncommitted = 0;
        self.spool.counters = Some(commit.counters);
        self.spool.seal = commit.seal;
        Ok(())
    }

    /// Bytes that are no frame are what a crash leaves, unless a signed commit follows them.
    fn torn(&mut self, rest: &[u8], at: u64) -> Result<(), Finding> {
        self.spool.torn = rest.len() as u64;
        // With a damaged header nothing tells the epoch: it is one of the last.
        let last = self.keys.epochs.values().rev().take(2);
        let statements: Vec<&Statement> = self.statement.iter().chain(last).collect();
        let signed = |payload: &[u8]| {
            statements
                .iter()
                .any(|statement| is_signed(payload, statement))
        };
        if commits_in(rest).any(signed) {
            return Err(bad(at, "damage before a signed commit"));
        }
        Ok(())
    }
}

/// Whether a commit's payload bears the signature of an epoch's key.
fn is_signed(payload: &[u8], statement: &Statement) -> bool {
    split_commit(payload).is_some_and(|(signature, text)| verify(&statement.key, text, signature))
}

/// First line of a commit's text, and what stands between the start of its frame and the text.
const TITLE: &[u8] = b"lineage v1 commit\n";
const TEXT_AT: usize = 4 + 1 + 64;

/// Payloads of everything in these bytes that looks like a commit.
fn commits_in(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts =
        (0..bytes.len().saturating_sub(TITLE.len())).filter(|at| bytes[*at..].starts_with(TITLE));
    starts.filter_map(|at| {
        let frame = &bytes[at.checked_sub(TEXT_AT)?..];
        let (len, rest) = frame.split_first_chunk::<4>()?;
        rest.get(1..=u32::from_le_bytes(*len) as usize)
    })
}
