//! Environment variables as records show them: their names, and values only when asked for.
//!
//! The block is user memory: a process can have written anything over it. So only what has the form
//! of a variable is shown, and what may be a secret is left out, rather too much than too little.

use crate::evidence::escape::escape;

/// How much of the environment of a process is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// The names.
    #[default]
    Names,
    /// Names and values, but for the values of what may be a secret.
    Values,
}

/// An environment, as far as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    /// In the order of the block: `NAME`, or `NAME=value` where the value is shown. Escaped.
    pub shown: Vec<String>,
    /// Names of those whose value is left out because it may be a secret.
    pub redacted: Vec<String>,
    /// Entries that have not the form of a variable.
    pub others: usize,
    /// Whether these are not all.
    pub cut: bool,
    /// Whether there was no room for more.
    full: bool,
    /// Most bytes the shown ones take in a document.
    bytes: usize,
}

/// Room for the environment in a record, which has to hold the arguments as well.
const SHOWN_BYTES_MAX: usize = 128 * 1024;

/// Longest name shown, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Longest value shown, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// Fewest characters of what may be a token.
const TOKEN_BYTES_MIN: usize = 20;

/// A variable with one of these in its name, in any case, may be a secret.
const SECRET_NAMES: &[&str] = &[
    "KEY",
    "TOKEN",
    "SECRET",
    "PASS",
    "PWD",
    "CRED",
    "AUTH",
    "COOKIE",
    "PRIVATE",
    "SIGNATURE",
    "SESSION",
    "CERT",
    "DSN",
    "CONNECTION_STRING",
    "SALT",
    "NONCE",
    "OTP",
    "PIN_",
    "WEBHOOK",
    "HEADERS",
];

/// A value in which one of these stands before `=` or `:`, in any case, may have a secret after it.
const SECRET_WORDS: &[&str] = &[
    "KEY",
    "TOKEN",
    "SECRET",
    "PASS",
    "PASSWORD",
    "PASSWD",
    "PWD",
    "CREDENTIALS",
    "AUTHORIZATION",
];

/// A value in which a word begins with one of these is a secret: what issuers put before theirs.
const SECRET_PREFIXES: &[&str] = &[
    "sk-",
    "pk-",
    "rk-",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xox",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "eyJ",
    "hf_",
    "npm_",
    "pypi-",
    "dop_v1_",
    "SG.",
    "Bearer ",
    "Basic ",
    "-----BEGIN",
    "ssh-",
    "AGE-SECRET-KEY",
];

impl Variables {
    /// What is shown of the block of a process: entries, each ended by NUL. Of one without an end, at the
    /// end of a block that was `cut`, only the name is known: the rest of the value may tell that it is
    /// a secret.
    #[must_use]
    pub fn of(block: &[u8], cut: bool, shown: Shown) -> Self {
        let mut variables = Self {
            cut,
            ..Self::default()
        };
        if shown == Shown::Nothing {
            return variables;
        }
        let (whole, last) = match block.iter().rposition(|byte| *byte == 0) {
            _ if !cut => (block, &[][..]),
            Some(end) => block.split_at(end + 1),
            None => block.split_at(0),
        };
        let whole = whole.strip_suffix(&[0]).unwrap_or(whole);
        for entry in whole.split(|byte| *byte == 0) {
            variables.add(entry, shown, false);
        }
        // Without the sign it may be part of a name.
        if last.contains(&b'=') {
            variables.add(last, shown, true);
        }
        variables
    }

    fn add(&mut self, entry: &[u8], shown: Shown, cut: bool) {
        let Some((name, value)) = split(entry) else {
            // Nothing at all is padding: what a process leaves that writes its title here.
            self.others += usize::from(!entry.is_empty());
            return;
        };
        let secret = shown == Shown::Values
            && (cut || value.len() > VALUE_BYTES_MAX || is_secret(name, value));
        let text = match shown {
            Shown::Values if !secret => escape(entry),
            _ => escape(name.as_bytes()),
        };
        // A document doubles quotes and backslashes, and has two quotes and a comma for each text.
        let bytes = (2 * text.len() + 3) * if secret { 2 } else { 1 };
        if self.full || self.bytes + bytes > SHOWN_BYTES_MAX {
            (self.full, self.cut) = (true, true);
            return;
        }
        self.bytes += bytes;
        if secret {
            self.redacted.push(text.clone());
        }
        self.shown.push(text);
    }
}

/// Name and value of an entry that has the form of a variable.
fn split(entry: &[u8]) -> Option<(&str, &[u8])> {
    let at = entry.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(&entry[..at]).ok()?;
    let printable = name.bytes().all(|byte| byte.is_ascii_graphic());
    (!name.is_empty() && name.len() <= NAME_BYTES_MAX && printable)
        .then_some((name, &entry[at + 1..]))
}

/// Whether what has this name and value may be a secret.
pub(super) fn is_secret(name: &str, value: &[u8]) -> bool {
    let name = name.to_ascii_uppercase();
    // What is not text cannot be looked through.
    let Ok(value) = std::str::from_utf8(value) else {
        return true;
    };
    SECRET_NAMES.iter().any(|word| name.contains(word)) && !matches!(&*name, "PWD" | "OLDPWD")
        || SECRET_PREFIXES
            .iter()
            .any(|prefix| has_word_with(value, prefix))
        || names_secret(value)
        || has_password(value)
        || has_token(value)
}

/// Whether a word in it begins so.
fn has_word_with(value: &str, prefix: &str) -> bool {
    value.match_indices(prefix).any(|(at, _)| {
        let before = value[..at].chars().next_back();
        !before.is_some_and(|character| character.is_ascii_alphanumeric())
    })
}

/// Whether it tells in words that a secret follows: `password=`, `token:`.
fn names_secret(value: &str) -> bool {
    let value = value.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| {
        value.match_indices(word).any(|(at, _)| {
            let rest = value[at + word.len()..].trim_start_matches(['"', '\'', ' ']);
            rest.starts_with(['=', ':'])
        })
    })
}

/// Whether an address in it may have a user or a password: `scheme://user:password@host`,
/// `user:password@host`. A password can have any character in it.
fn has_password(value: &str) -> bool {
    value.split_whitespace().any(|word| {
        let begin = word.find("://").map(|at| at + 3).or_else(|| word.find(':'));
        begin.is_some_and(|begin| word[begin..].contains('@'))
    })
}

/// Whether a long run in it looks like chance: digits and letters, and many different ones.
fn has_token(value: &str) -> bool {
    let in_token =
        |character: char| character.is_ascii_alphanumeric() || "+=_~-".contains(character);
    value.split(|character| !in_token(character)).any(|run| {
        let mut seen = [false; 128];
        for byte in run.bytes() {
            seen[usize::from(byte & 127)] = true;
        }
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        let letters = run.bytes().any(|byte| byte.is_ascii_alphabetic());
        let different = seen.iter().filter(|seen| **seen).count();
        run.len() >= TOKEN_BYTES_MIN && letters && digits >= 3 && different >= 10
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &[u8] =
        b"HOME=/root\0OPENAI_API_KEY=sk-proj-1\0EMPTY=\0no variable\0=x\0\0PATH=/usr/bin:/bin\0";

    #[test]
    fn names_are_shown_without_values() {
        let variables = Variables::of(BLOCK, false, Shown::Names);
        assert_eq!(variables.shown, ["HOME", "OPENAI_API_KEY", "EMPTY", "PATH"]);
        assert_eq!((variables.redacted.len(), variables.others), (0, 2));
        assert_eq!(
            Variables::of(BLOCK, false, Shown::Nothing),
            Variables::default()
        );
        assert_eq!(
            Variables::of(b"", false, Shown::Names),
            Variables::default()
        );
    }

    #[test]
    fn values_are_shown_when_they_are_no_secret() {
        let variables = Variables::of(BLOCK, false, Shown::Values);
        assert_eq!(
            variables.shown,
            [
                "HOME=/root",
                "OPENAI_API_KEY",
                "EMPTY=",
                "PATH=/usr/bin:/bin"
            ]
        );
        assert_eq!(variables.redacted, ["OPENAI_API_KEY"]);
    }

    #[test]
    fn what_may_be_a_secret_is_left_out() {
        for entry in [
            "aws_secret_access_key=x",
            "GITHUB_TOKEN=x",
            "MYSQL_PWD=x",
            "DB_PASSWORD=x",
            "GOOGLE_APPLICATION_CREDENTIALS=/x",
            "X=ghp_abc",
            "X=eyJhbGciOiJIUzI1NiJ9",
            "X=postgres://user:pw@host/db",
            "X=http://a http://user@host",
            "X=d41d8cd98f00b204e9800998ecf8427e",
            "X=5f0f7a52-6bdc-4c45-9bd3-0d6c2c7c1a2e",
            "X=a wJalrXUtnFEMI7K7MDENG0bPxRfiCYEX b",
            "X=-----BEGIN RSA",
            "X=jdbc:postgresql://h/d?user=a&password=hunter2",
            "X=postgres://u:pa/ss@h/d",
            "X=authorization=Basic dXNlcjpwYXNz",
            "X=app:pw@tcp(h:3306)/d",
            "X={\"token\": 1}",
            "PGPWD=x",
            "DB_CREDS=x",
            "SLACK_WEBHOOK=x",
        ] {
            let variables = Variables::of(entry.as_bytes(), false, Shown::Values);
            assert_eq!(variables.redacted.len(), 1, "{entry}");
            assert!(!variables.shown[0].contains('='), "{entry}");
        }
        let binary = Variables::of(b"X=\xff\xfe", false, Shown::Values);
        assert_eq!(binary.redacted, ["X"]);
        for entry in [
            "PWD=/home/user",
            "LANG=C.UTF-8",
            "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu",
            "HTTP_PROXY=http://proxy.internal:3128/",
            "PYTHONPATH=/opt/site-packages:/srv/some/long/path/of/many/parts",
            "LS_COLORS=rs=0:di=01;34:ln=01;36",
        ] {
            let variables = Variables::of(entry.as_bytes(), false, Shown::Values);
            assert_eq!(variables.shown, [entry]);
        }
    }

    #[test]
    fn a_value_that_is_cut_is_not_shown() {
        let cut = |block| Variables::of(block, true, Shown::Values);
        // A token, had it gone on.
        let variables = cut(b"HOME=/root\0X=d41d8cd98f");
        assert_eq!(variables.shown, ["HOME=/root", "X"]);
        assert_eq!(variables.redacted, ["X"]);
        assert!(variables.cut);
        assert_eq!(cut(b"X=d41d8cd98f").shown, ["X"]);
        assert_eq!(cut(b"HOME=/root\0").shown, ["HOME=/root"]);
        for block in [&b"HOME=/root\0API_K"[..], b"HOME=/root\0"] {
            let variables = cut(block);
            assert_eq!((variables.shown.len(), variables.others), (1, 0));
        }
        let whole = Variables::of(b"X=d41d8cd98f", false, Shown::Values);
        assert_eq!(whole.shown, ["X=d41d8cd98f"]);
    }

    #[test]
    fn no_environment_is_larger_than_its_room() {
        let backslashes = format!("{}=x\0", "\\".repeat(200)).repeat(400);
        for shown in [Shown::Names, Shown::Values] {
            let variables = Variables::of(backslashes.as_bytes(), false, shown);
            assert!(variables.cut);
            let told = serde_json::json!([variables.shown, variables.redacted]).to_string();
            assert!((SHOWN_BYTES_MAX / 2..SHOWN_BYTES_MAX).contains(&told.len()));
        }
        assert!(!Variables::of(BLOCK, false, Shown::Values).cut);
    }

    #[test]
    fn a_name_that_is_none_is_only_counted() {
        for entry in [&b"a b=c"[..], b"\x1b[31m=c", b"\xff=c", &[b'a'; 300]] {
            let variables = Variables::of(entry, false, Shown::Values);
            assert_eq!((variables.shown.len(), variables.others), (0, 1));
        }
    }
}
