//! Checking a proof: one file with an event, its chain of causes, and all that leads from them to a signature.
//!
//! A proof holds files of a host's directory, so these are checked by what checks a directory: keys, checkpoints, rules of
//! records, decisions, grants. What is here is what a proof has besides: hashes in place of the records and manifests that it
//! leaves out, and a chain that must not have a hole.

mod governed;
mod parts;
mod report;
mod text;

pub use governed::Governed;
pub use report::{ProofReport, Proven, Signed};
pub use text::Lines;

use std::collections::{BTreeMap, BTreeSet};

use super::access::HostDir;
use super::artifacts;
use super::authority::Authorities;
use super::checkpoints::{self, Expected};
use super::epochs::{self, Keys};
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::layout::{CHECKPOINT, artifact_path, cosignatures_path, epoch_path};
use super::report::Requirement;
use super::trust::Trust;
use crate::evidence::artifacts::Follow;
use crate::evidence::kinds;
use crate::evidence::note::{NOTE_BYTES_MAX, signature_lines};
use crate::evidence::proof::{Proof, Role, TITLE, needed};
use crate::evidence::record::Owned;
use crate::evidence::schema::Record;
use crate::evidence::text::{hex, parse_hex};
use crate::evidence::tree::{Log, PartialTree};
use parts::Part;

/// Verifies a proof. Nothing is trusted but what `trust` says; of requirements those count that
/// [`ProofReport::can_require`] takes.
#[must_use]
pub fn verify_proof(bytes: &[u8], trust: &Trust, require: &[Requirement]) -> ProofReport {
    let mut findings = Findings::default();
    let proven = read(bytes).and_then(|proof| check(proof, trust, &mut findings));
    let proven = proven.map_err(|finding| findings.push(finding)).ok();
    ProofReport::new(findings, proven, require)
}

fn read(bytes: &[u8]) -> Result<Proof, Finding> {
    if !bytes.starts_with(format!("{TITLE}\n").as_bytes()) {
        return Err(Finding::new(Code::Unreadable)
            .expected(TITLE)
            .found("something else, or a proof of a newer version"));
    }
    Proof::parse(bytes).map_err(|error| Finding::new(Code::ProofBad).found(error))
}

/// What is proven, as far as it can be told. The first thing that leaves nothing to go on is an error, what is
/// wrong besides is in `findings`.
fn check(mut proof: Proof, trust: &Trust, findings: &mut Findings) -> Result<Proven, Finding> {
    let files = std::mem::take(&mut proof.files);
    let has: BTreeSet<String> = files.keys().cloned().collect();
    let mut unused = has.clone();
    let dir = HostDir::of_files(proof.origin.host, files);
    let keys = epochs::check(&dir, trust, findings);
    let parts = parts::read(&dir, &keys, &proof, findings)?;
    let log = check_log(&dir, &keys, &proof, &parts, findings)?;
    for path in &log.needed {
        unused.remove(path);
    }
    let cosigned = check_cosignatures(&dir, trust, &log, &mut unused, findings)?;
    let mut records = BTreeMap::new();
    for part in &parts {
        part.check(&dir, &keys, &mut records)?;
    }
    let named = named(&parts, &records);
    let (named, _) = artifacts::check_named(&dir, &named, Follow::Governing, findings);
    let mut complete = true;
    for digest in &named {
        let path = artifact_path(digest);
        complete &= has.contains(&path);
        unused.remove(&path);
    }
    // What only a missing document names cannot be told from what nothing names.
    unused.retain(|path| complete || !path.starts_with("artifacts/"));
    findings.extend(unused.iter().map(|path| {
        let finding = Finding::new(Code::ProofBad).file(path);
        finding.found("a file that a proof of these records does not have")
    }));
    let chain = check_chain(proof.event, &records, findings)?;
    let mut authorities = Authorities::new(&dir);
    governed::check(&mut authorities, &records, &chain, findings);
    let event = &records[&proof.event].1;
    let data = records.values().filter(|(role, _)| *role == Role::Data);
    Ok(Proven {
        host: dir.host.to_string(),
        log: hex(&proof.origin.log),
        event: proof.event,
        records: owned(&records)?,
        lineage: event.lineage.map(str::to_owned),
        governed: Governed::of(event, &mut authorities, trust),
        data: data.filter_map(|(_, record)| record.seq).collect(),
        signed: signed(&parts, &keys, proof.event, log.size)?,
        pin: keys.pin,
        cosignatures: cosigned as u64,
        chain,
    })
}

/// What is known of the log.
struct CheckedLog {
    /// Manifests that the newest checkpoint covers.
    size: u64,
    newest: Vec<u8>,
    /// Files that a proof of these segments needs.
    needed: BTreeSet<String>,
}

/// The manifests are in the log that the newest checkpoint signs, and in that which a key of their own epoch does.
fn check_log(
    dir: &HostDir,
    keys: &Keys,
    proof: &Proof,
    parts: &[Part<'_>],
    findings: &mut Findings,
) -> Result<CheckedLog, Finding> {
    let origin = proof.origin;
    let newest = dir.read(CHECKPOINT, NOTE_BYTES_MAX as u64)?;
    let size = checkpoints::read_claim(dir, CHECKPOINT, &newest)?.size;
    let leaves: Vec<_> = parts
        .iter()
        .map(|part| (part.segment(), part.leaf))
        .collect();
    let tree = PartialTree::<Log>::new(size, &leaves, &proof.log);
    let bad = || {
        Finding::new(Code::ProofBad)
            .expected(format!(
                "the hashes that prove these manifests in a log of {size}"
            ))
            .found(format!("{} others", proof.log.len()))
    };
    let tree = tree.ok_or_else(bad)?;
    let epochs: BTreeMap<u64, u32> = (parts.iter())
        .map(|part| (part.segment(), part.manifest.head.epoch))
        .collect();
    let expected = |size: u64, epoch| {
        let root = Some(tree.root_of(size).ok_or_else(bad)?);
        Ok::<_, Finding>(Expected {
            origin,
            size,
            root,
            epoch,
        })
    };
    // Where the last manifest is not here, the line itself says whose it is.
    let last = size.checked_sub(1).and_then(|last| epochs.get(&last));
    let checked = checkpoints::check_newest(dir, keys, &newest, &expected(size, last.copied())?);
    findings.extend(checked.err());
    for (size, epoch) in needed::checkpoints(size, &epochs) {
        let checked = checkpoints::check(dir, keys, &expected(size, Some(epoch))?);
        findings.extend(checked.err());
    }
    let epoch = last
        .copied()
        .or_else(|| checkpoints::epoch_of(&newest, &origin));
    let used: BTreeSet<u32> = epochs.values().copied().chain(epoch).collect();
    for path in used.iter().filter(|epoch| !keys.epochs.contains_key(epoch)) {
        // One that is there and bad is reported already.
        let path = epoch_path(*path);
        if !dir.has(&path) {
            findings.push(Finding::new(Code::FileMissing).file(path));
        }
    }
    Ok(CheckedLog {
        size,
        newest,
        needed: needed::files(size, epoch, &epochs),
    })
}

/// How many of the trusted witnesses cosigned the newest checkpoint.
fn check_cosignatures(
    dir: &HostDir,
    trust: &Trust,
    log: &CheckedLog,
    unused: &mut BTreeSet<String>,
    findings: &mut Findings,
) -> Result<usize, Finding> {
    let path = cosignatures_path(log.size);
    if unused.remove(&path) {
        let bytes = dir.read(&path, NOTE_BYTES_MAX as u64)?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        if let Err(error) = signature_lines(text) {
            findings.push(Finding::new(Code::ProofBad).file(path).found(error));
        }
    }
    Ok(checkpoints::check_witnesses(
        dir,
        trust,
        &log.newest,
        log.size,
        findings,
    ))
}

/// The records of a proof, by `seq`.
type BySeq<'a> = BTreeMap<u64, (Role, Record<'a>)>;

/// Documents that segments and records name.
fn named(parts: &[Part<'_>], records: &BySeq<'_>) -> BTreeSet<crate::evidence::tree::Hash> {
    let registries = parts.iter().map(|part| part.manifest.head.registry);
    let contexts = records
        .values()
        .filter_map(|(_, record)| parse_hex(record.context?));
    registries.chain(contexts).collect()
}

fn owned(records: &BySeq<'_>) -> Result<BTreeMap<u64, Owned>, Finding> {
    let owned = records.iter().map(|(seq, (_, record))| {
        let owned = Owned::of(record);
        let owned = owned.map_err(|error| Finding::new(Code::RecordRule).found(error));
        Ok((*seq, owned?))
    });
    owned.collect()
}

/// The chain of causes, from the event to the record that has none. Every record is in it, or has its own causes
/// here and is marked as one about data.
fn check_chain(
    event: u64,
    records: &BySeq<'_>,
    findings: &mut Findings,
) -> Result<Vec<u64>, Finding> {
    let mut chain = Vec::new();
    let mut next = Some(event);
    while let Some(seq) = next {
        chain.push(seq);
        next = records
            .get(&seq)
            .and_then(|(_, record)| record.cause.filter(|cause| *cause < seq));
    }
    if !records.contains_key(&event) {
        return Err(Finding::new(Code::CauseMissing).rows(event..=event));
    }
    for (seq, (role, record)) in records {
        let is_cause = chain.binary_search_by(|one| seq.cmp(one)).is_ok();
        if is_cause != (*role == Role::Chain) {
            findings.push(
                Finding::new(Code::ProofBad)
                    .rows(*seq..=*seq)
                    .expected(format!(
                        "the causes of record {event} marked as such, and no others"
                    ))
                    .found(if is_cause {
                        "one marked as data"
                    } else {
                        "another"
                    }),
            );
        }
        match (record.cause, record.kind) {
            (Some(cause), _) if !records.contains_key(&cause) => {
                let finding = Finding::new(Code::CauseMissing).rows(cause..=cause);
                findings.push(finding.expected(format!("the cause of record {seq}")));
            }
            (Some(_), _) | (None, Some(kinds::LINEAGE_START)) => {}
            // What led on from there was lost, and the evidence says so.
            (None, Some(kinds::EVIDENCE_LOSS)) => {
                findings.push(Finding::new(Code::KernelLoss).rows(*seq..=*seq));
            }
            (None, kind) => findings.push(
                Finding::new(Code::CauseMissing)
                    .rows(*seq..=*seq)
                    .expected("a cause, or the start of a lineage")
                    .found(kind.unwrap_or_default()),
            ),
        }
    }
    Ok(chain)
}

/// Who signed the event, and when.
fn signed(parts: &[Part<'_>], keys: &Keys, event: u64, size: u64) -> Result<Signed, Finding> {
    let has = |part: &&Part<'_>| part.part.records.iter().any(|entry| entry.seq == event);
    let missing = || Finding::new(Code::CauseMissing).rows(event..=event);
    let manifest = &parts.iter().find(has).ok_or_else(missing)?.manifest;
    Ok(Signed::new(manifest, keys, size))
}
