//! What standard output is, and what to write to it.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};

use crate::cli::{self, Colour, ColourWhen};
use crate::evidence::reader::{Evidence, NO_HOST};
use crate::review::event::EventName;
use crate::review::{line::Screen, text::width};

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// Fewest columns lines are made to fit; in less, wrapped lines are easier to read than cut ones.
const COLUMNS_MIN: usize = 40;

/// What is known of standard output.
pub(super) fn of_stdout(colour: Colour) -> Screen {
    let columns = terminal_columns();
    Screen {
        columns,
        colour: coloured(
            colour.when,
            columns.is_some(),
            std::env::var_os("NO_COLOR").as_deref(),
            std::env::var_os("TERM").as_deref(),
        ),
    }
}

/// As <https://no-color.org> has it: set and not empty means no, whatever it is set to; an option on
/// the command line overrides it.
fn coloured(
    when: ColourWhen,
    terminal: bool,
    no_color: Option<&OsStr>,
    term: Option<&OsStr>,
) -> bool {
    match when {
        ColourWhen::Always => true,
        ColourWhen::Never => false,
        ColourWhen::Auto => {
            terminal
                && no_color.is_none_or(OsStr::is_empty)
                && term.is_some_and(|term| term != "dumb" && !term.is_empty())
        }
    }
}

/// Columns of the terminal that standard output is; files and pipes have none, and lines in them no end.
pub(super) fn terminal_columns() -> Option<usize> {
    io::stdout().is_terminal().then(columns)
}

/// Columns that text is wrapped to.
pub(super) fn columns() -> usize {
    let said = rustix::termios::tcgetwinsize(io::stdout()).map(|size| usize::from(size.ws_col));
    let columns = said.ok().filter(|columns| *columns > 0);
    columns.unwrap_or(COLUMNS).max(COLUMNS_MIN)
}

/// Words in lines of so many columns, all but the first of which begin with so many spaces; the first has
/// as many columns before it.
pub(super) fn wrapped(text: &str, indent: usize, columns: usize) -> String {
    wrapped_from(text, indent, indent, columns)
}

/// A text as it is, or in lines of so many columns; each of its lines goes on where `hang` says.
pub(super) fn fitted(text: &str, columns: Option<usize>, hang: impl Fn(&str) -> usize) -> String {
    let Some(columns) = columns else {
        return text.to_owned();
    };
    let mut out = String::new();
    for line in text.lines() {
        let words = line.trim_start_matches(' ');
        let (indent, words) = line.split_at(line.len() - words.len());
        out += indent;
        out += &wrapped_from(words, indent.len(), hang(line), columns);
        out.push('\n');
    }
    out
}

/// Words in lines, the first of which has so many columns before it and the others begin with so many spaces.
fn wrapped_from(text: &str, before: usize, indent: usize, columns: usize) -> String {
    let (mut out, mut column, mut begins) = (String::new(), before, true);
    for word in text.split(' ') {
        let width = width(word);
        if !begins && column + 1 + width > columns {
            out += &format!("\n{:indent$}", "");
            (column, begins) = (indent, true);
        }
        if !begins {
            out.push(' ');
            column += 1;
        }
        out += word;
        column += width;
        begins = false;
    }
    out
}

/// Opens evidence to show it.
pub(super) fn open(directory: &Path) -> anyhow::Result<Evidence> {
    if directory.is_file() {
        let shown = directory.display();
        bail!(
            "open {shown}: evidence is a directory; a proof, which is a file, is checked and shown by `lineage verify-proof`"
        );
    }
    let evidence = Evidence::open(directory)?;
    if evidence.hosts().is_empty() {
        let shown = directory.display();
        bail!("find evidence in {shown}: {NO_HOST}");
    }
    Ok(evidence)
}

/// Understands the name of an event.
pub(super) fn event(event: &cli::review::Event) -> anyhow::Result<EventName> {
    let name = event.name.parse::<EventName>();
    name.map_err(|expected| anyhow!("find event {}: {expected}", event.name))
}

/// Writes a text, and ends.
pub(super) fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    ending(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// A JSON document on one line in ASCII: what it quotes cannot steer a terminal.
pub(super) fn json(document: &serde_json::Value) -> String {
    let mut out = String::new();
    for character in document.to_string().chars() {
        if character.is_ascii() && character != '\x7f' {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out += &format!("\\u{unit:04x}");
            }
        }
    }
    out + "\n"
}

/// What a writer's outcome means while records are visited: go on, or stop with the error.
pub(super) fn or_stop(written: io::Result<()>) -> ControlFlow<io::Error> {
    match written {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// How a command that writes ends: a reader that has seen enough (`| head`) is no failure.
pub(super) fn ending(written: io::Result<()>) -> anyhow::Result<ExitCode> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("write to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_between_words() {
        assert_eq!(wrapped("", 4, 20), "");
        assert_eq!(
            wrapped("one two three four", 4, 12),
            "one two\n    three\n    four"
        );
        // What does not fit at all stands alone.
        assert_eq!(
            wrapped("a incomprehensible b", 2, 10),
            "a\n  incomprehensible\n  b"
        );
    }

    #[test]
    fn lines_go_on_where_they_should_on_terminals_only() {
        let text = "ab: one two three\n  c one two\n";
        let fitted = |columns| {
            fitted(text, columns, |line: &str| {
                line.find("one").unwrap_or_default()
            })
        };
        assert_eq!(fitted(None), text);
        assert_eq!(fitted(Some(17)), text);
        assert_eq!(
            fitted(Some(10)),
            "ab: one\n    two\n    three\n  c one\n    two\n"
        );
    }

    #[test]
    fn json_is_ascii_and_means_the_same() {
        let document = serde_json::json!({ "a": "\u{9b}\u{7f}\u{202e}\u{1f600}é\n" });
        let text = json(&document);
        assert!(
            text.bytes()
                .all(|byte| byte == b'\n' || (b' '..0x7f).contains(&byte)),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            document
        );
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let auto = |terminal, no_color: Option<&str>, term: &str| {
            let no_color = no_color.map(OsStr::new);
            coloured(ColourWhen::Auto, terminal, no_color, Some(OsStr::new(term)))
        };
        assert!(auto(true, None, "xterm"));
        assert!(auto(true, Some(""), "xterm"));
        assert!(!auto(true, Some("0"), "xterm"));
        assert!(!auto(true, None, "dumb"));
        assert!(!auto(false, None, "xterm"));
        assert!(coloured(
            ColourWhen::Always,
            false,
            Some(OsStr::new("1")),
            None
        ));
        assert!(!coloured(ColourWhen::Never, true, None, None));
    }
}
