//! Proofs: one text file with an event, its chain of causes, and all that leads from them to a signature.
//!
//! A proof is a few files of a host's directory as they are, and records out of its segments, each segment with
//! the hashes that lead to its record root. `docs/evidence-format.md`, *Proof*, is the specification. Reading one
//! proves nothing: that is for `verify`.

mod make;
pub mod needed;
mod sealed;
#[cfg(test)]
mod tests;

pub use make::{ProofError, make};

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::origin::Origin;
use super::text::{Lines, TextError, decimal, hex, parse_hex};
use super::tree::Hash;

/// Largest proof, in bytes.
pub const PROOF_BYTES_MAX: u64 = 64 << 20;

/// Most records in a proof.
pub const PROOF_RECORDS_MAX: usize = 1 << 16;

/// The first line.
pub const TITLE: &str = "lineage v1 proof";

/// What a proof holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The log.
    pub origin: Origin,
    /// `seq` of the event that is proven.
    pub event: u64,
    /// Files of the host's directory, by their path in it.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Proves the manifests in the tree of the newest checkpoint.
    pub log: Vec<Hash>,
    /// What is proven of segments, ascending.
    pub segments: Vec<SegmentPart>,
}

/// What is proven of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPart {
    /// Number of the segment.
    pub segment: u64,
    /// Proves the records in the segment's tree.
    pub nodes: Vec<Hash>,
    /// The records, ascending; never empty.
    pub records: Vec<Entry>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// What it is here for.
    pub role: Role,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}

/// What a record is here for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is the event or one of its causes.
    Chain,
    /// It tells of data that led to the event, or is a cause of such a record.
    Data,
}

impl Role {
    const ALL: [Self; 2] = [Self::Chain, Self::Data];

    fn key(self) -> &'static str {
        match self {
            Self::Chain => "record",
            Self::Data => "data",
        }
    }
}

impl Proof {
    /// The proof's bytes.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{TITLE}\norigin {}\nevent {}\n", self.origin, self.event);
        let mut line = |parts: &[&str]| {
            out += &parts.join(" ");
            out.push('\n');
        };
        for (path, bytes) in &self.files {
            line(&["file", path, &BASE64.encode(bytes)]);
        }
        for hash in &self.log {
            line(&["log", &hex(hash)]);
        }
        for part in &self.segments {
            line(&["segment", &part.segment.to_string()]);
            for hash in &part.nodes {
                line(&["node", &hex(hash)]);
            }
            for Entry { seq, role, bytes } in &part.records {
                line(&[role.key(), &seq.to_string(), &BASE64.encode(bytes)]);
            }
        }
        out
    }

    /// Reads a proof.
    ///
    /// # Errors
    ///
    /// [`TextError`] for anything but the one encoding of a proof.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let mut lines = Lines::new(bytes, TITLE)?;
        if bytes.len() as u64 > PROOF_BYTES_MAX {
            return Err(lines.error("more than a proof may have"));
        }
        let origin = lines.value("origin")?;
        let mut proof = Self {
            origin: origin.parse().map_err(|_| lines.error("not an origin"))?,
            event: lines.decimal("event")?,
            files: read_files(&mut lines)?,
            log: read_hashes(&mut lines, "log")?,
            segments: Vec::new(),
        };
        let mut records = 0;
        while let Some(value) = lines.optional("segment")? {
            let segment = decimal(value).ok_or_else(|| lines.error("not a decimal"))?;
            if (proof.segments.last()).is_some_and(|last| segment <= last.segment) {
                return Err(lines.error("segments not in ascending order"));
            }
            let nodes = read_hashes(&mut lines, "node")?;
            let entries = read_entries(&mut lines)?;
            records += entries.len();
            if entries.is_empty() || records > PROOF_RECORDS_MAX {
                return Err(lines.error("a segment without records, or too many of them"));
            }
            proof.segments.push(SegmentPart {
                segment,
                nodes,
                records: entries,
            });
        }
        lines.end()?;
        Ok(proof)
    }

    /// All records, ascending.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.segments.iter().flat_map(|part| &part.records)
    }
}

fn read_files(lines: &mut Lines<'_>) -> Result<BTreeMap<String, Vec<u8>>, TextError> {
    let mut files = BTreeMap::new();
    while let Some(value) = lines.optional("file")? {
        let (path, bytes) = named_bytes(lines, value)?;
        if (files.last_key_value()).is_some_and(|(last, _)| path <= String::as_str(last)) {
            return Err(lines.error("files not in ascending order"));
        }
        files.insert(path.to_owned(), bytes);
    }
    Ok(files)
}

fn read_hashes(lines: &mut Lines<'_>, key: &str) -> Result<Vec<Hash>, TextError> {
    let mut hashes = Vec::new();
    while let Some(value) = lines.optional(key)? {
        hashes.push(parse_hex(value).ok_or_else(|| lines.error("not 64 hex digits"))?);
    }
    Ok(hashes)
}

fn read_entries(lines: &mut Lines<'_>) -> Result<Vec<Entry>, TextError> {
    let mut entries: Vec<Entry> = Vec::new();
    'records: loop {
        for role in Role::ALL {
            let Some(value) = lines.optional(role.key())? else {
                continue;
            };
            let (seq, bytes) = named_bytes(lines, value)?;
            let seq = decimal(seq).ok_or_else(|| lines.error("not a decimal"))?;
            if entries.last().is_some_and(|last| seq <= last.seq) {
                return Err(lines.error("records not in ascending order"));
            }
            entries.push(Entry { seq, role, bytes });
            continue 'records;
        }
        return Ok(entries);
    }
}

/// A name, and bytes in base64.
fn named_bytes<'a>(lines: &Lines<'_>, value: &'a str) -> Result<(&'a str, Vec<u8>), TextError> {
    let (name, encoded) = value
        .split_once(' ')
        .ok_or_else(|| lines.error("not a name and base64"))?;
    let bytes = BASE64.decode(encoded);
    let bytes = bytes.map_err(|_| lines.error("not base64"))?;
    Ok((name, bytes))
}
