//! What a manifest says about the records of a segment, gathered as they pass.

use super::manifest::LineageRange;
use super::record::RecordError;
use super::schema::Record;
use super::text::parse_hex;
use super::tree::Hash;

/// Lineages one segment may hold, and contexts: what keeps a manifest below 64 KiB.
pub const LINEAGES_MAX: usize = 128;
/// See [`LINEAGES_MAX`].
pub const CONTEXTS_MAX: usize = 256;

/// Longest name of a lineage.
const LINEAGE_BYTES_MAX: usize = 64;

/// Summary of the records so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    times: Option<(i64, i64)>,
    lineages: Vec<LineageRange>,
    /// The lineage of the record before: most records share it.
    last_lineage: usize,
    contexts: Vec<(String, Hash)>,
    last_context: usize,
}

impl Tally {
    /// Whether `record` brings a lineage or a context for which there is no room.
    #[inline]
    #[must_use]
    pub fn is_full_for(&self, record: &Record<'_>) -> bool {
        if self.lineages.len() < LINEAGES_MAX && self.contexts.len() < CONTEXTS_MAX {
            return false;
        }
        let full = |present: bool, len, max| !present && len == max;
        record.lineage.is_some_and(|lineage| {
            full(
                self.find_lineage(lineage).is_some(),
                self.lineages.len(),
                LINEAGES_MAX,
            )
        }) || record.context.is_some_and(|context| {
            full(
                self.find_context(context).is_some(),
                self.contexts.len(),
                CONTEXTS_MAX,
            )
        })
    }

    /// Takes a record in, once its own rules are checked; on error nothing changes.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when the record breaks a rule of the format.
    #[inline]
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        let time_ns = check(record)?;
        let mut lineage = None;
        if let (Some(name), Some(found)) = (record.lineage, record.lineage_seq) {
            let at = self.find_lineage(name);
            match at {
                Some(at) if self.lineages[at].last + 1 != found => {
                    return Err(RecordError::OutOfOrder {
                        field: "lineage_seq",
                        expected: self.lineages[at].last + 1,
                        found,
                    });
                }
                None => check_lineage(record, name)?,
                Some(_) => {}
            }
            lineage = Some((name, at, found));
        }
        if let Some(context) = record.context {
            match self.find_context(context) {
                Some(at) => self.last_context = at,
                None => self.add_context(record, context)?,
            }
        }
        if let Some((name, at, seq)) = lineage {
            self.extend_lineage(name, at, seq);
        }
        let (min, max) = self.times.unwrap_or((time_ns, time_ns));
        self.times = Some((min.min(time_ns), max.max(time_ns)));
        Ok(())
    }

    /// Smallest and largest `time_ns`.
    #[must_use]
    pub fn times(&self) -> Option<(i64, i64)> {
        self.times
    }

    /// Lineages, ascending.
    #[must_use]
    pub fn lineages(&self) -> Vec<LineageRange> {
        let mut lineages = self.lineages.clone();
        lineages.sort_unstable_by(|one, other| one.lineage.cmp(&other.lineage));
        lineages
    }

    /// Contexts, ascending.
    #[must_use]
    pub fn contexts(&self) -> Vec<Hash> {
        let mut contexts: Vec<Hash> = self.contexts.iter().map(|(_, digest)| *digest).collect();
        contexts.sort_unstable();
        contexts
    }

    #[inline]
    fn find_lineage(&self, lineage: &str) -> Option<usize> {
        let is = |at: usize| {
            self.lineages
                .get(at)
                .is_some_and(|it| it.lineage == lineage)
        };
        if is(self.last_lineage) {
            return Some(self.last_lineage);
        }
        (0..self.lineages.len()).find(|at| is(*at))
    }

    #[inline]
    fn find_context(&self, context: &str) -> Option<usize> {
        let is = |at: usize| {
            self.contexts
                .get(at)
                .is_some_and(|(text, _)| text == context)
        };
        if is(self.last_context) {
            return Some(self.last_context);
        }
        (0..self.contexts.len()).find(|at| is(*at))
    }

    fn extend_lineage(&mut self, lineage: &str, at: Option<usize>, seq: u64) {
        self.last_lineage = at.unwrap_or_else(|| {
            self.lineages.push(LineageRange {
                lineage: lineage.to_owned(),
                first: seq,
                last: seq,
            });
            self.lineages.len() - 1
        });
        self.lineages[self.last_lineage].last = seq;
    }

    fn add_context(&mut self, record: &Record<'_>, context: &str) -> Result<(), RecordError> {
        let digest = parse_hex(context).ok_or(contradiction(record, "context"))?;
        self.contexts.push((context.to_owned(), digest));
        self.last_context = self.contexts.len() - 1;
        Ok(())
    }
}

fn contradiction(record: &Record<'_>, field: &'static str) -> RecordError {
    RecordError::Contradiction {
        seq: record.seq.unwrap_or_default(),
        field,
    }
}

/// The rules a record obeys by itself; returns its `time_ns`.
///
/// # Errors
///
/// [`RecordError`]
#[inline]
pub fn check(record: &Record<'_>) -> Result<i64, RecordError> {
    let seq = record.seq.ok_or(RecordError::Lacks("seq"))?;
    let time_ns = record.time_ns.ok_or(RecordError::Lacks("time_ns"))?;
    let time = record.time.ok_or(RecordError::Lacks("time"))?;
    if record.kind.is_none() {
        return Err(RecordError::Lacks("kind"));
    }
    if time != time_ns.div_euclid(1000) {
        return Err(contradiction(record, "time"));
    }
    if record.cause.is_some_and(|cause| cause >= seq) {
        return Err(contradiction(record, "cause"));
    }
    if record.lineage.is_some() != record.lineage_seq.is_some() {
        return Err(RecordError::Lacks("lineage or lineage_seq"));
    }
    Ok(time_ns)
}

/// A lineage's name stands in a line of the manifest between spaces.
fn check_lineage(record: &Record<'_>, lineage: &str) -> Result<(), RecordError> {
    let plain = |byte: u8| byte.is_ascii_graphic();
    if lineage.is_empty() || lineage.len() > LINEAGE_BYTES_MAX || !lineage.bytes().all(plain) {
        return Err(contradiction(record, "lineage"));
    }
    Ok(())
}
