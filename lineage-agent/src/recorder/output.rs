//! The directory that evidence is written to: what it may be, and who made it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::RecordError;
use crate::evidence::layout::host_of;

/// Refuses a directory that is no place for evidence: one that has something in it, unless its log
/// shall go on, and one inside of other evidence, which a verifier would call tampered with then.
pub(super) fn check(output: &Path, append: bool) -> Result<(), RecordError> {
    if let Some(evidence) = above(output).into_iter().find(|path| holds_evidence(path)) {
        return Err(RecordError::Inside {
            path: output.to_owned(),
            evidence,
        });
    }
    if append {
        return Ok(());
    }
    match fs::read_dir(output).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(RecordError::NotEmpty(output.to_owned())),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(RecordError::Output {
            path: output.to_owned(),
            source,
        }),
    }
}

/// Makes the directory; whether it was this process that did. Why not shows when it is used.
pub(super) fn make(output: &Path) -> bool {
    let parents = output.parent().map_or(Ok(()), fs::create_dir_all);
    parents.is_ok() && fs::create_dir(output).is_ok()
}

/// The directories it is in or will be in, without links.
fn above(output: &Path) -> Vec<PathBuf> {
    if let Ok(whole) = output.canonicalize() {
        return whole.ancestors().skip(1).map(Path::to_owned).collect();
    }
    let Ok(whole) = std::path::absolute(output) else {
        return Vec::new();
    };
    let there = whole.ancestors().find_map(|path| path.canonicalize().ok());
    let there = there.unwrap_or_default();
    there.ancestors().map(Path::to_owned).collect()
}

/// Whether there is a host's directory in this one.
fn holds_evidence(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| name.to_str().and_then(host_of).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_directory_in_evidence_is_taken() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let run = temp.path().join("run");
        let host = run.join(format!("host={}", "7".repeat(32)));
        fs::create_dir_all(host.join("spool")).expect("writable");
        std::os::unix::fs::symlink(&run, temp.path().join("link")).expect("writable");
        for inside in ["run/new", "run/a/b/c", "run/x/../y", "link/new"] {
            let refused = check(&temp.path().join(inside), false);
            assert!(
                matches!(&refused, Err(RecordError::Inside { evidence, .. }) if evidence.ends_with("run")),
                "{inside}: {refused:?}"
            );
        }
        assert!(check(&host.join("spool"), false).is_err());
        assert!(check(&temp.path().join("other"), false).is_ok());
        // Its own log may go on.
        assert!(check(&run, true).is_ok());
        assert!(matches!(check(&run, false), Err(RecordError::NotEmpty(_))));
    }
}
