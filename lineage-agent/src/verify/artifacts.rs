//! Artifacts: documents named by their digest.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::access::HostDir;
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::leftovers;
use crate::evidence::digest;
use crate::evidence::reader::ARTIFACT_BYTES_MAX;
use crate::evidence::text::{hex, parse_hex};
use crate::evidence::tree::Hash;

fn path(digest: &Hash) -> String {
    format!("artifacts/{}", hex(digest))
}

/// Reads an artifact, which must have its digest.
pub(super) fn read(dir: &HostDir, wanted: &Hash) -> Result<Vec<u8>, Finding> {
    let path = path(wanted);
    let bytes = dir.read(&path, ARTIFACT_BYTES_MAX)?;
    let found = digest::of(&bytes);
    if found == *wanted {
        return Ok(bytes);
    }
    Err(Finding::new(Code::ArtifactBad)
        .file(path)
        .expected(hex(wanted))
        .found(hex(&found)))
}

/// Checks every artifact that is named, by manifests or by artifacts that are, and every one that is
/// there. Returns how many are good.
pub(super) fn check(dir: &HostDir, named: &BTreeSet<Hash>, findings: &mut Findings) -> usize {
    let mut good = 0;
    let mut named = named.clone();
    let mut pending = named.clone();
    while let Some(digest) = pending.pop_first() {
        match read(dir, &digest) {
            Ok(document) => {
                good += 1;
                let new = references(&document).filter(|digest| named.insert(*digest));
                pending.extend(new);
            }
            Err(finding) => findings.push(finding),
        }
    }
    for name in dir.names("artifacts") {
        match parse_hex(&name) {
            Some(digest) if named.contains(&digest) => {}
            Some(digest) => match read(dir, &digest) {
                Ok(_) => good += 1,
                // A link or special file is no artifact, and nothing asks for one of this name.
                Err(finding) if finding.code == Code::FileMissing => {
                    leftovers::unknown(dir, path(&digest), findings);
                }
                Err(finding) => findings.push(finding),
            },
            None => leftovers::unknown(dir, format!("artifacts/{name}"), findings),
        }
    }
    good
}

/// The artifacts that a document names: the environment of a context, and of an environment what is
/// mounted and what is recognised. It has the digest it is named by, so it is what was signed.
fn references(document: &[u8]) -> impl Iterator<Item = Hash> {
    #[derive(Default, Deserialize)]
    struct Document {
        environment: Option<String>,
        mounts: Option<String>,
        #[serde(default)]
        recognisers: Vec<String>,
        policy: Option<String>,
        schema: Option<String>,
        #[serde(default)]
        levels: Vec<Vec<Named>>,
    }
    #[derive(Deserialize)]
    struct Named {
        blake3: String,
    }
    let document: Document = serde_json::from_slice(document).unwrap_or_default();
    let one = document.environment.into_iter().chain(document.mounts);
    let policies = document
        .levels
        .into_iter()
        .flatten()
        .map(|named| named.blake3);
    one.chain(document.recognisers)
        .chain(document.policy)
        .chain(document.schema)
        .chain(policies)
        .filter_map(|text| parse_hex(&text))
}
