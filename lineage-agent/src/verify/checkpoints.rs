//! Checkpoints: the signed heads of the log, one for each size it ever had.

use super::access::HostDir;
use super::epochs::Keys;
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::layout::{CHECKPOINT, checkpoint_path, cosignatures_path};
use super::trust::Trust;
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::note::{NOTE_BYTES_MAX, Note, NoteError, VerifierKey, signature_lines};
use crate::evidence::origin::Origin;
use crate::evidence::text::hex;
use crate::evidence::tree::Hash;

/// What a checkpoint says, before anything of it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) origin: Origin,
    pub(super) size: u64,
    pub(super) root: Hash,
}

/// A checkpoint's claim, without checking signatures.
pub(super) fn read_claim(dir: &HostDir, path: &str, bytes: &[u8]) -> Result<Claim, Finding> {
    parse(dir, path, bytes).map(|(_, claim)| claim)
}

/// What the checkpoint of one size must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) origin: Origin,
    pub(super) size: u64,
    /// None when a manifest is missing.
    pub(super) root: Option<Hash>,
    /// Epoch of the last manifest; none when it is missing or malformed.
    pub(super) epoch: Option<u32>,
}

/// Checks the checkpoint of a size in `log/checkpoints/`, whose lines are exactly two. Returns
/// whether everything that makes it good could be checked.
pub(super) fn check(dir: &HostDir, keys: &Keys, expected: &Expected) -> Result<bool, Finding> {
    let path = checkpoint_path(expected.size);
    let bytes = dir.read(&path, NOTE_BYTES_MAX as u64)?;
    let (lines, whole) = check_bytes(dir, keys, &path, &bytes, expected)?;
    if lines == 2 {
        return Ok(whole);
    }
    Err(Finding::new(Code::CheckpointBad)
        .file(path)
        .expected("2 signatures")
        .found(lines))
}

/// Checks `log/checkpoint`, where signatures of witnesses may follow. Returns as [`check`] does.
pub(super) fn check_newest(
    dir: &HostDir,
    keys: &Keys,
    bytes: &[u8],
    expected: &Expected,
) -> Result<bool, Finding> {
    check_bytes(dir, keys, CHECKPOINT, bytes, expected).map(|(_, whole)| whole)
}

/// Checks text and both signatures; returns how many signature lines there are, and whether both
/// keys and the root to compare with were known.
fn check_bytes(
    dir: &HostDir,
    keys: &Keys,
    path: &str,
    bytes: &[u8],
    expected: &Expected,
) -> Result<(usize, bool), Finding> {
    let (note, claim) = parse(dir, path, bytes)?;
    let Expected { origin, size, .. } = *expected;
    if (claim.origin, claim.size) != (origin, size) {
        return Err(Finding::new(Code::CheckpointBad)
            .file(path)
            .expected(format!("size {size} of {origin}"))
            .found(format!("size {} of {}", claim.size, claim.origin)));
    }
    let signed = check_signatures(keys, path, &note, expected)?;
    match expected.root {
        Some(root) if root != claim.root => Err(Finding::new(Code::LogRoot)
            .file(path)
            .expected(format!("root {}, which is signed", hex(&claim.root)))
            .found(format!("root {} from the {size} manifests", hex(&root)))),
        root => Ok((note.signatures.len(), signed && root.is_some())),
    }
}

fn parse<'a>(dir: &HostDir, path: &str, bytes: &'a [u8]) -> Result<(Note<'a>, Claim), Finding> {
    let bad = |found: String| Finding::new(Code::CheckpointBad).file(path).found(found);
    let note = Note::parse(bytes).map_err(|error| bad(error.to_string()))?;
    let checkpoint = Checkpoint::parse(note.text).map_err(|error| bad(error.to_string()))?;
    let origin: Origin = checkpoint
        .origin
        .parse()
        .map_err(|error| bad(format!("{error}")))?;
    if origin.host != dir.host {
        return Err(bad(format!("a log of host {}", origin.host)).expected(dir.host));
    }
    let claim = Claim {
        origin,
        size: checkpoint.size,
        root: checkpoint.root,
    };
    Ok((note, claim))
}

/// The first line must be the host key's, the second that of the epoch of the last manifest.
/// Returns whether both keys are known.
fn check_signatures(
    keys: &Keys,
    path: &str,
    note: &Note<'_>,
    expected: &Expected,
) -> Result<bool, Finding> {
    let Expected { origin, epoch, .. } = expected;
    if let Some(key) = keys.host_key {
        check_line(note, 0, &VerifierKey::new(origin.to_string(), key), path)?;
    }
    // Keys that are not there have a finding of their own.
    let epoch = epoch.or_else(|| named_epoch(note, origin));
    let statement = epoch.and_then(|epoch| keys.epochs.get(&epoch));
    if let Some(statement) = statement {
        let name = origin.epoch_key_name(statement.epoch);
        check_line(note, 1, &VerifierKey::new(name, statement.key), path)?;
    }
    Ok(keys.host_key.is_some() && statement.is_some())
}

fn check_line(note: &Note<'_>, at: usize, key: &VerifierKey, path: &str) -> Result<(), Finding> {
    let bad = |found: &str| {
        let finding = Finding::new(Code::SignatureBad).file(path);
        finding
            .expected(format!("line {} signed by {key}", at + 1))
            .found(found)
    };
    let Some(line) = note.signatures.get(at) else {
        return Err(bad("no such line"));
    };
    if (line.name, line.id) != (&key.name, key.id()) {
        return Err(bad(&format!(
            "a line of {} with key id {}",
            line.name,
            hex(&line.id)
        )));
    }
    let alone = Note {
        text: note.text,
        signatures: vec![line.clone()],
    };
    match alone.is_signed_by(key) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(bad("a signature that does not verify")),
    }
}

/// The epoch that the second line of a checkpoint of this log is named after.
pub(super) fn epoch_of(bytes: &[u8], origin: &Origin) -> Option<u32> {
    named_epoch(&Note::parse(bytes).ok()?, origin)
}

fn named_epoch(note: &Note<'_>, origin: &Origin) -> Option<u32> {
    let name = note.signatures.get(1)?.name;
    name.strip_prefix(&format!("{origin}/epoch/"))?.parse().ok()
}

/// How many of the trusted witnesses cosigned the newest checkpoint.
pub(super) fn check_witnesses(
    dir: &HostDir,
    trust: &Trust,
    newest: &[u8],
    size: u64,
    findings: &mut Findings,
) -> usize {
    let Ok(mut note) = Note::parse(newest) else {
        return 0;
    };
    let path = cosignatures_path(size);
    let more = dir.read(&path, NOTE_BYTES_MAX as u64).unwrap_or_default();
    let more = std::str::from_utf8(&more)
        .ok()
        .and_then(|text| signature_lines(text).ok());
    note.signatures.extend(more.unwrap_or_default());
    let mut cosigned = 0;
    for witness in trust.witnesses() {
        match note.is_signed_by(witness) {
            Ok(signed) => cosigned += usize::from(signed),
            Err(NoteError::Signature | NoteError::Malformed(_) | NoteError::Key(_)) => findings
                .push(
                    Finding::new(Code::SignatureBad)
                        .file(&path)
                        .expected(format!("a cosignature by {witness}"))
                        .found("a signature that does not verify"),
                ),
        }
    }
    cosigned
}
