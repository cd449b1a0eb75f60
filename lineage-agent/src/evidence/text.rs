//! Text documents: `key value` lines in a fixed order, so that one meaning has one encoding.

/// Why a text document is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct TextError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A document being read from front to back.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    /// Starts reading; the document must be UTF-8 and begin with the line `title`.
    pub fn new(bytes: &'a [u8], title: &str) -> Result<Self, TextError> {
        let mut lines = Self::untitled(bytes)?;
        if lines.next_line()? != title {
            return Err(lines.error("not a document of this kind and version"));
        }
        Ok(lines)
    }

    /// Starts reading a document without a first line of its own.
    pub fn untitled(bytes: &'a [u8]) -> Result<Self, TextError> {
        let rest = std::str::from_utf8(bytes).map_err(|_| TextError {
            line: 1,
            reason: "not UTF-8",
        })?;
        Ok(Self { rest, line: 0 })
    }

    /// The next line, which must be there, complete and not empty.
    pub fn next_line(&mut self) -> Result<&'a str, TextError> {
        self.line += 1;
        let (line, rest) = self
            .rest
            .split_once('\n')
            .ok_or_else(|| self.error("missing or not ended"))?;
        if line.is_empty() || line.contains('\r') {
            return Err(self.error("empty, or holds a carriage return"));
        }
        self.rest = rest;
        Ok(line)
    }

    /// The value of the next line, which must have this key.
    pub fn value(&mut self, key: &str) -> Result<&'a str, TextError> {
        match self.optional(key)? {
            Some(value) => Ok(value),
            None => {
                self.line += 1;
                Err(self.error("another line was expected here"))
            }
        }
    }

    /// The value of the next line if it has this key; otherwise the line stays.
    pub fn optional(&mut self, key: &str) -> Result<Option<&'a str>, TextError> {
        if !self
            .rest
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(' '))
        {
            return Ok(None);
        }
        let value = &self.next_line()?[key.len() + 1..];
        if value.is_empty() {
            return Err(self.error("no value"));
        }
        Ok(Some(value))
    }

    /// [`Lines::value`] as a decimal.
    pub fn decimal(&mut self, key: &str) -> Result<u64, TextError> {
        let value = self.value(key)?;
        decimal(value).ok_or_else(|| self.error("not a decimal"))
    }

    /// [`Lines::value`] as a decimal of at most 32 bits.
    pub fn decimal32(&mut self, key: &str) -> Result<u32, TextError> {
        let value = self.decimal(key)?;
        u32::try_from(value).map_err(|_| self.error("too large"))
    }

    /// [`Lines::value`] as a signed decimal.
    pub fn signed(&mut self, key: &str) -> Result<i64, TextError> {
        let value = self.value(key)?;
        signed(value).ok_or_else(|| self.error("not a signed decimal"))
    }

    /// [`Lines::value`] as 32 bytes in hex.
    pub fn digest(&mut self, key: &str) -> Result<[u8; 32], TextError> {
        let value = self.value(key)?;
        parse_hex(value).ok_or_else(|| self.error("not 64 hex digits"))
    }

    /// Ends reading: nothing may be left.
    pub fn end(mut self) -> Result<(), TextError> {
        self.line += 1;
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.error("unexpected here"))
        }
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    /// An error at the line read last.
    #[must_use]
    pub fn error(&self, reason: &'static str) -> TextError {
        TextError {
            line: self.line,
            reason,
        }
    }
}

/// A decimal of the format: digits, no leading zero, at most 2⁶³ − 1.
#[must_use]
pub fn decimal(text: &str) -> Option<u64> {
    let canonical =
        text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    let value: u64 = canonical.then(|| text.parse().ok())??;
    i64::try_from(value).is_ok().then_some(value)
}

/// A signed decimal of the format.
#[must_use]
pub fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        None => decimal(text).and_then(|value| i64::try_from(value).ok()),
        Some(digits) if digits != "0" => {
            decimal(digits).and_then(|value| i64::try_from(value).ok().map(|value| -value))
        }
        Some(_) => None,
    }
}

/// Lowercase hex of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Exactly `N` bytes from lowercase hex.
#[must_use]
pub fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_one_spelling() {
        assert_eq!(decimal("0"), Some(0));
        assert_eq!(decimal("9223372036854775807"), Some(i64::MAX as u64));
        for bad in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "9223372036854775808",
        ] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
        assert_eq!(signed("-5"), Some(-5));
        for bad in ["-0", "--1", "-", "-01"] {
            assert_eq!(signed(bad), None, "{bad}");
        }
    }

    #[test]
    fn hex_is_lowercase_and_exact() {
        assert_eq!(hex(&[0, 0xab]), "00ab");
        assert_eq!(parse_hex::<2>("00ab"), Some([0, 0xab]));
        assert_eq!(parse_hex::<2>("00AB"), None);
        assert_eq!(parse_hex::<2>("00a"), None);
    }

    #[test]
    fn lines_come_in_order_and_end() {
        let mut lines = Lines::new(b"title\na 1\nb x y\n", "title").unwrap();
        assert_eq!(lines.decimal("a"), Ok(1));
        assert_eq!(lines.optional("a"), Ok(None));
        assert_eq!(lines.value("b"), Ok("x y"));
        assert_eq!(lines.clone().end(), Ok(()));
        for bad in [
            &b"title\na"[..],
            b"title\n\na 1\n",
            b"title\nb 1\n",
            b"other\n",
        ] {
            let value = Lines::new(bad, "title").and_then(|mut lines| lines.value("a"));
            assert!(value.is_err(), "{bad:?}");
        }
    }
}
