//! What a recorder left: the newest checkpoint and manifest, and spools.

use super::super::checkpoint::Checkpoint;
use super::super::counters::Counters;
use super::super::error::{Error, Result};
use super::super::keys::Keys;
use super::super::layout::{HostDir, spool_name};
use super::super::manifest::{Cpus, MANIFEST_BYTES_MAX, Manifest};
use super::super::note::{NOTE_BYTES_MAX, Note};
use super::super::origin::Origin;
use super::super::reader::{ARTIFACT_BYTES_MAX, SPOOL_BYTES_MAX};
use super::super::scan::{is_stillborn, read_head};
use super::super::segment::segment_name;
use super::super::text::{Lines, hex};
use super::super::tree::Hash;

/// The log and its size by the newest checkpoint.
pub(super) fn newest_checkpoint(dir: &HostDir) -> Result<Option<(Origin, u64)>> {
    let path = dir.log.path().join("checkpoint");
    let Some(bytes) = dir.log.read("checkpoint", NOTE_BYTES_MAX as u64)? else {
        return Ok(None);
    };
    let parse = || {
        let note = Note::parse(&bytes).ok()?;
        let checkpoint = Checkpoint::parse(note.text).ok()?;
        Some((checkpoint.origin.parse().ok()?, checkpoint.size))
    };
    parse().map(Some).ok_or(Error::Conflict(path))
}

/// The log, by the header of its first spool: no segment was ever sealed.
pub(super) fn first_spool(dir: &HostDir, keys: &Keys, spools: &[u64]) -> Result<Origin> {
    let absent = || Error::Absent {
        path: dir.root.path().to_owned(),
        host: keys.host_id().to_string(),
    };
    let segment = *spools.first().ok_or_else(absent)?;
    let head = read_head(&dir.spool, segment)?;
    if head.origin.host != keys.host_id() {
        return Err(absent());
    }
    Ok(head.origin)
}

/// A manifest that must be there, with its digest.
pub(super) fn manifest(dir: &HostDir, segment: u64) -> Result<(Manifest, Hash)> {
    let name = segment_name(segment);
    let path = dir.manifests.path().join(&name);
    let Some(bytes) = dir.manifests.read(&name, MANIFEST_BYTES_MAX as u64)? else {
        return Err(Error::io("read", path)(std::io::ErrorKind::NotFound.into()));
    };
    let manifest = Manifest::parse(&bytes).map_err(|source| Error::Malformed { path, source })?;
    Ok((manifest, *blake3::hash(&bytes).as_bytes()))
}

/// The counters a manifest states, wherever they stand.
pub(super) fn counters(dir: &HostDir, manifest: &Manifest) -> Result<Counters> {
    let cpus = match &manifest.cpus {
        Cpus::Inline(cpus) => cpus.clone(),
        Cpus::Artifact(digest) => {
            let name = hex(digest);
            let path = dir.artifacts.path().join(&name);
            let Some(bytes) = dir.artifacts.read(&name, ARTIFACT_BYTES_MAX)? else {
                return Err(Error::io("read", path)(std::io::ErrorKind::NotFound.into()));
            };
            Lines::untitled(&bytes)
                .and_then(|mut lines| {
                    let cpus = Counters::read_cpus(&mut lines)?;
                    lines.end().map(|()| cpus)
                })
                .map_err(|source| Error::Malformed { path, source })?
        }
    };
    Ok(Counters {
        dropped: manifest.dropped,
        cpus,
    })
}

/// The spools from `size` on, without a last one that has no whole header, which is removed; and
/// how many bytes that had.
pub(super) fn without_stillborn(
    dir: &HostDir,
    spools: Vec<u64>,
    size: u64,
) -> Result<(Vec<u64>, u64)> {
    let mut spools: Vec<u64> = spools.into_iter().filter(|it| *it >= size).collect();
    let Some(last) = spools.last().copied().filter(|last| *last > 0) else {
        return Ok((spools, 0));
    };
    if !is_stillborn(&dir.spool, last)? {
        return Ok((spools, 0));
    }
    let name = spool_name(last);
    let bytes = dir
        .spool
        .read(&name, SPOOL_BYTES_MAX)?
        .map_or(0, |bytes| bytes.len() as u64);
    dir.spool.remove(&name)?;
    spools.pop();
    Ok((spools, bytes))
}

/// Removes spools whose segments are sealed: the last step, interrupted.
pub(super) fn drop_spools(dir: &HostDir, spools: &[u64], size: u64) -> Result<()> {
    for segment in spools.iter().filter(|segment| **segment < size) {
        dir.spool.remove(&spool_name(*segment))?;
    }
    dir.spool.sync()
}
