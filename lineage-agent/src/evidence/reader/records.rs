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
        let mut sealed = 0;
        for segment in self.manifests()? {
            let Some(manifest) = self.manifest(segment)? else {
                continue;
            };
            if let Some(file) = &manifest.parquet {
                // A manifest can be there before its segment: the records are still in the spool.
                let Some(parquet) = self.parquet(file)? else {
                    continue;
                };
                if let Some(value) = self.segment_records(file, &parquet, &mut visit)? {
                    return Ok(Some(value));
                }
            }
            sealed = segment + 1;
        }
        for segment in self.spools()? {
            if segment < sealed {
                continue;
            }
            if let Some(value) = self.spool_records(segment, &mut visit)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
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

    /// Visits the whole records of a spool; what a crash tore off is left out.
    fn spool_records<B>(
        &self,
        segment: u64,
        visit: &mut impl FnMut(&Record<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
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
                        return Ok(Some(value));
                    }
                }
                Frame::Whole { .. } => {}
                Frame::End | Frame::Torn => return Ok(None),
            }
        }
    }
}
