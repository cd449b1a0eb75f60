//! The rows of a Parquet file against the record root somebody signed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _};
use std::ops::ControlFlow;

use super::access::HostDir;
use super::facts::Facts;
use super::finding::{Code, Finding};
use super::layout::blocks_path;
use super::progress::Progress;
use super::replay::{By, Replay};
use crate::counted::counted;
use crate::evidence::digest;
use crate::evidence::hasher::RecordHasher;
use crate::evidence::manifest::ParquetFile;
use crate::evidence::record::RecordError;
use crate::evidence::schema::Record;
use crate::evidence::segment::{PARQUET_BYTES_MAX, RECORDS_MAX, SegmentError, SegmentFile};
use crate::evidence::tally::Tally;
use crate::evidence::tree::{BLOCK_RECORDS, Hash, Records, root};

/// What a segment's rows must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) segment: u64,
    pub(super) path: &'a str,
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) root: Hash,
    /// What `time_ns` must lie within, where the epoch is known.
    pub(super) window: Option<(i64, i64)>,
    /// The contexts that the records name, as the manifest has them.
    pub(super) contexts: Option<&'a [Hash]>,
    /// The file as the manifest has it; none while it is being sealed.
    pub(super) file: Option<&'a ParquetFile>,
}

/// What the records of a segment say together, once their root is proven.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) tally: Tally,
    /// Sum of `lost_count` by CPU.
    pub(super) lost: BTreeMap<u32, u64>,
    /// What governed.
    pub(super) facts: Facts,
}

/// Rows as they pass: hashed, and checked against the rules that hold for each record.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    first: u64,
    window: Option<(i64, i64)>,
    seen: u64,
    /// The first record that breaks a rule; it counts only if the records are the signed ones.
    broken: Option<Finding>,
    summary: Summary,
    replay: Replay<'a>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(
        dir: &'a HostDir,
        first: u64,
        window: Option<(i64, i64)>,
        contexts: Option<&'a [Hash]>,
    ) -> Self {
        Self {
            replay: Replay::new(dir, contexts),
            first,
            window,
            seen: 0,
            broken: None,
            summary: Summary::default(),
        }
    }

    /// Takes in the next record.
    #[inline]
    pub(super) fn push(&mut self, record: &Record<'_>) {
        let seq = self.first.saturating_add(self.seen);
        self.seen += 1;
        if self.broken.is_none() {
            self.broken = self
                .check(seq, record)
                .err()
                .map(|finding| finding.rows(seq..=seq));
        }
    }

    /// Passes over records that are not here, up to the one with this `seq`.
    pub(super) fn pass_to(&mut self, seq: u64) {
        self.seen = seq.saturating_sub(self.first);
        // Numbers that go on from one record to the next do so no more.
        self.summary.tally = Tally::default();
    }

    /// What the records say together, or the rule one of them broke.
    pub(super) fn finish(self) -> Result<Summary, Finding> {
        match self.broken {
            Some(finding) => Err(finding),
            None => Ok(self.summary),
        }
    }

    /// The rule a record broke, if one did so far.
    pub(super) fn broken(&self) -> Option<&Finding> {
        self.broken.as_ref()
    }

    #[inline]
    fn check(&mut self, seq: u64, record: &Record<'_>) -> Result<(), Finding> {
        let rule = |error: &RecordError| Finding::new(Code::RecordRule).found(error);
        if record.seq != Some(seq) {
            return Err(rule(&RecordError::OutOfOrder {
                field: "seq",
                expected: seq,
                found: record.seq.unwrap_or(u64::MAX),
            }));
        }
        let tally = &mut self.summary.tally;
        if tally.is_full_for(record) {
            return Err(Finding::new(Code::RecordRule)
                .found("more lineages or contexts than a segment may have"));
        }
        tally.push(record).map_err(|error| rule(&error))?;
        if let (Some((from, to)), Some(time)) = (self.window, record.time_ns)
            && !(from..=to).contains(&time)
        {
            return Err(Finding::new(Code::ClockRule)
                .expected(format!("time_ns within {from} to {to}"))
                .found(time));
        }
        if let (Some("evidence.loss"), Some(cpu), Some(lost)) =
            (record.kind, record.cpu, record.lost_count)
        {
            let cpu = u32::try_from(cpu).unwrap_or(u32::MAX);
            let sum = self.summary.lost.entry(cpu).or_default();
            *sum = sum.saturating_add(lost);
        }
        self.summary.facts.push(record);
        if self.replay.check(record)? == By::Past {
            self.summary.facts.by_past(record);
        }
        Ok(())
    }
}

/// What hashing the rows of a file gave.
struct Hashed<'a> {
    rows: u64,
    root: Hash,
    blocks: Vec<Hash>,
    rules: Rules<'a>,
}

/// Checks the rows of a file. The summary is there only if they are exactly the signed records.
pub(super) fn check(
    dir: &HostDir,
    expected: &Expected<'_>,
    progress: &Progress<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Summary> {
    let about = |finding: Finding| finding.file(expected.path).segment(expected.segment);
    let file = match dir.open(expected.path, PARQUET_BYTES_MAX) {
        Ok(file) => file,
        Err(finding) => {
            findings.push(finding.segment(expected.segment).rows(all_rows(expected)));
            return None;
        }
    };
    let original = expected.file.is_some_and(|named| is_file(&file, named));
    let hashed = match hash_rows(dir, &file, expected, progress, findings) {
        Ok(hashed) => hashed,
        Err(fault) => {
            findings.push(about(fault.finding(original)).rows(all_rows(expected)));
            return None;
        }
    };
    if hashed.rows != expected.count {
        let more = hashed.rows > expected.count;
        let code = if more {
            Code::RowsAdded
        } else {
            Code::RowsMissing
        };
        let found = if more {
            "more rows".to_owned()
        } else {
            counted(hashed.rows, "row", "rows")
        };
        findings.push(about(
            Finding::new(code)
                .expected(counted(expected.count, "row", "rows"))
                .found(found),
        ));
        return None;
    }
    if hashed.root != expected.root {
        findings.extend(changed_rows(dir, expected, &hashed).into_iter().map(about));
        return None;
    }
    if !original {
        // Its rows are right, but engines also go by what else is in a file.
        if let Err(error) = SegmentFile::check_claims(&file) {
            findings.push(about(Fault::from(error).finding(false)).rows(all_rows(expected)));
            return None;
        }
        if expected.file.is_some() {
            findings.push(about(Finding::new(Code::ReEncoded)));
        }
    }
    hashed
        .rules
        .finish()
        .map_err(|finding| findings.push(about(finding)))
        .ok()
}

fn all_rows(expected: &Expected<'_>) -> std::ops::RangeInclusive<u64> {
    expected.first
        ..=expected
            .first
            .saturating_add(expected.count.saturating_sub(1))
}

/// Whether the file is, byte for byte, the one the manifest names. Decides nothing but whether a
/// fault is the reader's or the file's.
fn is_file(file: &File, named: &ParquetFile) -> bool {
    if file.metadata().map(|metadata| metadata.len()).ok() != Some(named.size) {
        return false;
    }
    let bytes = file.try_clone().map(|reader| reader.take(named.size));
    bytes
        .and_then(digest::of_reader)
        .is_ok_and(|digest| digest == named.digest)
}

/// Why rows cannot be read.
enum Fault {
    /// By this verifier: another one may.
    Reader(String),
    /// By anyone.
    File(String),
    /// By anyone, and not all would read the same.
    Disagree(String),
}

impl Fault {
    /// What it is called, in the file the manifest names or in another.
    fn finding(self, original: bool) -> Finding {
        let (code, reason) = match self {
            Self::Reader(reason) => (Code::Unreadable, reason),
            Self::File(reason) | Self::Disagree(reason) if original => (Code::Unreadable, reason),
            Self::File(reason) => (Code::SegmentUnreadable, reason),
            Self::Disagree(reason) => (Code::ReadersDisagree, reason),
        };
        Finding::new(code).found(reason)
    }
}

impl From<SegmentError> for Fault {
    fn from(error: SegmentError) -> Self {
        match &error {
            SegmentError::Unsupported(_) => Self::Reader(error.to_string()),
            SegmentError::Disagree(_) => Self::Disagree(error.to_string()),
            SegmentError::Io(io) if io.kind() != ErrorKind::UnexpectedEof => {
                Self::Reader(error.to_string())
            }
            _ => Self::File(error.to_string()),
        }
    }
}

/// Reads and hashes every row, up to one more than there should be.
fn hash_rows<'a>(
    dir: &'a HostDir,
    mut file: &File,
    expected: &Expected<'a>,
    progress: &Progress<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Hashed<'a>, Fault> {
    file.rewind().map_err(SegmentError::from)?;
    let segment = SegmentFile::open(file)?;
    for column in &segment.shape().foreign_columns {
        let finding = Finding::new(Code::ColumnForeign)
            .file(expected.path)
            .segment(expected.segment);
        findings.push(finding.found(format!("column {column}")));
    }
    let mut hasher = RecordHasher::default();
    let mut rules = Rules::new(dir, expected.first, expected.window, expected.contexts);
    let mut malformed = None;
    segment.records(|record| {
        if hasher.size() == expected.count.min(RECORDS_MAX) {
            rules.seen += 1;
            return ControlFlow::Break(());
        }
        if let Err(error) = hasher.push(record) {
            malformed = Some(error.to_string());
            return ControlFlow::Break(());
        }
        rules.push(record);
        progress.tick(hasher.size());
        ControlFlow::Continue(())
    })?;
    let tree = hasher.finish();
    match malformed {
        Some(reason) => Err(Fault::File(reason)),
        None => Ok(Hashed {
            rows: rules.seen,
            root: tree.root(),
            blocks: tree.into_blocks(),
            rules,
        }),
    }
}

/// Most ranges of changed rows told apart.
const RANGES_MAX: usize = 20;

/// Where the rows differ: by block where the block roots are there to tell.
fn changed_rows(dir: &HostDir, expected: &Expected<'_>, hashed: &Hashed<'_>) -> Vec<Finding> {
    let finding = || Finding::new(Code::RowsChanged);
    let Ok(proven) = read_blocks(dir, expected.segment, expected.count, &expected.root) else {
        return vec![
            finding()
                .rows(all_rows(expected))
                .expected("the signed record root")
                .found("another"),
        ];
    };
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (block, (proven, found)) in (0..).zip(proven.iter().zip(&hashed.blocks)) {
        if proven != found {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == block => *last = block,
                _ => ranges.push((block, block)),
            }
        }
    }
    let rows = |(from, to): (u64, u64)| {
        let last = ((to + 1) * BLOCK_RECORDS).min(expected.count) - 1;
        expected.first + from * BLOCK_RECORDS..=expected.first + last
    };
    let differ = |range| {
        finding()
            .rows(rows(range))
            .expected("the signed block roots")
            .found(format!(
                "{} of {BLOCK_RECORDS} rows",
                counted(range.1 - range.0 + 1, "other block", "other blocks")
            ))
    };
    ranges.into_iter().take(RANGES_MAX).map(differ).collect()
}

/// The block roots of a segment, proven by its record root. A segment of one block is its own.
pub(super) fn read_blocks(
    dir: &HostDir,
    segment: u64,
    count: u64,
    root_of: &Hash,
) -> Result<Vec<Hash>, Finding> {
    if count <= BLOCK_RECORDS {
        return Ok(vec![*root_of]);
    }
    let path = blocks_path(segment);
    let bytes = dir.read(
        &path,
        RECORDS_MAX / BLOCK_RECORDS * size_of::<Hash>() as u64,
    )?;
    let (blocks, rest) = bytes.as_chunks::<{ size_of::<Hash>() }>();
    let whole = rest.is_empty() && blocks.len() as u64 == count.div_ceil(BLOCK_RECORDS);
    if whole && root::<Records>(blocks.iter().copied()) == *root_of {
        return Ok(blocks.to_vec());
    }
    Err(Finding::new(Code::BlocksBad)
        .file(path)
        .segment(segment)
        .expected("the record root")
        .found("another root"))
}
