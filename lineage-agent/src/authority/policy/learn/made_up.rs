//! Names that a program made up for one run, as `mkstemp` and its like do: judged by how they look, which can be wrong both ways.

use std::collections::{BTreeMap, BTreeSet};

/// Directories in which programs make up names.
const DIRECTORIES: &[&str] = &["/tmp/", "/var/tmp/", "/dev/shm/"];

/// Beginnings that say that the rest is made up.
const PREFIXES: &[&str] = &["tmp", ".tmp"];

/// Letters and digits that are made up, at least: what `mkstemp` puts for `XXXXXX`.
const LETTERS: usize = 6;

/// Most letters and digits in a row, with the word before them: more are a digest, which the same content has again.
const RUN_MAX: usize = 16;

/// Fewest changes among so many letters of what nobody typed; after one of the prefixes one is enough.
const CHANGES_MIN: usize = 2;

/// The paths with such a name at their end, for these paths and what is below them. A name that is in several places was
/// chosen by somebody.
pub(super) fn made_up<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut places: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for path in paths {
        if let Some((name, place)) = name(path) {
            places.entry(name).or_default().insert(place);
        }
    }
    let only = places.values().filter(|places| places.len() == 1).flatten();
    let mut found: Vec<String> = only.map(|place| (*place).to_owned()).collect();
    found.sort_unstable();
    found
}

/// The first name in a path that looks made up, with the path up to it.
fn name(path: &str) -> Option<(&str, &str)> {
    let directory = DIRECTORIES.iter().find(|it| path.starts_with(**it))?;
    let mut end = directory.len();
    path[end..].split('/').find_map(|name| {
        let place = &path[..end + name.len()];
        end += name.len() + 1;
        looks_made_up(name).then_some((name, place))
    })
}

/// `tmp8x2kq1zw`, `ccA1bXyZ.o`, `tmp.k3PzQ0aVfM`
fn looks_made_up(name: &str) -> bool {
    let stem = match name.rsplit_once('.') {
        // What follows the dot is made up, and not a suffix.
        Some((before, after)) if after.len() < LETTERS && !before.is_empty() => before,
        _ => name,
    };
    let rest = PREFIXES
        .iter()
        .find_map(|prefix| stem.strip_prefix(prefix))
        .map(|rest| rest.trim_start_matches(['.', '-', '_']));
    let (text, least) = match rest {
        Some(rest) => (rest, 1),
        None if run(stem) > RUN_MAX => return false,
        None => {
            let at = stem.len().saturating_sub(LETTERS);
            (stem.get(at..).unwrap_or_default(), CHANGES_MIN)
        }
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() >= LETTERS && text.bytes().all(plain) && changes(text) >= least
}

/// Letters and digits at its end without anything between them.
fn run(stem: &str) -> usize {
    let bytes = stem.bytes().rev();
    bytes.take_while(u8::is_ascii_alphanumeric).count()
}

/// How often letters and digits take turns, or a capital follows a small letter: words have one of these at most.
fn changes(text: &str) -> usize {
    let pairs = text.as_bytes().windows(2);
    let changes = pairs.filter(|pair| {
        let turns = |one: u8, other: u8| one.is_ascii_digit() && other.is_ascii_alphabetic();
        turns(pair[0], pair[1])
            || turns(pair[1], pair[0])
            || pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()
    });
    changes.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_their_look() {
        for name in [
            "tmp8x2kq1zw",
            "tmp_a4vq9dm",
            "tmp.k3PzQ0aVfM",
            ".tmpAbCdEf",
            "ccA1bXyZ.o",
            "build-x7Kp2Q",
            "tmpq3v8n1xk.json",
        ] {
            assert!(looks_made_up(name), "{name}");
        }
        for name in [
            "",
            "notes.txt",
            "tmp_results",
            "tmpstorage",
            "report2024.pdf",
            "MyFileName.java",
            "x86_64",
            "agent.sock",
            "helper.sh",
            "pack-fbcef97572fc197723fd1af92878f0790c86ef70.idx",
            "ünïcöde",
        ] {
            assert!(!looks_made_up(name), "{name}");
        }
    }

    #[test]
    fn the_path_up_to_the_name_is_told_once() {
        let paths = [
            "/tmp/tmp8x2kq1zw",
            "/tmp/tmp8x2kq1zw/a",
            "/tmp/tmp8x2kq1zw/tmp1b2c3d4e",
            "/var/tmp/run/ccA1bXyZ.o",
            // Nobody makes up the same name twice.
            "/tmp/a/x1y2z3w4",
            "/tmp/b/x1y2z3w4",
            // Not where programs make up names.
            "/srv/tmp8x2kq1zw",
            "/tmp/notes.txt",
        ];
        assert_eq!(
            made_up(paths.into_iter()),
            ["/tmp/tmp8x2kq1zw", "/var/tmp/run/ccA1bXyZ.o"]
        );
    }
}
