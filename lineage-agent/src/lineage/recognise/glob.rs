//! Patterns over text: `*` any text (`/` included), `?` one character, `{a,b}` one or the other.
//!
//! All other characters stand for themselves, as the evidence shows them. There is no way back into
//! what has been matched: between two stars the first place that fits is the right one, so time is
//! bounded by the product of both lengths and in practice by one search per star.

use memchr::memmem;

/// Longest pattern, in bytes.
pub(super) const PATTERN_BYTES_MAX: usize = 1024;
/// Most texts the braces of one pattern may stand for.
const ALTERNATIVES_MAX: usize = 256;

/// A pattern, ready to be matched.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    alternatives: Vec<Glob>,
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

/// A pattern without braces: its parts between stars.
#[derive(Debug, Clone)]
struct Glob {
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
pub(super) struct Pairs([u64; 4]);

/// Text between two stars.
#[derive(Debug, Clone)]
struct Part {
    text: Box<str>,
    /// Finds the text; absent when it has a `?`.
    finder: Option<memmem::Finder<'static>>,
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
                .map(|begun| Glob::new(&[begun, rest].concat()))
                .collect(),
        })
    }

    /// Whether the whole text fits.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.alternatives.iter().any(|glob| glob.matches(text))
    }

    /// The same for a text whose pairs are known.
    pub(super) fn matches_with(&self, text: &str, pairs: &Pairs) -> bool {
        self.alternatives
            .iter()
            .any(|glob| pairs.have(&glob.pairs) && glob.matches(text))
    }

    /// What all that the pattern matches begin with: this many bytes, if it says so many.
    pub(super) fn first_bytes<const N: usize>(&self) -> Option<[u8; N]> {
        let of = |glob: &Glob| {
            let text = glob.first.finder.as_ref().map(|_| &glob.first.text);
            text.and_then(|text| text.as_bytes().first_chunk::<N>().copied())
        };
        let first = of(self.alternatives.first()?)?;
        let same = self.alternatives.iter().all(|glob| of(glob) == Some(first));
        same.then_some(first)
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

impl Pairs {
    /// Those of a text.
    pub(super) fn of(text: &str) -> Self {
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

impl Glob {
    fn new(text: &str) -> Self {
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

    fn matches(&self, text: &str) -> bool {
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

    fn last_byte(&self) -> Option<u8> {
        let last = self.last.as_ref().unwrap_or(&self.first);
        last.text.bytes().last().filter(|byte| *byte != b'?')
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

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn patterns_match_whole_texts() {
        let cases = [
            ("*.gguf", "/models/a.gguf", true),
            ("*.gguf", "/models/a.gguf.part", false),
            ("*.{pt,pth}", "/m/a.pth", true),
            ("*.{pt,pth}", "/m/a.ptx", false),
            ("/dev/nvidia*", "/dev/nvidia0", true),
            ("/dev/nvidia*", "/x/dev/nvidia0", false),
            ("python{,3,3.*}", "python", true),
            ("python{,3,3.*}", "python3.11", true),
            ("python{,3,3.*}", "python-config", false),
            ("*/{a,b}/x*.{c,d}", "/q/b/xyz.c", true),
            ("*/{a,b}/x*.{c,d}", "/q/e/xyz.c", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "abb", false),
            ("a*a", "a", false),
            ("a**a", "aa", true),
            ("*a?c*", "ßaßcß", true),
            ("?", "é", true),
            ("?", "", false),
            ("*?", "", false),
            ("?*?", "é", false),
            ("*", "", true),
            ("a[bc]", "ab", false),
            ("\\xff*", "\\xffx", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
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

    #[test]
    fn a_hostile_text_takes_no_time() {
        let text = "a".repeat(16_384);
        for pattern in ["*aaaaaaaab*", "*a?a?a?a?a?a?a?ab", "*a*a*a*a*a*a*a*a*b*"] {
            assert!(!matches(pattern, &text));
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
        fn agrees_with_trying_everything(pattern in "[ab?*é]{1,8}", text in "[abé]{0,10}") {
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), simple(&p, &t));
            let parts = Pattern::new(&pattern).unwrap().by_last_byte();
            let any = parts.iter().any(|(last, part)| {
                last.is_none_or(|last| text.bytes().last() == Some(last))
                    && part.matches_with(&text, &Pairs::of(&text))
            });
            prop_assert_eq!(any, simple(&p, &t));
        }
    }
}
