//! Patterns of recognisers: those of [`crate::glob`], and `{a,b}`, which is one or the other.

use std::sync::Arc;

use crate::glob::{Glob, Pairs};

/// Longest pattern, in bytes.
pub(super) const PATTERN_BYTES_MAX: usize = 1024;
/// Most texts the braces of one pattern may stand for.
const ALTERNATIVES_MAX: usize = 256;

/// A pattern, ready to be matched.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// Shared, because rules have their patterns once for each kind.
    alternatives: Vec<Arc<Glob>>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing is empty.
    #[error("the pattern is empty")]
    Empty,
    /// It is longer than any text it could match.
    #[error("the pattern is longer than {PATTERN_BYTES_MAX} bytes")]
    Long,
    /// A brace without its counterpart, or inside another.
    #[error(
        "braces do not pair, or are nested: `{{a,b}}` is one of several texts, `?` matches a brace"
    )]
    Braces,
    /// Too many combinations.
    #[error("the braces stand for more than {ALTERNATIVES_MAX} texts")]
    Alternatives,
}

impl Pattern {
    /// Understands a pattern.
    pub(super) fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::Long);
        }
        let mut alternatives = vec![String::new()];
        let mut rest = text;
        while let Some((plain, braces)) = rest.split_once('{') {
            let (inside, after) = braces.split_once('}').ok_or(PatternError::Braces)?;
            if plain.contains('}') || inside.contains('{') {
                return Err(PatternError::Braces);
            }
            let choices: Vec<&str> = inside.split(',').collect();
            if alternatives.len() * choices.len() > ALTERNATIVES_MAX {
                return Err(PatternError::Alternatives);
            }
            alternatives = alternatives
                .iter()
                .flat_map(|begun| {
                    choices
                        .iter()
                        .map(move |choice| [begun, plain, choice].concat())
                })
                .collect();
            rest = after;
        }
        if rest.contains('}') {
            return Err(PatternError::Braces);
        }
        Ok(Self {
            alternatives: alternatives
                .iter()
                .map(|begun| Arc::new(Glob::new(&[begun, rest].concat())))
                .collect(),
        })
    }

    /// How many pieces of text it looks for: of each text its braces stand for, those between its stars.
    pub(super) fn pieces(&self) -> usize {
        self.alternatives.iter().map(|glob| glob.pieces()).sum()
    }

    /// Whether the whole text fits.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.alternatives.iter().any(|glob| glob.matches(text))
    }

    /// The same for a text whose pairs are known.
    pub(super) fn matches_with(&self, text: &str, pairs: &Pairs) -> bool {
        self.alternatives
            .iter()
            .any(|glob| glob.matches_with(text, pairs))
    }

    /// What all that the pattern matches begin with: this many bytes, if it says so many.
    pub(super) fn first_bytes<const N: usize>(&self) -> Option<[u8; N]> {
        let mut all = self.alternatives.iter().map(|glob| glob.first_bytes());
        let first = all.next()??;
        all.all(|other| other == Some(first)).then_some(first)
    }

    /// The pattern in parts, each with the byte that all it matches end with, if there is one.
    pub(super) fn by_last_byte(self) -> Vec<(Option<u8>, Self)> {
        let mut parts: Vec<(Option<u8>, Self)> = Vec::new();
        for glob in self.alternatives {
            let last = glob.last_byte();
            match parts.iter_mut().find(|(byte, _)| *byte == last) {
                Some((_, part)) => part.alternatives.push(glob),
                None => parts.push((
                    last,
                    Self {
                        alternatives: vec![glob],
                    },
                )),
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn braces_are_one_or_the_other() {
        let cases = [
            ("*.{pt,pth}", "/m/a.pth", true),
            ("*.{pt,pth}", "/m/a.ptx", false),
            ("python{,3,3.*}", "python", true),
            ("python{,3,3.*}", "python3.11", true),
            ("python{,3,3.*}", "python-config", false),
            ("*/{a,b}/x*.{c,d}", "/q/b/xyz.c", true),
            ("*/{a,b}/x*.{c,d}", "/q/e/xyz.c", false),
            ("*.gguf", "/models/a.gguf", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
            let parts = Pattern::new(pattern).unwrap().by_last_byte();
            let any = parts.iter().any(|(last, part)| {
                last.is_none_or(|last| text.bytes().last() == Some(last))
                    && part.matches_with(text, &Pairs::of(text))
            });
            assert_eq!(any, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_all_begin_with_is_known() {
        let first = |pattern| Pattern::new(pattern).unwrap().first_bytes::<3>();
        assert_eq!(first("/dev/{a,b}*"), Some(*b"/de"));
        assert_eq!(first("/{dev,srv}/*"), None);
        assert_eq!(first("/d*"), None);
        assert_eq!(first("/?ev/*"), None);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = "x".repeat(PATTERN_BYTES_MAX + 1);
        for (text, expected) in [
            ("", PatternError::Empty),
            (&*long, PatternError::Long),
            ("{a", PatternError::Braces),
            ("a}", PatternError::Braces),
            ("a}{b}", PatternError::Braces),
            ("{a{b}}", PatternError::Braces),
            ("{a,b}".repeat(9).as_str(), PatternError::Alternatives),
        ] {
            assert_eq!(Pattern::new(text).err(), Some(expected), "{text}");
        }
    }
}
