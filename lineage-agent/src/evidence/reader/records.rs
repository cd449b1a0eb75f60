//! All records of a host in order, wherever they are.

use std::fs::File;
use std::ops::ControlFlow;

use super::super::error::{Error, Result};
use super::super::layout::spool_name;
use super::super::manifest::ParquetFile;
use super::super::record;
use super::super::schema::Record;
use super::super::segment::{SegmentError, SegmentFile};
use super::super::spool::{Frame, FrameKind};
use super::Host;

impl Host {
    /// Calls `visit` with every record in order of `seq`: what is sealed, then what is in spools.
    ///
    /// # Errors
    ///
    /// As [`super::Evidence::records`].
    pub fn records<B>(
        &self,
        mut visit: impl FnMut(&Record<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        let mut segments = self.manifests()?;
        segments.extend(self.spools()?);
        segments.sort_unstable();
        segments.dedup();
        for segment in segments {
            // While it is being sealed a segment is in both places, or moves between two looks.
            let found = match self.sealed_records(segment, &mut visit)? {
                Some(found) => Some(found),
                None => match self.spool_records(segment, &mut visit)? {
                    Some(found) => Some(found),
                    None => self.sealed_records(segment, &mut visit)?,
                },
            };
            if let Some(ControlFlow::Break(value)) = found {
                return Ok(Some(value));
            }
        }
        Ok(None)
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
