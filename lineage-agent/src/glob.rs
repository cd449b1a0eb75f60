//! Patterns over text: `*` any text (`/` included), `?` one character.
//!
//! All other characters stand for themselves, as the evidence shows them. There is no way back into
//! what has been matched: between two stars the first place that fits is the right one, so time is
//! bounded by the product of both lengths and in practice by one search per star.

use memchr::memmem;

/// A pattern, ready to be matched: its parts between stars.
#[derive(Debug, Clone)]
pub struct Glob {
    /// What the text begins with; the whole text when there is no star.
    first: Part,
    middle: Vec<Part>,
    /// What the text ends with; absent when there is no star.
    last: Option<Part>,
    /// Of all its text.
    pairs: Pairs,
}

/// Which pairs of bytes a text has next to each other, roughly: what a pattern has and a text has not
/// tells that it does not fit, in less time than to search for it.
#[derive(Debug, Clone, Default)]
pub struct Pairs([u64; 4]);

/// Text between two stars.
#[derive(Debug, Clone)]
struct Part {
    text: Box<str>,
    /// Finds the text; absent when it has a `?`.
    finder: Option<memmem::Finder<'static>>,
}

impl Glob {
    /// The pattern in this text; every text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut pairs = Pairs::default();
        text.split(['*', '?']).for_each(|run| pairs.add(run));
        let mut parts: Vec<Part> = text.split('*').map(Part::new).collect();
        let last = if parts.len() > 1 { parts.pop() } else { None };
        let first = parts.remove(0);
        // Two stars in a row are one.
        parts.retain(|part| !part.text.is_empty());
        Self {
            first,
            middle: parts,
            last,
            pairs,
        }
    }

    /// Whether the whole text fits the pattern.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some(begun) = self.first.at_start(text) else {
            return false;
        };
        let Some(last) = &self.last else {
            return begun == text.len();
        };
        let Some(end) = last.at_end(&text[begun..]) else {
            return false;
        };
        let mut rest = &text[begun..begun + end];
        for part in &self.middle {
            let Some(after) = part.find_end(rest) else {
                return false;
            };
            rest = &rest[after..];
        }
        true
    }

    /// The same for a text whose pairs are known.
    #[must_use]
    pub fn matches_with(&self, text: &str, pairs: &Pairs) -> bool {
        pairs.have(&self.pairs) && self.matches(text)
    }

    /// What all that the pattern matches begin with: this many bytes, if it says so many.
    #[must_use]
    pub fn first_bytes<const N: usize>(&self) -> Option<[u8; N]> {
        let text = self.first.finder.as_ref().map(|_| &self.first.text)?;
        text.as_bytes().first_chunk::<N>().copied()
    }

    /// The byte that all it matches end with, if there is one.
    #[must_use]
    pub fn last_byte(&self) -> Option<u8> {
        let last = self.last.as_ref().unwrap_or(&self.first);
        last.text.bytes().last().filter(|byte| *byte != b'?')
    }

    /// Of how many pieces between stars it is made.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.middle.len() + 1 + usize::from(self.last.is_some())
    }

    /// How often the pattern has this character, if that stands for itself.
    #[must_use]
    pub fn count(&self, character: char) -> usize {
        let parts = self.middle.iter().chain([&self.first]).chain(&self.last);
        parts.map(|part| part.text.matches(character).count()).sum()
    }
}

impl Pairs {
    /// Those of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut pairs = Self::default();
        pairs.add(text);
        pairs
    }

    fn add(&mut self, text: &str) {
        for pair in text.as_bytes().windows(2) {
            let bit = pair[0].wrapping_mul(167).wrapping_add(pair[1]);
            self.0[usize::from(bit >> 6)] |= 1 << (bit & 63);
        }
    }

    fn have(&self, wanted: &Self) -> bool {
        let mut both = self.0.iter().zip(&wanted.0);
        both.all(|(all, wanted)| all & wanted == *wanted)
    }
}

impl Part {
    fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            finder: (!text.contains('?')).then(|| memmem::Finder::new(text).into_owned()),
        }
    }

    /// Where the part ends, if the text begins with it.
    fn at_start(&self, text: &str) -> Option<usize> {
        if self.finder.is_some() {
            return text.starts_with(&*self.text).then_some(self.text.len());
        }
        let mut rest = text.chars();
        for wanted in self.text.chars() {
            let found = rest.next()?;
            if wanted != '?' && wanted != found {
                return None;
            }
        }
        Some(text.len() - rest.as_str().len())
    }

    /// Where the part begins, if the text ends with it.
    fn at_end(&self, text: &str) -> Option<usize> {
        if self.finder.is_some() {
            return text.strip_suffix(&*self.text).map(str::len);
        }
        let mut rest = text.chars();
        for wanted in self.text.chars().rev() {
            let found = rest.next_back()?;
            if wanted != '?' && wanted != found {
                return None;
            }
        }
        Some(rest.as_str().len())
    }

    /// Where the part ends at its first place in the text.
    fn find_end(&self, text: &str) -> Option<usize> {
        match &self.finder {
            Some(finder) => finder
                .find(text.as_bytes())
                .map(|start| start + self.text.len()),
            None => text
                .char_indices()
                .find_map(|(start, _)| self.at_start(&text[start..]).map(|length| start + length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs_match_whole_texts() {
        let cases = [
            ("/etc/*", "/etc/ssl/certs", true),
            ("/etc/*", "/etcetera", false),
            ("*.py", "/a/b.py", true),
            ("*.py", "/a/b.pyc", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab ab ba", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "abb", false),
            ("a*a", "a", false),
            ("a**a", "aa", true),
            ("a?c", "aßc", true),
            ("*a?c*", "ßaßcß", true),
            ("?", "é", true),
            ("?", "", false),
            ("*?", "", false),
            ("?*?", "é", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a[bc]", "ab", false),
            ("\\xff*", "\\xffx", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                Glob::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn characters_that_stand_for_themselves_are_counted() {
        let glob = Glob::new(":*:a:*b:");
        assert_eq!([':', 'a', 'c'].map(|it| glob.count(it)), [4, 1, 0]);
    }

    #[test]
    fn a_hostile_text_takes_no_time() {
        let text = "a".repeat(16_384);
        for pattern in ["*aaaaaaaab*", "*a?a?a?a?a?a?a?ab", "*a*a*a*a*a*a*a*a*b*"] {
            assert!(!Glob::new(pattern).matches(&text));
        }
    }

    /// The same by trying everything.
    fn simple(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                simple(rest, text) || (!text.is_empty() && simple(pattern, &text[1..]))
            }
            (['?', rest @ ..], [_, after @ ..]) => simple(rest, after),
            ([wanted, rest @ ..], [found, after @ ..]) => wanted == found && simple(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_trying_everything(pattern in "[ab?*é]{0,8}", text in "[abé]{0,10}") {
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            let glob = Glob::new(&pattern);
            let expected = simple(&p, &t);
            prop_assert_eq!(glob.matches(&text), expected);
            let ends = glob.last_byte().is_none_or(|last| text.bytes().last() == Some(last));
            prop_assert_eq!(ends && glob.matches_with(&text, &Pairs::of(&text)), expected);
        }
    }
}
