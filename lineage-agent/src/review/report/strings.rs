//! The table of texts: each once, named by its number.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::super::text::{shortened, shown};

/// Longest text, columns: the middle of a longer one is left out.
const COLUMNS_MAX: usize = 800;

/// All texts together, bytes. What comes after that is [`LEFT_OUT`].
const BYTES_MAX: usize = 48 << 20;

/// What a text is that the table had no room for.
const LEFT_OUT: &str = "(left out: too much text)";

/// Texts that are fit to be shown, each once; number 0 is the empty one.
#[derive(Debug)]
pub(super) struct Strings {
    list: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, u32>,
    bytes: usize,
}

impl Default for Strings {
    fn default() -> Self {
        let mut strings = Self {
            list: Vec::new(),
            ids: HashMap::new(),
            bytes: 0,
        };
        strings.add("");
        strings.add(LEFT_OUT);
        strings
    }
}

impl Strings {
    /// The number of a text.
    pub(super) fn id(&mut self, text: &str) -> u32 {
        let text = shown(text);
        let text = shortened(&text, COLUMNS_MAX);
        match self.ids.get(&*text) {
            Some(id) => *id,
            None if self.bytes + text.len() > BYTES_MAX => 1,
            None => self.add(&text),
        }
    }

    /// The number of a text that may be absent: then 0.
    pub(super) fn optional(&mut self, text: Option<&str>) -> u32 {
        text.map_or(0, |text| self.id(text))
    }

    fn add(&mut self, text: &str) -> u32 {
        let Ok(id) = u32::try_from(self.list.len()) else {
            return 1;
        };
        let text: Arc<str> = text.into();
        self.bytes += text.len();
        self.list.push(text.clone());
        self.ids.insert(text, id);
        id
    }
}

impl Serialize for Strings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list.iter().map(|text| &**text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_once_and_fit_to_be_shown() {
        let mut strings = Strings::default();
        assert_eq!(strings.id(""), 0);
        let one = strings.id("a\u{202e}b");
        assert_eq!(strings.id("a\u{202e}b"), one);
        assert_eq!(&*strings.list[one as usize], "a\\xe2\\x80\\xaeb");
        let long = strings.id(&"x".repeat(100_000));
        assert_eq!(strings.list[long as usize].chars().count(), COLUMNS_MAX);
    }

    #[test]
    fn the_table_has_an_end() {
        let mut strings = Strings {
            bytes: BYTES_MAX,
            ..Strings::default()
        };
        assert_eq!(strings.id("one more"), 1);
        assert_eq!(strings.id(""), 0);
    }
}
