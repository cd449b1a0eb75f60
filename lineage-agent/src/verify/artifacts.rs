//! Artifacts: documents named by their digest.

use std::collections::BTreeSet;
use std::convert::Infallible;

use super::access::HostDir;
use super::finding::{Code, Finding};
use super::findings::Findings;
use super::layout::artifact_path;
use super::leftovers;
use crate::evidence::artifacts::{Follow, walk};
use crate::evidence::digest;
use crate::evidence::reader::ARTIFACT_BYTES_MAX;
use crate::evidence::text::{hex, parse_hex};
use crate::evidence::tree::Hash;

/// Reads an artifact, which must have its digest.
pub(super) fn read(dir: &HostDir, wanted: &Hash) -> Result<Vec<u8>, Finding> {
    let path = artifact_path(wanted);
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

/// Checks every artifact that is named, by manifests or by artifacts that are. Returns which they are, and how many are good.
pub(super) fn check_named(
    dir: &HostDir,
    named: &BTreeSet<Hash>,
    follow: Follow,
    findings: &mut Findings,
) -> (BTreeSet<Hash>, usize) {
    let mut good = 0;
    let read = |digest: &Hash| {
        let document = read(dir, digest).map_err(|finding| findings.push(finding));
        good += usize::from(document.is_ok());
        Ok::<_, Infallible>(document.ok())
    };
    let Ok(named) = walk(named, follow, read);
    (named, good)
}

/// Checks every artifact that is named, and every one that is there. Returns how many are good.
pub(super) fn check(dir: &HostDir, named: &BTreeSet<Hash>, findings: &mut Findings) -> usize {
    let (named, mut good) = check_named(dir, named, Follow::All, findings);
    for name in dir.names("artifacts") {
        match parse_hex(&name) {
            Some(digest) if named.contains(&digest) => {}
            Some(digest) => match read(dir, &digest) {
                Ok(_) => good += 1,
                // A link or special file is no artifact, and nothing asks for one of this name.
                Err(finding) if finding.code == Code::FileMissing => {
                    leftovers::unknown(dir, artifact_path(&digest), findings);
                }
                Err(finding) => findings.push(finding),
            },
            None => leftovers::unknown(dir, format!("artifacts/{name}"), findings),
        }
    }
    good
}
