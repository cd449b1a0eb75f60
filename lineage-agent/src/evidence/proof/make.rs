//! Making a proof from evidence.

use std::collections::{BTreeMap, BTreeSet};

use super::super::artifacts::{Follow, walk};
use super::super::digest;
use super::super::error::Error;
use super::super::layout::{artifact_path, cosignatures_path};
use super::super::note::NOTE_BYTES_MAX;
use super::super::reader::{ARTIFACT_BYTES_MAX, Host};
use super::super::record::Owned;
use super::super::text::parse_hex;
use super::super::tree::Hash;
use super::sealed::Sealed;
use super::{Entry, PROOF_BYTES_MAX, PROOF_RECORDS_MAX, Proof, Role, needed};

/// Why an event cannot be proven.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// No checkpoint covers it.
    #[error("record {seq} is not sealed yet")]
    Unsealed {
        /// The record.
        seq: u64,
    },
    /// A part that a proof needs is not there.
    #[error("{what} is not there: `lineage verify` tells all that is missing")]
    Missing {
        /// The part, below the host's directory.
        what: String,
    },
    /// What is there does not lead to what was signed.
    #[error("{what} is not what was signed: `lineage verify` tells all that was changed")]
    Changed {
        /// The part, below the host's directory.
        what: String,
    },
    /// More than a proof may hold.
    #[error(
        "that is more than the {PROOF_RECORDS_MAX} records or {} MiB that a proof may have",
        PROOF_BYTES_MAX >> 20
    )]
    TooLarge,
    /// The evidence cannot be read.
    #[error(transparent)]
    Evidence(#[from] Error),
}

impl ProofError {
    pub(super) fn missing(what: impl Into<String>) -> Self {
        Self::Missing { what: what.into() }
    }

    pub(super) fn changed(what: impl Into<String>) -> Self {
        Self::Changed { what: what.into() }
    }
}

/// Makes the proof of an event: with its chain of causes, and with these other records, which tell of its data, and
/// the chains of those.
///
/// # Errors
///
/// [`ProofError`]: also where evidence that was damaged would give a proof that leads to no signed root.
pub fn make(host: &Host, event: u64, data: &[u64]) -> Result<Proof, ProofError> {
    let sealed = Sealed::read(host, event)?;
    let mut entries = BTreeMap::new();
    gather(host, &sealed, &[event], Role::Chain, &mut entries)?;
    gather(host, &sealed, data, Role::Data, &mut entries)?;
    let mut parts: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
    let mut contexts = BTreeSet::new();
    for (seq, (entry, context)) in entries {
        parts
            .entry(sealed.segment_of(seq)?)
            .or_default()
            .push(entry);
        contexts.extend(context);
    }
    let segments: Vec<u64> = parts.keys().copied().collect();
    let mut files = sealed.files(host, &segments)?;
    contexts.extend(sealed.registries(host, &segments)?);
    files.extend(artifacts(host, &contexts)?);
    let proof = Proof {
        origin: sealed.origin,
        event,
        files,
        log: sealed.prove(&segments),
        segments: (parts.into_iter())
            .map(|(segment, records)| sealed.part(host, segment, records))
            .collect::<Result<_, _>>()?,
    };
    if proof.text().len() as u64 > PROOF_BYTES_MAX {
        return Err(ProofError::TooLarge);
    }
    Ok(proof)
}

/// What is kept of a record until its segment is proven, with its context.
type Gathered = (Entry, Option<Hash>);

/// Reads records and their causes, from one to the next, to those that have none.
fn gather(
    host: &Host,
    sealed: &Sealed,
    wanted: &[u64],
    role: Role,
    entries: &mut BTreeMap<u64, Gathered>,
) -> Result<(), ProofError> {
    let mut pending: BTreeSet<u64> = wanted.iter().copied().collect();
    loop {
        pending.retain(|seq| !entries.contains_key(seq));
        let Some(last) = pending.last() else {
            return Ok(());
        };
        sealed.segment_of(*last)?;
        if entries.len() + pending.len() > PROOF_RECORDS_MAX {
            return Err(ProofError::TooLarge);
        }
        let seqs: Vec<u64> = std::mem::take(&mut pending).into_iter().collect();
        let mut read = Vec::new();
        host.pick(&seqs, |record| read.push(Owned::of(record)))?;
        for owned in read {
            let owned = owned.map_err(Error::from)?;
            let record = owned.get();
            let Some(seq) = record.seq.filter(|seq| seqs.binary_search(seq).is_ok()) else {
                continue;
            };
            pending.extend(record.cause.filter(|cause| *cause < seq));
            let context = record.context.and_then(parse_hex);
            let bytes = owned.bytes().to_vec();
            entries.insert(seq, (Entry { seq, role, bytes }, context));
        }
        if let Some(seq) = seqs.iter().find(|seq| !entries.contains_key(seq)) {
            return Err(ProofError::missing(format!("record {seq}")));
        }
    }
}

/// The artifacts with these digests, and all that follows from them.
fn artifacts(host: &Host, named: &BTreeSet<Hash>) -> Result<BTreeMap<String, Vec<u8>>, ProofError> {
    let mut files = BTreeMap::new();
    walk(named, Follow::Governing, |wanted| {
        let path = artifact_path(wanted);
        let bytes = host.file(&path, ARTIFACT_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| ProofError::missing(&path))?;
        if digest::of(&bytes) != *wanted {
            return Err(ProofError::changed(path));
        }
        files.insert(path, bytes.clone());
        Ok(Some(bytes))
    })?;
    Ok(files)
}

impl Sealed {
    /// Everything but artifacts.
    fn files(
        &self,
        host: &Host,
        segments: &[u64],
    ) -> Result<BTreeMap<String, Vec<u8>>, ProofError> {
        let epochs = self.epochs(segments);
        let mut files = BTreeMap::new();
        for path in needed::files(self.size(), self.epoch, &epochs) {
            // The newest may be a newer one by now.
            let bytes = match &path[..] {
                super::super::layout::CHECKPOINT => Some(self.checkpoint.clone()),
                _ => host.file(&path, NOTE_BYTES_MAX as u64)?,
            };
            let bytes = bytes.ok_or_else(|| ProofError::missing(&path))?;
            files.insert(path, bytes);
        }
        let cosignatures = cosignatures_path(self.size());
        let bytes = host.file(&cosignatures, NOTE_BYTES_MAX as u64)?;
        files.extend(bytes.map(|bytes| (cosignatures, bytes)));
        Ok(files)
    }
}
