//! The pin and the epoch keys it proves.

use std::collections::BTreeMap;

use serde::Serialize;

use super::access::HostDir;
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::layout::{ENROLMENT, epoch_path, numbered};
use super::trust::Trust;
use crate::evidence::epoch::{Enrolment, EpochFile, Statement};
use crate::evidence::note::{NOTE_BYTES_MAX, Note, VerifierKey};
use crate::evidence::origin::HostId;
use crate::evidence::text::hex;
use crate::evidence::tree::Hash;

/// What vouches for a host's evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pin {
    /// Nothing: only contradictions can be found.
    None,
    /// The host's static key.
    HostKey,
    /// The root of its epoch keys.
    EpochRoot,
}

/// Keys of one host, as far as the pin proves them. Without a pin: as far as they agree with each
/// other.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) pin: Pin,
    pub(super) host_key: Option<[u8; 32]>,
    pub(super) epochs: BTreeMap<u32, Statement>,
}

/// Finds the pin for this host and every epoch key it proves.
pub(super) fn check(dir: &HostDir, trust: &Trust, findings: &mut Findings) -> Keys {
    let files = read_files(dir, findings);
    let note = dir.read(ENROLMENT, NOTE_BYTES_MAX as u64);
    let note = note.map_err(|finding| findings.push(finding)).ok();
    let claim = note.as_deref().and_then(claimed_enrolment);
    if note.is_some() && claim.is_none() {
        findings.push(
            Finding::new(Code::EnrolmentBad)
                .file(ENROLMENT)
                .found("not an enrolment"),
        );
    }

    // Which pin holds may be asked of the evidence: all that follows is checked against the pin.
    let roots = || {
        claim
            .iter()
            .map(|(claim, _)| claim.root)
            .chain(files.values().filter_map(EpochFile::root))
    };
    let pinned_root = roots().find(|root| trust.has_root(root));
    let pinned_key = trust.host_key(dir.host);
    let pin = match (pinned_root, pinned_key) {
        (Some(_), _) => Pin::EpochRoot,
        (None, Some(_)) => Pin::HostKey,
        (None, None) => {
            findings.push(
                Finding::new(Code::NoTrust).expected(format!("a root or key of host {}", dir.host)),
            );
            Pin::None
        }
    };
    // The files are of this host, and its id is the digest of the key.
    let host_key = pinned_key.or_else(|| files.values().next().map(|file| file.statement.host_key));
    let promised = claim.as_ref().filter(|(claim, note)| {
        claim.host == dir.host && host_key.is_some_and(|key| is_signed(note, dir.host, key))
    });
    let root = pinned_root
        .or(promised.map(|(claim, _)| claim.root))
        .or_else(|| roots().next());
    if let Some((claim, _)) = &claim {
        let bad = Finding::new(Code::EnrolmentBad).file(ENROLMENT);
        if promised.is_none() && host_key.is_some() {
            findings.push(
                bad.expected("a signature by the host key")
                    .found("none that verifies"),
            );
        } else if Some(claim.root) != root {
            findings.push(
                bad.expected(root.map_or_else(String::new, |root| hex(&root)))
                    .found(hex(&claim.root)),
            );
        }
    }
    let enrolment = claim.map(|(claim, _)| claim);
    let mut epochs = BTreeMap::new();
    for file in files.values() {
        match check_file(file, root, enrolment.as_ref()) {
            Ok(()) => drop(epochs.insert(file.statement.epoch, file.statement)),
            Err(finding) => findings.push(finding),
        }
    }
    Keys {
        pin,
        host_key,
        epochs,
    }
}

/// Reads every epoch file that belongs to this host.
fn read_files(dir: &HostDir, findings: &mut Findings) -> BTreeMap<u32, EpochFile> {
    let mut files = BTreeMap::new();
    for name in dir.names("epochs") {
        let Some(epoch) = numbered(&name, 6).and_then(|epoch| u32::try_from(epoch).ok()) else {
            continue;
        };
        let bad = |found: String| {
            Finding::new(Code::EpochKeyBad)
                .file(epoch_path(epoch))
                .found(found)
        };
        let file = dir
            .read(&epoch_path(epoch), NOTE_BYTES_MAX as u64)
            .and_then(|bytes| {
                let file = EpochFile::parse(&bytes).map_err(|error| bad(error.to_string()))?;
                let host = HostId::of(&file.statement.host_key);
                if file.statement.epoch != epoch || host != dir.host {
                    return Err(bad(format!(
                        "epoch {} of host {host}",
                        file.statement.epoch
                    )));
                }
                Ok(file)
            });
        match file {
            Ok(file) => drop(files.insert(epoch, file)),
            Err(finding) => findings.push(finding),
        }
    }
    files
}

fn claimed_enrolment(note: &[u8]) -> Option<(Enrolment, Note<'_>)> {
    let note = Note::parse(note).ok()?;
    Some((Enrolment::parse(note.text).ok()?, note))
}

/// Whether the note bears one signature, by this host's key.
fn is_signed(note: &Note<'_>, host: HostId, key: [u8; 32]) -> bool {
    let key = VerifierKey::new(host.key_name(), key);
    note.signatures.len() == 1 && note.is_signed_by(&key) == Ok(true)
}

fn check_file(
    file: &EpochFile,
    root: Option<Hash>,
    enrolment: Option<&Enrolment>,
) -> Result<(), Finding> {
    let statement = &file.statement;
    let bad = Finding::new(Code::EpochKeyBad).file(epoch_path(statement.epoch));
    if file.root().is_none() || file.root() != root {
        let found = file
            .root()
            .map_or_else(|| "no root at all".to_owned(), |root| hex(&root));
        let expected = root.map_or_else(|| "a root".to_owned(), |root| hex(&root));
        return Err(bad.expected(expected).found(found));
    }
    if let Some(enrolment) = enrolment {
        let window = (statement.epoch < enrolment.count).then(|| enrolment.window(statement.epoch));
        if window != Some((statement.start, statement.end)) || file.count != enrolment.count {
            return Err(bad
                .expected("the window and number of epochs of the enrolment")
                .found("others"));
        }
    }
    Ok(())
}
