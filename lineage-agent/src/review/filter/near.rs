//! Kinds whose names are like one that is none.

use crate::evidence::kinds::KINDS;

/// Most names that are suggested.
const NAMES_MAX: usize = 12;

/// Longest name that is compared.
const NAME_BYTES_MAX: usize = 64;

/// Fewest letters that two words have in common when one begins with the other.
const BEGINNING_MIN: usize = 3;

/// Most letters in which two words differ when one is taken for the other; a third of them in short ones.
const DISTANCE_MAX: usize = 2;

/// What to say of a name that is no kind: which are like it, and where all are.
pub(super) fn suggestion(name: &str) -> String {
    let names = near(name);
    let (some, more) = names.split_at(names.len().min(NAMES_MAX));
    let like = match (some, more.len()) {
        ([], _) => "none is called like that:".to_owned(),
        ([one], 0) => format!("did you mean {one}?"),
        (some, 0) => format!("did you mean one of {}?", some.join(", ")),
        (some, more) => format!("did you mean one of {} or {more} others?", some.join(", ")),
    };
    format!("{like} docs/schema.md lists all")
}

/// Those of all kinds that are most like it, in their order.
fn near(name: &str) -> Vec<&'static str> {
    if name.len() > NAME_BYTES_MAX {
        return Vec::new();
    }
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".*").unwrap_or(&name);
    let kinds = KINDS.iter().map(|kind| kind.name);
    let ranked: Vec<_> = kinds
        .filter_map(|kind| Some((rank(name, kind)?, kind)))
        .collect();
    let best = ranked.iter().map(|(rank, _)| *rank).min();
    let alike = ranked.iter().filter(|(rank, _)| Some(*rank) == best);
    alike.map(|(_, kind)| *kind).collect()
}

/// How little a name is like a kind, its group or what happened: 0 when one begins with the other, else how
/// many letters differ; last when one word of it is right. Nothing when it is not alike at all.
fn rank(name: &str, kind: &str) -> Option<usize> {
    let words = kind.split('.').chain([kind]);
    // A dotted name begins with its group, which says nothing of what happened in it.
    let dotted = name.contains('.');
    let ranks = words.clone().filter_map(|word| {
        let short = name.len().min(word.len());
        let comparable = short >= BEGINNING_MIN && word.contains('.') == dotted;
        if comparable && (name.starts_with(word) || word.starts_with(name)) {
            return Some(0);
        }
        let letters = distance(name, word);
        (letters <= DISTANCE_MAX && letters * 3 <= short).then_some(letters)
    });
    // What happened tells more than the group.
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let known = |part: &str| words.clone().any(|word| word == part);
    let partly = match last(name) == last(kind) {
        true => Some(usize::MAX - 1),
        false => name.split('.').any(known).then_some(usize::MAX),
    };
    ranks.min().or(partly)
}

/// Letters to insert, leave out or replace to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, wanted) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter != wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_a_name_that_is_nearly_one_are_suggested() {
        assert_eq!(near("file.opened"), ["file.open"]);
        assert_eq!(near("net.conect"), ["net.connect"]);
        assert_eq!(near("Renmae"), ["file.rename"]);
        assert_eq!(near("socket.connect"), ["net.connect"]);
        for name in ["network", "nett", "net.frobnicate"] {
            let names = near(name);
            assert!(names.contains(&"net.connect"), "{name}: {names:?}");
            assert!(
                names.iter().all(|kind| kind.starts_with("net.")),
                "{name}: {names:?}"
            );
        }
        assert!(near("").is_empty() && near("xyzzy").is_empty());
    }

    #[test]
    fn a_suggestion_is_short_and_says_where_all_are() {
        assert_eq!(
            suggestion("file.opened"),
            "did you mean file.open? docs/schema.md lists all"
        );
        assert_eq!(
            suggestion("xyzzy"),
            "none is called like that: docs/schema.md lists all"
        );
        let many = suggestion("file.frobnicate");
        assert!(many.contains(" others? docs/schema.md"), "{many}");
        assert_eq!(many.matches("file.").count(), NAMES_MAX);
    }

    #[test]
    fn letters_that_differ_are_counted() {
        let cases = [
            ("", "ab", 2),
            ("ab", "ab", 0),
            ("kitten", "sitting", 3),
            ("ab", "", 2),
        ];
        for (one, other, letters) in cases {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }
}
