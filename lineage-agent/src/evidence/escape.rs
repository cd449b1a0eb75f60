//! The escape: any bytes as printable text, reversibly.
//!
//! Kernel strings are bytes and columns hold text. What is hashed is the escaped text, so the rule
//! is part of the format and fixed for version 1. It also keeps terminal control sequences and
//! invisible or direction-changing characters out of every column.

/// Appends `bytes` in escaped form.
pub fn escape_into(bytes: &[u8], out: &mut String) {
    let mut rest = bytes;
    loop {
        let plain = plain(rest);
        let (run, tail) = rest.split_at(plain);
        // ASCII, so this never fails; the check costs nothing next to the copy.
        out.push_str(std::str::from_utf8(run).unwrap_or_default());
        if tail.is_empty() {
            return;
        }
        rest = escape_one(tail, out);
    }
}

/// `bytes` in escaped form.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    escape_into(bytes, &mut out);
    out
}

/// The bytes an escaped text stands for; `None` when a backslash does not start an escape.
#[must_use]
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'\\' {
            out.push(first);
            continue;
        }
        match tail {
            [b'\\', tail @ ..] => {
                out.push(b'\\');
                rest = tail;
            }
            [b'x', high, low, tail @ ..] => {
                let digits = [*high, *low];
                let byte = super::text::parse_hex::<1>(std::str::from_utf8(&digits).ok()?)?;
                out.push(byte[0]);
                rest = tail;
            }
            _ => return None,
        }
    }
    Some(out)
}

/// Appends a JSON array of the strings, each escaped: the form of the field `argv`.
pub fn escape_list_into<'a>(items: impl IntoIterator<Item = &'a [u8]>, out: &mut String) {
    out.push('[');
    let mut scratch = String::new();
    for (index, item) in items.into_iter().enumerate() {
        out.push_str(if index == 0 { "\"" } else { ",\"" });
        scratch.clear();
        escape_into(item, &mut scratch);
        for character in scratch.chars() {
            if matches!(character, '"' | '\\') {
                out.push('\\');
            }
            out.push(character);
        }
        out.push('"');
    }
    out.push(']');
}

/// How many bytes stand for themselves before one that does not. Nearly all do, so they are looked at in blocks, for
/// which the compiler has vectors.
fn plain(bytes: &[u8]) -> usize {
    const BLOCK: usize = 16;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let all = |block: &&[u8; BLOCK]| block.iter().fold(true, |all, byte| all & is_plain(*byte));
    let begin = BLOCK * blocks.iter().take_while(all).count();
    let rest = &bytes[begin..];
    begin + rest.iter().take_while(|byte| is_plain(**byte)).count()
}

/// ASCII that stands for itself.
fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'\\'
}

/// Whether a character beyond ASCII must be escaped: controls, and what is invisible or changes
/// how its neighbours are shown.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Escapes the first character or invalid byte of `bytes`, which is not empty; returns the rest.
fn escape_one<'a>(bytes: &'a [u8], out: &mut String) -> &'a [u8] {
    if bytes[0] == b'\\' {
        out.push_str("\\\\");
        return &bytes[1..];
    }
    let window = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(window) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&window[..error.valid_up_to()]).unwrap_or_default(),
    };
    let Some(character) = valid.chars().next() else {
        push_byte(bytes[0], out);
        return &bytes[1..];
    };
    let (encoded, rest) = bytes.split_at(character.len_utf8());
    if is_hidden(character) {
        encoded.iter().for_each(|byte| push_byte(*byte, out));
    } else {
        out.push(character);
    }
    rest
}

fn push_byte(byte: u8, out: &mut String) {
    out.push_str("\\x");
    out.push_str(&super::text::hex(&[byte]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_what_the_specification_says() {
        for (bytes, text) in [
            (&b"/usr/bin/env"[..], "/usr/bin/env"),
            (b"a\\b", "a\\\\b"),
            (b"\x1b[31m", "\\x1b[31m"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"caf\xc3\xa9", "café"),
            (b"caf\xc3", "caf\\xc3"),
            ("\u{202e}".as_bytes(), "\\xe2\\x80\\xae"),
            (b"\xc0\xaf", "\\xc0\\xaf"),
            (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
            ("\u{85}".as_bytes(), "\\xc2\\x85"),
            ("語🦀".as_bytes(), "語🦀"),
        ] {
            assert_eq!(escape(bytes), text);
        }
    }

    #[test]
    fn argv_is_json_of_escaped_strings() {
        let mut out = String::new();
        escape_list_into([&b"a\"b"[..], b"\\", b"\n", b""], &mut out);
        assert_eq!(out, r#"["a\"b","\\\\","\\x0a",""]"#);
    }

    #[test]
    fn a_stray_backslash_is_malformed() {
        for bad in ["\\", "\\x", "\\x1", "\\xAB", "\\n", "\\xg0"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn escaping_is_reversible(bytes: Vec<u8>) {
            prop_assert_eq!(unescape(&escape(&bytes)), Some(bytes));
        }

        #[test]
        fn text_is_reversible_and_visible(text: String) {
            let escaped = escape(text.as_bytes());
            prop_assert!(!escaped.chars().any(is_hidden));
            prop_assert_eq!(unescape(&escaped), Some(text.into_bytes()));
        }
    }
}
