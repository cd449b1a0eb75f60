//! What of the first process of a lineage a grant asks for.

use std::{fs::File, path::Path};

use crate::{
    authority::{selector::Candidate, statement::Digest},
    evidence::{digest, escape::escape},
    host::procfs::{Bearer, Procfs},
};

use super::{
    RecordError,
    registration::{Found, Origin},
};

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
            _ => candidate(bearer, false),
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
    Ok(candidate(bearer, true))
}

/// A process, as selectors see it.
pub(super) fn candidate(bearer: Bearer, launched: bool) -> Candidate {
    let text = |path: Vec<u8>| escape(&path);
    Candidate {
        executable: bearer.executable.map(text),
        digest: bearer
            .file
            .and_then(|file| digest::of_reader(file).ok())
            .map(Digest),
        uid: bearer.uid,
        cgroup: bearer.cgroup.map(text),
        launched,
    }
}
