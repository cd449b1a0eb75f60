//! Patterns for names, as a person writes them.

/// A pattern in which `*` stands for any text (`/` included) and `?` for one character. All other
/// characters stand for themselves, as they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<char>);

impl Glob {
    /// The pattern in this text; every text is one.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Whether the whole text fits the pattern. Takes time proportional to the product of both
    /// lengths at worst.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut text = text.chars();
        let mut at = 0;
        let mut retry = None;
        loop {
            // A star first takes nothing; when the rest does not fit it takes one more.
            if self.0.get(at) == Some(&'*') {
                at += 1;
                retry = Some((at, text.clone()));
                continue;
            }
            let next = text.next();
            let fits = match (self.0.get(at), next) {
                (None, None) => return true,
                (Some('?'), Some(_)) => true,
                (Some(wanted), Some(found)) => *wanted == found,
                (None, Some(_)) | (Some(_), None) => false,
            };
            if fits {
                at += 1;
                continue;
            }
            let Some((after_star, mut longer)) = retry.take() else {
                return false;
            };
            if longer.next().is_none() {
                return false;
            }
            at = after_star;
            text = longer.clone();
            retry = Some((after_star, longer));
        }
    }

    /// How often the pattern has this character.
    #[must_use]
    pub fn count(&self, character: char) -> usize {
        self.0.iter().filter(|it| **it == character).count()
    }
}

#[cfg(test)]
mod tests {
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
            ("a?c", "aßc", true),
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
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
}
