//! The words of a line of strace.

use super::calls::name;
use super::errno;

/// One call as strace prints it.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Its name.
    pub(super) call: &'a str,
    /// Its arguments.
    pub(super) words: Vec<&'a str>,
    /// What follows the equals sign.
    pub(super) end: &'a str,
    /// Its result: a negated errno when it failed.
    pub(super) result: i64,
}

impl<'a> Line<'a> {
    /// Takes a line apart; nothing when it is none.
    pub(super) fn of(line: &'a str) -> Option<Self> {
        let (call, end) = line.rsplit_once(" = ")?;
        let (call, arguments) = call.split_once('(')?;
        Some(Self {
            call,
            words: split(arguments.trim_end().strip_suffix(')')?),
            end,
            result: result(end)?,
        })
    }

    /// An argument; empty when there is none.
    pub(super) fn word(&self, at: usize) -> &'a str {
        self.words.get(at).copied().unwrap_or_default()
    }

    /// An argument that is a number, without what strace says of it.
    pub(super) fn number(&self, at: usize) -> Option<i64> {
        self.word(at).split(['<', ' ']).next()?.parse().ok()
    }

    /// An argument with the kernel's name for its value; empty when it has none.
    pub(super) fn constant(&self, at: usize) -> &'a str {
        let word = self.word(at);
        let is_name = word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        match word {
            // The C library's name for it.
            "SCHED_OTHER" => "SCHED_NORMAL",
            _ if is_name && word.parse::<u64>().is_err() => word,
            _ => "",
        }
    }

    /// The texts among the arguments, by position among them; empty when there are not as many.
    pub(super) fn text(&self, at: usize) -> String {
        let mut texts = self.words.iter().filter_map(|word| text(word));
        texts.nth(at).unwrap_or_default()
    }

    /// The directory that the name in the next argument starts from. Nothing is known of a name that
    /// cannot be read.
    pub(super) fn base(&self, at: usize) -> Option<String> {
        let readable = !self.word(at + 1).starts_with("0x");
        readable.then(|| leads_to(self.word(at)))?
    }
}

/// What a descriptor leads to: `3</etc/passwd>`, `4<pid:17>`, `5<TCP:[…]>`.
pub(super) fn leads_to(descriptor: &str) -> Option<String> {
    let (_, file) = descriptor.split_once('<')?;
    Some(if file.starts_with('\\') {
        path(&hex(file)?)
    } else if file.starts_with("pid:") || file.starts_with("anon_inode:[pidfd]") {
        "anon_inode:[pidfd]".to_owned()
    } else {
        "socket".to_owned()
    })
}

/// A path without the mark of a file that has no name any more.
pub(super) fn path(bytes: &[u8]) -> String {
    name(bytes.strip_suffix(b" (deleted)").unwrap_or(bytes))
}

/// What is between commas that are in no bracket.
pub(super) fn split(arguments: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut depth, mut from) = (0_i32, 0);
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth -= 1,
            b',' if depth == 0 => {
                words.push(arguments[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    words.push(arguments[from..].trim());
    words.retain(|word| !word.is_empty());
    words
}

/// A number, or a negated errno by its name; `?` is what a signal interrupts, and the kernel begins again.
fn result(end: &str) -> Option<i64> {
    if let Some(error) = end.strip_prefix("-1 ").or_else(|| end.strip_prefix("? ")) {
        return Some(-errno::number(error.split(' ').next()?));
    }
    let number = end.split(['<', ' ']).next()?;
    match number.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    }
}

/// `{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("…")}` and its like.
pub(super) fn address(word: &str) -> Option<String> {
    let quoted = || hex(word.split('"').nth(1)?);
    let text = || String::from_utf8(quoted()?).ok();
    if word.contains("AF_UNIX") {
        let hidden = if word.contains("sun_path=@") { "@" } else { "" };
        return Some(format!("{hidden}{}", text().unwrap_or_default()));
    }
    // Of AF_UNSPEC and families without ports only the family is compared.
    let Some((_, port)) = word.split_once("htons(") else {
        return Some(String::new());
    };
    let (port, _) = port.split_once(')')?;
    Some(format!("{} {port}", text()?))
}

/// The text of a quoted word.
pub(super) fn text(word: &str) -> Option<String> {
    word.starts_with('"')
        .then(|| hex(word).map(|bytes| name(&bytes)))?
}

/// `\x2f\x61`, perhaps in quotes, perhaps followed by something else.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_start_matches('"');
    let end = text.find(|c: char| c != '\\' && c != 'x' && !c.is_ascii_hexdigit());
    let digits = &text[..end.unwrap_or(text.len())];
    digits
        .split("\\x")
        .skip(1)
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect()
}
