//! Artifacts: documents named by their digest.

use std::collections::BTreeSet;

use super::access::HostDir;
use super::finding::{Code, Finding};
use super::findings::Findings;
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
pub(super) fn check(dir: &HostDir, mut named: BTreeSet<Hash>, findings: &mut Findings) -> usize {
    for name in dir.names("artifacts") {
        match parse_hex(&name) {
            Some(digest) => drop(named.insert(digest)),
            None => {
                findings.push(Finding::new(Code::FileUnknown).file(format!("artifacts/{name}")));
            }
        }
    }
    let mut good = 0;
    for digest in named {
        match read(dir, &digest) {
            Ok(_) => good += 1,
            Err(finding) => findings.push(finding),
        }
    }
    good
}
