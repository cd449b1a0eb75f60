//! Records of a host, all in order or some by their `seq`, wherever they are.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

use super::super::error::{Error, Result};
use super::super::layout::spool_name;
use super::super::manifest::{Manifest, ParquetFile};
use super::super::record;
use super::super::schema::Record;
use super::super::segment::{SegmentError, SegmentFile};
use super::super::spool::{Frame, FrameKind};
use super::Host;

impl Host {
    /// Calls `visit` with every record in order of `seq`: what is sealed, then what is in spools. Parts
    /// that are missing are passed over.
    ///
    /// # Errors
    ///
    /// As [`super::Evidence::records`]; [`Error::Incomplete`] at the end when a part was missing.
    pub fn records<B>(
        &self,
        mut visit: impl FnMut(&Record<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        // What is sealed after this look is not missing when it is not found below.
        let sealed = self.log_head();
        // A segment that is sealed between the two looks is in both.
        let mut segments = self.spools()?;
        segments.extend(self.manifests()?);
        segments.sort_unstable();
        segments.dedup();
        let mut missing = Missing::default();
        for segment in segments {
            missing.manifests_before(segment);
            // While it is being sealed a segment is in both places, or moves between two looks.
            let found = match self.sealed_records(segment, &mut visit)? {
                Some(found) => Some(found),
                None => match self.spool_records(segment, &mut visit)? {
                    Some(found) => Some(found),
                    None => self.sealed_records(segment, &mut visit)?,
                },
            };
            match found {
                Some(Visited::Broke(value)) => return Ok(Some(value)),
                Some(Visited::All) => {}
                Some(Visited::Others(what)) => missing.push(what),
                None => missing.file_of(segment),
            }
        }
        match sealed {
            Ok(Some((segments, _))) => missing.manifests_before(segments),
            Ok(None) => {}
            Err(_) => missing.push("a readable log/checkpoint".to_owned()),
        }
        missing.done(self.path())
    }

    /// Visits the records of a sealed segment; `None` when it is not all there.
    fn sealed_records<B>(
        &self,
        segment: u64,
        visit: &mut impl FnMut(&Record<'_>) -> ControlFlow<B>,
    ) -> Result<Option<Visited<B>>> {
        let Some(manifest) = self.manifest(segment)? else {
            return Ok(None);
        };
        let Some(file) = &manifest.parquet else {
            return Ok(Some(Visited::All));
        };
        let Some(parquet) = self.parquet(file)? else {
            return Ok(None);
        };
        let (mut next, mut others) = (manifest.head.first, 0_u64);
        let value = self.segment_records(file, &parquet, &mut |record| {
            others += u64::from(record.seq != Some(next));
            next = next.saturating_add(1);
            visit(record)
        })?;
        let end = manifest.head.first.saturating_add(manifest.count);
        Ok(Some(match value {
            Some(value) => Visited::Broke(value),
            None if others == 0 && next == end => Visited::All,
            None => Visited::Others(format!(
                "the records that the manifest of segment {segment} tells of"
            )),
        }))
    }

    fn segment_records<B>(
        &self,
        file: &ParquetFile,
        parquet: &File,
        visit: &mut impl FnMut(&Record<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        SegmentFile::open(parquet)
            .and_then(|segment| segment.records(visit))
            .map_err(|source| self.unreadable(file, source))
    }

    fn unreadable(&self, file: &ParquetFile, source: SegmentError) -> Error {
        Error::Segment {
            path: self.path().join(&file.path),
            source,
        }
    }

    /// Calls `visit` with the records that have these `seq`s, which ascend. What is not there is passed over.
    ///
    /// # Errors
    ///
    /// [`Error`] of the first file that cannot be read; records before it have been visited.
    pub fn pick(&self, seqs: &[u64], mut visit: impl FnMut(&Record<'_>)) -> Result<()> {
        // A file that was changed can have others in their places.
        let mut visit = |record: &Record<'_>| {
            if record
                .seq
                .is_some_and(|seq| seqs.binary_search(&seq).is_ok())
            {
                visit(record);
            }
        };
        let (mut rest, mut unsealed) = (seqs, Vec::new());
        let segments = self.manifests()?;
        // Whatever the manifests say, those before the one found here do not have the first record.
        let ends_before = |segment: &u64| {
            let manifest = self.manifest(*segment).ok().flatten();
            manifest.zip(seqs.first()).is_some_and(|(manifest, first)| {
                manifest.head.first.saturating_add(manifest.count) <= *first
            })
        };
        let start = segments.partition_point(ends_before);
        for &segment in &segments[start..] {
            if rest.is_empty() {
                break;
            }
            let Some(manifest) = self.manifest(segment)? else {
                continue;
            };
            let first = manifest.head.first;
            let end = first.saturating_add(manifest.count);
            let (before, from) = rest.split_at(rest.partition_point(|seq| *seq < first));
            let (here, after) = from.split_at(from.partition_point(|seq| *seq < end));
            unsealed.extend_from_slice(before);
            rest = after;
            if here.is_empty() {
                continue;
            }
            let rows: Vec<u64> = here.iter().map(|seq| seq - first).collect();
            if !self.pick_sealed(&manifest, &rows, &mut visit)? {
                unsealed.extend_from_slice(here);
            }
        }
        unsealed.extend_from_slice(rest);
        self.pick_unsealed(&unsealed, &mut visit)
    }

    /// Calls `visit` with the records that are not sealed, and gives the first `seq` that such a record can have.
    ///
    /// # Errors
    ///
    /// [`Error`] of the first file that cannot be read.
    pub fn unsealed(&self, mut visit: impl FnMut(&Record<'_>)) -> Result<u64> {
        // What is sealed in between is visited here, too.
        let spools = self.spools()?;
        let newest = self.manifests()?.pop();
        let newest = newest.map(|newest| self.manifest(newest)).transpose()?;
        let end = |manifest: Manifest| manifest.head.first.saturating_add(manifest.count);
        let sealed = newest.flatten().map_or(0, end);
        for segment in spools {
            self.spool_records(segment, &mut |record| {
                if record.seq.is_some_and(|seq| seq >= sealed) {
                    visit(record);
                }
                ControlFlow::<()>::Continue(())
            })?;
        }
        Ok(sealed)
    }

    /// The greatest `seq` of the host's records, as far as manifests and spools tell.
    ///
    /// # Errors
    ///
    /// [`Error`] of the first file that cannot be read.
    pub fn last_seq(&self) -> Result<Option<u64>> {
        let mut last = None;
        for segment in self.spools()? {
            self.spool_records(segment, &mut |record| {
                last = last.max(record.seq);
                ControlFlow::<()>::Continue(())
            })?;
        }
        for segment in self.manifests()?.into_iter().rev() {
            if let Some(manifest) = self.manifest(segment)?.filter(|it| it.count > 0) {
                let end = manifest.head.first.saturating_add(manifest.count);
                return Ok(last.max(Some(end - 1)));
            }
        }
        Ok(last)
    }

    /// The greatest `time_ns` of the host's records, as far as its newest manifest with records and the spools tell.
    ///
    /// # Errors
    ///
    /// [`Error`] of the first file that cannot be read.
    pub fn last_time_ns(&self) -> Result<Option<i64>> {
        let mut last = None;
        for segment in self.spools()? {
            self.spool_records(segment, &mut |record| {
                last = last.max(record.time_ns);
                ControlFlow::<()>::Continue(())
            })?;
        }
        for segment in self.manifests()?.into_iter().rev() {
            if let Some((_, latest)) = self.manifest(segment)?.and_then(|it| it.times) {
                return Ok(last.max(Some(latest)));
            }
        }
        Ok(last)
    }

    /// Visits these rows of a segment, which ascend; false when its file is not there.
    pub(in crate::evidence) fn pick_sealed(
        &self,
        manifest: &Manifest,
        rows: &[u64],
        visit: &mut impl FnMut(&Record<'_>),
    ) -> Result<bool> {
        let Some(file) = &manifest.parquet else {
            return Ok(false);
        };
        let Some(parquet) = self.parquet(file)? else {
            return Ok(false);
        };
        SegmentFile::open_rows(&parquet, rows)
            .and_then(|segment| {
                segment.records(|record| {
                    visit(record);
                    ControlFlow::<()>::Continue(())
                })
            })
            .map_err(|source| self.unreadable(file, source))?;
        Ok(true)
    }

    fn pick_unsealed(&self, seqs: &[u64], visit: &mut impl FnMut(&Record<'_>)) -> Result<()> {
        let Some(last) = seqs.last() else {
            return Ok(());
        };
        for segment in self.spools()? {
            self.spool_records(segment, &mut |record| {
                let seq = record.seq.unwrap_or_default();
                if seqs.binary_search(&seq).is_ok() {
                    visit(record);
                }
                if seq < *last {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        }
        Ok(())
    }

    /// Visits the whole records of a spool; what a crash tore off is left out. `None` when there is no
    /// spool.
    fn spool_records<B>(
        &self,
        segment: u64,
        visit: &mut impl FnMut(&Record<'_>) -> ControlFlow<B>,
    ) -> Result<Option<Visited<B>>> {
        let Some(mut spool) = self.spool(segment)? else {
            return Ok(None);
        };
        let path = self.path().join("spool").join(spool_name(segment));
        loop {
            match spool.next_frame().map_err(Error::io("read", &path))? {
                Frame::Whole {
                    kind: FrameKind::Record,
                    payload,
                    ..
                } => {
                    if let ControlFlow::Break(value) = visit(&record::decode(payload)?) {
                        return Ok(Some(Visited::Broke(value)));
                    }
                }
                Frame::Whole { .. } => {}
                // A crash, or a recorder that is just writing.
                Frame::End | Frame::Torn { at_end: true } => return Ok(Some(Visited::All)),
                Frame::Torn { at_end: false } => {
                    let from = spool.offset();
                    return Ok(Some(Visited::Others(format!(
                        "what followed byte {from} of the spool of segment {segment}"
                    ))));
                }
            }
        }
    }
}

/// What came of going through a segment.
enum Visited<B> {
    /// There was no more to go through.
    All,
    /// There should be others than there were: what is missing, for people.
    Others(String),
    /// Whoever visited had seen enough.
    Broke(B),
}

/// Parts passed over.
#[derive(Default)]
struct Missing {
    /// The segment after the last one that was looked at.
    next: u64,
    parts: Vec<String>,
    uncounted: u64,
}

/// Most parts that are named.
const NAMED_MAX: usize = 8;

impl Missing {
    /// Segments are numbered without gap.
    fn manifests_before(&mut self, segment: u64) {
        match segment.checked_sub(self.next) {
            Some(1) => self.push(format!("segment {}", self.next)),
            Some(2..) => self.push(format!("segments {} to {}", self.next, segment - 1)),
            _ => {}
        }
        self.next = segment.saturating_add(1);
    }

    fn file_of(&mut self, segment: u64) {
        self.push(format!("the Parquet file of segment {segment}"));
    }

    fn push(&mut self, part: String) {
        if self.parts.len() < NAMED_MAX {
            self.parts.push(part);
        } else {
            self.uncounted += 1;
        }
    }

    fn done<B>(self, host: &Path) -> Result<Option<B>> {
        if self.parts.is_empty() {
            return Ok(None);
        }
        let mut missing = self.parts.join(", ");
        if self.uncounted > 0 {
            missing += &format!(" and {} more parts", self.uncounted);
        }
        Err(Error::Incomplete {
            path: host.to_owned(),
            missing,
        })
    }
}
