//! Scanning a spool that somebody else left: what in it is whole, and whether the rest is a torn
//! end or damage.

use std::fs::File;

use super::checkpoint::Commit;
use super::error::{Error, Result};
use super::files::Dir;
use super::layout::spool_name;
use super::manifest::Head;
use super::note;
use super::origin::Origin;
use super::reader::SPOOL_BYTES_MAX;
use super::record;
use super::spool::{Frame, FrameKind, FrameReader, split_commit};
use super::tally::Tally;
use super::tree::{Hash, RecordTree};

/// What is whole in a spool.
#[derive(Debug)]
pub struct Scan {
    /// Its header.
    pub head: Head,
    /// Tree over its whole records.
    pub tree: RecordTree,
    /// What a manifest says about them.
    pub tally: Tally,
    /// The last commit.
    pub commit: Option<Commit>,
    /// Bytes after the last whole frame.
    pub discarded: u64,
}

impl Scan {
    /// Whether the recorder finished this segment.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.commit.as_ref().is_some_and(|it| it.seal.is_some())
    }
}

/// Scans the spool of a segment, which is there. `epoch_key` gives the public key of an epoch.
///
/// # Errors
///
/// [`Error::Spool`] for damage: a frame before the last signed commit that is not what was written,
/// or a commit that contradicts the records. A torn end is no error.
pub fn scan(
    spools: &Dir,
    origin: Origin,
    segment: u64,
    epoch_key: impl Fn(u32) -> Result<[u8; 32]>,
) -> Result<Scan> {
    let path = spools.path().join(spool_name(segment));
    let damage = |at, reason| Error::Spool {
        path: path.clone(),
        at,
        reason,
    };
    let (mut reader, head, header) = open(spools, segment)?;
    if head.origin != origin || head.segment != segment {
        return Err(damage(0, "its header is of another log or segment"));
    }
    let mut state = State {
        key: epoch_key(head.epoch)?,
        header,
        head,
        tree: RecordTree::default(),
        tally: Tally::default(),
        commit: None,
    };
    loop {
        let at = reader.offset();
        match reader.next_frame().map_err(Error::io("read", &path))? {
            Frame::Whole {
                kind,
                payload,
                hash,
            } => state
                .take(kind, payload, hash)
                .map_err(|reason| damage(at, reason))?,
            Frame::End => return Ok(state.finish(0)),
            Frame::Torn { .. } => {
                let rest = reader
                    .rest(SPOOL_BYTES_MAX)
                    .map_err(Error::io("read", &path))?;
                if state.is_committed_later(&rest) {
                    return Err(damage(
                        at,
                        "signed records follow a frame that is not whole",
                    ));
                }
                return Ok(state.finish(rest.len() as u64));
            }
        }
    }
}

/// The header of a spool.
///
/// # Errors
///
/// [`Error::Spool`] when it has none.
pub fn read_head(spools: &Dir, segment: u64) -> Result<Head> {
    open(spools, segment).map(|(_, head, _)| head)
}

/// Whether a spool does not even have a whole header: the machine, not only the recorder, stopped
/// right after it was made, so nothing in it was ever committed.
///
/// # Errors
///
/// [`Error::Io`]
pub fn is_stillborn(spools: &Dir, segment: u64) -> Result<bool> {
    let name = spool_name(segment);
    let Some(file) = spools.open_file(&name, SPOOL_BYTES_MAX)? else {
        return Ok(false);
    };
    let mut reader = FrameReader::new(file);
    let whole = match reader.next_frame() {
        Ok(Frame::Whole { .. }) => true,
        Ok(Frame::End | Frame::Torn { .. }) => false,
        Err(error) => return Err(Error::io("read", spools.path().join(name))(error)),
    };
    Ok(!whole)
}

/// Opens a spool and reads its header; also returns the header's digest.
fn open(spools: &Dir, segment: u64) -> Result<(FrameReader<File>, Head, Hash)> {
    let name = spool_name(segment);
    let path = spools.path().join(&name);
    let Some(file) = spools.open_file(&name, SPOOL_BYTES_MAX)? else {
        return Err(Error::io("read", path)(std::io::ErrorKind::NotFound.into()));
    };
    let mut reader = FrameReader::new(file);
    let damage = |reason| Error::Spool {
        path: path.clone(),
        at: 0,
        reason,
    };
    let (head, digest) = match reader.next_frame().map_err(Error::io("read", &path))? {
        Frame::Whole {
            kind: FrameKind::Header,
            payload,
            ..
        } => (
            Head::parse(payload).map_err(|_| damage("its header is malformed"))?,
            *blake3::hash(payload).as_bytes(),
        ),
        _ => return Err(damage("it does not begin with a header")),
    };
    Ok((reader, head, digest))
}

struct State {
    head: Head,
    header: Hash,
    key: [u8; 32],
    tree: RecordTree,
    tally: Tally,
    commit: Option<Commit>,
}

impl State {
    fn take(&mut self, kind: FrameKind, payload: &[u8], hash: Hash) -> Result<(), &'static str> {
        if self.commit.as_ref().is_some_and(|it| it.seal.is_some()) {
            return Err("frames follow its end");
        }
        match kind {
            FrameKind::Header => Err("it has a second header"),
            FrameKind::Record => {
                let record = record::decode(payload).map_err(|_| "a record is malformed")?;
                if record.seq != Some(self.head.first + self.tree.size()) {
                    return Err("a record is out of order");
                }
                self.tally
                    .push(&record)
                    .map_err(|_| "a record contradicts itself")?;
                self.tree.push(hash);
                Ok(())
            }
            FrameKind::Commit => {
                let commit = self.signed(payload).ok_or("a commit is not signed")?;
                if commit.header != self.header
                    || commit.origin != self.head.origin
                    || commit.segment != self.head.segment
                    || commit.count != self.tree.size()
                    || commit.root != self.tree.root()
                {
                    return Err("a commit contradicts what is before it");
                }
                self.commit = Some(commit);
                Ok(())
            }
        }
    }

    /// The commit in a payload, if the epoch's key signed it.
    fn signed(&self, payload: &[u8]) -> Option<Commit> {
        let (signature, text) = split_commit(payload)?;
        note::verify(&self.key, text, signature)
            .then(|| Commit::parse(text).ok())
            .flatten()
    }

    /// Whether bytes after a broken frame hold a commit of this very segment over more records: then
    /// they were durable once, and the frame was damaged, not torn.
    fn is_committed_later(&self, rest: &[u8]) -> bool {
        const TITLE: &[u8] = b"lineage v1 commit\n";
        let mut from = 0;
        while let Some(found) = find(&rest[from..], TITLE) {
            let text = from + found;
            from = text + TITLE.len();
            // Length, type, signature.
            let Some(start) = text.checked_sub(64 + 5) else {
                continue;
            };
            let len = <[u8; 4]>::try_from(&rest[start..start + 4]).map(u32::from_le_bytes);
            let Some(payload) = len
                .ok()
                .and_then(|len| rest.get(start + 5..start + 5 + len as usize))
            else {
                continue;
            };
            if self
                .signed(payload)
                .is_some_and(|commit| commit.header == self.header)
            {
                return true;
            }
        }
        false
    }

    fn finish(self, discarded: u64) -> Scan {
        Scan {
            head: self.head,
            tree: self.tree,
            tally: self.tally,
            commit: self.commit,
            discarded,
        }
    }
}

/// Where `needle` first is.
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len())
        .position(|window| window == needle)
}
