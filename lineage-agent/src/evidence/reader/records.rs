//! All records of a host in order, wherever they are.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

use super::super::error::{Error, Result};
use super::super::layout::spool_name;
use super::super::manifest::ParquetFile;
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
                Some(ControlFlow::Break(value)) => return Ok(Some(value)),
                Some(ControlFlow::Continue(())) => {}
                None => missing.file_of(segment),
            }
        }
        missing.done(self.path())
    }

    /// Visits the records of a sealed segment; `None` when it is not all there.
    fn sealed_records<B>(
        &self,
        segment: u64,
        visit: &mut impl FnMut(&Record<'_>) -> ControlFlow<B>,
    ) -> Result<Option<ControlFlow<B>>> {
        let Some(manifest) = self.manifest(segment)? else {
            return Ok(None);
        };
        let Some(file) = &manifest.parquet else {
            return Ok(Some(ControlFlow::Continue(())));
        };
        let Some(parquet) = self.parquet(file)? else {
            return Ok(None);
        };
        let value = self.segment_records(file, &parquet, visit)?;
        Ok(Some(
            value.map_or(ControlFlow::Continue(()), ControlFlow::Break),
        ))
    }

    fn segment_records<B>(
        &self,
        file: &ParquetFile,
        parquet: &File,
        visit: &mut impl FnMut(&Record<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        SegmentFile::open(parquet)
            .and_then(|segment| segment.records(visit))
            .map_err(|source: SegmentError| Error::Segment {
                path: self.path().join(&file.path),
                source,
            })
    }

    /// Visits the whole records of a spool; what a crash tore off is left out. `None` when there is no
    /// spool.
    fn spool_records<B>(
        &self,
        segment: u64,
        visit: &mut impl FnMut(&Record<'_>) -> ControlFlow<B>,
    ) -> Result<Option<ControlFlow<B>>> {
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
                    let flow = visit(&record::decode(payload)?);
                    if flow.is_break() {
                        return Ok(Some(flow));
                    }
                }
                Frame::Whole { .. } => {}
                Frame::End | Frame::Torn => return Ok(Some(ControlFlow::Continue(()))),
            }
        }
    }
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
