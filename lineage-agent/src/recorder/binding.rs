//! What of the first process of a lineage a grant asks for.

use std::{fs::File, io::Read as _, path::Path};

use crate::{
    authority::{selector::Candidate, statement::Digest},
    evidence::{digest, escape::escape},
    host::procfs::{Bearer, Procfs},
};

use super::{
    RecordError,
    registration::{Found, Origin},
};

/// Largest program that is digested, bytes: nothing is recorded meanwhile, and a process names what it likes.
const PROGRAM_BYTES_MAX: u64 = 1 << 30;

/// The first process of each lineage, by its id. `program` is what one will execute that waits to be let loose.
pub(super) fn candidates(
    procfs: &Procfs,
    lineages: &mut [Found],
    program: Option<&Path>,
) -> Result<Vec<(u32, Candidate)>, RecordError> {
    let mut found = Vec::new();
    for lineage in lineages {
        let pid = lineage.tracked.first().map_or(0, |first| first.pid);
        let bearer = procfs.bearer(pid)?.ok_or(RecordError::NoProcess(pid))?;
        let candidate = match (&lineage.origin, program) {
            (Origin::Launch(_), Some(program)) => launched(bearer, program)?,
            // Whether or not this grant asks for the digest: one that is reloaded may.
            _ => candidate(bearer, false, true),
        };
        lineage.candidate = Some(candidate.clone());
        found.push((pid, candidate));
    }
    Ok(found)
}

/// One that executes its program when it is let loose.
fn launched(bearer: Bearer, program: &Path) -> Result<Candidate, RecordError> {
    let system = |source| RecordError::System {
        what: "read the command's program",
        source,
    };
    let path = program.canonicalize().map_err(system)?;
    let bearer = Bearer {
        executable: Some(path.as_os_str().as_encoded_bytes().to_vec()),
        file: Some(File::open(&path).map_err(system)?),
        ..bearer
    };
    Ok(candidate(bearer, true, true))
}

/// A process, as selectors see it; with the digest of its program if that is asked for, and can be had.
pub(super) fn candidate(bearer: Bearer, launched: bool, digested: bool) -> Candidate {
    let text = |path: Vec<u8>| escape(&path);
    let file = bearer.file.filter(|_| digested);
    Candidate {
        executable: bearer.executable.map(text),
        digest: file.and_then(digest_of),
        uid: bearer.uid,
        cgroup: bearer.cgroup.map(text),
        launched,
    }
}

/// The digest of a program; none of one that is too large.
fn digest_of(file: File) -> Option<Digest> {
    let mut reader = file.take(PROGRAM_BYTES_MAX);
    let digest = digest::of_reader(&mut reader).ok()?;
    (reader.limit() != 0).then_some(Digest(digest))
}
