//! The Parquet file of a segment being sealed: written from the spool, named once the manifest is
//! there.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::super::error::{Error, Result};
use super::super::files::Dir;
use super::super::layout::spool_name;
use super::super::manifest::ParquetFile;
use super::super::segment::{PARQUET_BYTES_MAX, SegmentWriter, WriteError, date, segment_name};
use super::super::spool::{Frame, FrameKind, FrameReader};
use super::super::tree::Hash;
use super::readback::Readback;
use super::{SealJob, Sealer};

impl Sealer {
    /// Writes the records of the spool as Parquet under a temporary name.
    pub(super) fn write_parquet(&self, job: &SealJob) -> Result<Option<ParquetFile>> {
        if job.commit.count == 0 {
            return Ok(None);
        }
        let segment = job.head.segment;
        let staged = temporary(segment);
        self.dir.spool.remove(&staged)?;
        let file = self.dir.spool.create(&staged, 0o640)?;
        let path = self.dir.spool.path().join(&staged);
        let parquet = |source| Error::Parquet {
            operation: "write",
            path: path.clone(),
            source,
        };
        let out = Digesting::new(file);
        let mut writer = SegmentWriter::new(out).map_err(parquet)?;
        self.each_record(job, |encoded| {
            writer.push(encoded).map_err(|error| match error {
                WriteError::Record(error) => error.into(),
                WriteError::Parquet(error) => parquet(error),
            })
        })?;
        let out = writer
            .finish(&job.head.origin.to_string(), segment, &job.commit.root)
            .map_err(parquet)?;
        let (file, size, digest) = out.finish();
        file.sync_all().map_err(Error::io("sync", &path))?;
        self.dir.spool.sync()?;
        let date = date(job.head.opened);
        let file = ParquetFile {
            path: format!("events/date={date}/{}.parquet", segment_name(segment)),
            size,
            digest,
        };
        Ok(Some(file))
    }

    /// Calls `visit` with the encoded records of a segment's spool, and makes sure that they are the ones
    /// that were signed: a disk or a hand may have changed them since, and what is sealed cannot be
    /// put right later.
    fn each_record(&self, job: &SealJob, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let name = spool_name(job.head.segment);
        let path = self.dir.spool.path().join(&name);
        let Some(file) = self.dir.spool.open_file(&name, u64::MAX)? else {
            return Err(Error::io("read", path)(std::io::ErrorKind::NotFound.into()));
        };
        let damaged = |at, reason| Error::Spool {
            path: path.clone(),
            at,
            reason,
        };
        let mut reader = FrameReader::unchecked(file);
        let mut readback = Readback::new(job.sum.as_ref());
        let mut left = job.commit.count;
        while left > 0 {
            let at = reader.offset();
            let frame = reader.next_frame().map_err(Error::io("read", &path))?;
            let Frame::Whole { kind, payload, .. } = frame else {
                return Err(damaged(at, "it is not what was written"));
            };
            if kind == FrameKind::Record {
                left -= 1;
                readback.add(payload);
                visit(payload)?;
            }
        }
        if readback.is(&job.commit.root) {
            Ok(())
        } else {
            Err(damaged(0, "its records are not the ones that were signed"))
        }
    }

    /// Gives the Parquet file its name, unless an interrupted seal already has.
    pub(super) fn publish(&self, job: &SealJob, file: &ParquetFile) -> Result<()> {
        let (directory, name) = split_event_path(&file.path, self.dir.events.path())?;
        let events = self.dir.events.make(directory, 0o750)?;
        if events.has(name)? {
            return same_file(&events, name, file);
        }
        let staged = temporary(job.head.segment);
        if !self.dir.spool.has(&staged)? {
            // Somebody tidied up. The records are still in the spool.
            self.write_parquet(job)?;
        }
        self.dir.spool.publish(&staged, &events, name)?;
        events.sync()?;
        self.dir.spool.sync()
    }
}

pub(super) fn temporary(segment: u64) -> String {
    format!("{}.parquet.tmp", segment_name(segment))
}

fn split_event_path<'a>(path: &'a str, events: &Path) -> Result<(&'a str, &'a str)> {
    path.strip_prefix("events/")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(_, name)| !name.contains('/'))
        .ok_or_else(|| Error::Conflict(events.join(path)))
}

fn same_file(dir: &Dir, name: &str, expected: &ParquetFile) -> Result<()> {
    let path = dir.path().join(name);
    let Some(mut file) = dir.open_file(name, PARQUET_BYTES_MAX)? else {
        return Err(Error::io("read", path)(std::io::ErrorKind::NotFound.into()));
    };
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut file, &mut hasher).map_err(Error::io("read", &path))?;
    if *hasher.finalize().as_bytes() == expected.digest {
        Ok(())
    } else {
        Err(Error::Conflict(path))
    }
}

/// A file that is hashed as it is written.
struct Digesting {
    file: File,
    hasher: blake3::Hasher,
    size: u64,
}

impl Digesting {
    fn new(file: File) -> Self {
        Self {
            file,
            hasher: blake3::Hasher::new(),
            size: 0,
        }
    }

    fn finish(self) -> (File, u64, Hash) {
        (self.file, self.size, *self.hasher.finalize().as_bytes())
    }
}

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
