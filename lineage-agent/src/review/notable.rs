//! Which files a reviewer wants to see by name.
//!
//! A program opens dozens of libraries, locales and devices before it does anything of its own.
//! These are counted; what is changed, what is somebody's data and what smells of a secret is named.
//! This orders a display and nothing else: nothing is left out of the evidence by it.

use crate::names::OpenFlags;

/// How much a file is worth naming, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Part of the system, or not there.
    Ordinary,
    /// Data read.
    Data,
    /// Something a recogniser has a word for.
    Recognised,
    /// Written, or access was refused.
    Notable,
    /// By its name it may hold secrets or power.
    Sensitive,
}

/// Below these everything that is only read is part of the system.
const SYSTEM: &[&str] = &[
    "/usr/",
    "/lib/",
    "/lib32/",
    "/lib64/",
    "/bin/",
    "/sbin/",
    "/opt/",
    "/nix/store/",
    "/proc/",
    "/sys/",
    "/dev/",
    "/etc/",
    "/var/lib/",
    "/var/cache/",
    "/run/",
];

/// Objects without a place in the file system, and devices that keep nothing.
const NOT_FILES: &[&str] = &[
    "pipe:",
    "socket:",
    "anon_inode:",
    "/dev/null",
    "/dev/zero",
    "/dev/tty",
    "/dev/pts/",
    "/dev/urandom",
    "/dev/random",
    "/dev/full",
];

/// Parts of paths that hold secrets or power wherever they are.
const SENSITIVE: &[&str] = &[
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/machine-id",
    "/etc/ssh/ssh_host_",
    "/.ssh/",
    "/.aws/",
    "/.gnupg/",
    "/.kube/",
    "/.docker/config",
    "/.netrc",
    "/.git-credentials",
    "/.npmrc",
    "/.pypirc",
    "/.pgpass",
    "/run/secrets/",
    "docker.sock",
    "containerd.sock",
];

/// Words in the paths of secrets; code of the system is full of them.
const SENSITIVE_WORDS: &[&str] = &[
    "secret",
    "credential",
    "password",
    "token",
    "private_key",
    "private-key",
    "api_key",
    "apikey",
    "/.env",
];

/// Ends of names of keys.
const KEY_ENDS: &[&str] = &[
    ".pem",
    ".key",
    ".p12",
    ".pfx",
    ".kdbx",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
];

/// `EPERM` and `EACCES`: somebody said no.
const REFUSED: [i64; 2] = [-1, -13];

/// Type bits of `st_mode`, and a directory's (stat(2)).
const TYPE: i64 = 0o170_000;
const DIRECTORY: i64 = 0o040_000;

/// The class of one use of a file.
pub(super) fn class(path: &str, mode: i64, flags: OpenFlags, error: Option<i64>) -> Class {
    let starts = |list: &[&str]| list.iter().any(|start| path.starts_with(start));
    if is_no_file(path) {
        return Class::Ordinary;
    }
    let refused = error.is_some_and(|error| REFUSED.contains(&error));
    if error.is_some() && !refused {
        return Class::Ordinary;
    }
    let directory = is_directory(mode) || flags.directory();
    let system = starts(SYSTEM);
    if !directory && is_sensitive(path, system) {
        return Class::Sensitive;
    }
    if refused || flags.writes() {
        return Class::Notable;
    }
    // A place to start other calls from; nothing of the file was looked at.
    let only_a_place = !flags.reads();
    if only_a_place || system || directory || is_library(path) {
        return Class::Ordinary;
    }
    Class::Data
}

/// Whether the path is that of something without a place in the file system, or of a device that keeps nothing.
pub(super) fn is_no_file(path: &str) -> bool {
    NOT_FILES.iter().any(|start| path.starts_with(start))
}

/// Whether the mode is a directory's.
pub(super) fn is_directory(mode: i64) -> bool {
    mode & TYPE == DIRECTORY
}

/// Whether the failure to connect to this Unix socket says nothing: libraries ask for services that
/// may not be there at every turn.
pub(super) fn is_absent_service(path: &str, error: Option<i64>) -> bool {
    const NOT_THERE: [i64; 2] = [-2, -111];
    error.is_some_and(|error| NOT_THERE.contains(&error)) && !is_sensitive(path, true)
}

/// Whether the path names a secret or a power over others.
fn is_sensitive(path: &str, system: bool) -> bool {
    let lower = path.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    let environment = lower.starts_with("/proc/") && lower.ends_with("/environ");
    let own = !system && !is_library(path);
    has(SENSITIVE)
        || environment
        || (own && (has(SENSITIVE_WORDS) || KEY_ENDS.iter().any(|end| lower.ends_with(end))))
}

/// Where libraries and versions of programs are installed, wherever that is.
const LIBRARIES: &[&str] = &[
    "/site-packages/",
    "/node_modules/",
    "/.pyenv/",
    "/.nvm/",
    "/.rustup/",
    "/.cargo/registry/",
];

/// Whether reading the file is part of running some program.
fn is_library(path: &str) -> bool {
    path.contains("/.git/")
        || path.ends_with(".so")
        || path.contains(".so.")
        || path.ends_with(".pyc")
        || LIBRARIES.iter().any(|part| path.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_changed_or_secret_is_named_and_the_system_is_not() {
        let file = 0o100_644;
        let read = OpenFlags(0);
        let write = OpenFlags(0o1101);
        let cases = [
            (
                "/usr/lib/x86_64-linux-gnu/libc.so.6",
                file,
                read,
                None,
                Class::Ordinary,
            ),
            (
                "/usr/lib/python3/token.py",
                file,
                read,
                None,
                Class::Ordinary,
            ),
            ("/srv/u/report.csv", file, read, None, Class::Data),
            (
                "/srv/u/venv/x/site-packages/a.py",
                file,
                read,
                None,
                Class::Ordinary,
            ),
            ("/etc/environment", file, read, None, Class::Ordinary),
            (
                "/srv/u/x",
                file,
                OpenFlags(0o10_000_000),
                None,
                Class::Ordinary,
            ),
            ("/srv/u/.git/HEAD", file, read, None, Class::Ordinary),
            ("/srv/u/.git/hooks/x", file, write, None, Class::Notable),
            ("/srv/u", 0o040_755, read, None, Class::Ordinary),
            (
                "/srv/u/site-packages/certifi/cacert.pem",
                file,
                read,
                None,
                Class::Ordinary,
            ),
            ("/srv/u/report.csv", file, write, None, Class::Notable),
            ("/etc/passwd", file, write, None, Class::Notable),
            ("/etc/shadow", file, read, None, Class::Sensitive),
            ("/etc/shadow", 0, read, Some(-13), Class::Sensitive),
            ("/etc/hidden", 0, read, Some(-13), Class::Notable),
            ("/srv/u/.ssh/id_rsa", file, read, None, Class::Sensitive),
            ("/srv/u/.ssh/id_rsa", 0, read, Some(-2), Class::Ordinary),
            ("/srv/app/API_Key.txt", file, read, None, Class::Sensitive),
            (
                "/usr/lib/sdk/secrets/log.py",
                file,
                read,
                None,
                Class::Ordinary,
            ),
            ("/run/secrets/db", file, read, None, Class::Sensitive),
            ("/proc/12/environ", file, read, None, Class::Sensitive),
            ("/dev/null", 0o020_666, write, None, Class::Ordinary),
            ("pipe:[1234]", 0o010_600, write, None, Class::Ordinary),
        ];
        for (path, mode, flags, error, expected) in cases {
            assert_eq!(class(path, mode, flags, error), expected, "{path}");
        }
    }
}
