//! The sealed part of a log, and what leads from records and manifests to its roots.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Range;

use super::super::checkpoint::Checkpoint;
use super::super::error::Error;
use super::super::layout::{CHECKPOINT, manifest_path};
use super::super::manifest::Manifest;
use super::super::note::Note;
use super::super::origin::Origin;
use super::super::reader::Host;
use super::super::record::{self, RecordError};
use super::super::tree::{
    BLOCK_RECORDS, Hash, Hashing as _, Log, PartialTree, Records, root, shared_proof,
};
use super::make::ProofError;
use super::{Entry, SegmentPart};

/// A log up to its newest checkpoint.
pub(super) struct Sealed {
    pub(super) origin: Origin,
    /// The newest checkpoint.
    pub(super) checkpoint: Vec<u8>,
    /// The epoch that its second line is named after.
    pub(super) epoch: Option<u32>,
    segments: Vec<Summary>,
}

/// What is kept of a manifest.
struct Summary {
    leaf: Hash,
    epoch: u32,
    first: u64,
    count: u64,
}

impl Sealed {
    /// Reads the log, to prove this event of it.
    pub(super) fn read(host: &Host, event: u64) -> Result<Self, ProofError> {
        let checkpoint = host.checkpoint()?;
        // A log whose first segment is still open has none.
        let checkpoint = checkpoint.ok_or(ProofError::Unsealed { seq: event })?;
        let changed = || ProofError::changed(CHECKPOINT);
        let note = Note::parse(&checkpoint).map_err(|_| changed())?;
        let head = Checkpoint::parse(note.text).map_err(|_| changed())?;
        let origin = head.origin.parse().map_err(|_| changed())?;
        let mut segments = Vec::new();
        for segment in 0..head.size {
            let (leaf, manifest) = manifest(host, segment)?;
            segments.push(Summary {
                leaf,
                epoch: manifest.head.epoch,
                first: manifest.head.first,
                count: manifest.count,
            });
        }
        if root::<Log>(segments.iter().map(|segment| segment.leaf)) != head.root {
            return Err(ProofError::changed("manifests"));
        }
        Ok(Self {
            origin,
            epoch: segments.last().map(|segment| segment.epoch),
            segments,
            checkpoint,
        })
    }

    /// Segments in it.
    pub(super) fn size(&self) -> u64 {
        self.segments.len() as u64
    }

    /// The segment of a record.
    pub(super) fn segment_of(&self, seq: u64) -> Result<u64, ProofError> {
        let end = |segment: &Summary| segment.first.saturating_add(segment.count);
        let at = self.segments.partition_point(|segment| end(segment) <= seq);
        match self.segments.get(at) {
            Some(segment) if segment.first <= seq => Ok(at as u64),
            Some(_) => Err(ProofError::missing(format!("record {seq}"))),
            None => Err(ProofError::Unsealed { seq }),
        }
    }

    /// The epochs of segments.
    pub(super) fn epochs(&self, segments: &[u64]) -> BTreeMap<u64, u32> {
        let summaries = (0..).zip(&self.segments);
        summaries
            .filter(|(at, _)| segments.binary_search(at).is_ok())
            .map(|(at, summary)| (at, summary.epoch))
            .collect()
    }

    /// The field registries of segments.
    pub(super) fn registries(
        &self,
        host: &Host,
        segments: &[u64],
    ) -> Result<BTreeSet<Hash>, ProofError> {
        let registry = |segment: &u64| Ok(manifest(host, *segment)?.1.head.registry);
        segments.iter().map(registry).collect()
    }

    /// What proves the manifests of segments.
    pub(super) fn prove(&self, segments: &[u64]) -> Vec<Hash> {
        let mut subtree = |range: Range<u64>| {
            let leaves = &self.segments[index(range.start)..index(range.end)];
            Ok::<_, Infallible>(root::<Log>(leaves.iter().map(|segment| segment.leaf)))
        };
        let Ok(proof) = shared_proof(self.size(), segments, &mut subtree);
        proof
    }

    /// What proves records of a segment.
    pub(super) fn part(
        &self,
        host: &Host,
        segment: u64,
        records: Vec<Entry>,
    ) -> Result<SegmentPart, ProofError> {
        let (_, manifest) = manifest(host, segment)?;
        let first = manifest.head.first;
        let rows: Vec<u64> = records
            .iter()
            .map(|entry| entry.seq.saturating_sub(first))
            .collect();
        let tree = SegmentTree::read(host, &manifest, &rows)?;
        let Ok(nodes) = shared_proof(manifest.count, &rows, &mut |range| {
            Ok::<_, Infallible>(tree.subtree(range))
        });
        let leaves = records.iter().map(|entry| Records::leaf(&entry.bytes));
        let leaves: Vec<(u64, Hash)> = rows.into_iter().zip(leaves).collect();
        let tree = PartialTree::<Records>::new(manifest.count, &leaves, &nodes);
        if tree.and_then(|tree| tree.root()) != Some(manifest.root) {
            return Err(ProofError::changed(format!("segment {segment}")));
        }
        Ok(SegmentPart {
            segment,
            nodes,
            records,
        })
    }
}

/// A manifest, and its hash as a leaf of the log.
fn manifest(host: &Host, segment: u64) -> Result<(Hash, Manifest), ProofError> {
    let path = || manifest_path(segment);
    let bytes = host.manifest_bytes(segment)?;
    let bytes = bytes.ok_or_else(|| ProofError::missing(path()))?;
    let manifest = Manifest::parse(&bytes).map_err(|_| ProofError::changed(path()))?;
    Ok((Log::leaf(&bytes), manifest))
}

/// As much of a segment's tree as proofs of some records need: leaves of their blocks, and the roots of all blocks.
struct SegmentTree {
    leaves: BTreeMap<u64, Vec<Hash>>,
    blocks: Vec<Hash>,
}

impl SegmentTree {
    fn read(host: &Host, manifest: &Manifest, rows: &[u64]) -> Result<Self, ProofError> {
        let (segment, count) = (manifest.head.segment, manifest.count);
        let wanted: BTreeSet<u64> = rows.iter().map(|row| row / BLOCK_RECORDS).collect();
        let range = |block: &u64| block * BLOCK_RECORDS..((block + 1) * BLOCK_RECORDS).min(count);
        let rows: Vec<u64> = wanted.iter().flat_map(range).collect();
        let changed = || ProofError::changed(format!("segment {segment}"));
        let (mut hashes, mut bytes) = (Vec::with_capacity(rows.len()), Vec::new());
        let mut malformed: Result<(), RecordError> = Ok(());
        let there = host.pick_sealed(manifest, &rows, &mut |record| {
            bytes.clear();
            let encoded = record::encode_into(record, &mut bytes);
            hashes.push(Records::leaf(&bytes));
            malformed = std::mem::replace(&mut malformed, Ok(())).and(encoded);
        })?;
        malformed.map_err(Error::from)?;
        if !there {
            let what = format!("the Parquet file of segment {segment}");
            return Err(ProofError::missing(what));
        }
        if hashes.len() != rows.len() {
            return Err(changed());
        }
        let mut leaves = BTreeMap::new();
        for block in wanted {
            let range = range(&block);
            let rest = hashes.split_off(index(range.end - range.start));
            leaves.insert(block, std::mem::replace(&mut hashes, rest));
        }
        let mut blocks = Vec::new();
        if count > BLOCK_RECORDS {
            let bytes = host.blocks(segment, count)?;
            let bytes =
                bytes.ok_or_else(|| ProofError::missing(format!("blocks/{segment:010}")))?;
            blocks = bytes.as_chunks::<{ size_of::<Hash>() }>().0.to_vec();
            if blocks.len() as u64 != count.div_ceil(BLOCK_RECORDS) {
                return Err(ProofError::changed(format!("blocks/{segment:010}")));
            }
        }
        Ok(Self { leaves, blocks })
    }

    /// Root over a range of records: within a block whose leaves are known, or over whole blocks.
    fn subtree(&self, range: Range<u64>) -> Hash {
        let block = range.start / BLOCK_RECORDS;
        let blocks = block..range.end.div_ceil(BLOCK_RECORDS);
        let hashes = match self.leaves.get(&block) {
            Some(leaves) if blocks.end == block + 1 => {
                let start = block * BLOCK_RECORDS;
                &leaves[index(range.start - start)..index(range.end - start)]
            }
            _ => &self.blocks[index(blocks.start)..index(blocks.end)],
        };
        root::<Records>(hashes.iter().copied())
    }
}

/// An index into memory: what is counted there fits.
fn index(number: u64) -> usize {
    usize::try_from(number).expect("what is in memory is counted by a usize")
}
