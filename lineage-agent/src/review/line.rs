//! Lines for people: columns and facts that fit the terminal, in colour or not.

use std::io::{self, Write};

use super::text::{shortened, shown, width};

/// How a part of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As the terminal writes.
    Plain,
    /// In the background.
    Dim,
    /// Stands out.
    Bold,
    /// Something failed.
    Bad,
    /// Something ended well, or a process.
    Good,
    /// Worth a look.
    Notable,
    /// Network.
    Net,
    /// A change of files.
    Change,
}

impl Style {
    /// "Select graphic rendition" (ECMA-48) of the style.
    const fn sgr(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Bad => "\x1b[31m",
            Self::Good => "\x1b[32m",
            Self::Notable => "\x1b[33m",
            Self::Net => "\x1b[36m",
            Self::Change => "\x1b[35m",
        }
    }
}

/// What may happen to a part when the line is wider than the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It stays whole.
    Keep,
    /// Its middle is left out.
    Shorten,
    /// It is left out; the last such part first.
    Drop,
}

/// Where lines go, and what is known of the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Screen {
    /// Columns; `None` for files and pipes, where nothing is left out.
    pub columns: Option<usize>,
    /// Whether to write colours.
    pub colour: bool,
}

/// One line, built part by part.
#[derive(Debug, Default)]
pub struct Line {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    text: String,
    style: Style,
    fit: Fit,
    /// Whether a space separates it from the part before.
    spaced: bool,
}

/// Fewest columns a shortened part keeps.
const SHORT_MIN: usize = 12;

impl Line {
    /// Adds a part after a space. Foreign text is made safe to show here, for all lines.
    pub fn push(&mut self, style: Style, fit: Fit, text: impl AsRef<str>) {
        self.add(style, fit, text.as_ref(), true);
    }

    /// Adds a part without a space before it.
    pub fn join(&mut self, style: Style, fit: Fit, text: impl AsRef<str>) {
        self.add(style, fit, text.as_ref(), false);
    }

    fn add(&mut self, style: Style, fit: Fit, text: &str, spaced: bool) {
        self.parts.push(Part {
            text: shown(text).into_owned(),
            style,
            fit,
            spaced,
        });
    }

    /// Writes the line, made to fit the screen, and empties it.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write(&mut self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        if let Some(columns) = screen.columns {
            self.fit_into(columns);
        }
        // Padding of a last column would only make copied text ragged.
        if let Some(last) = self.parts.last_mut() {
            last.text.truncate(last.text.trim_end().len());
        }
        for (index, part) in self.parts.iter().enumerate() {
            if part.spaced && index > 0 {
                out.write_all(b" ")?;
            }
            let sgr = part.style.sgr();
            if screen.colour && !sgr.is_empty() {
                write!(out, "{sgr}{}\x1b[0m", part.text)?;
            } else {
                out.write_all(part.text.as_bytes())?;
            }
        }
        self.parts.clear();
        out.write_all(b"\n")
    }

    /// Whether the text fits behind what is there.
    #[must_use]
    pub fn has_room(&self, text: &str, screen: Screen) -> bool {
        let columns = self.columns() + 1 + width(text);
        screen.columns.is_none_or(|room| columns <= room)
    }

    fn columns(&self) -> usize {
        let spaces = self.parts.iter().skip(1).filter(|part| part.spaced).count();
        spaces
            + self
                .parts
                .iter()
                .map(|part| width(&part.text))
                .sum::<usize>()
    }

    fn fit_into(&mut self, columns: usize) {
        while self.columns() > columns {
            let Some(last) = self.parts.iter().rposition(|part| part.fit == Fit::Drop) else {
                break;
            };
            self.parts.remove(last);
        }
        while let excess @ 1.. = self.columns().saturating_sub(columns) {
            let longest = self
                .parts
                .iter_mut()
                .filter(|part| part.fit == Fit::Shorten)
                .max_by_key(|part| width(&part.text));
            let Some(part) = longest else { break };
            let whole = width(&part.text);
            if whole <= SHORT_MIN {
                break;
            }
            let room = whole.saturating_sub(excess).max(SHORT_MIN);
            part.text = shortened(&part.text, room).into_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &mut Line, columns: usize, colour: bool) -> String {
        let mut out = Vec::new();
        let screen = Screen {
            columns: Some(columns),
            colour,
        };
        line.write(&mut out, screen).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn example() -> Line {
        let mut line = Line::default();
        line.push(Style::Dim, Fit::Keep, "open");
        line.push(
            Style::Plain,
            Fit::Shorten,
            "/usr/lib/python3/encodings/__init__.py",
        );
        line.push(Style::Bad, Fit::Keep, "ENOENT");
        line.push(Style::Dim, Fit::Drop, "O_RDONLY");
        line
    }

    #[test]
    fn details_go_first_then_the_middle_of_the_long_part() {
        assert_eq!(
            written(&mut example(), 80, false),
            "open /usr/lib/python3/encodings/__init__.py ENOENT O_RDONLY\n"
        );
        assert_eq!(
            written(&mut example(), 55, false),
            "open /usr/lib/python3/encodings/__init__.py ENOENT\n"
        );
        assert_eq!(
            written(&mut example(), 32, false),
            "open /usr/l…s/__init__.py ENOENT\n"
        );
    }

    #[test]
    fn colours_surround_safe_text_only() {
        let mut line = Line::default();
        line.push(Style::Bad, Fit::Keep, "\x1b[2J");
        assert_eq!(written(&mut line, 80, true), "\x1b[31m\\x1b[2J\x1b[0m\n");
    }
}
