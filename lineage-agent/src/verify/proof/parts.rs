//! What a proof has of segments: a manifest each, and records that its root follows from.

use super::super::access::HostDir;
use super::super::chain::{check_name, check_times};
use super::super::epochs::Keys;
use super::super::finding::{Code, Finding};
use super::super::findings::Findings;
use super::super::layout::manifest_path;
use super::super::place::widened_window;
use super::super::rows::Rules;
use super::super::segment::check_registry;
use super::BySeq;
use crate::evidence::manifest::{MANIFEST_BYTES_MAX, Manifest};
use crate::evidence::proof::{Entry, Proof, SegmentPart};
use crate::evidence::record::decode;
use crate::evidence::schema::Record;
use crate::evidence::text::{hex, parse_hex};
use crate::evidence::tree::{Hash, Hashing as _, Log, PartialTree, Records};

/// One segment of a proof.
pub(super) struct Part<'a> {
    pub(super) part: &'a SegmentPart,
    pub(super) manifest: Manifest,
    /// Of the manifest, in the log.
    pub(super) leaf: Hash,
}

/// The manifest of every segment.
pub(super) fn read<'a>(
    dir: &HostDir,
    keys: &Keys,
    proof: &'a Proof,
    findings: &mut Findings,
) -> Result<Vec<Part<'a>>, Finding> {
    let mut parts = Vec::new();
    for part in &proof.segments {
        let path = manifest_path(part.segment);
        let about = |finding: Finding| finding.file(&path).segment(part.segment);
        let bytes = dir.read(&path, MANIFEST_BYTES_MAX as u64)?;
        let manifest = Manifest::parse(&bytes)
            .map_err(|error| about(Finding::new(Code::ManifestBad).found(error)))?;
        let head = &manifest.head;
        check_name(head, part.segment, &proof.origin, dir.host).map_err(about)?;
        findings.extend(check_times(keys, &manifest).map_err(about).err());
        parts.push(Part {
            part,
            leaf: Log::leaf(&bytes),
            manifest,
        });
    }
    Ok(parts)
}

impl<'a> Part<'a> {
    pub(super) fn segment(&self) -> u64 {
        self.part.segment
    }

    /// Checks that the records are those of the segment that were signed, and every rule that holds for single records.
    /// Takes them in.
    pub(super) fn check(
        &self,
        dir: &HostDir,
        keys: &Keys,
        records: &mut BySeq<'a>,
    ) -> Result<(), Finding> {
        self.check_root()?;
        let about = |finding: Finding| finding.segment(self.segment());
        let Manifest { head, contexts, .. } = &self.manifest;
        check_registry(dir, &head.registry)
            .map_err(|reason| about(Finding::new(Code::Unreadable).found(reason)))?;
        let window = keys.epochs.get(&head.epoch).map(widened_window);
        let mut rules = Rules::new(dir, head.first, window, Some(contexts));
        for Entry { seq, role, bytes } in &self.part.records {
            let record = decode(bytes).map_err(|error| {
                about(
                    Finding::new(Code::RecordRule)
                        .rows(*seq..=*seq)
                        .found(error),
                )
            })?;
            rules.pass_to(*seq);
            rules.push(&record);
            self.check_summary(&record).map_err(about)?;
            records.insert(*seq, (*role, record));
        }
        rules.finish().map(drop).map_err(about)
    }

    fn check_root(&self) -> Result<(), Finding> {
        let Manifest {
            head, count, root, ..
        } = &self.manifest;
        let about = |code| Finding::new(code).segment(self.segment());
        let leaf = |entry: &Entry| {
            let index = entry.seq.checked_sub(head.first)?;
            Some((index, Records::leaf(&entry.bytes)))
        };
        let leaves: Option<Vec<_>> = self.part.records.iter().map(leaf).collect();
        let tree = leaves
            .and_then(|leaves| PartialTree::<Records>::new(*count, &leaves, &self.part.nodes));
        let Some(found) = tree.and_then(|tree| tree.root()) else {
            return Err(about(Code::ProofBad)
                .expected(format!("the hashes that prove these records among {count}"))
                .found(format!("{} others", self.part.nodes.len())));
        };
        if found == *root {
            return Ok(());
        }
        let records = &self.part.records;
        let (first, last) = records
            .first()
            .zip(records.last())
            .map_or((0, 0), |(first, last)| (first.seq, last.seq));
        Err(about(Code::RowsChanged)
            .rows(first..=last)
            .expected(format!("root {}, which is signed", hex(root)))
            .found(format!("root {}", hex(&found))))
    }

    /// The manifest speaks of the record.
    fn check_summary(&self, record: &Record<'_>) -> Result<(), Finding> {
        let Manifest {
            times,
            lineages,
            contexts,
            ..
        } = &self.manifest;
        let within = |(min, max): (i64, i64)| {
            record
                .time_ns
                .is_some_and(|time| (min..=max).contains(&time))
        };
        let lineage = record
            .lineage
            .zip(record.lineage_seq)
            .is_none_or(|(lineage, seq)| {
                let mut ranges = lineages.iter();
                ranges.any(|range| {
                    range.lineage == lineage && (range.first..=range.last).contains(&seq)
                })
            });
        let context = record.context.is_none_or(|context| {
            parse_hex(context).is_some_and(|digest| contexts.contains(&digest))
        });
        if times.is_some_and(within) && lineage && context {
            return Ok(());
        }
        let seq = record.seq.unwrap_or_default();
        Err(Finding::new(Code::RecordRule)
            .rows(seq..=seq)
            .expected("times, lineages and contexts of the records")
            .found("others in the manifest"))
    }
}
