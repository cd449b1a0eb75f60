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
}

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
    "_PWD",
    "CREDENTIAL",
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
];

/// A value that begins with one of these is a secret: what issuers put before theirs.
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
    /// What is shown of the block of a process: entries, each ended by NUL.
    #[must_use]
    pub fn of(block: &[u8], shown: Shown) -> Self {
        let mut variables = Self::default();
        if shown == Shown::Nothing {
            return variables;
        }
        let block = block.strip_suffix(&[0]).unwrap_or(block);
        for entry in block.split(|byte| *byte == 0) {
            variables.add(entry, shown);
        }
        variables
    }

    fn add(&mut self, entry: &[u8], shown: Shown) {
        let Some((name, value)) = split(entry) else {
            // Nothing at all is padding: what a process leaves that writes its title here.
            self.others += usize::from(!entry.is_empty());
            return;
        };
        if shown == Shown::Names {
            self.shown.push(escape(name.as_bytes()));
        } else if value.len() > VALUE_BYTES_MAX || is_secret(name, value) {
            self.shown.push(escape(name.as_bytes()));
            self.redacted.push(escape(name.as_bytes()));
        } else {
            self.shown.push(escape(entry));
        }
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

fn is_secret(name: &str, value: &[u8]) -> bool {
    let name = name.to_ascii_uppercase();
    // What is not text cannot be looked through.
    let Ok(value) = std::str::from_utf8(value) else {
        return true;
    };
    SECRET_NAMES.iter().any(|word| name.contains(word)) && !matches!(&*name, "PWD" | "OLDPWD")
        || SECRET_PREFIXES
            .iter()
            .any(|prefix| value.trim_start().starts_with(prefix))
        || has_password(value)
        || has_token(value)
}

/// Whether an address in it has a user or a password: `scheme://user:password@host`.
fn has_password(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or(rest);
        authority.contains('@')
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
        let variables = Variables::of(BLOCK, Shown::Names);
        assert_eq!(variables.shown, ["HOME", "OPENAI_API_KEY", "EMPTY", "PATH"]);
        assert_eq!((variables.redacted.len(), variables.others), (0, 2));
        assert_eq!(Variables::of(BLOCK, Shown::Nothing), Variables::default());
        assert_eq!(Variables::of(b"", Shown::Names), Variables::default());
    }

    #[test]
    fn values_are_shown_when_they_are_no_secret() {
        let variables = Variables::of(BLOCK, Shown::Values);
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
        ] {
            let variables = Variables::of(entry.as_bytes(), Shown::Values);
            assert_eq!(variables.redacted.len(), 1, "{entry}");
            assert!(!variables.shown[0].contains('='), "{entry}");
        }
        let binary = Variables::of(b"X=\xff\xfe", Shown::Values);
        assert_eq!(binary.redacted, ["X"]);
        for entry in [
            "PWD=/home/user",
            "LANG=C.UTF-8",
            "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu",
            "HTTP_PROXY=http://proxy.internal:3128/",
            "PYTHONPATH=/opt/site-packages:/srv/some/long/path/of/many/parts",
            "LS_COLORS=rs=0:di=01;34:ln=01;36",
        ] {
            let variables = Variables::of(entry.as_bytes(), Shown::Values);
            assert_eq!(variables.shown, [entry]);
        }
    }

    #[test]
    fn a_name_that_is_none_is_only_counted() {
        for entry in [&b"a b=c"[..], b"\x1b[31m=c", b"\xff=c", &[b'a'; 300]] {
            let variables = Variables::of(entry, Shown::Values);
            assert_eq!((variables.shown.len(), variables.others), (0, 1));
        }
    }
}
