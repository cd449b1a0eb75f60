//! Artifacts: documents named by their digest.

use std::collections::BTreeSet;

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

/// Checks every artifact that is named and every one that is there. Returns how many are good.
pub(super) fn check(dir: &HostDir, named: &BTreeSet<Hash>, findings: &mut Findings) -> usize {
    let mut unnamed = BTreeSet::new();
    for name in dir.names("artifacts") {
        match parse_hex(&name) {
            Some(digest) if named.contains(&digest) => {}
            Some(digest) => drop(unnamed.insert(digest)),
            None => leftovers::unknown(dir, format!("artifacts/{name}"), findings),
        }
    }
    let mut good = 0;
    for digest in named.union(&unnamed) {
        match read(dir, digest) {
            Ok(_) => good += 1,
            // A link or special file is no artifact, and nothing asks for one of this name.
            Err(finding) if finding.code == Code::FileMissing && unnamed.contains(digest) => {
                leftovers::unknown(dir, path(digest), findings);
            }
            Err(finding) => findings.push(finding),
        }
    }
    good
}
