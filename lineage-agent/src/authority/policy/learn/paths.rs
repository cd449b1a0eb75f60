//! Which rules say what was done to files: paths as they are, or the directory where very many of one were used.

use std::collections::{BTreeMap, BTreeSet};

use lineage_common::policy::{Operation, Resource};

/// Operations, a bit for each by its number.
pub(super) type Operations = u32;

/// What was done to what, by path.
pub(super) type Paths = BTreeMap<(Resource, String), Operations>;

/// Files and directories of the same operations on the same kind of resource: one rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Together {
    /// Exactly these.
    pub(super) paths: Vec<String>,
    /// All that is below these.
    pub(super) below: Vec<String>,
}

/// Fewest components of a directory that stands for what is in it: `/usr/lib` is one, `/usr` and `/tmp` are none.
const COMPONENTS_MIN: usize = 2;

/// Names of files and directories that hold secrets: they are only ever named exactly, and what has one in it is.
const SECRET_NAMES: &[&str] = &[
    ".aws",
    ".azure",
    ".docker",
    ".env",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".mozilla",
    ".netrc",
    ".npmrc",
    ".password-store",
    ".pgpass",
    ".pypirc",
    ".ssh",
    ".vault-token",
    "credentials",
    "gshadow",
    "keyrings",
    "keys",
    "pki",
    "private",
    "secrets",
    "shadow",
    "ssh",
    "ssl",
    "sudoers",
    "sudoers.d",
    "tokens",
];

/// Ends of names of files that hold keys.
const SECRET_ENDS: &[&str] = &[
    ".gpg", ".jks", ".kdbx", ".key", ".keytab", ".p12", ".pem", ".pfx",
];

/// Beginnings of names of files that hold keys.
const SECRET_STARTS: &[&str] = &["id_dsa", "id_ecdsa", "id_ed25519", "id_rsa"];

/// Directories of everybody's and everything: what is in one has nothing in common.
const SHARED: &[&str] = &["/var/lib", "/run/user", "/usr/local"];

/// Puts together what has the same operations. A directory stands for what is in it when an operation was done to
/// more than `siblings_max` of its files.
pub(super) fn together(
    paths: &Paths,
    siblings_max: usize,
) -> BTreeMap<(Resource, Operations), Together> {
    let grouped = directories(paths, siblings_max);
    let mut rules: BTreeMap<_, Together> = BTreeMap::new();
    for (directory, operations) in &grouped {
        // What a directory above stands for needs no second one.
        let left = operations & !covered(directory, &grouped);
        if left != 0 {
            let rule = rules.entry((Resource::File, left)).or_default();
            rule.below.push(directory.clone());
        }
    }
    for ((resource, path), operations) in paths {
        let covered = match resource {
            Resource::File => covered(path, &grouped),
            _ => 0,
        };
        let left = operations & !covered;
        if left != 0 {
            let rule = rules.entry((*resource, left)).or_default();
            rule.paths.push(path.clone());
        }
    }
    rules
}

/// The operations that directories above a path stand for.
fn covered(path: &str, grouped: &BTreeMap<String, Operations>) -> Operations {
    above(path)
        .filter_map(|directory| grouped.get(directory))
        .fold(0, |all, operations| all | operations)
}

/// The directories that stand for what is in them, and for which operations.
fn directories(paths: &Paths, siblings_max: usize) -> BTreeMap<String, Operations> {
    let files = || {
        paths
            .iter()
            .filter(|((resource, _), _)| *resource == Resource::File)
    };
    let secret: BTreeSet<&str> = files()
        .filter(|((_, path), _)| is_secret(path))
        .flat_map(|((_, path), _)| above(path))
        .collect();
    let mut siblings: BTreeMap<(&str, Operation), usize> = BTreeMap::new();
    for ((_, path), operations) in files() {
        let Some(directory) = above(path).next() else {
            continue;
        };
        if can_stand(directory) && !secret.contains(directory) {
            for (operation, ..) in Operation::ALL {
                if operations >> operation.0 & 1 == 1 {
                    *siblings.entry((directory, *operation)).or_default() += 1;
                }
            }
        }
    }
    let mut grouped: BTreeMap<String, Operations> = BTreeMap::new();
    for ((directory, operation), count) in siblings {
        if count > siblings_max {
            *grouped.entry(directory.to_owned()).or_default() |= 1 << operation.0;
        }
    }
    grouped
}

/// The directories above a path, the nearest first, without the root.
fn above(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = &rest[..rest.rfind('/')?];
        (!rest.is_empty()).then_some(rest)
    })
}

/// Whether a directory may stand for all that is in it, also for what was never used.
fn can_stand(directory: &str) -> bool {
    let mut parts = directory.split('/').skip(1);
    let first = parts.next().unwrap_or_default();
    let components = 1 + parts.count();
    components >= COMPONENTS_MIN
        // What is below is of another process each time.
        && first != "proc"
        // Somebody's home, with all their secrets.
        && !(first == "home" && components == 2)
        && !SHARED.contains(&directory)
        && !is_secret(directory)
}

/// Whether a path has a name in it of what holds secrets.
pub(super) fn is_secret(path: &str) -> bool {
    path.split('/').any(|name| {
        let name = name.to_ascii_lowercase();
        SECRET_NAMES.contains(&&*name)
            || SECRET_ENDS.iter().any(|end| name.ends_with(end))
            || SECRET_STARTS.iter().any(|start| name.starts_with(start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Operations = 1 << Operation::READ.0;
    const WRITE: Operations = 1 << Operation::WRITE.0;

    fn files(entries: &[(&str, Operations)]) -> Paths {
        let each = entries
            .iter()
            .map(|(path, operations)| ((Resource::File, (*path).to_owned()), *operations));
        each.collect()
    }

    #[track_caller]
    fn check(entries: &[(&str, Operations)], expected: &[(Operations, &[&str], &[&str])]) {
        let found = together(&files(entries), 2);
        let found: Vec<_> = found
            .iter()
            .map(|((_, operations), rule)| (*operations, rule.paths.clone(), rule.below.clone()))
            .collect();
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected: Vec<_> = expected
            .iter()
            .map(|(operations, paths, below)| (*operations, owned(paths), owned(below)))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn few_files_are_named_one_by_one() {
        check(
            &[
                ("/srv/a/1", READ),
                ("/srv/a/2", READ),
                ("/etc/hosts", WRITE),
            ],
            &[
                (READ, &["/srv/a/1", "/srv/a/2"], &[]),
                (WRITE, &["/etc/hosts"], &[]),
            ],
        );
    }

    #[test]
    fn many_files_are_their_directory_for_what_was_done_to_many() {
        check(
            &[
                ("/srv/a/1", READ),
                ("/srv/a/2", READ),
                ("/srv/a/3", READ | WRITE),
                ("/srv/a/b/4", READ),
            ],
            &[(READ, &[], &["/srv/a"]), (WRITE, &["/srv/a/3"], &[])],
        );
    }

    #[test]
    fn what_a_directory_above_stands_for_is_said_once() {
        check(
            &[
                ("/srv/a/1", READ),
                ("/srv/a/2", READ),
                ("/srv/a/3", READ),
                ("/srv/a/b/1", READ | WRITE),
                ("/srv/a/b/2", READ | WRITE),
                ("/srv/a/b/3", READ | WRITE),
            ],
            &[(READ, &[], &["/srv/a"]), (WRITE, &[], &["/srv/a/b"])],
        );
    }

    #[test]
    fn what_is_everybodys_or_secret_is_never_a_directory() {
        for directory in [
            "/tmp",
            "/home/u",
            "/home/u/.ssh",
            "/proc/7",
            "/proc/7/task",
            "/etc/ssl",
            "/var/lib",
            "/srv/keys/of/a",
            "",
        ] {
            let paths = ["1", "2", "3"].map(|name| format!("{directory}/{name}"));
            let entries = paths.each_ref().map(|path| (&**path, READ));
            let paths = paths.each_ref().map(|path| &**path);
            check(&entries, &[(READ, &paths, &[])]);
        }
        for secret in ["/srv/a/4.pem", "/srv/a/b/c/id_rsa", "/srv/a/.env"] {
            let mut entries = [
                ("/srv/a/1", READ),
                ("/srv/a/2", READ),
                ("/srv/a/3", READ),
                (secret, READ),
            ];
            entries.sort_unstable();
            check(&entries, &[(READ, &entries.map(|(path, _)| path), &[])]);
        }
    }

    #[test]
    fn programs_and_sockets_are_always_named() {
        for resource in [Resource::Program, Resource::UnixSocket] {
            let paths: Paths = (0..9)
                .map(|n| ((resource, format!("/usr/bin/{n}")), 1 << 1))
                .collect();
            let rules = together(&paths, 2);
            assert_eq!(rules[&(resource, 1 << 1)].paths.len(), 9);
        }
    }
}
