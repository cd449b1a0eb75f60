//! The manifest of a segment: canonical text, leaf of the host log.

use std::fmt::Write as _;

use super::counters::{Counters, CpuCount, INLINE_BYTES_MAX};
use super::origin::Origin;
use super::text::{Lines, TextError, decimal, hex, parse_hex};
use super::tree::Hash;

/// Largest manifest in bytes: what an entry of a C2SP tile bundle can hold.
pub const MANIFEST_BYTES_MAX: usize = 65_535;

const TITLE: &str = "lineage v1 manifest";

/// Why a segment was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It had enough records.
    Rows,
    /// Its spool was large enough.
    Bytes,
    /// Its first record was old enough.
    Time,
    /// The host's clock was set; the next segment has another offset.
    Clock,
    /// The manifest would not have had room for more lineages or contexts.
    Limit,
    /// The recorder stopped and will go on.
    Stop,
    /// The recorder did not stop by itself.
    Recovery,
    /// Its epoch ended. Final for the epoch.
    EpochEnd,
    /// The log is complete. Final for the epoch and the log.
    Shutdown,
}

impl Reason {
    const ALL: [Self; 9] = [
        Self::Rows,
        Self::Bytes,
        Self::Time,
        Self::Clock,
        Self::Limit,
        Self::Stop,
        Self::Recovery,
        Self::EpochEnd,
        Self::Shutdown,
    ];

    /// The word in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Time => "time",
            Self::Clock => "clock",
            Self::Limit => "limit",
            Self::Stop => "stop",
            Self::Recovery => "recovery",
            Self::EpochEnd => "epoch-end",
            Self::Shutdown => "shutdown",
        }
    }

    /// The reason with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// Whether no further segment may be in the same epoch.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::EpochEnd | Self::Shutdown)
    }
}

/// The part that is fixed when a segment is opened; the spool's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log.
    pub origin: Origin,
    /// Number of the segment, from 0.
    pub segment: u64,
    /// BLAKE3 of the manifest before; zeros for the first, and in spools.
    pub previous: Hash,
    /// Epoch whose key signs it.
    pub epoch: u32,
    /// Run of a recorder on this log, from 0.
    pub session: u64,
    /// The host's name, escaped, without spaces.
    pub hostname: String,
    /// The kernel's boot id.
    pub boot: String,
    /// BLAKE3 of the recorder's executable.
    pub agent: Hash,
    /// BLAKE3 of the probes' object file.
    pub probes: Hash,
    /// BLAKE3 of the field registry's text.
    pub registry: Hash,
    /// When it was opened, nanoseconds UTC.
    pub opened: i64,
    /// UTC minus `CLOCK_BOOTTIME`, nanoseconds: how the records' times were made.
    pub offset: i64,
    /// `seq` of the first record, or of the next to come.
    pub first: u64,
}

impl Head {
    /// The head's lines.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{TITLE}\norigin {}\nsegment {}\nprevious {}\nepoch {}\nsession {}\nhostname {}\nboot {}\n\
             agent {}\nprobes {}\nregistry {}\nopened {}\noffset {}\nfirst {}\n",
            self.origin,
            self.segment,
            hex(&self.previous),
            self.epoch,
            self.session,
            self.hostname,
            self.boot,
            hex(&self.agent),
            hex(&self.probes),
            hex(&self.registry),
            self.opened,
            self.offset,
            self.first
        )
    }

    /// Reads a spool's header: a head and nothing else.
    ///
    /// # Errors
    ///
    /// [`TextError`] when it is anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let mut lines = Lines::new(bytes, TITLE)?;
        let head = Self::read(&mut lines)?;
        lines.end()?;
        Ok(head)
    }

    fn read(lines: &mut Lines<'_>) -> Result<Self, TextError> {
        let origin = lines.value("origin")?;
        Ok(Self {
            origin: origin.parse().map_err(|_| lines.error("not an origin"))?,
            segment: lines.decimal("segment")?,
            previous: lines.digest("previous")?,
            epoch: lines.decimal32("epoch")?,
            session: lines.decimal("session")?,
            hostname: word(lines, "hostname")?,
            boot: word(lines, "boot")?,
            agent: lines.digest("agent")?,
            probes: lines.digest("probes")?,
            registry: lines.digest("registry")?,
            opened: time(lines, "opened")?,
            offset: lines.signed("offset")?,
            first: lines.decimal("first")?,
        })
    }
}

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

/// A value without spaces.
fn word(lines: &mut Lines<'_>, key: &str) -> Result<String, TextError> {
    let value = lines.value(key)?;
    if value.contains(' ') {
        return Err(lines.error("holds a space"));
    }
    Ok(value.to_owned())
}

fn time(lines: &mut Lines<'_>, key: &str) -> Result<i64, TextError> {
    let value = lines.decimal(key)?;
    Ok(i64::try_from(value).expect("decimals are below 2⁶³"))
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
