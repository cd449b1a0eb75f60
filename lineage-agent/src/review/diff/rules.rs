//! Names that are another in every run, made alike.

use std::borrow::Cow;

use crate::evidence::schema::Record;

/// The rules, and what each of them makes alike; `--exact` leaves all of them out.
pub const RULES: &[(&str, &str)] = &[
    (
        "workdir",
        "what is below the directory that the run began in is written ./",
    ),
    (
        "pids",
        "ids of processes in paths below /proc, and in names that a process makes of its own",
    ),
    (
        "temporary",
        "what mkstemp and its like make up, in temporary directories and in names with tmp",
    ),
    ("ids", "UUIDs, and hexadecimal numbers of 16 digits or more"),
    ("dates", "dates, and numbers of 8 digits or more"),
    ("ports", "ports from 32768 on, which clients are given"),
    ("amounts", "bytes that differ by less than half"),
    ("counts", "how often something was done"),
    (
        "system",
        "files of the system that are only read, as long as no digest differs",
    ),
];

/// Ports from here on are given to clients (ip(7), `ip_local_port_range`).
const CLIENT_PORT_MIN: u32 = 32_768;

/// Digits from which on a number is none that a person chose.
const NUMBER_DIGITS_MIN: usize = 8;

/// Hexadecimal digits from which on a name is one that a program made up.
const HEX_DIGITS_MIN: usize = 16;

/// Characters that mkstemp and its like make up, at least.
const RANDOM_MIN: usize = 6;

/// Characters that Python's `tempfile` makes up.
const PYTHON_RANDOM: usize = 8;

/// Directories whose names are often made up.
const TEMPORARY: &[&str] = &["/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/"];

/// Makes names alike.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// Leave all as it is.
    pub(super) exact: bool,
    /// Where the run began, with a `/` at its end; `None` is not known yet, and empty the root.
    workdir: Option<Box<str>>,
}

impl Rules {
    pub(super) fn new(exact: bool) -> Self {
        Self {
            exact,
            workdir: None,
        }
    }

    /// The directory that the run began in; only the first one counts.
    pub(super) fn begin_in(&mut self, directory: &str) {
        let directory = directory.trim_end_matches('/');
        let workdir = match directory {
            "" => String::new(),
            _ => format!("{directory}/"),
        };
        self.workdir.get_or_insert_with(|| workdir.into());
    }

    /// A path, an argument or an address with its port, as it is in every run.
    pub(super) fn alike<'a>(&self, name: &'a str, record: &Record<'_>) -> Cow<'a, str> {
        if self.exact {
            return Cow::Borrowed(name);
        }
        let mut out = Cow::Borrowed(name);
        if let Some(workdir) = self.workdir.as_ref().filter(|workdir| !workdir.is_empty())
            && out.contains(&**workdir)
        {
            out = Cow::Owned(below(&out, workdir));
        }
        let digits = out.bytes().any(|byte| byte.is_ascii_digit());
        // Without a digit nothing is an id, and hardly anything made up.
        if !digits && !out.contains("tmp") && !starts_temporary(&out) {
            return out;
        }
        Cow::Owned(by_words(&out, record))
    }
}

/// The text with a directory written `./` where a path begins.
fn below(text: &str, directory: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(directory) {
        let before = &rest[..at];
        out.push_str(before);
        let within = before.chars().next_back().or(out.chars().next_back());
        let begins =
            within.is_none_or(|letter| !letter.is_alphanumeric() && letter != '/' && letter != '.');
        out.push_str(if begins { "./" } else { directory });
        rest = &rest[at + directory.len()..];
    }
    out.push_str(rest);
    out
}

fn starts_temporary(text: &str) -> bool {
    TEMPORARY.iter().any(|start| text.contains(start))
}

/// Word by word of what may be a command line.
fn by_words(text: &str, record: &Record<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive([' ', '"', '\'', '=', ',', ';', '|', '<', '>', '(', ')', '\\'])
    {
        by_parts(&mut out, word, record);
    }
    out
}

/// Between slashes, and there between what are no letters and digits.
fn by_parts(out: &mut String, text: &str, record: &Record<'_>) {
    let proc = text.starts_with("/proc/");
    let temporary = starts_temporary(text);
    for (index, component) in text.split('/').enumerate() {
        if index > 0 {
            out.push('/');
        }
        if proc && index == 2 && is_number(component) {
            out.push_str("PID");
            continue;
        }
        let temporary = temporary || component.contains("tmp");
        let mut rest = component;
        while !rest.is_empty() {
            let (word, length) = match made_up(rest) {
                Some(length) => ("*", length),
                None => {
                    let length = run(rest).max(rest.chars().next().map_or(1, char::len_utf8));
                    let before = out.chars().next_back();
                    (part(&rest[..length], before, temporary, record), length)
                }
            };
            match word {
                "" => out.push_str(&rest[..length]),
                // Two things made up in a row are one.
                "*" if out.ends_with('*') => {}
                word => out.push_str(word),
            }
            rest = &rest[length..];
        }
    }
}

/// How many letters, digits and `_` a text begins with, in bytes.
fn run(text: &str) -> usize {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.bytes().take_while(word).count()
}

/// The length of the UUID or date that a text begins with, if it does.
fn made_up(text: &str) -> Option<usize> {
    let fits = |pattern: &str| {
        let bytes = text.as_bytes().get(..pattern.len())?;
        let same = pattern
            .bytes()
            .zip(bytes)
            .all(|(wanted, byte)| match wanted {
                b'x' => byte.is_ascii_hexdigit(),
                b'9' => byte.is_ascii_digit(),
                other => *byte == other,
            });
        let ends = text
            .as_bytes()
            .get(pattern.len())
            .is_none_or(|byte| !byte.is_ascii_alphanumeric());
        (same && ends).then_some(pattern.len())
    };
    fits("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
        .or_else(|| fits("9999-99-99T99:99:99"))
        .or_else(|| fits("9999-99-99"))
}

/// What stands for a run of letters and digits; empty when it stays.
fn part(word: &str, before: Option<char>, temporary: bool, record: &Record<'_>) -> &'static str {
    if is_number(word) {
        let number = word.parse::<u32>().ok();
        let pids = [record.pid, record.tid, record.ppid, record.target_pid];
        return match number {
            _ if word.len() >= NUMBER_DIGITS_MIN => "*",
            Some(port) if before == Some(':') && (CLIENT_PORT_MIN..=65_535).contains(&port) => "*",
            Some(pid) if pid > 1 && pids.contains(&Some(i64::from(pid))) => "PID",
            _ => "",
        };
    }
    let all = |test: fn(&u8) -> bool| word.as_bytes().iter().all(test);
    let any = |test: fn(&u8) -> bool| word.as_bytes().iter().any(test);
    if word.len() >= HEX_DIGITS_MIN && all(u8::is_ascii_hexdigit) && any(u8::is_ascii_digit) {
        return "*";
    }
    if !temporary {
        return "";
    }
    let mixed = any(u8::is_ascii_digit) && any(u8::is_ascii_alphabetic);
    let inner_capital = word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    let both_cases = any(u8::is_ascii_lowercase) && inner_capital;
    let random = word.len() >= RANDOM_MIN && (mixed || both_cases);
    match word.strip_prefix("tmp") {
        // What Python makes up may be letters alone.
        Some(rest) if random || rest.len() == PYTHON_RANDOM => "tmp*",
        _ if random => "*",
        _ => "",
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether two numbers of bytes are as good as the same.
pub(super) fn alike_amounts(one: u64, other: u64, exact: bool) -> bool {
    let (less, more) = (one.min(other), one.max(other));
    one == other || (!exact && less > more / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(name: &str) -> String {
        let mut rules = Rules::new(false);
        rules.begin_in("/srv/agent");
        let record = Record {
            pid: Some(4711),
            ppid: Some(1),
            ..Record::default()
        };
        rules.alike(name, &record).into_owned()
    }

    #[test]
    fn what_is_another_in_every_run_is_made_alike() {
        for (name, expected) in [
            ("/srv/agent/out.txt", "./out.txt"),
            ("--out=/srv/agent/a", "--out=./a"),
            ("/srv/agent2/out.txt", "/srv/agent2/out.txt"),
            ("/x/srv/agent/out.txt", "/x/srv/agent/out.txt"),
            ("/proc/812/maps", "/proc/PID/maps"),
            ("/proc/self/maps", "/proc/self/maps"),
            ("/srv/agent/log.4711", "./log.PID"),
            ("/srv/agent/log.4712", "./log.4712"),
            ("/tmp/tmpabc123", "/tmp/tmp*"),
            ("/tmp/tmpqwertyui/x.py", "/tmp/tmp*/x.py"),
            ("/tmp/tmp.Xa3kZqpL0v", "/tmp/tmp.*"),
            ("/tmp/build/Makefile", "/tmp/build/Makefile"),
            ("/tmp/pip-install-ab12cd34/x", "/tmp/pip-install-*/x"),
            ("/tmp/a/report2024.pdf", "/tmp/a/*.pdf"),
            ("/home/u/a.tmp.k3x9q2", "/home/u/a.tmp.*"),
            ("/v/0b1a7b5e-6c6c-4a2e-9d2b-0d6c2c3f9f55.json", "/v/*.json"),
            ("/c/9f3c2a7b8d1e4f60", "/c/*"),
            ("/c/deadbeefdeadbeef", "/c/deadbeefdeadbeef"),
            ("/log/run-2026-11-24.txt", "/log/run-*.txt"),
            ("/log/1795507200", "/log/*"),
            ("127.0.0.1:41822 tcp", "127.0.0.1:* tcp"),
            ("http://127.0.0.1:41822/v1", "http://127.0.0.1:*/v1"),
            ("[2001:db8::1]:443 tcp", "[2001:db8::1]:443 tcp"),
            ("/usr/lib/libssl.so.3", "/usr/lib/libssl.so.3"),
            (
                "/usr/lib/python3.11/token.py",
                "/usr/lib/python3.11/token.py",
            ),
            ("cat x | base64 > /tmp/a1b2c3", "cat x | base64 > /tmp/*"),
            ("漢字/1", "漢字/1"),
            ("", ""),
            ("1", "1"),
        ] {
            assert_eq!(alike(name), expected, "{name}");
        }
    }

    #[test]
    fn exactly_means_as_it_is() {
        let mut rules = Rules::new(true);
        rules.begin_in("/srv/agent");
        let name = "/srv/agent/tmpabc123";
        assert_eq!(rules.alike(name, &Record::default()), name);
        assert!(!alike_amounts(100, 99, true) && alike_amounts(100, 51, false));
        assert!(!alike_amounts(100, 50, false) && !alike_amounts(1, 0, false));
        assert!(alike_amounts(u64::MAX, u64::MAX, true) && alike_amounts(0, 0, false));
    }
}
