//! Foreign text made fit for a terminal, and numbers made fit for people.

use std::borrow::Cow;
use std::fmt::Write;

use crate::counted::counted;
use crate::evidence::escape::is_hidden;

/// The text as it is when it is safe to show, which it is in evidence that verifies; otherwise escaped as
/// the evidence format would have, backslashes excepted.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    let harmless = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if harmless || !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_hidden(character) {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "\\x{byte:02x}");
            }
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Columns the text takes in a terminal: two for East Asian wide characters and pictures, none
/// for marks that combine with the character before.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.chars().map(char_width).sum()
}

fn char_width(character: char) -> usize {
    match u32::from(character) {
        0x300..=0x36f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The text in at most `columns` columns: when it is longer, its beginning and (the larger part)
/// its end with `…` between. A path keeps the file's name that way.
#[must_use]
pub fn shortened(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(1);
    let front = room / 3;
    let mut used = 0;
    let head: String = text
        .chars()
        .take_while(|character| {
            used += char_width(*character);
            used <= front
        })
        .collect();
    let mut used = 0;
    let tail: Vec<char> = text
        .chars()
        .rev()
        .take_while(|character| {
            used += char_width(*character);
            used <= room - front
        })
        .collect();
    let mut out = head;
    out.push('…');
    out.extend(tail.iter().rev());
    Cow::Owned(out)
}

/// Text in lines of at most so many columns, broken between words, and inside those that are longer than a line.
#[must_use]
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 && used + 1 + width(word) > columns {
            lines.push(String::new());
            used = 0;
        } else if index > 0 {
            used += 1;
            if let Some(line) = lines.last_mut() {
                line.push(' ');
            }
        }
        for character in word.chars() {
            let wide = char_width(character);
            if used + wide > columns {
                lines.push(String::new());
                used = 0;
            }
            used += wide;
            if let Some(line) = lines.last_mut() {
                line.push(character);
            }
        }
    }
    lines
}

/// A number of bytes: exact below 10,000, then three digits in decimal units.
#[must_use]
pub fn bytes(count: u64) -> String {
    if count < 10_000 {
        return format!("{count} B");
    }
    scaled(
        count as f64,
        1000.0,
        &["B", "kB", "MB", "GB", "TB", "PB", "EB"],
    )
}

/// A span of time, from nanoseconds to days, in three digits.
#[must_use]
pub fn duration(ns: i64) -> String {
    let ns = ns.max(0);
    if ns < 60_000_000_000 {
        return scaled(ns as f64, 1000.0, &["ns", "µs", "ms", "s"]);
    }
    let seconds = ns / 1_000_000_000;
    match seconds {
        ..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", units[unit])
}

/// Arguments out of the `argv` column: a JSON array of strings. Foreign text that is none is one
/// single argument.
#[must_use]
pub fn arguments(argv: &str) -> Vec<String> {
    serde_json::from_str(argv).unwrap_or_else(|_| vec![argv.to_owned()])
}

/// One argument as one would type it into a shell. The escapes of the evidence format are those of
/// `$'…'`, so what is shown can be pasted.
#[must_use]
pub fn quoted(argument: &str) -> Cow<'_, str> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-^".contains(&byte) || byte >= 0x80;
    if !argument.is_empty() && argument.bytes().all(plain) {
        return shown(argument);
    }
    let text = shown(argument);
    if text.contains('\\') {
        return Cow::Owned(format!("$'{}'", text.replace('\'', "\\'")));
    }
    if text.contains('\'') && !text.contains(['"', '$', '`', '!']) {
        return Cow::Owned(format!("\"{text}\""));
    }
    Cow::Owned(format!("'{}'", text.replace('\'', "'\\''")))
}

/// A path with the directory it starts from, where that is known. Dots and links in it are as the
/// caller wrote them.
pub(super) fn whole_path(dir: Option<&str>, path: &str) -> String {
    match dir {
        Some(dir) => format!("{}/{path}", dir.trim_end_matches('/')),
        None => path.to_owned(),
    }
}

/// The beginning of a digest: enough to tell apart by eye. Whoever means to find exactly that content
/// uses all of it.
#[must_use]
pub(super) fn short_digest(digest: &str) -> &str {
    digest.get(..SHORT_DIGITS).unwrap_or(digest)
}

/// Hex digits of a digest that are shown.
const SHORT_DIGITS: usize = 12;

/// What a detail says in words, and how often that was, 0 when it does not say.
pub(super) fn what(detail: &str) -> Option<(String, u64)> {
    let detail: serde_json::Value = serde_json::from_str(detail).ok()?;
    let times = detail.get("times").and_then(serde_json::Value::as_u64);
    Some((
        detail.get("what")?.as_str()?.to_owned(),
        times.unwrap_or_default(),
    ))
}

/// What happened, and how often where that is known.
pub(super) fn times(what: &str, times: u64) -> String {
    match times {
        0 => what.to_owned(),
        times => format!("{} {what}", counted(times, "time", "times")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_terminal_obeys_is_shown() {
        assert_eq!(shown("plain ünïcode 漢字"), "plain ünïcode 漢字");
        assert_eq!(shown("\x1b[31mred\r\n"), "\\x1b[31mred\\x0d\\x0a");
        assert_eq!(
            shown("a\u{9b}31m\u{202e}b"),
            "a\\xc2\\x9b31m\\xe2\\x80\\xaeb"
        );
    }

    #[test]
    fn long_text_keeps_both_ends() {
        assert_eq!(
            shortened("/usr/lib/python3/encodings/__init__.py", 20),
            "/usr/l…s/__init__.py"
        );
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("漢字漢字漢字", 7), "漢…漢字");
        assert_eq!(shortened("abc", 0), "…");
    }

    #[test]
    fn text_is_wrapped_between_words_where_it_can_be() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("", 8), [""]);
        assert_eq!(wrapped("a abcdefghij b", 5), ["a", "abcde", "fghij", "b"]);
        assert_eq!(wrapped("漢字漢", 4), ["漢字", "漢"]);
        assert_eq!(wrapped("a  b", 8), ["a  b"]);
    }

    #[test]
    fn sizes_and_spans_read_well() {
        let sizes = [0, 9_999, 10_000, 999_499, 999_500, 123_456_789, u64::MAX].map(bytes);
        assert_eq!(
            sizes,
            [
                "0 B", "9999 B", "10.0 kB", "999 kB", "1.00 MB", "123 MB", "18.4 EB"
            ]
        );
        let spans = [
            0,
            950,
            1_500,
            12_345_678,
            59_990_000_000,
            61_000_000_000,
            3_720_000_000_000,
        ]
        .map(duration);
        assert_eq!(
            spans,
            [
                "0 ns",
                "950 ns",
                "1.50 µs",
                "12.3 ms",
                "60.0 s",
                "1 min 01 s",
                "1 h 02 min"
            ]
        );
    }

    #[test]
    fn arguments_can_be_pasted() {
        let shown = |argument: &str| quoted(argument).into_owned();
        assert_eq!(shown("--x=/a/b"), "--x=/a/b");
        assert_eq!(shown(""), "''");
        assert_eq!(shown("a b"), "'a b'");
        assert_eq!(shown("it's"), "\"it's\"");
        assert_eq!(shown("it's $5"), "'it'\\''s $5'");
        assert_eq!(shown("line\\x0a'x'"), "$'line\\x0a\\'x\\''");
        assert_eq!(shown("*"), "'*'");
    }

    #[test]
    fn what_is_no_argument_list_is_one_argument() {
        assert_eq!(
            arguments(r#"["a","b \"c\" \\xff"]"#),
            ["a", "b \"c\" \\xff"]
        );
        assert_eq!(arguments("[\"a\""), ["[\"a\""]);
        assert_eq!(arguments("[1]"), ["[1]"]);
    }
}
