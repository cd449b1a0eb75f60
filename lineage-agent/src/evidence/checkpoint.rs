//! Checkpoints of the host log (C2SP tlog-checkpoint) and commits of a spool: what gets signed.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::counters::Counters;
use super::manifest::Reason;
use super::origin::Origin;
use super::text::{Lines, TextError, decimal, hex, signed};
use super::tree::Hash;

/// Head of a log: the text of a checkpoint note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint<'a> {
    /// The log, as its origin line.
    pub origin: &'a str,
    /// Manifests in the log.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

impl<'a> Checkpoint<'a> {
    /// The note's text.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            BASE64.encode(self.root)
        )
    }

    /// Reads a note's text. Extension lines, which C2SP allows and this format does not use, are
    /// refused.
    ///
    /// # Errors
    ///
    /// [`TextError`]
    pub fn parse(text: &'a str) -> Result<Self, TextError> {
        let mut lines = Lines::untitled(text.as_bytes())?;
        let origin = lines.next_line()?;
        let size = lines.next_line()?;
        let size = decimal(size).ok_or_else(|| lines.error("not a tree size"))?;
        let root = lines.next_line()?;
        let root = BASE64
            .decode(root)
            .ok()
            .and_then(|bytes| Hash::try_from(bytes).ok())
            .ok_or_else(|| lines.error("not a root hash"))?;
        lines.end()?;
        Ok(Self { origin, size, root })
    }
}

/// What a commit frame of a spool signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The log.
    pub origin: Origin,
    /// The segment.
    pub segment: u64,
    /// BLAKE3 of the spool's header.
    pub header: Hash,
    /// Records so far.
    pub count: u64,
    /// Record root over them.
    pub root: Hash,
    /// When, nanoseconds UTC.
    pub time: i64,
    /// Everything counted so far.
    pub counters: Counters,
    /// Present in the last commit of a segment.
    pub seal: Option<Seal>,
}

/// How a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Why.
    pub reason: Reason,
    /// When, nanoseconds UTC.
    pub closed: i64,
    /// UTC minus `CLOCK_BOOTTIME` by the host's clock then, nanoseconds.
    pub wall_offset: i64,
}

const COMMIT: &str = "lineage v1 commit";

impl Commit {
    /// The signed text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!(
            "{COMMIT}\norigin {}\nsegment {}\nheader {}\ncount {}\nroot {}\ntime {}\ndropped {}\n{}",
            self.origin,
            self.segment,
            hex(&self.header),
            self.count,
            hex(&self.root),
            self.time,
            self.counters.dropped,
            self.counters.lines()
        );
        if let Some(seal) = &self.seal {
            let (reason, closed) = (seal.reason.as_str(), seal.closed);
            let _ = writeln!(out, "seal {reason} {closed} {}", seal.wall_offset);
        }
        out
    }

    /// Reads the signed text.
    ///
    /// # Errors
    ///
    /// [`TextError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let mut lines = Lines::new(bytes, COMMIT)?;
        let origin = lines.value("origin")?;
        let commit = Self {
            origin: origin.parse().map_err(|_| lines.error("not an origin"))?,
            segment: lines.decimal("segment")?,
            header: lines.digest("header")?,
            count: lines.decimal("count")?,
            root: lines.digest("root")?,
            time: i64::try_from(lines.decimal("time")?).expect("decimals are below 2⁶³"),
            counters: Counters {
                dropped: lines.decimal("dropped")?,
                cpus: Counters::read_cpus(&mut lines)?,
            },
            seal: match lines.optional("seal")? {
                Some(value) => {
                    Some(parse_seal(value).ok_or_else(|| lines.error("not the end of a segment"))?)
                }
                None => None,
            },
        };
        lines.end()?;
        Ok(commit)
    }
}

fn parse_seal(value: &str) -> Option<Seal> {
    let mut words = value.split(' ');
    let seal = Seal {
        reason: Reason::parse(words.next()?)?,
        closed: i64::try_from(decimal(words.next()?)?).ok()?,
        wall_offset: signed(words.next()?)?,
    };
    words.next().is_none().then_some(seal)
}
