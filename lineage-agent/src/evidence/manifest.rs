//! The manifest of a segment: canonical text, leaf of the host log.

mod head;
mod reason;

pub use head::Head;
pub use reason::Reason;

use std::fmt::Write as _;

use super::counters::{Counters, CpuCount, INLINE_BYTES_MAX};
use super::text::{Lines, TextError, decimal, hex, parse_hex};
use super::tree::Hash;
use head::time;

/// Largest manifest in bytes: what an entry of a C2SP tile bundle can hold.
pub const MANIFEST_BYTES_MAX: usize = 65_535;

const TITLE: &str = "lineage v1 manifest";

/// What a segment holds of one lineage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageRange {
    /// The lineage.
    pub lineage: String,
    /// `lineage_seq` of its first record here.
    pub first: u64,
    /// `lineage_seq` of its last record here.
    pub last: u64,
}

/// Where the counters of the CPUs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cpus {
    /// In the manifest.
    Inline(Vec<CpuCount>),
    /// In an artifact with this BLAKE3.
    Artifact(Hash),
}

/// The Parquet file as written. Another file with the same records is as good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParquetFile {
    /// Path below the host's directory.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the file.
    pub digest: Hash,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The part fixed at the start.
    pub head: Head,
    /// When it was closed, nanoseconds UTC.
    pub closed: i64,
    /// UTC minus `CLOCK_BOOTTIME` by the host's clock when it closed, nanoseconds.
    pub wall_offset: i64,
    /// Records.
    pub count: u64,
    /// Record root.
    pub root: Hash,
    /// Smallest and largest `time_ns`; none without records.
    pub times: Option<(i64, i64)>,
    /// Lineages, ascending.
    pub lineages: Vec<LineageRange>,
    /// Contexts of the records, ascending.
    pub contexts: Vec<Hash>,
    /// Events the recorder dropped, this session so far.
    pub dropped: u64,
    /// Counters of the CPUs, this session so far.
    pub cpus: Cpus,
    /// Bytes of the spool recovery could not use.
    pub discarded: u64,
    /// Why it was sealed.
    pub reason: Reason,
    /// The segment's file; none without records.
    pub parquet: Option<ParquetFile>,
}

impl Manifest {
    /// The manifest's bytes.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = self.head.text();
        let _ = write!(
            out,
            "closed {}\nwall-offset {}\ncount {}\nroot {}\n",
            self.closed,
            self.wall_offset,
            self.count,
            hex(&self.root)
        );
        if let Some((min, max)) = self.times {
            let _ = write!(out, "time-min {min}\ntime-max {max}\n");
        }
        for LineageRange {
            lineage,
            first,
            last,
        } in &self.lineages
        {
            let count = last - first + 1;
            let _ = writeln!(out, "lineage {lineage} {first} {last} {count}");
        }
        for context in &self.contexts {
            let _ = writeln!(out, "context {}", hex(context));
        }
        let _ = writeln!(out, "dropped {}", self.dropped);
        match &self.cpus {
            Cpus::Inline(cpus) => out.push_str(&lines_of(cpus)),
            Cpus::Artifact(digest) => {
                let _ = writeln!(out, "counters {}", hex(digest));
            }
        }
        let _ = write!(
            out,
            "discarded {}\nreason {}\n",
            self.discarded,
            self.reason.as_str()
        );
        if let Some(ParquetFile { path, size, digest }) = &self.parquet {
            let _ = writeln!(out, "parquet {path} {size} {}", hex(digest));
        }
        out
    }

    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// [`TextError`] for anything but the one encoding of a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let mut lines = Lines::new(bytes, TITLE)?;
        let head = Head::read(&mut lines)?;
        let closed = time(&mut lines, "closed")?;
        let wall_offset = lines.signed("wall-offset")?;
        let count = lines.decimal("count")?;
        let root = lines.digest("root")?;
        let times = if count > 0 {
            Some((lines.signed("time-min")?, lines.signed("time-max")?))
        } else {
            None
        };
        let manifest = Self {
            head,
            closed,
            wall_offset,
            count,
            root,
            times,
            lineages: read_lineages(&mut lines)?,
            contexts: read_contexts(&mut lines)?,
            dropped: lines.decimal("dropped")?,
            cpus: read_cpus(&mut lines)?,
            discarded: lines.decimal("discarded")?,
            reason: {
                let word = lines.value("reason")?;
                Reason::parse(word).ok_or_else(|| lines.error("unknown reason"))?
            },
            parquet: if count > 0 {
                Some(read_parquet(&mut lines)?)
            } else {
                None
            },
        };
        lines.end()?;
        Ok(manifest)
    }
}

fn lines_of(cpus: &[CpuCount]) -> String {
    Counters {
        dropped: 0,
        cpus: cpus.to_vec(),
    }
    .lines()
}

fn read_lineages(lines: &mut Lines<'_>) -> Result<Vec<LineageRange>, TextError> {
    let mut lineages: Vec<LineageRange> = Vec::new();
    while let Some(value) = lines.optional("lineage")? {
        let words: Vec<&str> = value.split(' ').collect();
        let range = match words[..] {
            [lineage, first, last, count] => (|| {
                let (first, last) = (decimal(first)?, decimal(last)?);
                let exact = decimal(count)? == last.checked_sub(first)? + 1;
                exact.then(|| LineageRange {
                    lineage: lineage.to_owned(),
                    first,
                    last,
                })
            })(),
            _ => None,
        };
        let range = range.ok_or_else(|| lines.error("not the range of a lineage"))?;
        if lineages
            .last()
            .is_some_and(|last| range.lineage <= last.lineage)
        {
            return Err(lines.error("lineages not in ascending order"));
        }
        lineages.push(range);
    }
    Ok(lineages)
}

fn read_contexts(lines: &mut Lines<'_>) -> Result<Vec<Hash>, TextError> {
    let mut contexts: Vec<Hash> = Vec::new();
    while let Some(value) = lines.optional("context")? {
        let digest = parse_hex(value).ok_or_else(|| lines.error("not 64 hex digits"))?;
        if contexts.last().is_some_and(|last| digest <= *last) {
            return Err(lines.error("contexts not in ascending order"));
        }
        contexts.push(digest);
    }
    Ok(contexts)
}

fn read_cpus(lines: &mut Lines<'_>) -> Result<Cpus, TextError> {
    if let Some(value) = lines.optional("counters")? {
        return parse_hex(value)
            .map(Cpus::Artifact)
            .ok_or_else(|| lines.error("not 64 hex digits"));
    }
    let cpus = Counters::read_cpus(lines)?;
    if lines_of(&cpus).len() > INLINE_BYTES_MAX {
        return Err(lines.error("counters too long to stand here"));
    }
    Ok(Cpus::Inline(cpus))
}

fn read_parquet(lines: &mut Lines<'_>) -> Result<ParquetFile, TextError> {
    let value = lines.value("parquet")?;
    let words: Vec<&str> = value.split(' ').collect();
    let file = match words[..] {
        [path, size, digest] => {
            decimal(size)
                .zip(parse_hex(digest))
                .map(|(size, digest)| ParquetFile {
                    path: path.to_owned(),
                    size,
                    digest,
                })
        }
        _ => None,
    };
    file.ok_or_else(|| lines.error("not path, size and digest"))
}
