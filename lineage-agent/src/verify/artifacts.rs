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
    let mut leaves = BTreeSet::new();
    while let Some(digest) = pending.pop_first() {
        match read(dir, &digest) {
            Ok(document) => {
                good += 1;
                if leaves.contains(&digest) {
                    continue;
                }
                for (digest, is_leaf) in references(&document) {
                    if named.insert(digest) {
                        pending.insert(digest);
                    }
                    if is_leaf {
                        leaves.insert(digest);
                    }
                }
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

/// The artifacts that a document names, and whether they name none themselves: of a context its environment and what
/// authorised it, of an environment what is mounted and what is recognised, of what governed its policies. It has the
/// digest it is named by, so it is what was signed.
fn references(document: &[u8]) -> impl Iterator<Item = (Hash, bool)> {
    #[derive(Default, Deserialize)]
    struct Document {
        environment: Option<String>,
        #[serde(default)]
        grants: Vec<String>,
        intent: Option<String>,
        #[serde(default)]
        levels: Vec<Vec<Named>>,
        mounts: Option<String>,
        parent: Option<String>,
        policy: Option<String>,
        previous: Option<String>,
        #[serde(default)]
        recognisers: Vec<String>,
        revocation: Option<String>,
        schema: Option<String>,
    }
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "blake3")]
        digest: String,
    }
    let document: Document = serde_json::from_slice(document).unwrap_or_default();
    let policies = document.levels.into_iter().flatten();
    let further = [
        document.environment,
        document.parent,
        document.policy,
        document.previous,
    ];
    let leaves = [
        document.intent,
        document.mounts,
        document.revocation,
        document.schema,
    ];
    let leaves = leaves
        .into_iter()
        .flatten()
        .chain(document.grants)
        .chain(document.recognisers)
        .chain(policies.map(|named| named.digest));
    let further = further.into_iter().flatten().map(|text| (text, false));
    further
        .chain(leaves.map(|text| (text, true)))
        .filter_map(|(text, is_leaf)| Some((parse_hex(&text)?, is_leaf)))
}
